"""Cortex-M55: the in-order pipeline of the Cortex-M33 with three vector pipes of two beats a cycle.

A vector instruction has four beats of 32 bits and does two a cycle, so it holds its pipe (load and store, integer, or
multiply and floating point) for two cycles; one instruction issues a cycle, so the next may start beside the second
half of the one before if it needs another pipe (Cortex-M55 TRM, 101051; the pipes, who uses which, and results that
come a cycle later: the scheduling model that Arm gave LLVM, ``ARMScheduleM55.td``). Loops that end in LE take no
cycle for it once the core knows them (Armv8.1-M ARM, DDI 0553, B5: loop and branch information cache).
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing import mve
from emulab.timing.cortex_m33 import CortexM33
from emulab.timing.pipeline import Parameter, Priced
from emulab.timing.thumb import Instruction

_MEMORY, _INTEGER, _MULTIPLY = range(3)
_PIPE = {
    mve.LOAD: _MEMORY,
    mve.STORE: _MEMORY,
    mve.GATHER: _MEMORY,
    mve.INTEGER: _INTEGER,
    mve.MULTIPLY: _MULTIPLY,
}


class CortexM55(CortexM33):
    """Cortex-M55: scalar instructions as on the Cortex-M33, vector instructions by pipes and beats."""

    name = "cortex-m55"
    helium = True
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **CortexM33.PARAMETERS,
        "vector": Parameter(2, "a vector instruction holds its pipe: four beats, two a cycle", 1, 4),
        "vector_multiply_use": Parameter(2, "result of a multiply to an instruction that uses it", 1, 4),
        "vector_sum_use": Parameter(1, "sum over lanes to the next that adds to it", 1, 4),
        "gather_element": Parameter(1, "load or store of one element at an address of its own", 0.5, 4, free=True),
        "loop_end": Parameter(0, "LE of a low-overhead loop the core knows", 0, 3),
    }

    def price(self, instructions: list[Instruction]) -> Priced:
        priced = super().price(instructions)
        cycles = list(priced.cycles)
        taken = priced.taken
        free = [0.0, 0.0, 0.0]  # when each pipe may start its next instruction
        ready: dict[
            int, float
        ] = {}  # per register set written by a vector instruction, when its first beat may be read
        first: dict[int, float] = {}  # when each pipe is first used
        now = 0.0
        for index, i in enumerate(instructions):
            if i.mnemonic == mve.LOOP_END:
                cycles[index] = self.p["loop_end"]
                taken = max([0.0, *(free[pipe] - now - at for pipe, at in first.items())])
            if i.kind != "mve":
                wait = max((at - now for bits, at in ready.items() if i.reads & bits), default=0.0)
                cycles[index] += max(wait, 0.0)
                now += cycles[index]
                continue
            start = now
            for bits, at in ready.items():
                if i.reads & bits:
                    early = i.late_reads & bits == i.reads & bits
                    start = max(start, at - (self.p["vector_multiply_use"] - self.p["vector_sum_use"]) * early)
            latency, hold = 1.0, self.p["vector"]
            if i.mnemonic == mve.CONTROL:
                hold = 1.0
            else:
                pipe = _PIPE[i.mnemonic]
                start = max(start, free[pipe])
                first.setdefault(pipe, start)
                if i.mnemonic == mve.GATHER:
                    hold = max(hold, i.count * self.p["gather_element"])
                    latency = hold - 1
                free[pipe] = start + hold
                if pipe == _MULTIPLY:
                    latency = self.p["vector_multiply_use"]
            if i.writes:
                ready[i.writes] = start + latency
            cycles[index] = start + 1 - now
            now = start + 1
        return Priced(cycles, taken, priced.entry)
