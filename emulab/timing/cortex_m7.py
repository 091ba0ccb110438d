"""Cortex-M7: six stages, two instructions a cycle in order, with branch prediction (simulated at run time).

Arm's manual (DDI0489) gives no instruction times. Units, stages and latencies are those of the scheduling model for this core in
LLVM (``ARMScheduleM7.td``): addresses and shifted operands are read in EX1, sums in EX2, accumulators and data of stores in EX3;
bytes and halfwords come a cycle later than words; extensions and other DSP instructions issue from the first slot only. Two
loads issue together unless both are of one 32-bit bank of the 64-bit data cache or TCM (``ARMHazardRecognizer.cpp``, bank mask 4).
That no store pairs with a load is measured (quinapalus.com, "Cortex-M7 instruction cycle counts", STM32H730).
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing.pipeline import Parameter, Priced, ThumbModel
from emulab.timing.thumb import FLAGS, PC, Instruction

_MULTIPLY = frozenset({"mul", "mac", "mull"})
_FPU = frozenset({"fpu", "fpumac", "fpudiv"})
_ALONE = frozenset({"div", "barrier", "system", "table", "mve", "unknown"}) | {
    "loadm", "storem", "floadm", "fstorem", "loadd", "stored",
}  # fmt: skip
_NARROW = frozenset({"ldrb", "ldrh", "ldrsb", "ldrsh", "ldrexb", "ldrexh"})
_EXTEND = ("sxt", "uxt")
_PACK = frozenset({"pkhbt", "pkhtb"})
_REVERSE = frozenset({"rev", "rev16", "revsh", "rbit"})
_FIELD = frozenset({"sbfx", "ubfx"})
_INSERT = frozenset({"bfi", "bfc"})
_SATURATE = frozenset({"ssat", "usat", "ssat16", "usat16"})
_LATE_DSP = _SATURATE | {"qdadd", "qdsub", "usad8", "usada8"}  # results a cycle later, as of qadd, uqadd8 ...
_EARLY_DSP = _SATURATE | _REVERSE | _FIELD | {"qdadd", "qdsub"}  # operands read in EX1


class _Use:
    """What one instruction takes of the pipeline: slot, shifter, and when it reads and makes its registers."""

    __slots__ = ("dsp", "early", "first", "latency", "shifter")

    def __init__(self, i: Instruction, p: dict[str, float]) -> None:
        name = i.mnemonic
        extend = name.startswith(_EXTEND)
        self.dsp = i.kind == "simd" or extend or name in _FIELD
        self.first = self.dsp or name in _INSERT
        self.shifter = ((i.shifted or i.kind == "shift") and not extend) or name in _SATURATE | _REVERSE | _PACK
        self.early = 0  # registers read in EX1
        self.latency = p["alu_latency"]
        if name in _EARLY_DSP:
            self.early = i.reads & ~FLAGS
        elif extend and name[3:4] == "a":
            self.shifter = True
            self.early = i.last_register
        elif name in _PACK or (i.shifted and not extend and i.kind != "shift"):
            self.early = i.last_register
        if name in _REVERSE:
            self.latency -= 1
        elif name in _LATE_DSP or (name.startswith(("q", "uq")) and self.dsp):
            self.latency += 1
        elif i.is_load:
            self.latency = p["load_narrow_latency"] if name in _NARROW else p["load_latency"]
        elif i.kind in _MULTIPLY:
            self.latency = p["multiply_latency"]
        elif i.kind == "fpumac":
            self.latency = p["fpu_accumulate_latency"]
        elif i.kind in _FPU or i.kind == "fpumove":
            self.latency = p["fpu_latency"]


class CortexM7(ThumbModel):
    """Cortex-M7 with FPU."""

    name = "cortex-m7"
    unaligned = "boundary"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "load_latency": Parameter(1, "word load to use by data processing", 1, 5),
        "load_narrow_latency": Parameter(2, "byte or halfword load to use by data processing", 1, 5),
        "alu_latency": Parameter(1, "data processing to data processing", 1, 3),
        "early": Parameter(1, "addresses and shifted operands are needed this much earlier", 0, 2),
        "store_late": Parameter(1, "data of a store, and accumulators, are needed this much later", 0, 2),
        "multiply_latency": Parameter(2, "multiply to use", 1, 4),
        "fpu_latency": Parameter(3, "FPU arithmetic to use", 1, 6),
        "fpu_accumulate_latency": Parameter(6, "FPU multiply-accumulate to use, 3 to use as accumulator", 3, 8),
        "fpu_divide": Parameter(16, "VDIV, VSQRT", 1, 32),
        "divide": Parameter(7, "SDIV and UDIV, 3 to 20 by operand values: the mean", 2, 20),
        "bank_conflict": Parameter(1, "two loads of one 32-bit bank do not issue together: 0 no, 1 yes", 0, 1),
        "multiple_per_cycle": Parameter(2, "registers LDM and STM move in a cycle", 1, 2),
        "taken": Parameter(1, "more for a predicted taken branch", 0, 4, free=True),
        "barrier": Parameter(8, "DMB, DSB, ISB", 0, 32),
        "system": Parameter(2, "MRS, MSR, CPS", 1, 16),
        "unaligned": Parameter(1, "an access across the boundary", 0, 4),
        "unaligned_boundary": Parameter(8, "bytes between boundaries that an access may not cross for free", 4, 8),
        "data_step": Parameter(1, "mean time between data accesses of a block, for what overlaps with them", 1, 8),
        "mispredict": Parameter(6, "wrong prediction", 0, 16, free=True),
        "btb_miss": Parameter(2, "taken branch that is not in the BTAC", 0, 16, free=True),
        "btb_entries": Parameter(64, "branch target address cache", 0, 1024),
        "branch_counters": Parameter(512, "prediction counters", 0, 4096),
        "branch_history": Parameter(0, "bits of global history in their index", 0, 12),
        "return_stack": Parameter(4, "return address stack", 0, 16),
    }

    def _pairs(self, first: Instruction, a: _Use, second: Instruction, b: _Use, conflict: bool) -> bool:
        """Whether the structure allows the two in one cycle; operands are the caller's business."""
        if first.kind in _ALONE or second.kind in _ALONE or first.ends_block or b.first:
            return False
        if first.kind in _MULTIPLY and second.kind in _MULTIPLY:
            return False
        one, two = first.kind in _FPU or first.kind == "fpumove", second.kind in _FPU or second.kind == "fpumove"
        if (one and two) or (a.shifter and b.shifter):
            return False
        if first.is_memory and second.is_memory:
            return (
                first.is_load
                and second.is_load
                and not (self.p["bank_conflict"] and self._same_bank(first, second, conflict))
            )
        return not first.writes & second.writes & ~FLAGS

    @staticmethod
    def _same_bank(first: Instruction, second: Instruction, otherwise: bool) -> bool:
        """Whether two loads are of one bank; *otherwise* where that depends on registers nobody sees."""
        if first.writes & second.writes & ~FLAGS:
            return True
        if first.offset is None or second.offset is None or first.address_reads != second.address_reads:
            return otherwise
        if first.literal:
            return not ((first.address + 4 & ~3) + first.offset ^ (second.address + 4 & ~3) + second.offset) & 4
        return not (first.offset - second.offset) & 4

    def price(self, instructions: list[Instruction]) -> Priced:
        uses = [_Use(i, self.p) for i in instructions]
        best = self._schedule(instructions, uses, False)
        if sum(i.is_load for i in instructions) > 1:
            worst = self._schedule(instructions, uses, True)
            best = [(b + w) / 2 for b, w in zip(best, worst, strict=True)]
        return Priced(best, self._taken(instructions, sum(best)))

    def _taken(self, instructions: list[Instruction], cycles: float) -> float:
        """What a taken exit adds: a block that issues faster than it is fetched waits for its last words."""
        if not instructions or not instructions[-1].ends_block:
            return 0.0
        last = instructions[-1]
        lines = (last.address + last.size - 1 >> 3) - (instructions[0].address >> 3) + 1
        return max(lines + self.p["taken"] - cycles, 0.0)

    def _schedule(self, instructions: list[Instruction], uses: list[_Use], conflict: bool) -> list[float]:
        """Cycles by which each instruction moves the end; *conflict*: of loads whose banks are unknown."""
        ready: dict[int, tuple[float, str]] = {}  # register bit -> when its value is in EX2, and kind of its writer
        cycles: list[float] = []
        now = 0.0  # issue time of the last instruction
        free = 0.0  # earliest issue of the next one
        open_slot = False  # the second slot of that cycle
        end = 0.0
        for at, i in enumerate(instructions):
            use = uses[at]
            wanted = 0.0
            for bit, (value, kind) in ready.items():
                if bit & i.reads:
                    wanted = max(wanted, value + self._offset(kind, i, use, bit))
            if open_slot and wanted <= now and self._pairs(instructions[at - 1], uses[at - 1], i, use, conflict):
                issue, open_slot = now, False
            else:
                issue, open_slot = max(free, wanted), True
            length = self._length(i)
            if open_slot or length > 1:
                free = issue + length
            now = issue
            writes = i.writes & ~(1 << PC)
            while writes:
                bit = writes & -writes
                base = bit & i.updated_base
                made = issue if base else issue + use.latency + (length - 1 if i.kind != "fpudiv" else 0)
                if i.kind == "div":
                    made = issue + length
                ready[bit] = (made, "alu" if base else i.kind)
                writes ^= bit
            cycles.append(max(free - end, 0.0))
            end = max(end, free)
        return cycles

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

    def _offset(self, writer: str, reader: Instruction, use: _Use, bit: int) -> float:
        """When *reader* wants register *bit*, against its own EX2; the branch unit sees flags of the same cycle."""
        p = self.p
        if bit == FLAGS:
            return -1.0 if reader.kind == "branch" else 0.0
        if bit & (reader.address_reads | use.early):
            return p["early"]
        if bit & reader.late_reads:
            if reader.is_store:
                return -p["store_late"]
            if reader.kind == "fpumac":
                return -3.0 if writer == "fpumac" else 0.0
            return -p["store_late"]
        return 0.0
