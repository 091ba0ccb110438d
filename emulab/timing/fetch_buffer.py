"""The prefetch unit of Cortex-M3 and M4: three words ahead of the decoder, and what it costs when it is not ahead enough.

A word is asked for as soon as one of the three places is free and can be executed three cycles later, so code of 32-bit
instructions runs at the rate words arrive, with nothing to spare (DDI0439B 2.1.2; Arm knowledge article 103488664). What
follows from it, and was measured on silicon by others (compendium.i-0.nl, instruction alignment): a branch to a 32-bit
instruction across two words waits for the second, a run of three or more such instructions loses one cycle. And one more:
a conditional branch that is decoded while the instruction before it sets the flags asks for its target; where it is not
taken, that request was one word of the code that follows. Chains of load, compare and branch in front of 32-bit code
(nsichneu of Embench on an STM32F407) take 3 to 7 % longer by it. Where the compare did not wait for a load, as in the
compiler's floating-point routines, silicon does not show it (Embench 0.5, 26 programs), and it is not charged.
"""

from __future__ import annotations

from collections.abc import Sequence

from emulab.timing.thumb import FLAGS, Instruction

BRANCHED = -1
"""How a block is entered: by a taken branch; or falling into it, with the fetch unit 0, 1 or 2 requests behind."""
_WORDS = 3
_LATENCY = 3  # cycles from the request for a word to the execution of what it completes


def straddles(instruction: Instruction) -> bool:
    """A 32-bit instruction across two words."""
    return instruction.size == 4 and instruction.address & 2 == 2


def _requests(first: int, half: bool, entered: int) -> dict[int, float]:
    """When the words from *first* on were asked for; execution starts at 0."""
    if entered == BRANCHED:
        return {first: -3, first + 1: -2, first + 2: -1}
    if half:  # the first word is there: its other half was executed
        return {first: -6, first + 1: -1 if entered == 2 else -4, first + 2: entered - 2}
    return {first: -4, first + 1: -1 if entered else -3, first + 2: 0 if entered else -1}


def stalls(
    instructions: Sequence[Instruction], cost: Sequence[float], overlap: Sequence[bool], entered: int
) -> tuple[list[float], bool]:
    """Cycles each instruction waits for its words, and whether the block ends within a run that has waited.

    *cost* are cycles at zero wait states; *overlap* says where the last cycle of the instruction before is shared.
    """
    if not instructions:
        return [], False
    asked = _requests(instructions[0].address >> 2, instructions[0].address & 2 == 2, entered)
    left: dict[int, float] = {}  # when the last of a word was executed
    waits: list[float] = []
    now, last = 0.0, 0.0
    waited = False  # in this run of straddling instructions: it waits once
    before: Instruction | None = None
    folded = False
    for instruction, cycles, shared in zip(instructions, cost, overlap, strict=True):
        end = instruction.address + instruction.size
        nominal = now - shared
        if nominal > last + 1:  # the one before took longer: the places are filled again
            waited = False
        word = (end - 1) >> 2
        known = max(asked)
        while known < word:
            known += 1
            asked[known] = max(asked[known - 1] + 1, left.get(known - _WORDS, asked[known - 1]))
        start = max(nominal, asked[word] + _LATENCY)
        if not cycles:
            start = last  # an IT instruction folded onto the one before
        elif folded:
            start = nominal
        waits.append(start - nominal if cycles else 0.0)
        if straddles(instruction):
            waited = waited or (start > nominal and before is not None and straddles(before))
        elif cycles:
            waited = False
        for gone in range(instruction.address >> 2, end >> 2):
            left[gone] = start - 1 if waited else start
        if cycles:
            now, last = start + cycles, start
        folded = not cycles
        before = instruction
    return waits, waited


def behind(instructions: Sequence[Instruction], cost: Sequence[float], waited: bool) -> int:
    """How far the fetch unit is behind when control falls out of the block: 0, 1 or 2 requests."""
    if not instructions or cost[-1] > 1:
        return 0
    last = instructions[-1]
    end = last.address + last.size
    asks = last.kind == "branch" and last.conditional and not last.mnemonic.startswith("cb")
    if asks and len(instructions) > 2 and instructions[-3].is_load:
        before = instructions[-2]
        freed = before.address >> 2  # the word whose place would have been asked for in the cycle the branch took
        if cost[-2] == 1 and before.writes & FLAGS and not before.conditional and last.address >> 2 > freed:
            return 2 if freed + _WORDS == (end >> 2) + 1 and end & 2 else 1
    return int(straddles(last) and not waited)
