"""The SAI as a slave receiver: circular and single buffers, mono and stereo, what is lost when nobody takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.parts.microphone import Microphone
from emulab.backends.unicorn.session import UnicornSession

SLEEP = [0xBF30, 0xE7FD]  # wfi; b back
RECEIVE, SAIEN, DMAEN = 0x83, 1 << 16, 1 << 17
ONCE, CIRCULAR = 0x587, 0x5A7  # halfwords to memory, interrupts at half and end
BUFFER, REQUEST = 0x20001000, 36


class Line:
    """A microphone on SAI1 block A that counts up, and channel 1 of DMA 1."""

    def __init__(self, machine: Machine, slots: int) -> None:
        self.machine, self.sai = machine, machine.peripherals["sai1a"]
        self.sai.microphone = Microphone(np.arange(1, 30_000, dtype=np.int16), 16_000)  # type: ignore[attr-defined]
        machine.bus_write(0x40020800, 4, REQUEST)
        self.write("sai1a", "SLOTR", slots)

    def write(self, peripheral: str, register: str, value: int) -> None:
        model: Any = self.machine.peripherals[peripheral]
        self.machine.bus_write(model.spec.base + model.registers[register].offset, 4, value)

    def buffer(self, words: int, control: int) -> None:
        self.write("dma1", "CCR0", 0)
        self.write("dma1", "CNDTR0", words)
        self.write("dma1", "CPAR0", 0x40015420)
        self.write("dma1", "CMAR0", BUFFER)
        self.write("dma1", "CCR0", control)

    def held(self, words: int) -> list[int]:
        return np.frombuffer(self.machine.peek(BUFFER, 2 * words), "<i2").tolist()

    def flags(self) -> int:
        return self.machine.bus_read(0x40020000, 4) & 6

    def pass_time(self, seconds: float) -> None:
        self.machine.env.run(until=self.machine.env.now + seconds)


@pytest.fixture
def line(thumb: Callable[..., UnicornSession]) -> Callable[[int], Line]:
    return lambda slots: Line(thumb(SLEEP, platform="nucleo-l4r5zi").machine, slots)


def test_a_circular_buffer_is_told_at_half_and_end(line: Callable[[int], Line]) -> None:
    one = line(0x00010100)
    one.buffer(64, CIRCULAR)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(31.5 / 16_000)
    assert one.flags() == 0
    one.pass_time(1 / 16_000)
    assert one.flags() == 4
    assert one.held(32) == list(range(1, 33))
    one.pass_time(32 / 16_000)
    assert one.flags() == 6
    assert one.held(64) == list(range(1, 65))
    one.write("dma1", "IFCR", 0xF)
    one.pass_time(32 / 16_000)
    assert one.flags() == 4
    assert one.held(64) == [*range(65, 97), *range(33, 65)]


def test_both_slots_of_a_frame_take_two_words(line: Callable[[int], Line]) -> None:
    one = line(0xFFFF0100)  # every slot enabled, two slots: what CubeMX writes
    one.buffer(64, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(32.5 / 16_000)
    assert one.flags() == 6
    assert one.held(64) == [n for n in range(1, 33) for _ in range(2)]


def test_a_buffer_given_again_in_time_loses_nothing(line: Callable[[int], Line]) -> None:
    """As the vendor's driver does it: DMAEN off when a buffer is full, on again with the next one."""
    one = line(0x00010100)
    one.buffer(32, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(32.5 / 16_000)
    one.write("sai1a", "CR1", RECEIVE | SAIEN)
    one.pass_time(5 / 16_000)  # the FIFO holds eight
    one.buffer(32, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(32 / 16_000)
    assert one.held(32) == list(range(33, 65))
    assert not one.sai.read(0x14, 4) & 1


def test_late_is_overrun(line: Callable[[int], Line]) -> None:
    one = line(0x00010100)
    one.buffer(32, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(32.5 / 16_000)
    one.write("sai1a", "CR1", RECEIVE | SAIEN)
    one.pass_time(20 / 16_000)
    one.buffer(32, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(32 / 16_000)
    assert one.held(1) == [45]  # twelve of twenty are gone
    assert one.sai.lost == 12  # type: ignore[attr-defined]
    assert one.sai.read(0x14, 4) & 1
    one.write("sai1a", "CLRFR", 1)
    assert not one.sai.read(0x14, 4) & 1


def test_silence_after_the_recording_and_quiet_without_one(line: Callable[[int], Line]) -> None:
    one = line(0x00010100)
    one.sai.microphone = Microphone(np.full(20, 7, np.int16), 16_000)  # type: ignore[attr-defined]
    one.buffer(32, ONCE)
    one.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    one.pass_time(33 / 16_000)
    assert one.held(32) == [7] * 20 + [0] * 12
    nobody = line(0x00010100)
    nobody.sai.microphone = None  # type: ignore[attr-defined]
    nobody.write("sai1a", "CR1", RECEIVE | SAIEN | DMAEN)
    nobody.pass_time(0.01)
    assert any("nothing is on the audio line" in note for note in nobody.machine.notes)
