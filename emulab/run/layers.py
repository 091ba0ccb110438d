"""The per-layer table: a profile's blocks folded onto the symbols they belong to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from emulab.model.record import LayerRow

if TYPE_CHECKING:
    from emulab.probe.profile import Profile

LAYER_PREFIX = "emulab_layer_"


class LayerInfo(Protocol):
    """What code generation says of a layer."""

    @property
    def symbol(self) -> str: ...

    @property
    def op(self) -> str: ...

    @property
    def macs(self) -> int: ...


class SymbolInfo(Protocol):
    """A function of the image."""

    @property
    def address(self) -> int: ...

    @property
    def size(self) -> int: ...


class SymbolMap:
    """Function symbols by address; data symbols do not matter here."""

    def __init__(self, symbols: Iterable[tuple[str, int, int]]) -> None:
        named = sorted({(address & ~1, name, size) for name, address, size in symbols})
        self._starts = [start for start, _, _ in named]
        self._named = named

    def at(self, address: int) -> str:
        """Name of the function that holds *address*; empty where none does."""
        index = bisect_right(self._starts, address) - 1
        while (
            index >= 0
            and self._starts[index] == self._starts[max(index - 1, 0)]
            and index > 0
            and not self._named[index][2]
        ):
            index -= 1
        if index < 0:
            return ""
        start, name, size = self._named[index]
        return name if size == 0 or address < start + size else ""


def fold(
    profile: Profile,
    symbols: SymbolMap,
    layers: Sequence[LayerInfo] = (),
    inferences: int = 1,
) -> list[LayerRow]:
    """Rows per layer, per inference: layers in model order, then the functions with the most cycles.

    Kernels that several layers share are rows of their own; a layer's row holds what its own function executed.
    """
    totals: dict[str, list[float]] = {}
    for block in profile.blocks:
        name = symbols.at(block.address) or "(no symbol)"
        row = totals.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        row[0] += block.cycles
        row[1] += block.count * block.instructions
        row[2] += block.stall_cycles
        row[3] = max(row[3], block.count)
    n = max(inferences, 1)
    rows = []
    for layer in layers:
        cycles, instructions, stalls, executions = totals.pop(layer.symbol, [0.0] * 4)
        rows.append(
            LayerRow(
                name=layer.op,
                symbol=layer.symbol,
                cycles=cycles / n,
                instructions=round(instructions / n),
                macs=layer.macs,
                stall_cycles=stalls / n,
                executions=round(executions / n),
            )
        )
    rest = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))
    total_cycles = sum(values[0] for _, values in rest) + sum((r.cycles or 0) * n for r in rows)
    shown = [item for item in rest if item[1][0] >= 0.001 * total_cycles][:20]
    for name, (cycles, instructions, stalls, _) in shown:
        rows.append(
            LayerRow(
                name=name, symbol=name, cycles=cycles / n, instructions=round(instructions / n), stall_cycles=stalls / n
            )
        )
    other = [values for item in rest if item not in shown for values in [item[1]]]
    if other:
        rows.append(
            LayerRow(
                name="(other)",
                cycles=sum(v[0] for v in other) / n,
                instructions=round(sum(v[1] for v in other) / n),
                stall_cycles=sum(v[2] for v in other) / n,
            )
        )
    return rows
