"""Cortex-M4 prices against the examples and tables of its technical reference manual (DDI0439B)."""

from __future__ import annotations

import pytest

from emulab.errors import InputError
from emulab.timing.base import BRANCH_CONDITIONAL, BRANCH_DIRECT, BRANCH_RETURN, Q8
from emulab.timing.cortex_m4 import CortexM3, CortexM4

NOP = "00bf"


def cycles(code: str, model: CortexM4 | None = None, address: int = 0x08000000) -> float:
    return (model or CortexM4()).block(address, bytes.fromhex(code.replace(" ", ""))).cycles_q8 / Q8


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("0868 1168", 3),  # ldr r0,[r1]; ldr r1,[r2]
        ("8858 5861", 3),  # ldr r0,[r1,r2]; str r0,[r3,#20]
        ("4859 1168 5a68", 4),  # ldr r0,[r1,r5]; ldr r1,[r2]; ldr r2,[r3,#4]
        ("0868 0268", 4),  # ldr r0,[r1]; ldr r2,[r0]: the address is not there yet
        ("0ec8", 4),  # ldmia r0!,{r1,r2,r3}: 1 + N
        ("d2e90001", 3),  # ldrd
        ("c2e90001", 3),  # strd
        ("00ee810a", 3),  # vmla.f32
        ("00ee810a 70ee201a", 5),  # vadd.f32 uses the result at once: one more
        (NOP + NOP, 2),
    ],
)
def test_manual_examples(code: str, expected: float) -> None:
    assert cycles(code) == expected


def test_loop_of_subtract_and_branch_takes_three_cycles() -> None:
    cost = CortexM4().block(0x08000000, bytes.fromhex("0138fdd1"))  # subs r0,#1; bne back
    assert (cost.cycles_q8 + cost.taken_q8) / Q8 == 3
    assert cost.branch_kind == BRANCH_CONDITIONAL | BRANCH_DIRECT
    assert cost.classes == {"alu": 1, "branch": 1}


def test_return_by_pop_costs_the_refill_of_a_loaded_address() -> None:
    cost = CortexM4().block(0x08000000, bytes.fromhex("10bd"))  # pop {r4, pc}
    assert (cost.cycles_q8 + cost.taken_q8) / Q8 == 1 + 2 + 2
    assert cost.branch_kind == BRANCH_RETURN


@pytest.mark.parametrize(
    ("code", "refill"),
    [
        ("7047", 1),  # bx lr: seen when decoded
        ("fee7", 1),  # b
        ("00f000f8", 1),  # bl
        ("1847", 2),  # bx r3: seen when executed
        ("00b1", 2),  # cbz r0
        ("9646 7047", 2),  # mov lr, r2; bx lr: too late for the decoder
    ],
)
def test_branches_seen_when_decoded_refill_a_cycle_earlier(code: str, refill: int) -> None:
    """DDI0337G table 15-3."""
    assert CortexM4().block(0x08000000, bytes.fromhex(code)).taken_q8 == refill * 256


def test_wide_target_across_two_words_costs_more_only_when_branched_to() -> None:
    wide = bytes.fromhex("d2e90001")
    model = CortexM4()
    assert model.block(0x08000002, wide).entry_q8 == Q8
    assert model.block(0x08000000, wide).entry_q8 == 0


def test_prefix_adds_up_and_offsets_are_those_of_the_instructions() -> None:
    cost = CortexM4().block(0x08000001, bytes.fromhex("0868 d2e90001 00bf"))
    assert cost.offsets == (0, 2, 6)
    assert cost.prefix_q8 == (0, 2 * Q8, 5 * Q8)
    assert cost.cycles_q8 == 6 * Q8


def test_undecodable_bytes_cost_one_cycle_per_halfword() -> None:
    cost = CortexM4().block(0x08000000, bytes.fromhex("ffffffff"))
    assert cost.classes == {"unknown": 1}
    assert cost.cycles_q8 == 2 * Q8


def test_cortex_m3_multiplies_more_slowly() -> None:
    multiply_long = "a2fb0301"  # umull r0, r1, r2, r3
    assert cycles(multiply_long, CortexM3()) > cycles(multiply_long)


def test_unknown_parameter_names_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'refill_direct'"):
        CortexM4({"refill_dirct": 1})


def test_parameter_out_of_range() -> None:
    with pytest.raises(InputError, match="outside 0 to 3"):
        CortexM4({"refill_direct": 9})


def test_post_indexed_loads_off_one_base_pipeline() -> None:
    load = "56f8040b"  # ldr r0, [r6], #4
    assert cycles(load) == 2
    assert cycles(load + "56f8041b" + "56f8042b") == 4  # the base is there, whatever the load brings
