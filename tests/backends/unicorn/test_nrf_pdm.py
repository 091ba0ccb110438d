"""The PDM interface of the nRF52840: buffers one after the other, rates, and silence when it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.parts.microphone import Microphone
from emulab.backends.unicorn.session import UnicornSession

SLEEP = [0xBF30, 0xE7FD]  # wfi; b back
BASE, FIRST, SECOND = 0x4001D000, 0x20001000, 0x20002000
START, STOP, STARTED, STOPPED, END = 0x000, 0x004, 0x100, 0x104, 0x108


class Pdm:
    """Registers of the PDM of one machine, and its microphone that counts up."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.model: Any = machine.peripherals["pdm"]
        self.model.microphone = Microphone(np.arange(1, 20_000, dtype=np.int16), 16_000)
        for offset, value in ((0x504, 0x0A000000), (0x520, 1), (0x508, 1), (0x564, 32), (0x560, FIRST), (0x500, 1)):
            self.write(offset, value)

    def write(self, offset: int, value: int) -> None:
        self.machine.bus_write(BASE + offset, 4, value)

    def event(self, offset: int) -> int:
        return self.machine.bus_read(BASE + offset, 4)

    def held(self, address: int, words: int) -> list[int]:
        return np.frombuffer(self.machine.peek(address, 2 * words), "<i2").tolist()

    def pass_time(self, seconds: float) -> None:
        self.machine.env.run(until=self.machine.env.now + seconds)


@pytest.fixture
def pdm(thumb: Callable[..., UnicornSession]) -> Pdm:
    return Pdm(thumb(SLEEP, platform="nrf52840-dk", base=0).machine)


def test_the_next_buffer_is_named_while_one_fills(pdm: Pdm) -> None:
    pdm.write(START, 1)
    assert pdm.event(STARTED)
    pdm.write(STARTED, 0)
    pdm.write(0x560, SECOND)
    pdm.pass_time(31.5 / 16_000)
    assert not pdm.event(END)
    pdm.pass_time(1 / 16_000)
    assert pdm.event(END) and pdm.event(STARTED)
    assert pdm.held(FIRST, 32) == list(range(1, 33))
    pdm.pass_time(32 / 16_000)
    assert pdm.held(SECOND, 32) == list(range(33, 65))


def test_an_interrupt_only_where_it_is_enabled(pdm: Pdm) -> None:
    pdm.write(START, 1)
    pdm.pass_time(33 / 16_000)
    pending = 0xE000E200
    assert not pdm.machine.bus_read(pending, 4) >> 29 & 1
    pdm.write(0x304, 4)
    assert pdm.machine.bus_read(pending, 4) >> 29 & 1


def test_stereo_holds_two_words_per_sample(pdm: Pdm) -> None:
    pdm.write(0x508, 0)
    pdm.write(START, 1)
    pdm.pass_time(16.5 / 16_000)
    assert pdm.held(FIRST, 32) == [n for n in range(1, 17) for _ in range(2)]


def test_stopped_is_stopped(pdm: Pdm) -> None:
    pdm.write(START, 1)
    pdm.write(STOP, 1)
    pdm.pass_time(0.01)
    assert pdm.event(STOPPED) and not pdm.event(END)


def test_another_rate_and_no_microphone_are_said(pdm: Pdm) -> None:
    pdm.write(0x520, 0)
    pdm.write(START, 1)
    assert any("at 20000 Hz, the sound has 16000 Hz" in note for note in pdm.machine.notes)
    pdm.write(STOP, 1)
    pdm.model.microphone = None
    pdm.write(START, 1)
    assert any("nothing is on the audio line" in note for note in pdm.machine.notes)
