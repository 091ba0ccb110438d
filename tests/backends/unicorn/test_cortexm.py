"""Cortex-M exceptions on small machine code: SysTick with WFI, priorities, SVC, faults that say what happened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulab.backends.unicorn.scs import Nvic
from emulab.backends.unicorn.session import UnicornSession
from emulab.errors import FirmwareFault, InputError

CODE = 0x08000200
Start = Callable[..., UnicornSession]


def run(session: UnicornSession, seconds: float) -> None:
    session.machine.env.run(until=session.clock.now_s() + seconds)


# ldr r0, =0xE000E010; movs r1, #reload; str r1, [r0, #4]; movs r2, #0; str r2, [r0, #8]; movs r1, #7; str r1, [r0]
SYSTICK = [0x4808, 0x490A, 0x6041, 0x2200, 0x6082, 0x2107, 0x6001]
IDLE = [0xBF30, 0xE7FD]  # wfi; b .-2


def test_systick_wakes_wfi_once_per_period(thumb: Start) -> None:
    code = [*SYSTICK, *IDLE]
    code += [0xBF00] * (0x20 // 2 - len(code))
    code += [0x3601, 0x4770]  # handler at CODE + 0x20: adds r6, #1; bx lr
    code += [0xE010, 0xE000, 0x0000, 0x0000, 3999, 0x0000]
    # literals: CODE + 0x24 for the first load, CODE + 0x2C for the second
    session = thumb(code, {15: CODE + 0x20})
    run(session, 10e-3)  # 4 MHz after reset: a tick per millisecond
    machine = session.machine
    assert machine.engine.registers[6] == machine.interrupts == 9  # the handler counts in r6, which is not stacked
    assert machine.idle_q8 > 0.99 * machine.face.cycles_q8


def test_floating_point_registers_and_flags_survive_a_handler_that_uses_them(thumb: Start) -> None:
    code = [0x4810, 0x4911, 0x6001]  # ldr r0, =CPACR; ldr r1, =0xF << 20; str r1, [r0]
    code += [0x4B11, 0xEE00, 0x3A10]  # ldr r3, =1.0f; vmov s0, r3
    code += [0x4C10, 0xEE07, 0x4A90]  # ldr r4, =2.0f; vmov s15, r4
    code += [0x4810, 0x4910, 0x6041, 0x2107, 0x6001]  # ldr r0, =SysTick; ldr r1, =3999; str; movs r1, #7; str
    code += [0x2500, 0x2D00]  # movs r5, #0; cmp r5, #0
    code += [0xBF30, 0xD1FE]  # wfi; bne . (the flags are lost)
    code += [0xEE10, 0x2A10, 0xEE17, 0x7A90, 0xE7F8]  # vmov r2, s0; vmov r7, s15; b to the wfi
    code += [0xBF00] * (0x30 // 2 - len(code))
    code += [0x3601, 0x2100, 0xEE00, 0x1A10, 0xEE07, 0x1A90, 0x2D01, 0x4770]  # count; s0 = s15 = 0; cmp r5, #1; bx lr
    code += [0xBF00] * (0x44 // 2 - len(code))
    for literal in (0xE000ED88, 0xF << 20, 0x3F800000, 0x40000000, 0xE000E010, 3999):
        code += [literal & 0xFFFF, literal >> 16]
    session = thumb(code, {15: CODE + 0x30})
    run(session, 10.5e-3)
    registers = session.machine.engine.registers
    assert session.machine.interrupts == registers[6] == 10
    assert (registers[2], registers[7]) == (0x3F800000, 0x40000000)


def test_svc_enters_its_handler_and_returns(thumb: Start) -> None:
    code = [0x2001, 0xDF00, 0x2102, 0xE7FE]  # movs r0, #1; svc 0; movs r1, #2; b .
    code += [0xBF00] * (0x10 // 2 - len(code))
    code += [0x2703, 0x4770]  # movs r7, #3; bx lr
    session = thumb(code, {11: CODE + 0x10})
    run(session, 1e-3)
    registers = session.machine.engine.registers
    assert (registers[0], registers[1], registers[7]) == (1, 2, 3)
    assert session.machine.core.active == []  # type: ignore[attr-defined]


def test_undefined_instruction_says_where(thumb: Start) -> None:
    session = thumb([0xDE00])
    with pytest.raises(FirmwareFault, match=r"PC 0x08000200"):
        run(session, 1e-3)


def test_access_to_nowhere_names_the_address(thumb: Start) -> None:
    session = thumb([0x2080, 0x0600, 0x6801, 0xE7FE])  # movs r0, #0x80; lsls r0, #24; ldr r1, [r0]
    with pytest.raises(FirmwareFault, match=r"reads 0x80000000, where there is no memory"):
        run(session, 1e-3)


def test_sleep_without_wake_source_is_told(thumb: Start) -> None:
    session = thumb(IDLE)
    assert session.console.read(0.2) == b""
    assert session.console.read(0.2) == b""
    with pytest.raises(FirmwareFault, match="sleeps with no wake-up source"):
        session.console.read(0.2)


def test_endless_polling_names_the_register(thumb: Start) -> None:
    # ldr r0, =0x40021000 (rcc.CR); loop: ldr r1, [r0]; lsls r1, #14 (HSERDY is bit 17); bpl loop
    code = [0x4801, 0x6801, 0x0389, 0xD5FC, 0x1000, 0x4002]
    session = thumb(code)
    for _ in range(2):
        assert session.console.read(2.0) == b""
    with pytest.raises(FirmwareFault, match=r"polls rcc\.CR \(0x40021000\)"):
        session.console.read(2.0)


def test_error_handler_with_interrupts_masked_is_told_at_once(thumb: Start) -> None:
    session = thumb([0xB672, 0xE7FE])  # cpsid i; b .
    with pytest.raises(FirmwareFault, match=r"loops on itself with interrupts masked .*at PC 0x08000202"):
        session.console.read(30.0)
    with pytest.raises(FirmwareFault, match="loops on itself with interrupts masked or none enabled"):
        thumb([0xE7FE]).console.read(30.0)
    with_interrupts = thumb([0xE7FE])
    with_interrupts.machine.core.nvic.enabled.add(16 + 37)  # type: ignore[attr-defined]
    assert with_interrupts.console.read(0.3) == b""
    assert "loops on itself (an error handler, or the end of the program)" in with_interrupts.describe_state()


def test_polling_where_there_is_no_peripheral_says_so(thumb: Start) -> None:
    # ldr r0, =0x4001101C; loop: ldr r1, [r0]; lsls r1, #24; bpl loop
    session = thumb([0x4801, 0x6801, 0x0609, 0xD5FC, 0x101C, 0x4001])
    for _ in range(2):
        assert session.console.read(2.0) == b""
    with pytest.raises(FirmwareFault, match=r"polls 0x4001101c, which stays 0x0 since no peripheral is there"):
        session.console.read(2.0)
    said = session.describe_state()
    assert "nucleo-l4r5zi has nothing at some addresses it used (read of 0x4001101c): is the image for another" in said


def test_flag_of_a_register_nobody_modelled_comes_and_is_told(thumb: Start) -> None:
    # ldr r0, =0x40010040 (within syscfg); loop: ldr r1, [r0]; lsls r1, #24; bpl loop; movs r2, #1; str r1, [r0]; ldr r3, [r0]; b .
    code = [0x4803, 0x6801, 0x0609, 0xD5FC, 0x2201, 0x6001, 0x6803, 0xE7FE, 0x0040, 0x4001]
    session = thumb(code)
    run(session, 1e-3)
    registers = session.machine.engine.registers
    assert registers[2] == 1
    assert registers[3] == registers[1] == 0xFF000000  # written: plain storage again
    told = [note for note in session.notes() if "a guess" in note]
    assert told == [
        "syscfg+0x040 (0x40010040): not modelled and polled 64 times while 0x0; answered as 0xffffffff from then on, a guess"
    ]


def test_register_nobody_modelled_that_is_read_once_is_storage(thumb: Start) -> None:
    # ldr r0, =0x40010040; movs r1, #5; str r1, [r0]; ldr r2, [r0]; b .
    session = thumb([0x4802, 0x2105, 0x6001, 0x6802, 0xE7FE, 0xBF00, 0x0040, 0x4001])
    run(session, 1e-3)
    assert session.machine.engine.registers[2] == 5
    assert not [note for note in session.notes() if "a guess" in note]


def test_image_for_another_board_is_refused(thumb: Start) -> None:
    from emulab.backends.base import SessionOptions
    from emulab.backends.unicorn import UnicornBackend
    from emulab.model.platform import load_platform

    session = thumb([0xE7FE])
    with pytest.raises(InputError, match="nrf52840-dk"):
        UnicornBackend().open(load_platform("nrf52840-dk").platform, session.image, SessionOptions())


def test_a_run_repeats_bit_for_bit(thumb: Start) -> None:
    counts = []
    for _ in range(2):
        session = thumb([0x2000, 0x3001, 0xE7FD])
        run(session, 1e-3)
        face = session.machine.face
        counts.append((face.cycles_q8, face.instructions, session.machine.engine.registers[0]))
    assert counts[0] == counts[1]


def test_nvic_orders_by_priority_then_number() -> None:
    nvic = Nvic(32, 4)
    nvic.enabled |= {20, 21}
    nvic.pending |= {20, 21}
    assert nvic.most_urgent() == 20
    nvic.priority[20] = 0x20
    nvic.priority[21] = 0x10
    assert nvic.most_urgent() == 21
    assert nvic.group_priority(21, prigroup=4) == 0  # only the upper three bits preempt


def test_a_line_that_stays_high_is_pending_again_after_its_handler() -> None:
    nvic = Nvic(32, 4)
    nvic.set_line(3, True, "uart")
    nvic.pending.discard(19)
    nvic.returned(19)
    assert 19 in nvic.pending
    nvic.pending.clear()
    nvic.set_line(3, False, "uart")
    nvic.returned(19)
    assert not nvic.pending
