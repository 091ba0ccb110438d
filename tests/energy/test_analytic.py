"""Cases with a closed solution, to 1e-9: constant, two states, periodic with jitter, RC of a supercapacitor."""

from __future__ import annotations

import math

import pytest
from nodes import cell, cycle, n, platform, toy_power

from emulab.energy.battery import YEAR_S, capacitor_voltage, load_store
from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.ledger import Ledger
from emulab.energy.network import platform_network
from emulab.model.dutycycle import Battery

MODES = ("auto", "exact", "drawn")


def close(value: float, expected: float) -> bool:
    return value == pytest.approx(expected, rel=1e-9)


def test_constant_current() -> None:
    ledger = Ledger(platform_network(platform()))
    for step in range(1, 100_001):
        ledger.advance(step * 0.1)
    assert close(ledger.total_charge_c, 10e-3 * 10_000)
    assert close(ledger.charge_by_component()["core"], 10e-3 * 10_000)


def test_currents_add_up_to_the_same_figure_on_every_python() -> None:
    """Ten tenths are one: the built-in sum rounds on the way before Python 3.12, and is compensated from there on."""
    parts = {f"part{i}": {"initial": "on", "states": {"on": {"current_a": n(0.1)}}} for i in range(9)}
    core = toy_power()["components"]["core"] | {"states": {"run": {"current_a": n(0.1)}, "sleep": {}}}
    ledger = Ledger(platform_network(platform(toy_power(components={"core": core, **parts}))))
    assert ledger.current_a == 1.0


@pytest.mark.parametrize("mode", MODES)
def test_two_states(mode: str) -> None:
    result = simulate_duty_cycle(platform(), cycle(), mode=mode, duration_s=1e5)  # type: ignore[arg-type]
    per_cycle = 5e-6 + 10e-3 * 0.1 + 2e-6 * (10 - 0.1 - 1e-3)
    assert close(result.charge_c, per_cycle * 10_000)
    assert close(result.mean_current_a, per_cycle / 10)
    assert close(result.energy_j, 3.0 * per_cycle * 10_000)
    assert close(result.energy_by_phase["work"], 3.0 * 10e-3 * 0.1 * 10_000)
    assert close(result.time_by_phase["work"], 1000.0)


@pytest.mark.parametrize("mode", MODES)
def test_periodic_with_jitter(mode: str) -> None:
    """Jitter moves jobs, not charge: what it draws is that of the same number of jobs and the rest asleep."""
    result = simulate_duty_cycle(platform(), cycle(jitter_s=2.0), mode=mode, duration_s=2e4, seed=5)  # type: ignore[arg-type]
    busy = 2000 * (0.1 + 1e-3)
    assert close(result.charge_c, 2000 * (5e-6 + 10e-3 * 0.1) + 2e-6 * (result.duration_s - busy))


def test_uses_follow_their_steps() -> None:
    phases = [{"name": "send", "use": "radio.beacon", "bytes": 20}, {"name": "log", "use": "radio", "bytes": 100}]
    result = simulate_duty_cycle(platform(), cycle(phases=phases), duration_s=10)
    radio = 3 * (6e-3 * 1e-4 + 20e-3 * 160e-6) + 20e-3 * 800e-6
    assert close(result.energy_by_component["radio"], 3.0 * radio)
    assert close(result.peak_current_a, 30e-3)


def test_window_energy_is_that_of_the_board() -> None:
    phases = [{"name": "think", "run": "inference", "count": 4}]
    result = simulate_duty_cycle(platform(), cycle(phases=phases), {"inference": (0.02, 3e-4)}, duration_s=10)
    assert close(result.energy_by_phase["think"], 4 * 3e-4)
    assert close(result.time_by_phase["think"], 0.08)


