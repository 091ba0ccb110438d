"""A machine drives the ledger: states, clocks, deep sleep from the power register."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from emulab.energy.cosim import FirmwareMeter, forward
from emulab.energy.repeats import Entry, noisy_cycle, steady_cycle
from emulab.energy.trace import BucketTrace
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


def test_what_is_counted_is_charged_in_the_phase_it_happened_in() -> None:
    """A machine that counts multiply-accumulates: their price, no typical share; the trace and the peak show them."""
    platform = load_platform("nucleo-l4r5zi").platform
    machine, counts = Machine(), {"mac": 0}
    machine.activity = lambda names: dict(counts)  # type: ignore[attr-defined]
    trace = BucketTrace(0.25, 64)
    meter = FirmwareMeter(platform, machine, trace=trace)
    plain = meter.ledger.network.components["core"].current_a("run")
    typical = FirmwareMeter(platform, Machine()).ledger.network.components["core"].current_a("run")
    assert plain < typical
    counts["mac"] = 1_000_000
    meter.phase("inference", 1.0)
    counts["mac"] = 31_000_000
    machine.state("sleep", 3.0)  # what was executed before belongs to the phase, not to the sleep
    meter.phase("awake", 4.0)
    charges = meter.ledger.charges()
    state = platform.power.components["core"].states["run"]  # type: ignore[union-attr]
    price = state.per_activity["mac"].value
    asleep = meter.ledger.network.components["core"].current_a("sleep")
    assert charges["core", "awake"] == pytest.approx(plain + 1e6 * price, rel=1e-9)
    assert charges["core", "inference"] == pytest.approx(2 * plain + 30e6 * price + asleep, rel=1e-9)
    total = sum(meter.ledger.charge_by_component().values())
    assert meter.ledger.total_charge_c == pytest.approx(total, rel=1e-12)
    assert trace.charge_c == pytest.approx(total, rel=1e-12)
    _, mean, _, high = trace.arrays()
    others = meter.ledger.network
    rest = sum(c.current_a() for name, c in others.components.items() if name != "core")
    assert mean[4:12] == pytest.approx([plain + 15e6 * price + rest] * 8, rel=0.01)
    assert high[8] == pytest.approx(mean[8], rel=1e-9)
    assert meter.ledger.peak_current_a == pytest.approx(high[8], rel=1e-9)


def entries(steps: list[tuple[float, float]]) -> list[Entry]:
    """Entries into deep sleep after each (time, charge)."""
    time_s = charge = 0.0
    found = [Entry(0.0, {("core", "sleep"): 0.0}, {"sleep": 0.0})]
    for step_s, step_c in steps:
        time_s, charge = time_s + step_s, charge + step_c
        found.append(Entry(time_s, {("core", "sleep"): charge}, {"sleep": time_s}))
    return found


def test_the_shortest_cycle_is_found_unless_it_is_too_short() -> None:
    alike = [(10.0, 1e-4)] * 5 + [(10.0, 3e-4)]
    found = steady_cycle(entries(alike * 5))
    assert found is not None and (found.sleeps, found.cycles) == (6, 4)
    assert found.period_s == pytest.approx(60.0) and found.charge_c["core"] == pytest.approx(8e-4)
    assert found.phase_s == pytest.approx({"sleep": 60.0})
    before_the_message = entries(alike * 3 + [(10.0, 1e-4)] * 5)
    short = steady_cycle(before_the_message)
    assert short is not None and short.sleeps == 1  # four wakes in a row were alike
    assert steady_cycle(before_the_message, least_s=60.0) is None
    assert steady_cycle(entries(alike * 5), least_s=60.0) == found


def test_wakes_that_meet_the_clock_a_cycle_later_are_alike_and_drift_is_not() -> None:
    jittered = [step for i in range(8) for step in ((10.0 + 2.5e-7 * (i % 2), 1e-4), (0.024 + 2.5e-7 * (i % 2), 5e-6))]
    found = steady_cycle(entries(jittered))
    assert found is not None and found.sleeps == 2
    drifting = [(10.0, 1e-4 * (1 + 1e-4 * i)) for i in range(40)]
    assert steady_cycle(entries(drifting)) is None


def noisy(n: int, sigma: float, trend: float = 0.0) -> list[tuple[float, float]]:
    """Two sleeps per lap of 12 s, the second's charge a little different each time."""
    draw = random.Random(3)
    return [step for i in range(n) for step in ((10.0, 1e-4), (2.0, 3e-4 * (1 + draw.gauss(0.0, sigma) + trend * i)))]


def test_noise_is_averaged_until_the_mean_is_known() -> None:
    steps = noisy(200, 4e-6)
    assert noisy_cycle(entries(steps[:24])) is None  # too few laps
    found = noisy_cycle(entries(steps))
    assert found is not None and found.sleeps == 2 and found.cycles > 100
    assert found.charge_c["core"] == pytest.approx(4e-4, rel=1e-6)
    assert noisy_cycle(entries(noisy(40, 6e-6))) is None  # too much noise for so few laps
    assert noisy_cycle(entries(noisy(400, 1e-9, trend=1e-8))) is None  # drift is no noise
    assert noisy_cycle(entries(steps), least_s=13.0).sleeps == 4  # type: ignore[union-attr]


def test_sleeps_within_a_window_count_only_where_there_are_no_others() -> None:
    platform, machine = load_platform("nucleo-l4r5zi").platform, Machine()
    meter = FirmwareMeter(platform, machine)
    for wake in range(5):
        meter.phase("capture", wake * 10.0)
        for nap in range(3):
            machine.state("deep-sleep", wake * 10.0 + nap + 0.1)
            machine.state("run", wake * 10.0 + nap + 0.9)
        if wake:
            meter.phase("awake", wake * 10.0 + 5.0)
            machine.state("deep-sleep", wake * 10.0 + 5.1)
            machine.state("run", wake * 10.0 + 9.9)
    assert [round(entry.time_s, 6) for entry in meter.sleeps] == [15.1, 25.1, 35.1, 45.1]
    assert len(meter.naps) == 9  # none any more once two others were seen


def test_charge_is_entered_under_the_phase_the_firmware_is_in() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    machine = Machine()
    meter = FirmwareMeter(platform, machine)
    run = meter.ledger.network.components["core"].current_a("run")

    def until(time_s: float) -> None:
        if time_s >= 10.0 and meter.ledger.time_s < 10.0:
            meter.phase("capture", 1.0)
            machine.state("deep-sleep", 2.0)
            machine.state("run", 3.0)
            meter.phase("awake", 4.0)
            machine.state("deep-sleep", 5.0)

    done = forward(until, meter, 10.0)
    assert done.steady is None and done.executed_s == 10.0
    assert done.phase_s == pytest.approx({"awake": 2.0, "capture": 3.0, "sleep": 5.0})
    assert done.parts_c["core", "awake"] == pytest.approx(2 * run)
    assert run * 2 < done.parts_c["core", "capture"] < run * 2.001
