"""The memory protection unit: what its registers forbid, and what happens to firmware that does it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from emulab.backends.unicorn.mpu import BASE, CONTROL, NUMBER, TYPE, Forbidden, Mpu
from emulab.backends.unicorn.session import UnicornSession
from emulab.errors import FirmwareFault

CODE = 0x08000200
GUARD = 0x20000400
Start = Callable[..., UnicornSession]


def region(unit: Mpu, number: int, base: int, attributes: int) -> None:
    unit.write(NUMBER, number)
    unit.write(BASE, base)
    unit.write(BASE + 4, attributes)


def v7(size_bits: int, access: int, off: int = 0) -> int:
    return access << 24 | off << 8 | (size_bits - 1) << 1 | 1


def test_registers_are_kept_per_region() -> None:
    unit = Mpu(8, v8=False)
    assert unit.read(TYPE) == 8 << 8
    region(unit, 3, 0x20000000, v7(10, 3))
    unit.write(BASE, 0x20001000 | 0x10 | 5)  # VALID: region 5
    assert unit.read(NUMBER) == 5 and unit.read(BASE) == 0x20001005
    unit.write(NUMBER, 3)
    assert (unit.read(BASE), unit.read(BASE + 4)) == (0x20000003, v7(10, 3))
    region(unit, 200, 0, 1)  # there is none
    assert unit.read(BASE) == 0


def test_what_armv7_regions_forbid() -> None:
    unit = Mpu(8, v8=False)
    region(unit, 0, GUARD, v7(5, 0))
    assert unit.forbidden() == [], "off"
    unit.write(CONTROL, 5)
    assert unit.forbidden() == [Forbidden(GUARD, GUARD + 32, True, 0)]
    region(unit, 1, 0x08000000, v7(20, 6))  # read-only
    region(unit, 2, 0x08000000, v7(8, 3, off=0xFE))  # above it: the first 32 bytes may be written
    assert unit.forbidden()[0] == Forbidden(0x08000020, 0x08100000, False, 1)
    unit.write(CONTROL, 1)  # no background: only what a region allows
    assert unit.forbidden()[0] == Forbidden(0, 0x08000000, True, -1)


def test_what_armv8_regions_forbid() -> None:
    unit = Mpu(8, v8=True)
    region(unit, 0, 0x20000000 | 1 << 1, 0x2000FFE0 | 1)
    region(unit, 1, 0x20000400 | 2 << 1, 0x20000400 | 1)
    unit.write(CONTROL, 5)
    assert unit.forbidden() == [Forbidden(0x20000400, 0x20000420, False, 1)]
    unit.write(BASE + 8, 0x20000800 | 2 << 1)  # alias of the region after that in MPU_RNR, rounded down to four
    unit.write(NUMBER, 1)
    assert unit.read(BASE) == 0x20000800 | 2 << 1


def program(store: int, enable: bool) -> list[int]:
    """Switch a guard on, then *store* from r1 to what r3 points to in front of, at, or behind it."""
    code = [0x480F, 0x4910, 0x6081, 0x4910, 0x60C1, 0x2105, 0x6001]  # CTRL; RBAR; RASR; on
    code += [0x4A0F, 0x2101, 0x0409, 0x6011 if enable else 0xBF00]  # SHCSR.MEMFAULTENA
    code += [0x4B0E, 0xF3BF, 0x8F6F]  # ldr r3; isb
    code += [0x2701, store, 0x2702, 0xE7FE]  # movs r7, #1; the store; movs r7, #2; b .
    code += [0xBF00] * (0x30 // 2 - len(code))
    code += [0x3601, 0x9C06, 0xE7FE]  # MemManage and HardFault: adds r6, #1; ldr r4, [sp, #24]; b .
    code += [0xBF00] * (0x40 // 2 - len(code))
    for literal in (0xE000ED94, GUARD | 0x10, v7(5, 0), 0xE000ED24, GUARD):
        code += list(struct.unpack("<HH", struct.pack("<I", literal)))
    return code


@pytest.mark.parametrize(
    ("store", "enable", "exception"),
    [
        (0x6019, True, "MemManage"),  # str r1, [r3]
        (0x77D9, True, "MemManage"),  # strb r1, [r3, #31]
        (0x6819, True, "MemManage"),  # ldr r1, [r3]
        (0x6019, False, "HardFault"),
        (0x6219, True, ""),  # str r1, [r3, #32]: behind it
    ],
)
def test_an_access_that_is_forbidden_is_a_fault(thumb: Start, store: int, enable: bool, exception: str) -> None:
    session = thumb(program(store, enable), {3: CODE + 0x30, 4: CODE + 0x30})
    machine = session.machine
    machine.env.run(until=1e-3)
    registers, scs = machine.engine.registers, machine.core.scs
    if not exception:
        assert (registers[6], registers[7]) == (0, 2) and not machine.notes
        return
    assert registers[6] == 1 and registers[4] == CODE + 30, "stacked: the address of the access"
    assert scs.read(0xED28, 4) == 0x82 and scs.read(0xED34, 4) == GUARD + (31 if store == 0x77D9 else 0)
    assert bool(scs.read(0xED2C, 4) >> 30 & 1) == (exception == "HardFault")
    (note,) = [n for n in machine.notes if "MPU" in n]
    assert exception in note and f"{GUARD:#010x}"[:-2] in note
    scs.write(0xED28, 4, 0x82)
    assert scs.read(0xED28, 4) == 0, "a one clears"


def test_a_handler_that_does_it_again_is_locked_up(thumb: Start) -> None:
    code = program(0x6019, False)
    code[0x30 // 2 : 0x30 // 2 + 3] = [0x6019, 0xBF00, 0xE7FE]
    with pytest.raises(FirmwareFault, match="MPU forbids, in a fault handler: lockup"):
        thumb(code, {3: CODE + 0x30}).machine.env.run(until=1e-3)
