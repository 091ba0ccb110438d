"""Cortex-M7: six stages, two instructions a cycle in order, with branch prediction (simulated at run time).

Arm's manual (DDI0489) gives no instruction times. Latencies and pairing rules are those measured on silicon and
published at quinapalus.com ("Cortex-M7 instruction cycle counts, timings, and dual-issue combinations", STM32H730).
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing.pipeline import Parameter, Priced, ThumbModel
from emulab.timing.thumb import FLAGS, Instruction

_MULTIPLY = frozenset({"mul", "mac", "mull"})
_FPU = frozenset({"fpu", "fpumac", "fpudiv"})
_ALONE = frozenset({"div", "barrier", "system", "table", "loadm", "storem", "floadm", "fstorem", "mve", "unknown"})


class CortexM7(ThumbModel):
    """Cortex-M7 with FPU."""

    name = "cortex-m7"
    unaligned = "boundary"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "load_latency": Parameter(1, "load to use by data processing", 1, 5, free=True),
        "load_address_latency": Parameter(3, "load to use in an address", 1, 6, free=True),
        "alu_latency": Parameter(1, "data processing to data processing", 1, 3),
        "alu_address_latency": Parameter(2, "data processing to use in an address", 1, 4, free=True),
        "shift_operand_early": Parameter(0, "shifted operands are needed this much earlier", 0, 2),
        "multiply_latency": Parameter(3, "multiply to use", 1, 4),
        "accumulate_latency": Parameter(1, "multiply to use as accumulator", 1, 4),
        "fpu_latency": Parameter(3, "FPU arithmetic to use", 1, 6),
        "fpu_accumulate_latency": Parameter(6, "FPU multiply-accumulate to use", 1, 8),
        "fpu_divide": Parameter(16, "VDIV, VSQRT", 1, 32),
        "divide": Parameter(8, "SDIV and UDIV, 3 to 20 by operand values: the mean", 2, 20, free=True),
        "multiple_per_cycle": Parameter(2, "registers LDM and STM move in a cycle", 1, 2),
        "taken": Parameter(1, "more for a predicted taken branch", 0, 4, free=True),
        "pair_taken": Parameter(1, "a taken branch may be the second of a pair: 0 no, 1 yes", 0, 1),
        "barrier": Parameter(8, "DMB, DSB, ISB", 0, 32),
        "system": Parameter(2, "MRS, MSR, CPS", 1, 16),
        "unaligned": Parameter(1, "an access across the boundary", 0, 4),
        "unaligned_boundary": Parameter(8, "bytes between boundaries that an access may not cross for free", 4, 8),
        "data_step": Parameter(1, "mean time between data accesses of a block, for what overlaps with them", 1, 8),
        "mispredict": Parameter(10, "wrong prediction", 0, 16, free=True),
        "btb_miss": Parameter(2, "taken branch that is not in the BTAC", 0, 16, free=True),
        "btb_entries": Parameter(64, "branch target address cache", 0, 1024),
        "branch_counters": Parameter(512, "prediction counters", 0, 4096),
        "branch_history": Parameter(0, "bits of global history in their index", 0, 12),
        "return_stack": Parameter(4, "return address stack", 0, 16),
    }

    @staticmethod
    def _pairs(first: Instruction, second: Instruction) -> bool:
        """Whether the structure allows the two in one cycle; operands are the caller's business."""
        a, b = first.kind, second.kind
        if a in _ALONE or b in _ALONE or first.ends_block:
            return False
        if (a in _MULTIPLY and b in _MULTIPLY) or (a == "simd" and b == "simd"):
            return False  # one multiplier, one SIMD unit
        if (a in _FPU or a == "fpumove") and (b in _FPU or b == "fpumove"):
            return False
        shifts_a = first.shifted or a == "shift"
        shifts_b = second.shifted or b == "shift"
        if shifts_a and shifts_b:
            return False
        if (first.is_store and second.is_memory) or (first.is_memory and second.is_store):
            return False
        if first.is_memory and second.is_memory:  # two loads: both of one word
            return a == b == "load"
        return not first.writes & second.writes & ~FLAGS

    def price(self, instructions: list[Instruction]) -> Priced:
        p = self.p
        ready: dict[int, tuple[float, str]] = {}  # register bit -> issue time and kind of its writer
        cycles: list[float] = []
        now = 0.0  # issue time of the last instruction
        free = 0.0  # earliest issue of the next one
        second_slot = False  # the last cycle's second slot is taken
        previous: Instruction | None = None
        end = 0.0
        for i in instructions:
            start = free
            for bit, (at, kind) in ready.items():
                if bit & i.reads:
                    start = max(start, at + self._latency(kind, i, bit))
            together = (
                previous is not None
                and not second_slot
                and start <= now + 1
                and all(at + self._latency(kind, i, bit) <= now for bit, (at, kind) in ready.items() if bit & i.reads)
                and self._pairs(previous, i)
            )
            if together:
                issue, second_slot = now, True
            else:
                issue, second_slot = start, False
            length = self._length(i)
            if not together or length > 1:
                free = issue + length
            now = issue
            writes = i.writes
            while writes:
                bit = writes & -writes
                done = issue + (length - 3 if i.kind == "fpudiv" else length - 1)
                ready[bit] = (issue, "alu") if bit & i.updated_base else (done, i.kind)
                writes ^= bit
            cycles.append(max(free - end, 0.0))
            end = max(end, free)
            previous = i
        taken = p["taken"] if instructions and instructions[-1].ends_block else 0.0
        return Priced(cycles, taken)

    def _length(self, i: Instruction) -> float:
        p = self.p
        if i.kind in ("loadm", "storem", "floadm", "fstorem", "loadd", "stored"):
            return max(1.0, -(-i.count // int(p["multiple_per_cycle"])))
        if i.kind == "div":
            return p["divide"]
        if i.kind == "fpudiv":
            return p["fpu_divide"]
        if i.kind == "barrier":
            return p["barrier"]
        if i.kind == "system":
            return p["system"]
        if i.kind == "table":
            return 2.0
        return i.size / 2 if i.kind in ("unknown", "mve") else 1.0

    def _latency(self, writer: str, reader: Instruction, bit: int) -> float:
        """Cycles from issue of the writer to issue of a reader of register *bit*."""
        p = self.p
        address = bool(bit & reader.address_reads)
        late = bool(bit & reader.late_reads) and not address
        if bit == FLAGS:
            return 0.0 if reader.kind == "branch" else 1.0
        if writer in ("load", "loadm", "loadd", "fload", "floadm"):
            latency = p["load_address_latency"] if address else p["load_latency"]
        elif writer in _MULTIPLY:
            latency = p["accumulate_latency"] if late and reader.kind in _MULTIPLY else p["multiply_latency"]
            if address:
                latency += 1
        elif writer == "fpumac":
            latency = p["fpu_accumulate_latency"] if not late else p["fpu_latency"]
        elif writer in _FPU:
            latency = p["fpu_latency"]
        else:
            latency = p["alu_address_latency"] if address else p["alu_latency"]
        if (reader.shifted or reader.kind == "shift") and not address:
            latency += p["shift_operand_early"] if writer in ("load", "loadm", "loadd") else 0.0
        if late and reader.is_store:
            latency = max(latency - 1, 0.0)
        return latency
