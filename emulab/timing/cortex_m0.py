"""Cortex-M0 and Cortex-M0+: one bus for code and data, no pairing, fixed times per instruction.

Cortex-M0+ TRM (DDI0484C) table 3-1, Cortex-M0 TRM (DDI0432C) table 3-1.
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing.pipeline import Parameter, Priced, ThumbModel, wide_at_halfword
from emulab.timing.thumb import Instruction


class CortexM0Plus(ThumbModel):
    """Cortex-M0+: two stages."""

    name = "cortex-m0plus"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "branch_taken": Parameter(2, "B taken, BX, BLX", 1, 4),
        "call": Parameter(3, "BL", 1, 5),
        "load": Parameter(2, "single load or store", 1, 4),
        "multiple": Parameter(1, "LDM, STM, PUSH, POP: this plus one per register", 0, 3),
        "pop_pc": Parameter(2, "more for POP with the program counter", 0, 5),
        "multiply": Parameter(1, "MULS: 1 with the fast multiplier, 32 with the small one", 1, 32),
        "barrier": Parameter(3, "DMB, DSB, ISB"),
        "system": Parameter(3, "MRS, MSR; one for CPS"),
        "entry_wide_unaligned": Parameter(0, "more when a branch target straddles two words", 0, 2, free=True),
    }

    def price(self, instructions: list[Instruction]) -> Priced:
        p = self.p
        cycles: list[float] = []
        taken = 0.0
        for i in instructions:
            kind = i.kind
            cost = 1.0
            if kind in ("load", "store"):
                cost = p["load"]
            elif kind in ("loadm", "storem"):
                cost = p["multiple"] + i.count
                if i.to_pc:
                    taken = p["pop_pc"]
            elif kind in ("mul", "mac"):
                cost = p["multiply"]
            elif kind == "call":
                taken = p["call"] - 1
            elif kind in ("branch", "return", "indirect"):
                taken = p["branch_taken"] - 1
            elif kind == "barrier":
                cost = p["barrier"]
            elif kind == "system" and i.mnemonic in ("mrs", "msr"):
                cost = p["system"]
            elif kind == "unknown":
                cost = i.size / 2
            if i.to_pc and kind == "alu":
                taken = p["branch_taken"] - 1
            cycles.append(cost)
        entry = p["entry_wide_unaligned"] if instructions and wide_at_halfword(instructions[0]) else 0.0
        return Priced(cycles, taken, entry)


class CortexM0(CortexM0Plus):
    """Cortex-M0: three stages, so that a taken branch costs one cycle more (DDI0432C table 3-1)."""

    name = "cortex-m0"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **CortexM0Plus.PARAMETERS,
        "branch_taken": Parameter(3, "B taken, BX, BLX", 1, 4),
        "call": Parameter(4, "BL", 1, 5),
        "pop_pc": Parameter(3, "more for POP with the program counter", 0, 5),
        "barrier": Parameter(4, "DMB, DSB, ISB"),
        "system": Parameter(4, "MRS, MSR; one for CPS"),
    }