def test_linear_and_switching_regulators() -> None:
    power = toy_power(
        regulators={
            "buck": {"kind": "smps", "output_v": n(1.5, "V"), "efficiency": n(0.75, "1"), "quiescent_a": n(1e-6)}
        }
    )
    power["components"]["core"]["supply"] = "buck"
    result = simulate_duty_cycle(platform(power), cycle(), duration_s=10)
    inside = 5e-6 + 10e-3 * 0.1 + 2e-6 * (10 - 0.1 - 1e-3)
    assert close(result.charge_c, inside * 1.5 / (0.75 * 3.0) + 1e-6 * 10)
    assert close(result.energy_by_component["regulator.buck"], 3.0 * 1e-5)


def test_battery_life_of_a_constant_load() -> None:
    result = simulate_duty_cycle(platform(), cycle(battery=cell()), trace=False)
    assert result.battery_life_s is not None
    assert close(result.battery_life_s, 1000.0 / result.mean_current_a)


def test_battery_life_with_self_discharge() -> None:
    """dQ/dt = -I - kQ: Q(t) = (Q0 + I/k) exp(-kt) - I/k."""
    battery = cell(self_discharge_per_year=n(0.1, "1"))
    result = simulate_duty_cycle(platform(), cycle(battery=battery), trace=False)
    k = -math.log(0.9) / YEAR_S
    expected = math.log(1 + k * 1000.0 / result.mean_current_a) / k
    assert result.battery_life_s is not None
    assert close(result.battery_life_s, expected)
    assert result.self_discharge_share > 0


def test_constant_power_load_on_a_falling_voltage() -> None:
    """I = P / V and V = 4 - 2q: life is the integral of V over charge, divided by P."""
    power = toy_power()
    for component in power["components"].values():
        for state in component["states"].values():
            state["voltage_exponent"] = -1
        component.pop("transitions", None)
    battery = cell(voltage=[{"depth": 0, "voltage_v": 4.0}, {"depth": 1, "voltage_v": 2.0}])
    result = simulate_duty_cycle(platform(power), cycle(battery=battery), trace=False)
    mean_w = 3.0 * (10e-3 * 0.1 + 2e-6 * 9.9) / 10
    assert result.battery_life_s is not None
    assert close(result.battery_life_s, 1000.0 * 3.0 / mean_w)


def test_supercapacitor_rc() -> None:
    """Through its own leakage a capacitor falls to V/e in RC; with a load it follows the particular solution."""
    assert close(capacitor_voltage(5.0, 1000.0, 0.0, 0.5, 2000.0), 5.0 / math.e)
    v = capacitor_voltage(5.0, 300.0, 1e-3, 0.5, 2000.0)
    assert close(v, (5.0 + 2.0) * math.exp(-0.3) - 2.0)
    stepped = 5.0
    for _ in range(3000):
        stepped = capacitor_voltage(stepped, 0.1, 1e-3, 0.5, 2000.0)
    assert close(stepped, v)


def test_supercapacitor_life() -> None:
    parameters = {
        "capacitance_f": n(2.0, "F"),
        "full_v": n(5.0, "V"),
        "leakage_ohm": n(1e5, "ohm"),
        "cut_off_v": n(2.0, "V"),
    }
    store = load_store(Battery(type="custom", parameters=parameters))
    life = store.life(lambda volts: 1e-4, 0.0)
    # 2.0 = (5 + I R) exp(-t / RC) - I R, with I R = 10 V and RC = 2e5 s
    assert close(life.life_s, 2e5 * math.log(15.0 / 12.0))


def test_pulses_end_a_battery_early() -> None:
    points = [
        {"depth": 0, "voltage_v": 3.0, "resistance_ohm": 10},
        {"depth": 1, "voltage_v": 2.0, "resistance_ohm": 110},
    ]
    battery = cell(voltage=points, cut_off_v=n(1.9, "V"))
    result = simulate_duty_cycle(platform(), cycle(battery=battery), trace=False)
    # 3 - d - 10 mA (10 + 100 d) = 1.9 at d = 0.5
    assert result.battery_life_s is not None
    assert close(result.battery_life_s, 500.0 / result.mean_current_a)
    assert "1.90 V" in result.battery_end
