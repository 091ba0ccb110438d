"""The per-layer table: a profile's blocks folded onto the symbols they belong to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from emulab.errors import EmulabError
from emulab.model.record import LayerRow
from emulab.run.front_end import FRONT_END_WINDOW

if TYPE_CHECKING:
    from emulab.probe.profile import Profile, WindowProfile
    from emulab.timing.base import TimingModel


FETCH = "fetch_stall_cycles"
"""Under which the memory model counts cycles that the core waited for instructions."""


class LayerInfo(Protocol):
    """What code generation says of a layer."""

    @property
    def symbol(self) -> str: ...

    @property
    def op(self) -> str: ...

    @property
    def macs(self) -> int: ...

    @property
    def flash_bytes(self) -> int: ...


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
        self._sizes = {name: size for _, name, size in named if size}

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

    def size(self, name: str) -> int | None:
        """Bytes of the function of that name, where the image says."""
        return self._sizes.get(name)


class InstructionClasses:
    """Executed instructions per class (load, store, mac, branch, ...) of a profile, by the core's timing model."""

    def __init__(self, timing: TimingModel, read: Callable[[int, int], bytes]) -> None:
        self._timing, self._read = timing, read
        self._known: dict[tuple[int, int], dict[str, int]] = {}

    def __call__(self, profiles: Iterable[Profile]) -> dict[str, int]:
        """Sum over *profiles*; blocks whose code is not in the image (code in RAM) do not count."""
        totals: dict[str, int] = {}
        for profile in profiles:
            for block in profile.blocks:
                for name, number in self._block(block.address, block.size_bytes).items():
                    totals[name] = totals.get(name, 0) + number * block.count
        return dict(sorted(totals.items()))

    def _block(self, address: int, size: int) -> dict[str, int]:
        key = (address, size)
        if key not in self._known:
            try:
                self._known[key] = self._timing.block(address, self._read(address, size)).classes
            except EmulabError:
                self._known[key] = {}
        return self._known[key]


def layer_rows(
    whole: Profile,
    windows: Sequence[WindowProfile],
    layers: Sequence[LayerInfo],
    inferences: int,
    classes: Callable[[Iterable[Profile]], dict[str, int]] = lambda profiles: {},
    activity: Callable[[Profile], dict[str, float]] = lambda profile: {},
) -> list[LayerRow]:
    """Rows per layer, per inference, from the layers' own windows; the front end has a row where it has windows.

    A last row holds what ran outside of them.
    """
    n = max(inferences, 1)
    rows = []

    def row(window: str, name: str, **known: Any) -> LayerRow:
        own = [w.profile for w in windows if w.name == window and w.profile is not None]
        read: dict[str, int] = {}
        written: dict[str, int] = {}
        for profile in own:
            for region, count in profile.regions.items():
                read[region] = read.get(region, 0) + count.bytes_read
                written[region] = written.get(region, 0) + count.bytes_written
        return LayerRow(
            name=name,
            cycles=sum(p.cycles for p in own) / n,
            instructions=round(sum(p.instructions for p in own) / n),
            stall_cycles=sum(p.stall_cycles for p in own) / n,
            fetch_stall_cycles=sum(p.misses.get(FETCH, 0) for p in own) / n,
            executions=round(len(own) / n),
            bytes_read={k: round(v / n) for k, v in read.items() if v},
            bytes_written={k: round(v / n) for k, v in written.items() if v},
            instruction_classes={k: round(v / n) for k, v in classes(own).items() if v},
            activity=_per_inference([activity(profile) for profile in own], n),
            **known,
        )

    if any(w.name == FRONT_END_WINDOW for w in windows):
        rows.append(row(FRONT_END_WINDOW, "(front end)"))
    for index, layer in enumerate(layers):
        rows.append(
            row(f"layer:{index}", layer.op, symbol=layer.symbol, macs=layer.macs, flash_bytes=layer.flash_bytes)
        )
    rows.append(
        LayerRow(
            name="(between layers)",
            cycles=whole.cycles / n - sum(row.cycles or 0 for row in rows),
            instructions=round(whole.instructions / n) - sum(row.instructions or 0 for row in rows),
            stall_cycles=whole.stall_cycles / n - sum(row.stall_cycles or 0 for row in rows),
            fetch_stall_cycles=whole.misses.get(FETCH, 0) / n - sum(row.fetch_stall_cycles or 0 for row in rows),
            bytes_read=_rest({k: v.bytes_read for k, v in whole.regions.items()}, [r.bytes_read for r in rows], n),
            bytes_written=_rest(
                {k: v.bytes_written for k, v in whole.regions.items()}, [r.bytes_written for r in rows], n
            ),
            activity={
                name: max(0, count - sum(r.activity.get(name, 0) for r in rows))
                for name, count in _per_inference([activity(whole)], n).items()
            },
        )
    )
    return rows


def _per_inference(counts: Iterable[Mapping[str, float]], n: int) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return {name: round(count / n) for name, count in total.items()}


def _rest(whole: Mapping[str, int], rows: Iterable[Mapping[str, int]], n: int) -> dict[str, int]:
    """Bytes per region and inference that no layer accounts for."""
    known = list(rows)
    left = {region: round(count / n) - sum(row.get(region, 0) for row in known) for region, count in whole.items()}
    return {region: count for region, count in left.items() if count > 0}


def fold(profile: Profile, symbols: SymbolMap, inferences: int = 1) -> list[LayerRow]:
    """Rows per function, per inference, the ones with the most cycles first; small ones together in ``(other)``."""
    totals: dict[str, list[float]] = {}
    for block in profile.blocks:
        name = symbols.at(block.address) or "(no symbol)"
        row = totals.setdefault(name, [0.0, 0.0, 0.0])
        row[0] += block.cycles
        row[1] += block.count * block.instructions
        row[2] += block.stall_cycles
    n = max(inferences, 1)
    ranked = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))
    total = sum(values[0] for _, values in ranked)
    shown = [item for item in ranked if item[1][0] >= 0.001 * total][:30]
    other = [sum(column) for column in zip(*(v for _, v in ranked[len(shown) :]), strict=True)]
    if any(other):
        shown.append(("(other)", other))
    return [
        LayerRow(
            name=name,
            symbol="" if name.startswith("(") else name,
            cycles=cycles / n,
            instructions=round(instructions / n),
            stall_cycles=stalls / n,
            flash_bytes=symbols.size(name),
        )
        for name, (cycles, instructions, stalls) in shown
    ]
