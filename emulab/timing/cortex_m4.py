"""Cortex-M3 and Cortex-M4: three stages, single issue, loads that pipeline with their neighbours.

Costs are those of the Cortex-M4 TRM (DDI0439B) table 3-1 (integer), section 3.3.2 (pairing of loads and stores)
and table 7-1 (FPU). Which branches show when they are decoded, and which when they are executed, is in the TRM of the
Cortex-M3 r2p0 (DDI0337G table 15-3: CBZ, loads of the PC and registers other than LR are late). What the manuals leave
open (P, "1 to 3 cycles" of pipeline refill) is a parameter; what of it comes from the width and alignment of the code is in
``fetch_buffer.py``. How long a division takes by its operands was measured on
silicon by others (compendium.i-0.nl, division timing), within the 2 to 12 cycles of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from emulab.timing.base import Divider
from emulab.timing.fetch_buffer import BRANCHED, behind, stalls
from emulab.timing.pipeline import Parameter, Priced, ThumbModel
from emulab.timing.thumb import LR, Instruction

COMMON = {
    "refill_direct": Parameter(1, "P of a taken branch seen when it is decoded: B, BL, BX LR", 0, 3, free=True),
    "refill_indirect": Parameter(
        2, "P of one seen when it is executed: CBZ, CBNZ, other registers, what was loaded", 0, 4, free=True
    ),
    "address_hazard": Parameter(
        0, "load or store whose address the preceding data processing instruction made", 0, 2, free=True
    ),
    "load": Parameter(2, "single load that does not pipeline with the instruction before", 1, 4),
    "store_register_offset": Parameter(2, "store with register offset, not after a load", 1, 4),
    "divide": Parameter(6, "SDIV and UDIV where nobody sees the operands: about the middle of 2 to 12", 2, 12),
    "divide_zero": Parameter(2, "SDIV and UDIV with an operand of 0", 2, 12),
    "divide_smaller": Parameter(3, "SDIV and UDIV of a dividend with fewer bits than the divisor", 2, 12),
    "divide_base": Parameter(5, "SDIV and UDIV else, and a cycle for each divide_bits more bits", 2, 12),
    "divide_bits": Parameter(4, "bits of the quotient a cycle", 1, 32),
    "barrier": Parameter(4, "DMB, DSB, ISB"),
    "system": Parameter(2, "MRS, MSR, CPS"),
    "fetch_ahead": Parameter(2, "how far the fetch unit runs ahead of execution (three words of buffer)", 0, 8),
    "other_bus": Parameter(
        1, "load next to an access on the core's other data bus: the two do not overlap", 0, 2, free=True
    ),
    "unaligned": Parameter(1, "each further part an unaligned access is split into (DDI0439B 3.3.2)"),
    "data_step": Parameter(2, "mean time between data accesses of a block, for what overlaps with them", 1, 8),
}


class CortexM4(ThumbModel):
    """Cortex-M4 with or without FPU."""

    name = "cortex-m4"
    unaligned = "split"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **COMMON,
        "multiply_accumulate": Parameter(1, "MLA, MLS"),
        "multiply_long": Parameter(1, "SMULL, UMULL, SMLAL, UMLAL and the like"),
        "fpu_result_used": Parameter(1, "FPU arithmetic whose result the next instruction uses"),
    }

    def __init__(self, parameters: Mapping[str, float] | None = None) -> None:
        super().__init__(parameters)
        zero, smaller, base = (self.p[f"divide_{name}"] for name in ("zero", "smaller", "base"))
        self.divider = Divider(zero, smaller, base, round(self.p["divide_bits"]), self.p["divide"])

    def price(self, instructions: list[Instruction]) -> Priced:
        p = self.p
        cycles: list[float] = []
        taken = 0.0
        previous: Instruction | None = None
        overlap: list[bool] = []
        for i in instructions:
            kind = i.kind
            cost = 1.0
            after_load = (
                previous is not None
                and previous.kind in ("load", "fload")
                and not previous.to_pc
                and not i.address_reads & previous.writes & ~previous.updated_base
            )
            if kind == "load":
                cost = p["load"] - (1 if after_load else 0)
            elif kind == "store":
                cost = p["store_register_offset"] if i.register_offset and not after_load else 1.0
            elif kind == "fload":
                cost = p["load"] + i.count - 1 - (1 if after_load else 0)
            elif kind == "fstore":
                cost = 1.0 + i.count - (1 if after_load else 0)
            elif kind in ("loadd", "stored", "loadm", "storem", "floadm", "fstorem"):
                cost = 1.0 + i.count
            elif kind == "div":
                cost = p["divide"]
            elif kind == "mac":
                cost = p["multiply_accumulate"] if i.mnemonic in ("mla", "mls") else 1.0
            elif kind == "mull":
                cost = p["multiply_long"]
            elif kind == "fpumac":
                cost = 3.0
            elif kind == "fpudiv":
                cost = 14.0
            elif kind == "fpumove":
                cost = float(i.count)
            elif kind == "it":
                # folded onto a preceding 16-bit instruction (DDI0439B 3.3.1)
                cost = 0.0 if previous is not None and previous.size == 2 else 1.0
            elif kind == "barrier":
                cost = p["barrier"]
            elif kind == "system":
                cost = p["system"]
            elif kind == "table":
                cost, taken = 2.0, p["refill_indirect"] + 1
            elif kind in ("branch", "call"):
                decoded = i.target >= 0 and not i.mnemonic.startswith("cb")
                taken = p["refill_direct"] if decoded else p["refill_indirect"]
            elif kind == "return":
                late = previous is not None and previous.writes & 1 << LR
                taken = p["refill_indirect"] if late else p["refill_direct"]
            elif kind == "indirect":
                taken = p["refill_indirect"]
            elif kind == "unknown":
                cost = i.size / 2
            if i.to_pc:
                taken = p["refill_indirect"]
                if i.conditional:  # skipped: one cycle
                    taken, cost = taken + cost - 1, 1.0
            if previous is not None:
                if (
                    i.is_memory
                    and i.address_reads & previous.writes
                    and not previous.is_memory
                    and previous.kind != "it"
                ):
                    cost += p["address_hazard"]
                if previous.kind in ("fpu", "fpumac") and i.reads & previous.writes:
                    cost += p.get("fpu_result_used", 0.0)
            shared = after_load and kind in ("load", "fload", "fstore")
            cycles.append(cost + shared)
            overlap.append(shared)
            previous = i
        waits, waited = stalls(instructions, cycles, overlap, 0)
        total = sum(waits)
        one, two = (sum(stalls(instructions, cycles, overlap, n)[0]) - total for n in (1, 2))
        entry = sum(stalls(instructions, cycles, overlap, BRANCHED)[0]) - total
        out = behind(instructions, cycles, waited)
        net = [c - o + w for c, o, w in zip(cycles, overlap, waits, strict=True)]
        return Priced(net, taken, entry, out, (one, two))


class CortexM3(CortexM4):
    """Cortex-M3: the same pipeline with a slower multiplier (DDI0337I table 3-1)."""

    name = "cortex-m3"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **COMMON,
        "multiply_accumulate": Parameter(2, "MLA, MLS"),
        "multiply_long": Parameter(4, "SMULL and UMULL 3 to 5, SMLAL and UMLAL 4 to 7: the mean", 3, 7, free=True),
    }
