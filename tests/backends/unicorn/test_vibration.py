"""A sensor on a bus, co-simulated: firmware reads the FIFO by DMA, sleeps deep, and the ledger charges it all."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.energy.cosim import FirmwareMeter, fast_forward
from emulab.firmware.image import Image, load_image
from emulab.model.platform import Platform, load_platform

SCRIPT = """
SECTIONS {
  . = 0x08000000; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  . = 0x20000000; .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.ARM.*) *(.comment) }
}
"""
FLAGS = [
    *("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-O2", "-ffreestanding", "-fno-builtin", "-nostdlib"),
    *("-fno-sanitize=undefined", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-Wl,--entry=reset"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    folder = tmp_path_factory.mktemp("vibration")
    (folder / "link.ld").write_text(SCRIPT)
    source = Path(__file__).with_name("vibration.c")
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-T", str(folder / "link.ld"), str(source)]
    done = subprocess.run([*command, "-o", str(folder / "v.elf")], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return load_image(folder / "v.elf")


def board(amplitude_g: float) -> Platform:
    """NUCLEO-L4R5ZI with the sensor on SPI1."""
    platform = load_platform("nucleo-l4r5zi").platform
    sensor = {
        "part": "lis2dh12",
        "bus": "spi1",
        "select": "PE0",
        "interrupt": "PE1",
        "signal": [{"axis": "x", "amplitude_g": amplitude_g, "frequency_hz": 50.0}],
    }
    return platform.model_copy(update={"board": platform.board.model_copy(update={"parts": {"accelerometer": sensor}})})


def run(image: Image, platform: Platform, until_s: float) -> tuple[Machine, FirmwareMeter]:
    machine = Machine(platform, image)
    meter = FirmwareMeter(platform, machine)
    machine.env.run(until=until_s)
    return machine, meter


def word(machine: Any, image: Image, name: str) -> int:
    return int.from_bytes(machine.peek(image.symbols[name].address & ~1, 4), "little")


def test_samples_reach_memory_through_fifo_and_dma(image: Image) -> None:
    machine, _ = run(image, board(0.5), 5.0)
    try:
        assert word(machine, image, "cycles_done") == 1
        data = machine.peek(image.symbols["samples"].address & ~1, 512 * 6)
        counts = [int.from_bytes(data[6 * i : 6 * i + 2], "little", signed=True) >> 4 for i in range(512)]
        # 0.5 g of +-2 g in 12 bits is 512 counts; the phase of the first sample is free
        assert max(counts) == pytest.approx(512, abs=2) and min(counts) == pytest.approx(-512, abs=2)
        steps = [b - a for a, b in pairwise(counts)]
        assert max(map(abs, steps)) <= 512 * 2 * math.pi * 50 / 1344 + 2  # no sample lost or twice
        assert word(machine, image, "last_power") == pytest.approx(512**2 / 2, rel=0.01)
        assert word(machine, image, "alarms") == 1
    finally:
        machine.close()


def test_a_quiet_machine_raises_no_alarm(image: Image) -> None:
    machine, _ = run(image, board(0.01), 5.0)
    try:
        assert (word(machine, image, "cycles_done"), word(machine, image, "alarms")) == (1, 0)
    finally:
        machine.close()


def test_deep_sleep_and_the_sensor_are_charged(image: Image) -> None:
    """Most of the time in Stop 2, most of the charge not: what the node draws follows from what firmware does."""
    machine, meter = run(image, board(0.5), 95.0)
    try:
        charges = meter.charges(95.0)
        components = meter.ledger.network.components
        stop2, sensor = components["core"].current_a("stop2"), components["accelerometer"]
        cycles = word(machine, image, "cycles_done")
        assert cycles == 10
        # 0.38 s at 1344 Hz, then three times 3.2 s at 10 Hz
        fast = cycles * 512 / 1344
        expected = fast * sensor.current_a("odr1344") + (95 - fast) * sensor.current_a("odr10")
        assert charges["accelerometer"] == pytest.approx(expected, rel=0.03)
        assert 90 * stop2 < charges["core"] < 95 * components["core"].current_a("sleep")
        # the SPI stays enabled but is stopped while the core sleeps deep
        assert 0 < charges["spi"] < 5.0 * components["spi"].current_a("active")
        assert charges["spi"] > 3.8 * 0.9 * components["spi"].current_a("active")
    finally:
        machine.close()


def test_fast_forward_equals_the_long_run(image: Image) -> None:
    """Firmware that repeats itself is skipped: the same charge as executing all of it."""
    span = 1200.0
    machine, meter = run(image, board(0.5), span)
    try:
        long = meter.charges(span)
    finally:
        machine.close()
    machine = Machine(board(0.5), image)
    try:
        meter = FirmwareMeter(board(0.5), machine)
        fast, steady = fast_forward(lambda until: machine.env.run(until=until), meter, span)
        assert steady is not None and steady.sleeps == 3
        assert steady.period_s == pytest.approx(9.98, abs=0.02)
        assert machine.env.now < span / 4
        assert sum(fast.values()) == pytest.approx(sum(long.values()), rel=1e-6)
    finally:
        machine.close()
