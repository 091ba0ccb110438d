"""I2C and ADC on real firmware, through emulab's own drivers and DMA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.energy.cosim import FirmwareMeter
from emulab.errors import InputError
from emulab.firmware.application import build_application
from emulab.model.platform import Platform, load_platform

PARTS: dict[str, Any] = {
    "accelerometer": {
        "part": "lis2dh12",
        "bus": "i2c1",
        "address": 0x19,
        "interrupt": "PE1",
        "signal": [{"axis": "y", "amplitude_g": 1.0, "frequency_hz": 5.0}],
    },
    "microphone": {"bus": "adc1", "channel": 5, "signal": [{"offset_v": 1.65, "amplitude_v": 1.0, "frequency_hz": 50}]},
    "divider": {"bus": "adc1", "channel": 12, "reference_v": 3.0, "signal": [{"offset_v": 1.5}]},
}


def board(**parts: Any) -> Platform:
    platform = load_platform("nucleo-l4r5zi").platform
    return platform.model_copy(update={"board": platform.board.model_copy(update={"parts": {**PARTS, **parts}})})


class Bench:
    def __init__(self, until_s: float) -> None:
        platform = board()
        self.image = build_application([Path(__file__).with_name("buses.c")], platform).image
        self.machine = Machine(platform, self.image)
        self.meter = FirmwareMeter(platform, self.machine)
        self.until_s = until_s
        self.machine.env.run(until=until_s)

    def array(self, name: str, dtype: Any, count: int) -> np.ndarray:
        address = self.image.symbols[name].address & ~1
        return np.frombuffer(self.machine.peek(address, count * np.dtype(dtype).itemsize), dtype)

    def word(self, name: str) -> int:
        return int(self.array(name, np.uint32, 1)[0])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench(1.0)
    yield made
    made.machine.close()


def test_firmware_came_through_and_nothing_unmodelled_was_touched(bench: Bench) -> None:
    assert bench.word("done") == 1
    assert bench.machine.notes == []


def test_i2c_writes_reads_and_notices_who_is_not_there(bench: Bench) -> None:
    assert bench.word("identity") == 0x33
    assert bench.word("refused") == 0
    assert (
        bench.word("nobody") == 3
    )  # read and empty write refused at an empty address, empty write taken by the sensor


def test_a_burst_over_i2c_and_dma_is_the_sensors_signal(bench: Bench) -> None:
    samples = bench.array("burst", "<i2", 96).reshape(32, 3) >> 4
    assert (samples[:, 0] == 0).all() and (samples[:, 2] == 1024).all()  # 1 g along z, +-2 g in 12 bits
    time = (np.arange(32) + 1) / 100
    phases = samples[:, 1] / 1024
    fit, *_ = np.linalg.lstsq(np.stack([np.sin(10 * np.pi * time), np.cos(10 * np.pi * time)], 1), phases, rcond=None)
    assert np.hypot(*fit) == pytest.approx(1.0, abs=2e-3)


def test_a_byte_takes_nine_bits_at_400_kbit_per_second(bench: Bench) -> None:
    """The driver polls, so the core's cycle counter saw it all: two addresses with start, 193 bytes, a stop."""
    bits = 2 * 10 + 193 * 9 + 1
    assert bench.word("i2c_ticks") / 4e6 == pytest.approx(bits / 400e3, rel=0.02)


def test_the_adc_converts_what_is_at_its_input(bench: Bench) -> None:
    volts = bench.array("slow", np.uint16, 256) / 4095 * 3.3
    rate_hz = 4e6 / 4 / 653
    time = np.arange(256) / rate_hz
    tones = np.stack([np.sin(100 * np.pi * time), np.cos(100 * np.pi * time), np.ones(256)], 1)
    fit, *_ = np.linalg.lstsq(tones, volts, rcond=None)
    assert np.hypot(fit[0], fit[1]) == pytest.approx(1.0, abs=1e-3) and fit[2] == pytest.approx(1.65, abs=1e-3)
    assert np.abs(tones @ fit - volts).max() < 1.5 * 3.3 / 4095  # equally spaced, none lost
    assert set(bench.array("steady", np.uint16, 16).tolist()) == {round(0.5 * 4095)}


def test_the_ledger_charges_the_converter_while_it_is_on(bench: Bench) -> None:
    charge = bench.meter.charges(bench.until_s)
    on_s = charge["adc"] / bench.meter.ledger.network.components["adc"].current_a("active")
    assert on_s == pytest.approx((256 + 16) * 653 / 1e6, rel=0.02)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"part": "lis2dh12", "bus": "i2c1"}, "needs `address:`"),
        ({"part": "lis2dh12", "bus": "i2c1", "address": 0x19}, "0x19 is already taken"),
        ({"bus": "adc1", "channel": 40}, "needs `channel:`"),
        ({"bus": "adc1", "channel": 5}, "one part each"),
        ({"bus": "adc1", "channel": 6, "signal": [{"volts": 1}]}, "expected {offset_v"),
    ],
)
def test_mistakes_are_told(part: dict[str, Any], message: str) -> None:
    image = build_application([Path(__file__).with_name("buses.c")], board()).image
    with pytest.raises(InputError, match=message):
        Machine(board(another=part), image)
