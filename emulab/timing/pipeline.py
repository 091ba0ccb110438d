"""What the pipeline models share: checked parameters, block prices from per-instruction costs, branch kinds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emulab.errors import InputError
from emulab.timing.base import (
    BRANCH_CALL,
    BRANCH_CONDITIONAL,
    BRANCH_DIRECT,
    BRANCH_INDIRECT,
    BRANCH_RETURN,
    Q8,
    BlockCost,
    Divider,
)
from emulab.timing.thumb import Instruction, ThumbDecoder

CLASS_OF_KIND = {
    "shift": "alu",
    "mull": "mul",
    "loadm": "load",
    "loadd": "load",
    "fload": "load",
    "floadm": "load",
    "storem": "store",
    "stored": "store",
    "fstore": "store",
    "fstorem": "store",
    "call": "branch",
    "return": "branch",
    "indirect": "branch",
    "table": "branch",
    "it": "alu",
    "nop": "alu",
    "barrier": "system",
    "fpumac": "fpu",
    "fpudiv": "fpu",
    "fpumove": "fpu",
    "mve": "simd",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One physical parameter of a model: cycles unless the text says otherwise.

    ``free`` marks those the manuals leave open, within [low, high]; ``emulab.timing.fit`` may move only these.
    """

    default: float
    text: str
    low: float = 0.0
    high: float = 64.0
    free: bool = False


@dataclass(frozen=True, slots=True)
class Priced:
    """Cycles per instruction of a block, what a taken exit adds, and what entering by a branch adds.

    ``behind`` and ``late`` as in :class:`emulab.timing.base.BlockCost`, in cycles.
    """

    cycles: Sequence[float]
    taken: float = 0.0
    entry: float = 0.0
    behind: int = 0
    late: tuple[float, float] = (0.0, 0.0)


def check_parameters(model: str, known: Mapping[str, Parameter], given: Mapping[str, float]) -> dict[str, float]:
    """Defaults overridden by *given*; InputError for an unknown name or a value out of range."""
    import difflib

    values = {name: p.default for name, p in known.items()}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"
            raise InputError(f"core.timing.parameters: {model} has no parameter {name!r}; {hint}")
        parameter = known[name]
        if not (math.isfinite(value) and parameter.low <= value <= parameter.high):
            raise InputError(
                f"core.timing.parameters.{name}: {value:g} is outside {parameter.low:g} to {parameter.high:g}"
            )
        values[name] = float(value)
    return values


def block_cost(instructions: Sequence[Any], classes: Sequence[str], priced: Priced, branch_kind: int) -> BlockCost:
    """Round to 1/256 cycle at the prefix sums, so that the parts add up to the whole exactly."""
    counts: dict[str, int] = {}
    for name in classes:
        counts[name] = counts.get(name, 0) + 1
    prefix: list[int] = []
    total = 0.0
    for cycles in priced.cycles:
        prefix.append(round(total * Q8))
        total += cycles
    start = instructions[0].address if instructions else 0
    return BlockCost(
        instructions=len(instructions),
        cycles_q8=round(total * Q8),
        taken_q8=round(priced.taken * Q8),
        offsets=tuple(i.address - start for i in instructions),
        prefix_q8=tuple(prefix),
        classes=counts,
        literal_loads=sum(1 for i in instructions if i.literal),
        entry_q8=round(priced.entry * Q8),
        branch_kind=branch_kind,
        behind=priced.behind,
        late_q8=(round(priced.late[0] * Q8), round(priced.late[1] * Q8)),
    )


def thumb_branch_kind(last: Instruction) -> int:
    """BRANCH_* bits of the instruction that ends a block."""
    if not last.ends_block:
        return 0
    kind = BRANCH_CONDITIONAL if last.conditional else 0
    if last.kind == "branch":
        return kind | BRANCH_DIRECT
    if last.kind == "call":
        return kind | BRANCH_CALL | BRANCH_DIRECT
    if last.kind == "return" or last.kind == "loadm":
        return kind | BRANCH_RETURN
    if last.mnemonic in ("blx", "blxns"):
        return kind | BRANCH_CALL | BRANCH_INDIRECT
    if last.kind == "load" and last.address_reads == 1 << 13 and last.writeback:
        return kind | BRANCH_RETURN
    return kind | BRANCH_INDIRECT


class ThumbModel(ABC):
    """A Cortex-M pipeline: subclasses say what the instructions of a block cost, in order."""

    name: ClassVar[str]
    PARAMETERS: ClassVar[dict[str, Parameter]]
    armv8: ClassVar[bool] = False
    helium: ClassVar[bool] = False
    divider: Divider | None = None
    unaligned: ClassVar[str] = "none"  # how emulab.timing.memory charges unaligned accesses: none, split, boundary

    def __init__(self, parameters: Mapping[str, float] | None = None) -> None:
        self.p = check_parameters(self.name, self.PARAMETERS, parameters or {})
        self._decoder = ThumbDecoder(v8=self.armv8, helium=self.helium)

    @abstractmethod
    def price(self, instructions: list[Instruction]) -> Priced:
        """Cycles of each instruction at zero wait states."""

    def block(self, address: int, code: bytes) -> BlockCost:
        """See :class:`emulab.timing.base.TimingModel`."""
        instructions = self._decoder.decode(address & ~1, code)
        classes = [CLASS_OF_KIND.get(i.kind, i.kind) for i in instructions]
        kind = thumb_branch_kind(instructions[-1]) if instructions else 0
        return block_cost(instructions, classes, self.price(instructions), kind)


def wide_at_halfword(instruction: Instruction) -> bool:
    """A 32-bit instruction that straddles two words: its fetch needs both."""
    return instruction.size == 4 and instruction.address & 2 == 2
