"""Cycles from what Renode counts: executed instructions by class of opcode, priced by the core's timing model.

Renode knows no basic blocks, so pairing, hazards and the share of branches taken are averages over the image's code:
every function of the image is priced as straight blocks, and each class gets its mean cost there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.errors import EmulabError
from emulab.timing.base import Q8

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.timing.base import TimingModel

TAKEN_SHARE = 0.7
"""Share of branches taken. Assumed: loops dominate in the code that is measured."""

# Opcode patterns, most specific class first: `1`, `0`, and any letter for a bit that does not matter.
PATTERNS = {
    "arm": {
        "branch": ["1101xxxxxxxxxxxx", "11100xxxxxxxxxxx", "010001110xxxxxxx", "1011x0x1xxxxxxxx"],
        "load": ["01101xxxxxxxxxxx", "01111xxxxxxxxxxx", "10001xxxxxxxxxxx", "01001xxxxxxxxxxx", "10011xxxxxxxxxxx"],
        "store": ["01100xxxxxxxxxxx", "01110xxxxxxxxxxx", "10000xxxxxxxxxxx", "10010xxxxxxxxxxx"],
    },
    "riscv": {
        "branch": ["xxxxxxxxxxxxxxxxxxxxxxxxx1100011", "xxxxxxxxxxxxxxxxxxxxxxxxx1101111"],
        "load": ["xxxxxxxxxxxxxxxxxxxxxxxxx0000011"],
        "store": ["xxxxxxxxxxxxxxxxxxxxxxxxx0100011"],
        "muldiv": ["0000001xxxxxxxxxxxxxxxxxx0110011"],
    },
}


def counter_patterns(arch: str) -> dict[str, str]:
    """Opcode counters by name, the class and a number: the pattern of what each counts."""
    return {f"{name}_{i}": pattern for name, patterns in PATTERNS[arch].items() for i, pattern in enumerate(patterns)}


@dataclass(frozen=True, slots=True)
class Mix:
    """Mean cost in cycles: of one instruction of the image, and of one branch more than that."""

    mean: float
    branch: float

    def cycles(self, instructions: int, classes: Mapping[str, int]) -> int:
        """Modelled cycles of *instructions*, of which *classes* says how many were branches."""
        return round(instructions * self.mean + classes.get("branch", 0) * TAKEN_SHARE * self.branch)


def price_image(image: Image, timing: TimingModel) -> Mix:
    """Price every function of *image*. Without functions (HEX, BIN) one instruction is one cycle."""
    cycles = branches = taken = 0.0
    instructions = 0
    for symbol in image.symbols.values():
        if symbol.kind != "function" or not 2 <= symbol.size <= 1 << 16:
            continue
        try:
            cost = timing.block(symbol.address, image.read(symbol.address, symbol.size))
        except (ValueError, IndexError, EmulabError):  # literal pools and data inside a function
            continue
        instructions += cost.instructions
        cycles += cost.cycles_q8 / Q8
        if cost.taken_q8:
            branches += 1
            taken += (cost.taken_q8 + cost.entry_q8) / Q8
    if not instructions:
        return Mix(1.0, 0.0)
    return Mix(cycles / instructions, taken / branches if branches else 0.0)
