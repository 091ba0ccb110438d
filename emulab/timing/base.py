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
class BlockCost:
    """Static cost of one basic block at zero wait states.

    ``cycles_q8`` is the cost when the block falls through; ``taken_q8`` is added when its last branch is taken.
    ``prefix_q8[i]`` is the cost of instructions before instruction *i* (for the exact time of a register access
    within a block); ``offsets[i]`` is the byte offset of instruction *i*. ``classes`` counts instructions per class
    (load, store, mac, mul, div, branch, fpu, simd, alu, ...). ``entry_q8`` is added when the block is entered by a
    taken branch, not by falling through: a target the fetch unit needs two reads for.
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


class TimingModel(Protocol):
    """A core's pipeline. Built by :func:`emulab.timing.load_timing` from the platform."""

    name: str

    def block(self, address: int, code: bytes) -> BlockCost:
        """Price the block at *address*. Undecodable bytes cost one cycle per halfword and are counted as `unknown`."""


class TimingFactory(Protocol):
    """Builds the timing model of a platform; see ``emulab.timing.load_timing``."""

    def __call__(self, platform: Platform) -> TimingModel: ...
