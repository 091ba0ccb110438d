"""Helium on the Cortex-M55: instructions are told apart by pipe, and pipes overlap as the core's do."""

from __future__ import annotations

import pytest

from emulab.timing import mve
from emulab.timing.base import BRANCH_CONDITIONAL, BRANCH_DIRECT, Q8
from emulab.timing.cortex_m33 import CortexM33
from emulab.timing.cortex_m55 import CortexM55

# As the GNU assembler encodes them (binutils 2.40, -march=armv8.1-m.main+mve.fp).
ENCODINGS = {
    "vldrb.8 q0,[r0],#16": (0xECB0, 0x1E10, mve.LOAD),
    "vldrb.s32 q1,[r3]": (0xED93, 0x2F00, mve.LOAD),
    "vldrb.u16 q1,[r3]": (0xFD93, 0x2E80, mve.LOAD),
    "vldrb.u8 q1,[r2,q3]": (0xFC92, 0x2E06, mve.GATHER),
    "vldrw.u32 q1,[q3,#4]": (0xFD96, 0x3E01, mve.GATHER),
    "vld40.32 {q0-q3},[r1]": (0xFC91, 0x1F01, mve.LOAD),
    "vstrb.32 q0,[r1]": (0xED81, 0x0F00, mve.STORE),
    "vmladava.s8 r0,q1,q2": (0xEEF2, 0x0F24, mve.MULTIPLY),
    "vmlaldav.s16 r0,r1,q1,q2": (0xEE82, 0x0E04, mve.MULTIPLY),
    "vqrdmulh.s32 q0,q1,q2": (0xFF22, 0x0B44, mve.MULTIPLY),
    "vqrdmulh.s32 q0,q1,r2": (0xFE23, 0x0E62, mve.MULTIPLY),
    "vadd.i32 q0,q1,q2": (0xEF22, 0x0844, mve.INTEGER),
    "vadd.i32 q0,q1,r2": (0xEE23, 0x0F42, mve.INTEGER),
    "vshl.s32 q0,r2": (0xEE39, 0x1E62, mve.INTEGER),
    "vshr.s32 q0,q1,#31": (0xEFA1, 0x0052, mve.INTEGER),
    "vmax.s8 q0,q1,q2": (0xEF02, 0x0644, mve.INTEGER),
    "vmullb.s8 q0,q1,q2": (0xEE03, 0x0E04, mve.MULTIPLY),
    "vmul.i16 q0,q1,r2": (0xEE13, 0x1E62, mve.MULTIPLY),
    "vmovlt.s16 q0,q1": (0xEEB0, 0x1F42, mve.INTEGER),
    "vqmovnb.s32 q0,q1": (0xEE37, 0x0E03, mve.INTEGER),
    "vaddva.s8 r0,q1": (0xEEF1, 0x0F22, mve.MULTIPLY),
    "vdup.32 q0,r1": (0xEEA0, 0x1B10, mve.INTEGER),
    "vmov q0[2],q0[0],r1,r2": (0xEC12, 0x0F01, mve.INTEGER),
    "vmov r1,r2,q0[2],q0[0]": (0xEC02, 0x0F01, mve.MULTIPLY),
    "vcmp.s32 gt,q0,q1": (0xFE21, 0x1F03, mve.MULTIPLY),
    "vctp.8 r1": (0xF001, 0xE801, mve.CONTROL),
    "vpst": (0xFE71, 0x0F4D, mve.CONTROL),
    "dls lr,r1": (0xF041, 0xE001, mve.LOOP_START),
    "wls lr,r1,.+14": (0xF041, 0xC805, mve.LOOP_START),
    "le lr,.-2": (0xF00F, 0xC803, mve.LOOP_END),
    "letp lr,.-2": (0xF01F, 0xC803, mve.LOOP_END),
}


@pytest.mark.parametrize("text", ENCODINGS)
def test_instructions_by_pipe(text: str) -> None:
    first, second, name = ENCODINGS[text]
    instruction = mve.vector_instruction(first, second, 0x1000)
    assert instruction is not None and instruction.mnemonic == name and instruction.size == 4


def test_what_other_cores_have_too_is_left_to_the_decoder() -> None:
    for first, second in ((0xEA50, 0x0102), (0xED90, 0x0A00), (0xEE20, 0x1B10), (0xF000, 0xF800), (0xE8BD, 0x8010)):
        assert mve.vector_instruction(first, second, 0) is None  # orrs, vldr, vmov, bl, pop


def cycles(*names: str) -> float:
    code = b"".join(h.to_bytes(2, "little") for n in names for h in ENCODINGS[n][:2])
    block = CortexM55().block(0x10000000, code)
    assert block.instructions == len(names) and "unknown" not in block.classes
    return block.cycles_q8 / Q8


def test_two_instructions_of_one_pipe_take_twice_as_long_as_of_two() -> None:
    assert cycles("vldrb.s32 q1,[r3]", "vmullb.s8 q0,q1,q2") == 2
    assert cycles("vadd.i32 q0,q1,q2", "vmax.s8 q0,q1,q2") == 3
    assert cycles("vldrb.s32 q1,[r3]", "vldrb.8 q0,[r0],#16") == 3
    load, multiply = "vldrb.s32 q1,[r3]", "vmladava.s8 r0,q1,q2"
    assert cycles(*[load, multiply] * 4) == 8  # 8 MACs of bytes a cycle


def test_a_product_used_at_once_waits() -> None:
    assert cycles("vmul.i16 q0,q1,r2", "vshr.s32 q0,q1,#31") == 2
    assert cycles("vmullb.s8 q0,q1,q2", "vqmovnb.s32 q0,q1") == 3


def test_the_end_of_a_known_loop_is_free() -> None:
    code = b"".join(h.to_bytes(2, "little") for h in (0xED93, 0x2F00, 0xEF22, 0x0844, 0xF00F, 0xC807))
    block = CortexM55().block(0x10000000, code)
    assert block.cycles_q8 == 2 * Q8 and block.taken_q8 == 0
    assert block.branch_kind == BRANCH_CONDITIONAL | BRANCH_DIRECT


def test_a_loop_waits_for_the_pipe_its_end_holds() -> None:
    """One load an iteration: the next one's has to wait for the second half of this one's."""
    code = b"".join(h.to_bytes(2, "little") for h in (*ENCODINGS["vldrb.s32 q1,[r3]"][:2], 0xF00F, 0xC805))
    block = CortexM55().block(0x10000000, code)
    assert (block.cycles_q8, block.taken_q8) == (Q8, Q8)


def test_elements_at_addresses_of_their_own_are_moved_one_by_one() -> None:
    gather = "vldrb.u8 q1,[r2,q3]"
    assert cycles(gather, "vstrb.32 q0,[r1]") == 17


def test_the_m33_has_no_helium() -> None:
    code = b"".join(h.to_bytes(2, "little") for h in ENCODINGS["vldrb.8 q0,[r0],#16"][:2])
    assert "simd" not in CortexM33().block(0, code).classes
