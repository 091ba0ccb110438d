"""The prefetch unit of the Cortex-M4 against what was measured on silicon, and against chains of branches."""

from __future__ import annotations

import pytest

from emulab.timing.base import Q8
from emulab.timing.cortex_m4 import CortexM4

NARROW, WIDE, LOAD = "0130", "01f10101", "d1f80000"  # adds r0,#1; add.w r1,r1,#1; ldr.w r0,[r1]
COMPARE, WIDE_COMPARE = "0028", "b0f1000f"  # cmp r0,#0; cmp.w r0,#0
BRANCH, FAR = "00d1", "40f08080"  # bne; bne.w
FLASH = 0x08000000


def block(code: str, address: int = FLASH):
    return CortexM4().block(address, bytes.fromhex(code))


@pytest.mark.parametrize(("wides", "lost"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (9, 1), (20, 1)])
def test_a_run_across_words_loses_one_cycle_from_three_on(wides: int, lost: int) -> None:
    """compendium.i-0.nl, instruction alignment: groups of three or more take one extra cycle."""
    assert block(NARROW + WIDE * wides).cycles_q8 == (1 + wides + lost) * Q8
    assert block(NARROW + NARROW + WIDE * wides).cycles_q8 == (2 + wides) * Q8, "aligned code loses nothing"


def test_an_instruction_of_several_cycles_begins_the_run_anew() -> None:
    """jnk0le's measurements: a multi-cycle instruction followed by three of them; Bosch's kernels of four and a load."""
    assert block(NARROW + (WIDE * 4 + LOAD) * 3 + NARROW).cycles_q8 == (2 + 3 * (4 + 2) + 3) * Q8


def test_a_branch_to_an_instruction_across_two_words_waits_for_the_second() -> None:
    assert block(WIDE, FLASH + 2).entry_q8 == Q8
    assert block(WIDE).entry_q8 == block(NARROW, FLASH + 2).entry_q8 == 0


def fallen_into(before: str, at: int, after: str) -> float:
    """Cycles *after* takes more when *before*, which ends with a branch, falls into it."""
    first = block(before, at)
    second = block(after, at + len(before) // 2)
    return second.late_q8[first.behind - 1] / Q8 if first.behind else 0.0


@pytest.mark.parametrize(
    ("before", "at", "after", "lost"),
    [
        (LOAD + NARROW + COMPARE + FAR, 0, WIDE + WIDE, 0),  # the compare does not follow the load
        (LOAD + "0868" + COMPARE + FAR, 0, LOAD + "0868", 1),  # ldr.w, ldr, cmp, bne.w | ldr.w, ldr: at -O2
        (LOAD + LOAD + COMPARE + FAR, 2, LOAD + LOAD, 1),
        (LOAD + LOAD + COMPARE + FAR, 0, LOAD + LOAD, 1),  # the run goes on: branch and two more
        (LOAD + WIDE_COMPARE + BRANCH, 0, LOAD + LOAD, 1),
        (LOAD + WIDE_COMPARE + BRANCH, 2, LOAD + LOAD, 1),
        ("0868" + "0868" + COMPARE + BRANCH, 2, LOAD + NARROW, 0),  # and what -Os makes
        ("0868" + LOAD + COMPARE + BRANCH, 0, "0868" + LOAD, 0),
        (LOAD + "0868" + COMPARE + "00bf00bf" + FAR, 0, WIDE + WIDE, 0),  # flags known when the branch is decoded
        (NARROW + COMPARE + FAR, 0, WIDE + WIDE, 0),  # no load
    ],
)
def test_a_branch_that_is_not_taken_costs_a_request(before: str, at: int, after: str, lost: int) -> None:
    """The patterns of nsichneu, Embench 0.5 and 2.0, at -O2 and -Os: which of them silicon takes longer for."""
    assert fallen_into(before, FLASH + at, after) == lost
