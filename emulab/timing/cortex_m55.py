"""Cortex-M55: the in-order pipeline of the Cortex-M33 with vector instructions of two beats a cycle.

Cortex-M55 TRM (101051) and the Cortex-M55 Software Optimization Guide: most MVE instructions take two cycles (four
beats, two a cycle); loads and multiplies overlap with the vector instruction before where beats allow it.
"""

from __future__ import annotations

from typing import ClassVar

from emulab.timing.cortex_m33 import CortexM33
from emulab.timing.pipeline import Parameter, Priced
from emulab.timing.thumb import Instruction


class CortexM55(CortexM33):
    """Cortex-M55: scalar instructions as on the Cortex-M33, vector instructions by beats."""

    name = "cortex-m55"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **CortexM33.PARAMETERS,
        "vector": Parameter(2, "vector instruction: four beats, two a cycle", 1, 4),
        "vector_overlap": Parameter(1, "of which this much overlaps with a vector instruction before", 0, 2),
        "loop_end": Parameter(0, "LE of a low-overhead loop", 0, 2),
    }

    def price(self, instructions: list[Instruction]) -> Priced:
        priced = super().price(instructions)
        cycles = list(priced.cycles)
        vector_before = False
        for index, i in enumerate(instructions):
            if i.kind == "mve":
                cycles[index] = self.p["vector"] - (self.p["vector_overlap"] if vector_before else 0.0)
            vector_before = i.kind == "mve"
        return Priced(cycles, priced.taken, priced.entry)
