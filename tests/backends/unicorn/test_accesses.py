# ruff: noqa: B023  (the lambdas are called at once)
"""The probe's memory accesses against Unicorn's own memory hooks, on random Thumb code."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.probe.recipes import LOAD32, Recipe
from emulab.probe.riscv_recipes import riscv_recipe
from emulab.probe.thumb_recipes import arm_recipe

RAM = 0x20000000
CODE = 0x08000000
pytest.importorskip("unicorn")


def observed(code: bytes, registers: list[int]) -> list[tuple[int, int, bool]]:
    """(address, size, write) of every access, as Unicorn's hooks see them."""
    import unicorn
    from unicorn import arm_const

    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(CODE, 0x10000)
    uc.mem_map(RAM, 0x40000)
    uc.mem_write(CODE, code)
    for i, value in enumerate(registers):
        uc.reg_write(arm_const.UC_ARM_REG_R0 + i, value)
    uc.reg_write(arm_const.UC_ARM_REG_SP, RAM + 0x20000)
    seen: list[tuple[int, int, bool]] = []

    def hook(_uc: object, kind: int, address: int, size: int, _value: int, _user: object) -> None:
        for part in range(0, size, 4):
            seen.append((address + part, min(size, 4), kind == unicorn.UC_MEM_WRITE))

    uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, hook)
    uc.emu_start(CODE | 1, CODE + len(code))
    return seen


def evaluated(code: bytes, registers: list[int]) -> tuple[list[tuple[int, int, bool]], int]:
    """The same from the block's recipe, with a Python copy of the C evaluator."""
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    recipe = arm_recipe(CODE, list(decoder.disasm_lite(code, CODE)))
    return run(recipe, {i: v for i, v in enumerate(registers)} | {13: RAM + 0x20000, 14: 0, 15: 0})


def quotient(dividend: int, divisor: int) -> int:
    """SDIV: towards zero, 0 by 0."""
    divisor -= divisor >> 31 << 32
    return 0 if not divisor else abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)


def run(recipe: Recipe, slots: dict[int, int]) -> tuple[list[tuple[int, int, bool]], int]:
    """Accesses of *recipe* from the registers in *slots*, and how many it does not know."""
    wrap = 0xFFFFFFFF
    for op, a, b, to, immediate in recipe.operations:
        x, y = slots.get(a, 0), slots.get(b, 0)
        signed = x - (1 << 32) if x >> 31 else x
        slots[to] = wrap & [
            lambda: immediate, lambda: x + y, lambda: x - y, lambda: x * y, lambda: x & y, lambda: x | y,
            lambda: x ^ y, lambda: x & ~y, lambda: 0 if y & 0xFF > 31 else x << (y & 31),
            lambda: 0 if y & 0xFF > 31 else x >> (y & 31), lambda: signed >> min(y & 0xFF, 31),
            lambda: x // y if y else 0, lambda: quotient(signed, y), lambda: x * y >> 32,
            lambda: signed * (y - (y >> 31 << 32)) >> 32,
            lambda: x << (immediate & 31), lambda: x >> (immediate & 31), lambda: signed >> (immediate & 31),
            lambda: (x & 0xFF) - ((x & 0x80) << 1), lambda: (x & 0xFFFF) - ((x & 0x8000) << 1),
            *[lambda: 0] * 5,  # memory is all zero
        ][op]()  # fmt: skip
    accesses = [((slots[s] + o) & wrap, size, bool(w)) for s, _, size, w, o in recipe.accesses]
    return accesses, recipe.unresolved


def low(value: int) -> st.SearchStrategy[int]:
    return st.integers(0, value)


HALFWORDS = st.one_of(
    st.builds(lambda o, n, t: 0x6800 | o << 6 | n << 3 | t, low(31), st.integers(4, 7), low(3)),  # ldr
    st.builds(lambda o, n, t: 0x6000 | o << 6 | n << 3 | t, low(31), st.integers(4, 7), low(3)),  # str
    st.builds(lambda o, n, t: 0x7800 | o << 6 | n << 3 | t, low(31), st.integers(4, 7), low(3)),  # ldrb
    st.builds(lambda o, n, t: 0x8000 | o << 6 | n << 3 | t, low(31), st.integers(4, 7), low(3)),  # strh
    st.builds(lambda m, n, t: 0x5600 | m << 6 | n << 3 | t, low(3), st.integers(4, 7), low(2)),  # ldrsb register offset
    st.builds(lambda d, i: 0x3000 | d << 8 | i, st.integers(4, 7), low(64)),  # adds rd, #imm
    st.builds(lambda m, n, d: 0x1800 | m << 6 | n << 3 | d, low(3), st.integers(4, 7), st.integers(4, 7)),  # adds
    st.builds(lambda n: 0x0000 | 1 << 6 | n << 3 | n, low(2)),  # lsls rn, rn, #1
    st.just(0xB40F),  # push {r0-r3}
    st.just(0xBC0F),  # pop {r0-r3}
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(HALFWORDS, min_size=1, max_size=12), st.lists(low(63), min_size=4, max_size=4))
def test_every_access_of_a_block_is_found(halfwords: list[int], small: list[int]) -> None:
    registers = [*small, *[RAM + 0x8000 + 0x400 * i for i in range(4)], 0, 0, 0, 0, 0]
    code = struct.pack(f"<{len(halfwords)}H", *halfwords)
    found, unresolved = evaluated(code, registers)
    if unresolved:
        return
    assert [(a, s, w) for a, s, w in found] == observed(code, registers)


