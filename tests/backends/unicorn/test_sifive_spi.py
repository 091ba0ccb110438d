"""Frames of SiFive's SPI that are made up for later, against the same frames each as an event."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.parts.lis2dh12 import Lis2dh12
from emulab.energy.cosim import FirmwareMeter
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform
from emulab.model.scenario import load_scenario

BASE = 0x20010000
SPI1 = 0x10024000
CSMODE, TXDATA, RXDATA, TXMARK, RXMARK, IE, IP, SCKDIV = 0x18, 0x48, 0x4C, 0x50, 0x54, 0x70, 0x74, 0x00


class Clocked:
    """A slave whose answer is the time of the frame's end; it either only answers, or may do anything."""

    def __init__(self, machine: Machine, only_answers: bool) -> None:
        self.machine, self.only_answers = machine, only_answers
        self.frames: list[tuple[float, int]] = []

    def select(self) -> None:
        self.frames.append((self.machine.now(), -1))

    def deselect(self) -> None:
        self.frames.append((self.machine.now(), -2))

    def exchange(self, sent: int, bits: int) -> int:
        now = self.machine.now()
        self.frames.append((now, sent))
        return round(now * 1e8) & 0xFF


def asleep(folder: Path) -> Machine:
    """A HiFive1 whose core waits for an interrupt that is not enabled."""
    image = folder / "asleep.bin"
    image.write_bytes(struct.pack("<2I", 0x10500073, 0xFFDFF06F) * 4)  # wfi; j back
    machine = Machine(load_platform("hifive1-revb").platform, load_image(image, BASE))
    machine.env.run(until=1e-6)
    return machine


def trace(machine: Machine, only_answers: bool, steps: list[tuple[str, int]]) -> list[Any]:
    """What firmware and the interrupt controller see, and what the slave does, with times."""
    spi: Any = machine.peripherals["spi1"]
    device = spi._slaves.selected = Clocked(machine, only_answers)
    seen: list[Any] = []
    spi.irq = lambda level, line=0: seen.append(("irq", machine.now(), level))
    registers = {"mode": CSMODE, "tx": TXDATA, "txmark": TXMARK, "rxmark": RXMARK, "ie": IE, "div": SCKDIV}
    for what, value in steps:
        if what == "pass":
            machine.env.run(until=machine.env.now + value * 1.37e-7)
        elif what in registers:
            machine.bus_write(SPI1 + registers[what], 4, value)
        else:
            seen.append((what, machine.bus_read(SPI1 + {"rx": RXDATA, "ip": IP, "full": TXDATA}[what], 4)))
    machine.env.run(until=machine.env.now + 1e-3)
    seen.append([machine.bus_read(SPI1 + RXDATA, 4) for _ in range(9)])
    return [seen, device.frames, machine.notes]


STEP = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 200)),
    st.tuples(st.just("tx"), st.integers(0, 255)),
    st.tuples(st.sampled_from(["rx", "ip", "full"]), st.just(0)),
    st.tuples(st.sampled_from(["txmark", "rxmark"]), st.integers(0, 7)),
    st.tuples(st.just("ie"), st.integers(0, 3)),
    st.tuples(st.just("div"), st.sampled_from([0, 1, 7, 40])),
    st.tuples(st.just("mode"), st.sampled_from([2, 3])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=60))
def test_nobody_sees_that_frames_were_made_up_for(tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    found = []
    for only_answers in (False, True):
        machine = asleep(tmp_path)
        try:
            found.append(trace(machine, only_answers, [("mode", 3), *steps]))
        finally:
            machine.close()
    assert found[0] == found[1]


def test_eight_answers_cost_one_event(tmp_path: Path) -> None:
    """The receive watermark's interrupt comes with the eighth frame, and nothing before it."""
    machine = asleep(tmp_path)
    happened = []
    step = machine.env.step
    machine.env.step = lambda: (step(), happened.append(machine.env.now))  # type: ignore[assignment,return-value]
    steps = [("mode", 3), ("rxmark", 7), *[("tx", i) for i in range(8)], ("ie", 2)]
    seen, frames, _ = trace(machine, True, steps)
    assert [level for what, _, level in (s for s in seen if s[0] == "irq")] == [True, False]
    assert len(frames) == 8 and len(happened) <= 4  # the interrupt, and the end of the time that was to pass
    machine.close()


def test_the_shipped_node_is_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three wakes of vibration-node's firmware on HiFive1: charge by component, cycles and interrupts, bit for bit."""
    from emulab.run.cosim import build_firmware, platform_with_parts

    loaded, platform = load_scenario("vibration-node"), load_platform("hifive1-revb").platform
    board, image = platform_with_parts(loaded, platform), build_firmware(loaded, platform).image
    found = []
    for each_frame in (False, True):
        if each_frame:
            monkeypatch.setattr(Lis2dh12, "only_answers", property(lambda _: False))
        machine = Machine(board, image)
        meter = FirmwareMeter(board, machine)
        machine.env.run(until=32.0)
        found.append((meter.charges(32.0), machine.face.cycles_q8, machine.interrupts, machine.face.instructions))
        machine.close()
    assert found[0] == found[1]
