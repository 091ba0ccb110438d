"""Cortex-M33, M7 and M0+: structure rules of the pipelines that decide most cycles."""

from __future__ import annotations

import pytest

from emulab.timing import load_core_timing, timing_models
from emulab.timing.base import Q8
from emulab.timing.cortex_m0 import CortexM0, CortexM0Plus
from emulab.timing.cortex_m7 import CortexM7
from emulab.timing.cortex_m33 import CortexM33
from emulab.timing.pipeline import ThumbModel


def cycles(model: ThumbModel, code: str, address: int = 0x08000000) -> float:
    return model.block(address, bytes.fromhex(code.replace(" ", ""))).cycles_q8 / Q8


LOAD = "0868"  # ldr r0, [r1]
USE = "4018"  # adds r0, r0, r1
NOP = "00bf"
SXTB16 = "2ffa81f0"  # sxtb16 r0, r1


def test_m33_waits_for_a_load_only_when_the_next_instruction_uses_it() -> None:
    model = CortexM33({"pair_saving": 0})
    assert cycles(model, LOAD + USE) == 3
    assert cycles(model, LOAD + NOP + USE) == 3


def test_m33_issues_two_narrow_instructions_together() -> None:
    together = CortexM33({"pair_saving": 1})
    assert cycles(together, "0133 0134") == 1  # adds r3, #1; adds r4, #1
    assert cycles(together, "0133 1c18") == 2  # adds r3, #1; adds r4, r3, r0: needs the first
    assert cycles(together, "0133 00bf") == 1
    assert cycles(together, "0133 00bf 00bf") == 2  # the second pair needs a first
    assert cycles(CortexM33({"pair_saving": 0}), "0133 00bf") == 2


def test_m33_multiple_moves_one_register_a_cycle() -> None:
    assert cycles(CortexM33({"multiple": 0}), "0ec8") == 3  # ldmia r0!, {r1, r2, r3}
    assert cycles(CortexM33({"multiple": 1}), "0ec8") == 4


def test_m33_waits_only_for_the_register_that_arrives_last() -> None:
    model = CortexM33({"multiple": 0, "pair_saving": 0})
    assert cycles(model, "06c8 0818") == 3  # ldmia r0!, {r1, r2}; adds r0, r1, r0: r1 came a cycle before
    assert cycles(model, "06c8 1018") == 4  # adds r0, r2, r0
    assert cycles(model, "d0e90012 0418") == 3  # ldrd r1, r2, [r0]; adds r4, r0, r0
    assert cycles(model, "d0e90012 0c18") == 3  # adds r4, r1, r0
    assert cycles(model, "d0e90012 1418") == 4  # adds r4, r2, r0


def test_m7_issues_extension_and_multiplication_together_but_not_two_multiplications() -> None:
    model = CortexM7()
    assert cycles(model, SXTB16 + "22fb0154") < 2.5
    assert cycles(model, "22fb0134 22fb0156") == 2  # smlad r4,..; smlad r6,..


def test_m7_two_independent_additions_take_one_cycle() -> None:
    assert cycles(CortexM7(), "00eb0102 03eb0406") == 1  # add.w r2,r0,r1; add.w r6,r3,r4
    assert cycles(CortexM7(), "00eb0102 02eb0406") == 2  # the second needs the first


def test_m7_address_made_just_before_waits() -> None:
    model = CortexM7()
    assert cycles(model, "00eb0102 1368") == 3  # add.w r2,..; ldr r3,[r2]


def test_m7_reads_shifted_operands_early_and_the_data_of_stores_late() -> None:
    model = CortexM7()
    assert cycles(model, "00eb0102 04eb8203") == 3  # add.w r2,..; add.w r3,r4,r2,lsl #2
    assert cycles(model, "00eb0102 2260") == 1  # add.w r2,..; str r2,[r4]


def test_m7_bytes_come_a_cycle_later_than_words() -> None:
    model = CortexM7()
    assert cycles(model, "1068 00eb0105") == 2  # ldr r0,[r2]; add.w r5,r0,r1
    assert cycles(model, "1078 00eb0105") == 3  # ldrb r0,[r2]


def test_m7_extends_from_the_first_slot_only() -> None:
    model = CortexM7()
    assert cycles(model, "2ffa85f4 00eb0102") == 1  # sxtb16 r4,r5; add.w r2,r0,r1
    assert cycles(model, "00eb0102 2ffa85f4") == 2


def test_m7_loads_of_one_bank_do_not_issue_together() -> None:
    model = CortexM7()
    assert cycles(model, "1068 5168") == 1  # ldr r0,[r2]; ldr r1,[r2,#4]
    assert cycles(model, "1068 9168") == 2  # ldr r0,[r2]; ldr r1,[r2,#8]
    assert cycles(model, "1068 1968") == 1.5  # ldr r0,[r2]; ldr r1,[r3]: half of the time
    assert cycles(CortexM7({"bank_conflict": 0}), "1068 9168") == 1


def test_m7_waits_for_fetches_only_in_short_loops() -> None:
    model = CortexM7()
    short = model.block(0x08000000, bytes.fromhex("013b fdd1"))  # subs r3,#1; bne .-2
    assert short.taken_q8 == Q8
    slow = model.block(0x08000000, bytes.fromhex("013b 013b 013b fbd1"))
    assert slow.cycles_q8 + slow.taken_q8 == slow.cycles_q8


def test_m0plus_follows_the_manual_table() -> None:
    model = CortexM0Plus()
    assert cycles(model, LOAD) == 2
    assert cycles(model, "0ec8") == 4  # ldmia of three: 1 + N
    assert cycles(model, "4843") == 1  # muls r0, r1
    taken = model.block(0x08000000, bytes.fromhex("fee7"))  # b .
    assert (taken.cycles_q8 + taken.taken_q8) / Q8 == 2
    slower = CortexM0().block(0x08000000, bytes.fromhex("fee7"))
    assert (slower.cycles_q8 + slower.taken_q8) / Q8 == 3


def test_m0plus_small_multiplier() -> None:
    assert cycles(CortexM0Plus({"multiply": 32}), "4843") == 32


@pytest.mark.parametrize("name", timing_models())
def test_every_model_loads_from_a_core_and_prices_any_bytes(name: str) -> None:
    from emulab.model.soc import Core

    core = Core.model_validate({"name": "c", "isa": "armv7e-m", "timing": {"model": name}})
    model = load_core_timing(core)
    for code in (b"", b"\x00", b"\xff" * 7, bytes(range(64))):
        cost = model.block(0x08000000, code)
        assert cost.cycles_q8 >= 0 and len(cost.offsets) == len(cost.prefix_q8) == cost.instructions
        assert sum(cost.classes.values()) == cost.instructions
