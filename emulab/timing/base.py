"""The contract of a timing model: what a block costs, statically, and what the probe must simulate.

The probe asks once per block (address and code), caches the answer, and adds dynamic costs in line: taken
branches, fetches and data accesses through the simulated flash accelerator and caches (``probe/c/memsim.h``).
Costs are in 1/256 cycle (``_q8``), so that averages such as dual issue stay exact in integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emulab.model.platform import Platform

Q8 = 256

# Bits of BlockCost.branch_kind; the same as EM_BRANCH_* of memsim.h.
BRANCH_CONDITIONAL, BRANCH_DIRECT, BRANCH_CALL, BRANCH_RETURN, BRANCH_INDIRECT = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Divider:
    """Cycles of a division by its operands, for a divider that stops early; bits are those of the magnitude.

    ``zero`` where an operand is 0, ``smaller`` where the dividend has fewer bits than the divisor, else ``base`` and a
    cycle for every ``bits_per_cycle`` bits that the dividend has more. ``unknown`` is the static price, for operands
    nobody can see.
    """

    zero: float
    smaller: float
    base: float
    bits_per_cycle: int
    unknown: float

    @property
    def least(self) -> float:
        return min(self.zero, self.smaller, self.base, self.unknown)

    def cycles(self, dividend: int, divisor: int) -> float:
        """What the division takes: signed operands as they are."""
        above, below = abs(dividend).bit_length(), abs(divisor).bit_length()
        if not above or not below:
            return self.zero
        return self.smaller if above < below else self.base + (above - below) // self.bits_per_cycle

    def above_least_q8(self) -> tuple[int, int, int, int, int]:
        """zero, smaller and base above :attr:`least` in 1/256 cycle, bits per cycle, unknown above least: em_divider."""
        least = self.least
        zero, smaller, base, unknown = (
            round((c - least) * Q8) for c in (self.zero, self.smaller, self.base, self.unknown)
        )
        return zero, smaller, base, self.bits_per_cycle, unknown


@dataclass(frozen=True, slots=True)
class BlockCost:
    """Static cost of one basic block at zero wait states.

    ``cycles_q8`` is the cost when the block falls through; ``taken_q8`` is added when its last branch is taken.
    ``prefix_q8[i]`` is the cost of instructions before instruction *i* (for the exact time of a register access
    within a block); ``offsets[i]`` is the byte offset of instruction *i*. ``classes`` counts instructions per class
    (load, store, mac, mul, div, branch, fpu, simd, alu, ...). ``entry_q8`` is added when the block is entered by a
    taken branch, not by falling through: a target the fetch unit needs two reads for.
    ``behind`` says how far the fetch unit is behind (0, 1, 2) for the block that is fallen into after this one, and
    ``late_q8`` what this one costs more when it is fallen into with the fetch unit 1 or 2 behind.
    ``branch_kind`` tells how the block ends (BRANCH_* bits, 0: it falls through); the probe hands it to ``em_branch``.
    """

    instructions: int
    cycles_q8: int
    taken_q8: int
    offsets: tuple[int, ...]
    prefix_q8: tuple[int, ...]
    classes: dict[str, int]
    literal_loads: int = 0
    entry_q8: int = 0
    branch_kind: int = 0
    behind: int = 0
    late_q8: tuple[int, int] = (0, 0)


class TimingModel(Protocol):
    """A core's pipeline. Built by :func:`emulab.timing.load_timing` from the platform."""

    name: str
    divider: Divider | None
    """Where what a division takes follows from its operands; its ``unknown`` is then the static price."""

    def block(self, address: int, code: bytes) -> BlockCost:
        """Price the block at *address*. Undecodable bytes cost one cycle per halfword and are counted as `unknown`."""


class TimingFactory(Protocol):
    """Builds the timing model of a platform; see ``emulab.timing.load_timing``."""

    def __call__(self, platform: Platform) -> TimingModel: ...
