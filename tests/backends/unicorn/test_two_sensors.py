"""SPI and I2C of the FE310 and the nRF52840 on real firmware: the same sensor on both reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.firmware.application import build_application
from emulab.model.platform import load_platform

SIGNAL = [{"axis": "x", "amplitude_g": 0.5, "frequency_hz": 20.0}]
BUSES = {"hifive1-revb": ("spi1", "gpio0.9", "i2c0"), "nrf52840-dk": ("spim1", "P0.09", "twim0")}


class Bench:
    def __init__(self, board: str) -> None:
        spi, select, i2c = BUSES[board]
        parts: dict[str, Any] = {
            "first": {"part": "lis2dh12", "bus": spi, "select": select, "signal": SIGNAL},
            "second": {"part": "lis2dh12", "bus": i2c, "address": 0x18, "signal": SIGNAL},
        }
        self.board = board
        platform = load_platform(board).platform
        platform = platform.model_copy(update={"board": platform.board.model_copy(update={"parts": parts})})
        self.image = build_application([Path(__file__).with_name("two_sensors.c")], platform).image
        self.machine = Machine(platform, self.image)
        self.machine.env.run(until=0.3)

    def array(self, name: str, dtype: Any, count: int) -> np.ndarray:
        address = self.image.symbols[name].address
        return np.frombuffer(self.machine.peek(address, count * np.dtype(dtype).itemsize), dtype)

    def word(self, name: str) -> int:
        return int(self.array(name, np.uint32, 1)[0])


@pytest.fixture(scope="module", params=list(BUSES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param)
    yield made
    made.machine.close()


def test_both_buses_reach_the_sensor(bench: Bench) -> None:
    assert bench.word("done") == 1
    assert (bench.word("identity_spi"), bench.word("identity_i2c")) == (0x33, 0x33)
    assert (bench.word("nobody"), bench.word("refused")) == (1, 0)


def test_bursts_are_the_sensors_signal(bench: Bench) -> None:
    time = (np.arange(32) + 1) / 400
    tones = np.stack([np.sin(40 * np.pi * time), np.cos(40 * np.pi * time)], 1)
    for data in (bench.array("over_spi", np.uint8, 193)[1:], bench.array("over_i2c", np.uint8, 192)):
        samples = data.tobytes()
        counts = np.frombuffer(samples, "<i2").reshape(32, 3) >> 4
        assert (counts[:, 2] == 1024).all()  # 1 g
        fit, *_ = np.linalg.lstsq(tones, counts[:, 0] / 1024, rcond=None)
        assert np.hypot(*fit) == pytest.approx(0.5, abs=2e-3)
        assert np.abs(tones @ fit - counts[:, 0] / 1024).max() < 1.5 / 1024


def test_nothing_unmodelled_was_touched(bench: Bench) -> None:
    assert bench.machine.notes == []


def test_a_byte_takes_its_time(bench: Bench) -> None:
    """At least what the wire needs; at most a little more, for code that runs from the serial flash through its cache."""
    wire_i2c = (2 * 10 + 193 * 9 + 1) / 400e3
    if bench.board == "hifive1-revb":
        assert wire_i2c <= bench.word("i2c_ticks") / 16e6 < 1.2 * wire_i2c  # the core polls
        assert bench.word("spi_ticks") > 25 * 8  # of 193 bytes, eight at a time
    else:
        assert bench.word("spi_ticks") < 1000  # the core sleeps, and its cycle counter with it
