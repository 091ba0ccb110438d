"""A machine drives the ledger: states, clocks, deep sleep from the power register."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulab.energy.cosim import FirmwareMeter
from emulab.model.platform import load_platform


class Machine:
    """What a machine offers, without firmware."""

    def __init__(self) -> None:
        self.power_listeners: list[Callable[[str, str, float], None]] = []
        self.clock_listeners: list[Callable[[float, float], None]] = []
        self.charge_sources: list[Callable[[float], dict[str, float]]] = []
        self.registers = {0x40007000: 0x202}

    def bus_read(self, address: int, size: int) -> int:
        return self.registers[address]

    def state(self, state: str, time_s: float) -> None:
        for listener in self.power_listeners:
            listener("core", state, time_s)


def test_run_sleep_and_stop_are_charged() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    machine = Machine()
    meter = FirmwareMeter(platform, machine)
    core = meter.ledger.network.components["core"]
    run, sleep, stop2 = (core.current_a(state) for state in ("run", "sleep", "stop2"))
    machine.state("sleep", 1.0)
    machine.state("run", 2.0)
    machine.state("deep-sleep", 3.0)
    charge = machine.charge_sources[0](3603.0)["core"]
    assert charge == pytest.approx(2 * run + sleep + 3600 * stop2, rel=1e-9)
    machine.state("run", 3603.0)
    wake_s = 4e-6
    assert meter.charges(3604.0)["core"] == pytest.approx(charge + run * 1.0, rel=1e-9)
    assert wake_s < 1.0


def test_the_power_register_chooses_the_deep_sleep() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    currents = {}
    for value, state in ((0, "stop0"), (1, "stop1"), (2, "stop2"), (3, "standby")):
        machine = Machine()
        machine.registers[0x40007000] = 0x200 | value
        meter = FirmwareMeter(platform, machine)
        machine.state("deep-sleep", 0.0)
        currents[state] = meter.charges(100.0)["core"] / 100
        assert currents[state] == pytest.approx(meter.ledger.network.components["core"].current_a(state))
    assert currents["stop0"] > currents["stop1"] > currents["stop2"] > currents["standby"]


def test_clock_changes_are_charged() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    machine = Machine()
    meter = FirmwareMeter(platform, machine)
    full = meter.ledger.network.components["core"].current_a("run")
    for listener in machine.clock_listeners:
        listener(4e6, 1.0)
    assert meter.charges(2.0)["core"] == pytest.approx(full * (1 + 4e6 / platform.board.clock_hz), rel=1e-6)


def test_events_of_one_block_may_come_out_of_order() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    machine = Machine()
    meter = FirmwareMeter(platform, machine)
    machine.state("sleep", 1.0)
    machine.state("run", 1.0 - 1e-8)
    assert meter.charges(0.5)["core"] > 0
