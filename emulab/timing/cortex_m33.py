"""Cortex-M33: three stages, in order, pairs of 16-bit instructions issued together where they are simple.

Arm's manual (100230) describes the pipeline but gives no instruction times. The parameters are those of its structure,
with values measured on silicon (the sources stand in ``platforms/cores/cortex-m33.yaml``).
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing.pipeline import Parameter, Priced, ThumbModel, wide_at_halfword
from emulab.timing.thumb import FLAGS, PC, Instruction

_SIMPLE = frozenset({"alu", "shift", "nop"})


class CortexM33(ThumbModel):
    """Cortex-M33 with or without FPU and DSP extension."""

    name = "cortex-m33"
    armv8 = True
    unaligned = "boundary"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "load_use": Parameter(1, "wait of an instruction that uses the load before it", 0, 3, free=True),
        "load_address_use": Parameter(1, "wait where that use forms an address", 0, 4, free=True),
        "alu_address_use": Parameter(0, "wait for an address made by the instruction before", 0, 2, free=True),
        "multiply_use": Parameter(1, "wait of an instruction that uses the product before it", 0, 3, free=True),
        "accumulate_use": Parameter(0, "the same where the use is as accumulator", 0, 3, free=True),
        "multiply_long": Parameter(2, "SMULL, UMLAL and the like", 1, 4, free=True),
        "store_after_load": Parameter(0, "bus turn-round between a load and a store after it", 0, 1, free=True),
        "load_after_store": Parameter(0, "and between a store and a load after it", 0, 1, free=True),
        "multiple": Parameter(0, "LDM, STM, PUSH, POP: this plus one per register", 0, 3, free=True),
        "double": Parameter(2, "LDRD, STRD", 1, 4, free=True),
        "refill_direct": Parameter(1, "taken branch to an address in the instruction", 0, 4, free=True),
        "refill_indirect": Parameter(2, "branch to an address in a register, or loaded", 0, 5, free=True),
        "entry_wide_unaligned": Parameter(1, "more when the target straddles two words", 0, 3, free=True),
        "wide_unaligned_run": Parameter(
            0.2, "a run of three or more 32-bit instructions that straddle words", 0, 2, free=True
        ),
        "pair_saving": Parameter(0.5, "cycles saved where two 16-bit instructions issue together", 0, 1, free=True),
        "pair_memory": Parameter(1, "one of the pair may be a load or store: 0 no, 1 yes", 0, 1),
        "pair_branch": Parameter(0, "the second of the pair may be a branch: 0 no, 1 yes", 0, 1),
        "pair_aligned": Parameter(0, "both must lie in one word: 0 no, 1 yes", 0, 1),
        "it_folded": Parameter(1, "IT after a 16-bit instruction costs nothing: 0 no, 1 yes", 0, 1),
        "divide": Parameter(6, "SDIV and UDIV, 2 to 11 with early termination: the mean", 2, 12, free=True),
        "fpu_use": Parameter(1, "wait of an instruction that uses the FPU result before it", 0, 3),
        "fpu_multiply_accumulate": Parameter(3, "VMLA, VFMA", 1, 4),
        "fpu_divide": Parameter(14, "VDIV, VSQRT", 1, 20),
        "barrier": Parameter(4, "DMB, DSB, ISB", 0, 32),
        "system": Parameter(2, "MRS, MSR, CPS", 1, 16),
        "fetch_ahead": Parameter(2, "how far the fetch unit runs ahead of execution", 0, 8),
        "other_bus": Parameter(
            1, "load next to an access on the core's other data bus: the two do not overlap", 0, 2, free=True
        ),
        "unaligned": Parameter(1, "an access across the boundary", 0, 4),
        "unaligned_boundary": Parameter(4, "bytes between boundaries that an access may not cross for free", 4, 8),
        "data_step": Parameter(2, "mean time between data accesses of a block, for what overlaps with them", 1, 8),
    }

    def pairs(self, first: Instruction, second: Instruction) -> bool:
        """Whether the two issue in one cycle."""
        p = self.p
        if first.size != 2 or second.size != 2 or first.to_pc or second.to_pc:
            return False
        if p["pair_aligned"] and first.address & 2:
            return False
        memory = first.is_memory + second.is_memory
        if memory and not p["pair_memory"]:
            return False
        kinds = _SIMPLE | {"load", "store"}
        branch = p["pair_branch"] and second.kind == "branch"
        if memory > 1 or first.kind not in kinds or (second.kind not in kinds and not branch):
            return False
        if first.writes & second.reads & ~FLAGS or first.writes & second.writes & ~FLAGS:
            return False
        return not first.writes & second.reads & FLAGS or bool(branch)

    def price(self, instructions: list[Instruction]) -> Priced:
        p = self.p
        cycles: list[float] = []
        taken = 0.0
        previous: Instruction | None = None
        paired = False
        run = 0
        for i in instructions:
            kind = i.kind
            cost = 1.0
            if kind in ("loadm", "storem", "floadm", "fstorem"):
                cost = p["multiple"] + i.count
            elif kind in ("loadd", "stored"):
                cost = p["double"]
            elif kind in ("fload", "fstore"):
                cost = float(i.count)
            elif kind == "mull":
                cost = p["multiply_long"]
            elif kind == "div":
                cost = p["divide"]
            elif kind == "fpumac":
                cost = p["fpu_multiply_accumulate"]
            elif kind == "fpudiv":
                cost = p["fpu_divide"]
            elif kind == "fpumove":
                cost = float(i.count)
            elif kind == "it":
                cost = 0.0 if p["it_folded"] and previous is not None and previous.size == 2 else 1.0
            elif kind == "barrier":
                cost = p["barrier"]
            elif kind == "system":
                cost = p["system"]
            elif kind == "table":
                cost, taken = 2.0, p["refill_indirect"] + 1
            elif kind in ("branch", "call"):
                taken = p["refill_direct"] if i.target >= 0 else p["refill_indirect"]
            elif kind in ("return", "indirect"):
                taken = p["refill_indirect"]
            elif kind == "unknown":
                cost = i.size / 2
            if i.to_pc:
                taken = p["refill_indirect"]
                if i.conditional:
                    taken, cost = taken + cost - 1, 1.0
            if previous is not None:
                cost += self._wait(previous, i)
                if not paired and self.pairs(previous, i):
                    cost -= p["pair_saving"]
                    paired = True
                else:
                    paired = False
            run = run + 1 if wide_at_halfword(i) else 0
            if run == 3:
                cost += p["wide_unaligned_run"]
            cycles.append(max(cost, 0.0))
            previous = i
        entry = p["entry_wide_unaligned"] if instructions and wide_at_halfword(instructions[0]) else 0.0
        return Priced(cycles, taken, entry)

    def _wait(self, previous: Instruction, i: Instruction) -> float:
        """Cycles *i* waits for what *previous* makes."""
        p = self.p
        wait = 0.0
        used = i.reads & previous.writes & ~FLAGS & ~(1 << PC)
        if used:
            address = bool(used & i.address_reads)
            late = not used & ~i.late_reads
            if used & previous.updated_base == used:
                wait = p["alu_address_use"] if address else 0.0
            elif previous.is_load:
                if previous.kind in ("loadd", "loadm") and not used & previous.last_register:
                    return 0.0  # it came a cycle or more before the last
                wait = p["load_address_use"] if address else 0.0 if late and i.is_store else p["load_use"]
            elif previous.kind in ("mul", "mac", "mull"):
                wait = p["accumulate_use"] if late and not i.is_store else p["multiply_use"]
            elif previous.kind in ("fpu", "fpumac"):
                wait = p["fpu_use"]
            elif address:
                wait = p["alu_address_use"]
        if i.is_store and previous.is_load:
            wait = max(wait, p["store_after_load"])
        elif i.is_load and previous.is_store:
            wait = max(wait, p["load_after_store"])
        return wait
