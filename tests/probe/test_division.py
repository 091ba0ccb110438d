"""What divisions take by their operands: the law, the probe's C, and code that runs."""

from __future__ import annotations

import ctypes
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.model.platform import load_platform
from emulab.probe.core import ProbeCore
from emulab.probe.recipes import Recipe
from emulab.probe.thumb_recipes import arm_recipe
from emulab.timing import load_timing
from emulab.timing.base import Q8, BlockCost, Divider

pytest.importorskip("ziglang", reason="no C compiler: pip install ziglang")

LAW = Divider(zero=2, smaller=3, base=5, bits_per_cycle=4, unknown=6)
CODE = 0x08000000


def recipe_of(*words: int) -> Recipe:
    import capstone

    code = b"".join(struct.pack("<HH", w >> 16, w & 0xFFFF) for w in words)
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    return arm_recipe(CODE, list(decoder.disasm_lite(code, CODE)))


def divide(signed: bool, to: int, dividend: int, divisor: int) -> int:
    return 0xFB90F0F0 | (not signed) << 21 | dividend << 16 | to << 8 | divisor


def entered(recipe: Recipe, registers: list[int]) -> float:
    """Cycles a block takes that costs 10 at least."""
    probe = ProbeCore()
    try:
        held = (ctypes.c_uint32 * 32)(*(r & 0xFFFFFFFF for r in registers))
        probe.face.registers = ctypes.addressof(held)
        probe.set_divider(LAW)
        probe.add_block(CODE, 4, BlockCost(1, 10 * Q8, 0, (0,), (0,), {}), recipe)
        probe.library.em_probe_enter(probe.handle, CODE, 4)
        assert probe.face.cycles_q8 == 10 * Q8 + probe.face.branches_q8[0] and not probe.face.stall_q8
        return probe.face.cycles_q8 / Q8 - 10
    finally:
        probe.close()


def test_published_points_of_the_cortex_m4() -> None:
    divider = load_timing(load_platform("nrf52840-dk").platform).divider
    assert divider is not None
    points = {(0, 7): 2, (7, 0): 2, (3, 4): 3, (7, 4): 5, (15, 1): 5, (16, 1): 6, (-16, 1): 6, (0xFFFFFFFF, 1): 12}
    assert {p: divider.cycles(*p) for p in points} == points
    costs = [divider.cycles(0xFFFFFFFF, 1 << n) for n in range(32)]
    assert all(a >= b for a, b in pairwise(costs)) and set(costs) == set(range(5, 13))


WORD = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-300, 300))


@settings(max_examples=60, deadline=None)
@given(WORD, WORD, st.booleans())
def test_probe_follows_the_law(dividend: int, divisor: int, signed: bool) -> None:
    operands = (dividend, divisor) if signed else (dividend & 0xFFFFFFFF, divisor & 0xFFFFFFFF)
    found = entered(recipe_of(divide(signed, 2, 0, 1)), [dividend, divisor])
    assert found == LAW.cycles(*operands) - LAW.least


def test_the_quotient_is_the_next_dividend() -> None:
    chain = recipe_of(divide(False, 2, 0, 1), divide(True, 3, 2, 1))
    assert entered(chain, [100000, 10]) == LAW.cycles(100000, 10) + LAW.cycles(10000, 10) - 2 * LAW.least


def test_operands_from_a_device_cost_the_static_price() -> None:
    ldr_r0_r4 = 0xF8D40000
    recipe = recipe_of(ldr_r0_r4, divide(False, 2, 0, 1))
    assert len(recipe.divides) == 1
    assert entered(recipe, [9, 9, 0, 0, 0x40000000]) == LAW.unknown - LAW.least


def test_a_division_that_may_be_skipped_is_left_to_the_static_price() -> None:
    import capstone

    code = struct.pack("<HHH", 0xBF08, 0xFBB0, 0xF2F1)  # it eq; udiveq r2, r0, r1
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    assert not arm_recipe(CODE, list(decoder.disasm_lite(code, CODE))).divides