def test_riscv_block_follows_pointers_and_constants() -> None:
    import capstone

    # lui a0, 0x80000; addi a1, a0, 16; lw a2, 4(a1); sw a2, 8(sp); lw a3, 8(sp); lb a4, 2(a3)
    code = struct.pack("<6I", 0x80000537, 0x01050593, 0x0045A603, 0x00C12423, 0x00812683, 0x00268703)
    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    recipe = riscv_recipe(0, list(decoder.disasm_lite(code, 0)))
    assert recipe.unresolved == 0
    assert [(i, size, write) for _, i, size, write, _ in recipe.accesses] == [
        (2, 4, 0),
        (3, 4, 1),
        (4, 4, 0),
        (5, 1, 0),
    ]
    assert recipe.accesses[1][0] == 2 and recipe.accesses[1][4] == 8  # stack pointer + 8
    loads = {to for op, _, _, to, _ in recipe.operations if op == LOAD32}
    assert recipe.accesses[3][0] in loads  # through the word that was loaded and stored


def r_type(function: int, code: int = 0) -> int:
    """``op a2, a0, a1`` of RV32I, or its form with one operand that the disassembler prints by another name."""
    return code << 25 | 11 << 20 | 10 << 15 | function << 12 | 12 << 7 | 0x33


WORD = st.one_of(st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]), low(0xFFFFFFFF))
COMPARES = {
    "slt a2, a0, a1": r_type(2),
    "sltu a2, a0, a1": r_type(3),
    "sltiu a2, a0, 5": 5 << 20 | 10 << 15 | 3 << 12 | 12 << 7 | 0x13,
    "slti a2, a0, -3": 0xFFD << 20 | 10 << 15 | 2 << 12 | 12 << 7 | 0x13,
    "seqz a2, a0": 1 << 20 | 10 << 15 | 3 << 12 | 12 << 7 | 0x13,
    "snez a2, a1": 11 << 20 | 3 << 12 | 12 << 7 | 0x33,
    "sltz a2, a0": 10 << 15 | 2 << 12 | 12 << 7 | 0x33,
    "sgtz a2, a1": 11 << 20 | 2 << 12 | 12 << 7 | 0x33,
    "neg a2, a1": 0x20 << 25 | 11 << 20 | 12 << 7 | 0x33,
    "not a2, a0": 0xFFF << 20 | 10 << 15 | 4 << 12 | 12 << 7 | 0x13,
}


@pytest.mark.parametrize("name", COMPARES)
@settings(max_examples=30, deadline=None)
@given(a0=WORD, a1=WORD)
def test_addresses_that_depend_on_a_comparison(name: str, a0: int, a1: int) -> None:
    """As the core computes them: a2, then 4 * a2 + a3 as an address."""
    import capstone
    import unicorn
    from unicorn import riscv_const

    # slli a4, a2, 2; add a4, a4, a3; lw a5, 0(a4)
    code = struct.pack("<4I", COMPARES[name], 0x00261713, 0x00D70733, 0x00072783)
    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    recipe = riscv_recipe(CODE, list(decoder.disasm_lite(code, CODE)))
    found, unresolved = run(recipe, {0: 0, 10: a0, 11: a1, 13: RAM})
    assert unresolved == 0
    uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    uc.mem_map(CODE, 0x1000)
    uc.mem_write(CODE, code)
    for register, value in ((10, a0), (11, a1), (13, RAM)):
        uc.reg_write(riscv_const.UC_RISCV_REG_X0 + register, value)
    uc.emu_start(CODE, CODE + 12)
    assert found == [(uc.reg_read(riscv_const.UC_RISCV_REG_X0 + 14), 4, False)]


def test_a_conditional_access_is_counted_as_unresolved() -> None:
    import capstone

    code = struct.pack("<3H", 0x2800, 0xBF08, 0x6801)  # cmp r0, #0; it eq; ldreq r1, [r0]
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    recipe = arm_recipe(0, list(decoder.disasm_lite(code, 0)))
    assert recipe.unresolved == 1 and not recipe.accesses
