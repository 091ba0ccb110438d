"""STM32 peripheral models register by register: DMA, RTC, LPTIM, timers and CRC against their reference manuals."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.session import UnicornSession

SLEEP = [0xBF30, 0xE7FD]  # wfi; b back
EN, TCIE, HTIE, DIR, CIRC, MINC, MEM2MEM = 1, 2, 4, 0x10, 0x20, 0x80, 0x4000
PINC = 0x40


class Bus:
    """Registers of one machine by name."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def address(self, text: str) -> int:
        peripheral, _, register = text.partition(".")
        model: Any = self.machine.peripherals[peripheral]
        return int(model.spec.base + model.registers[register].offset)

    def read(self, text: str) -> int:
        return self.machine.bus_read(self.address(text), 4)

    def write(self, text: str, value: int, size: int = 4) -> None:
        self.machine.bus_write(self.address(text), size, value)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass; the core sleeps."""
        self.machine.env.run(until=self.machine.env.now + seconds)

    def pending(self, irq: int) -> bool:
        """The interrupt is pending in the NVIC (ISPR)."""
        return bool(self.machine.bus_read(0xE000E200 + 4 * (irq // 32), 4) >> (irq % 32) & 1)


@pytest.fixture
def bus(thumb: Callable[..., UnicornSession]) -> Callable[..., Bus]:
    def start(platform: str = "nucleo-l4r5zi") -> Bus:
        return Bus(thumb(SLEEP, platform=platform).machine)

    return start


# -- DMA: RM0432 chapter 11 ---------------------------------------------------------------------------------------


def test_dma_copies_memory_and_raises_half_and_end(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.machine.poke(0x20001000, bytes(range(16)))
    b.write("dma1.CNDTR2", 8)
    b.write("dma1.CPAR2", 0x20001000)
    b.write("dma1.CMAR2", 0x20002000)
    b.write("dma1.CCR2", MEM2MEM | MINC | PINC | 1 << 8 | 1 << 10 | TCIE | EN)  # halfwords
    assert b.machine.peek(0x20002000, 16) == bytes(range(16))
    assert b.read("dma1.CNDTR2") == 0
    assert b.read("dma1.ISR") == 7 << 8  # global, complete, half of channel 3
    assert b.pending(13)
    b.write("dma1.IFCR", 1 << 8)
    assert b.read("dma1.ISR") == 0
    assert not b.read("dma2.ISR")


def test_dma_sizes_of_source_and_destination_may_differ(bus: Callable[..., Bus]) -> None:
    """RM0432 table 45: bytes to words are padded with zeros, words to bytes are cut."""
    b = bus()
    b.machine.poke(0x20001000, bytes([1, 2, 3, 4]))
    b.write("dma1.CNDTR0", 4)
    b.write("dma1.CPAR0", 0x20001000)
    b.write("dma1.CMAR0", 0x20002000)
    b.write("dma1.CCR0", MEM2MEM | MINC | PINC | 2 << 10 | EN)
    assert b.machine.peek(0x20002000, 16) == b"\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0"


def test_dma_sends_by_a_uart_in_the_time_the_line_takes(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.machine.poke(0x20001000, b"hello, board")
    b.write("usart2.BRR", 4_000_000 // 115200)
    b.write("usart2.CR3", 0x80)  # DMAT
    b.write("usart2.CR1", 0x9)  # UE, TE
    b.write("dmamux1.C0", 27)  # USART2_TX
    b.write("dma1.CNDTR0", 12)
    b.write("dma1.CPAR0", b.address("usart2.TDR"))
    b.write("dma1.CMAR0", 0x20001000)
    b.write("dma1.CCR0", MINC | DIR | HTIE | TCIE | EN)
    b.pass_time(6.5 * 10 / 115200)
    assert 2 <= b.read("dma1.CNDTR0") <= 6
    b.pass_time(12 * 10 / 115200)
    assert b.read("dma1.CNDTR0") == 0
    assert b.read("dma1.ISR") & 0xF == 7


def test_dma_circular_buffer_starts_again(bus: Callable[..., Bus]) -> None:
    b = bus()
    controller: Any = b.machine.peripherals["dma1"]
    b.machine.poke(0x20001000, b"\xaa\xbb")
    b.write("dmamux1.C1", 5)
    b.write("dma1.CNDTR1", 3)
    b.write("dma1.CPAR1", 0x20001000)
    b.write("dma1.CMAR1", 0x20002000)
    b.write("dma1.CCR1", MINC | CIRC | EN)
    for left in (2, 1, 3, 2):
        assert controller.request(5)
        assert b.read("dma1.CNDTR1") == left
    assert not controller.request(6)
    b.write("dma1.CCR1", 0)
    assert not controller.request(5)


# -- CRC: RM0432 chapter 18 -----------------------------------------------------------------------------------------


def test_crc_with_reversal_is_that_of_ethernet(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.write("crc.CR", 0x80 | 1 << 5 | 1)  # output reversed, input by byte, reset
    for byte in b"123456789":
        b.write("crc.DR", byte, 1)
    assert b.read("crc.DR") ^ 0xFFFFFFFF == zlib.crc32(b"123456789") == 0xCBF43926


def test_crc_of_words_without_reversal(bus: Callable[..., Bus]) -> None:
    """CRC-32/MPEG-2 of the bytes as they stand in the word, the most significant first."""
    b = bus()
    b.write("crc.CR", 1)
    b.write("crc.DR", 0x31323334)
    b.write("crc.DR", 0x35363738)
    b.write("crc.DR", 0x39, 1)
    assert b.read("crc.DR") == 0x0376E6E7


@pytest.mark.parametrize(
    ("size", "polynomial", "initial", "expected"),
    [(1, 0x1021, 0xFFFF, 0x29B1), (2, 0x07, 0x00, 0xF4), (3, 0x09, 0x00, 0x75)],
    ids=["16 bits: CCITT-FALSE", "8 bits: SMBus", "7 bits: MMC"],
)
def test_crc_of_other_widths(bus: Callable[..., Bus], size: int, polynomial: int, initial: int, expected: int) -> None:
    b = bus()
    b.write("crc.POL", polynomial)
    b.write("crc.INIT", initial)
    b.write("crc.CR", size << 3 | 1)
    for byte in b"123456789":
        b.write("crc.DR", byte, 1)
    assert b.read("crc.DR") == expected


# -- RTC: RM0432 chapter 46, RM0456 chapter 63 ----------------------------------------------------------------------


def started_rtc(b: Bus) -> None:
    """LSE, calendar at 2024-02-28 23:59:50, Wednesday."""
    b.write("rcc.BDCR", 0x8101)
    b.write("rtc.STATUS", 0x80)
    assert b.read("rtc.STATUS") & 0x40
    b.write("rtc.PRER", 127 << 16 | 255)
    b.write("rtc.TR", 0x235950)
    b.write("rtc.DR", 0x24 << 16 | 3 << 13 | 0x0228)
    b.write("rtc.STATUS", 0)


def test_calendar_passes_into_a_leap_day(bus: Callable[..., Bus]) -> None:
    for board in ("nucleo-l4r5zi", "nucleo-u575zi-q"):
        b = bus(board)
        started_rtc(b)
        assert (b.read("rtc.TR"), b.read("rtc.SSR")) == (0x235950, 255)
        b.pass_time(9.5)
        assert b.read("rtc.TR") == 0x235959
        assert b.read("rtc.SSR") == pytest.approx(127, abs=1)
        b.pass_time(3.0)
        assert b.read("rtc.TR") == 0x000002
        assert b.read("rtc.DR") == 0x24 << 16 | 4 << 13 | 0x0229


def test_wake_up_timer_wakes_again_and_again(bus: Callable[..., Bus]) -> None:
    b = bus()
    started_rtc(b)
    b.write("rtc.WUTR", 2048 - 1)
    b.write("rtc.CR", 0x4400)  # enabled, interrupt, clock / 16: one second
    for _ in range(3):
        b.pass_time(0.9)
        assert not b.read("rtc.STATUS") & 0x400
        b.pass_time(0.11)
        assert b.read("rtc.STATUS") & 0x400
        assert b.pending(3)
        b.write("rtc.STATUS", ~0x480 & 0xFFFFFFFF)
        b.machine.bus_write(0xE000E280, 4, 1 << 3)
        assert not b.read("rtc.STATUS") & 0x400
        assert not b.pending(3)
    b.write("rtc.CR", 0)
    b.pass_time(3.0)
    assert not b.read("rtc.STATUS") & 0x400


def test_alarm_rings_at_its_time_and_when_masked_every_minute(bus: Callable[..., Bus]) -> None:
    b = bus()
    started_rtc(b)
    b.write("rtc.ALRMAR", 0x80000005)  # day masked, 00:00:05
    b.write("rtc.ALRMBR", 0x80808055)  # at second 55 of every minute
    b.write("rtc.CR", 0x3300)
    b.pass_time(4.9)
    assert not b.read("rtc.STATUS") & 0x300
    b.pass_time(0.2)
    assert b.read("rtc.STATUS") & 0x300 == 0x200
    b.write("rtc.STATUS", 0xFFFFFFFF & ~0x280)
    b.pass_time(9.8)
    assert not b.read("rtc.STATUS") & 0x300
    b.pass_time(0.2)
    assert b.read("rtc.STATUS") & 0x300 == 0x100
    assert b.pending(41)
    b.pass_time(50.0)
    assert b.read("rtc.STATUS") & 0x300 == 0x300


def test_alarm_flags_of_the_newer_layout(bus: Callable[..., Bus]) -> None:
    b = bus("nucleo-u575zi-q")
    started_rtc(b)
    b.write("rtc.ALRMAR", 0x80808080)  # every second
    b.write("rtc.CR", 0x1100)
    b.pass_time(1.01)
    assert b.read("rtc.SR") == b.read("rtc.MISR") == 1
    assert b.pending(2)
    b.write("rtc.SCR", 1)
    assert b.read("rtc.SR") == 0


def test_a_date_that_is_none_is_noted(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.write("rtc.DR", 0x24 << 16 | 0x0231)
    assert any("is no date" in note for note in b.machine.notes)


# -- timers: RM0432 chapters 38 and 42 ------------------------------------------------------------------------------


def test_low_power_timer_counts_compares_and_reloads(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.write("rcc.BDCR", 1)
    b.write("rcc.CCIPR", 3 << 18)  # LPTIM1 from LSE
    b.write("lptim1.CFGR", 3 << 9)  # / 8: 4096 Hz
    b.write("lptim1.IER", 2)
    b.write("lptim1.CR", 1)
    b.write("lptim1.ARR", 4095)
    b.write("lptim1.CMP", 1024)
    assert b.read("lptim1.ISR") == 0x18  # both were taken
    b.write("lptim1.ICR", 0x18)
    b.write("lptim1.CR", 5)  # continuous
    b.pass_time(0.1251)
    assert b.read("lptim1.CNT") == 512
    assert b.read("lptim1.ISR") == 0
    b.pass_time(0.126)
    assert b.read("lptim1.ISR") == 1
    b.write("lptim1.ICR", 1)
    assert b.read("lptim1.ISR") == 0
    b.pass_time(0.75)
    assert b.pending(65)
    assert b.read("lptim1.ISR") == 2
    b.write("lptim1.ICR", 2)
    assert b.read("lptim1.ISR") == 0
    b.pass_time(1.0)
    assert b.read("lptim1.ISR") == 3


def test_low_power_timer_runs_once(bus: Callable[..., Bus]) -> None:
    b = bus("nucleo-u575zi-q")
    b.write("rcc.BDCR", 1)
    b.write("rcc.CCIPR3", 3 << 10)  # LSE
    b.write("lptim1.IER", 2)
    assert b.read("lptim1.ISR") & 1 << 24  # DIEROK
    b.write("lptim1.ICR", 1 << 24)
    b.write("lptim1.CR", 1)
    b.write("lptim1.ARR", 327)
    b.write("lptim1.ICR", 0x1FF)
    b.write("lptim1.CR", 3)
    b.pass_time(0.02)
    assert b.read("lptim1.ISR") == 2
    assert b.read("lptim1.CNT") == 327
    b.write("lptim1.ICR", 2)
    b.pass_time(0.05)
    assert b.read("lptim1.ISR") == 0
    b.write("lptim1.CR", 3)
    b.pass_time(0.011)
    assert b.read("lptim1.ISR") == 2


def test_timer_updates_at_its_period_and_once_in_one_pulse_mode(bus: Callable[..., Bus]) -> None:
    b = bus()  # MSI, 4 MHz
    b.write("tim6.PSC", 3999)
    b.write("tim6.ARR", 9)
    b.write("tim6.EGR", 1)
    b.write("tim6.SR", 0)
    b.write("tim6.DIER", 1)
    b.write("tim6.CR1", 1)
    b.pass_time(0.0095)
    assert (b.read("tim6.CNT"), b.read("tim6.SR")) == (9, 0)
    b.pass_time(0.001)
    assert (b.read("tim6.CNT"), b.read("tim6.SR")) == (0, 1)
    assert b.pending(54)
    b.write("tim6.SR", 0)
    b.pass_time(0.01)
    assert b.read("tim6.SR") == 1
    b.write("tim6.SR", 0)
    b.write("tim6.CR1", 9)  # one pulse
    b.pass_time(0.05)
    assert (b.read("tim6.CR1") & 1, b.read("tim6.CNT"), b.read("tim6.SR")) == (0, 0, 1)


def test_timer_of_32_bits_counts_on_past_16(bus: Callable[..., Bus]) -> None:
    b = bus()
    b.write("tim2.CR1", 1)
    b.write("tim3.CR1", 1)
    b.pass_time(0.1)
    assert b.read("tim2.CNT") == pytest.approx(400_000, abs=2)
    assert b.read("tim3.CNT") == pytest.approx(400_000 % 65536, abs=2)


# -- external memory: RM0385 chapter 13 -----------------------------------------------------------------------------


def test_sdram_of_the_discovery_board_is_written_and_read_by_firmware(thumb: Callable[..., UnicornSession]) -> None:
    code = [
        0xF04F, 0x4040,  # mov.w r0, #0xC0000000
        0x2155,          # movs r1, #0x55
        0x6041,          # str r1, [r0, #4]
        0x6842,          # ldr r2, [r0, #4]
        0x3201,          # adds r2, #1
        0x6082,          # str r2, [r0, #8]
        0xBF30, 0xE7FD,  # wfi; b back
    ]  # fmt: skip
    machine = thumb(code, platform="disco-f746ng").machine
    assert machine.bus_read(0xA0000158, 4) & 0x20 == 0  # SDSR: not busy
    machine.env.run(until=1e-3)
    assert machine.peek(0xC0000004, 8) == b"\x55\0\0\0\x56\0\0\0"
    assert not machine.notes
