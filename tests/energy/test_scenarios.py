"""Every shipped scenario with a duty cycle resolves on its platforms; fast-forward equals the long simulation."""

from __future__ import annotations

import pytest

from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.simulate import needed_windows, simulate_scenario
from emulab.energy.steps import ComputeWindow
from emulab.model.platform import load_platform
from emulab.model.scenario import load_scenario, scenario_names

SHIPPED = [
    (name, platform)
    for name in scenario_names()
    if (loaded := load_scenario(name)).scenario.duty_cycle is not None
    for platform in dict.fromkeys(p for target in loaded.scenario.targets for p in target.platforms)
    if load_platform(platform).platform.power is not None
]


def test_what_has_no_duty_cycle_is_known() -> None:
    """Benchmarks of a model alone have nothing to fast-forward; a scenario that loses its cycle is noticed here."""
    without = set(scenario_names()) - {name for name, _ in SHIPPED}
    assert without == {"har-compressed", "mlperf-ad", "mlperf-ic", "mlperf-kws", "mlperf-vww"}


@pytest.mark.parametrize(("name", "board"), SHIPPED)
def test_fast_forward_equals_the_long_simulation(name: str, board: str) -> None:
    """In all and for each component within 1e-6; each component in each phase within that part of the whole.

    A rare phase draws at the battery voltage of the time when it happens, which only the long simulation knows.
    """
    loaded, platform = load_scenario(name), load_platform(board).platform
    cycle = loaded.scenario.duty_cycle
    assert cycle is not None
    windows = {window: ComputeWindow(0.02) for window in needed_windows(cycle)}
    span = 600 * cycle.period_s
    keys = {"duration_s": span, "seed": 4, "folder": loaded.folder, "trace": False}
    long = simulate_duty_cycle(platform, cycle, windows, mode="exact", **keys)  # type: ignore[arg-type]
    fast = simulate_duty_cycle(platform, cycle, windows, **keys)  # type: ignore[arg-type]
    assert fast.mode in ("fast-forward", "drawn")
    assert fast.jobs == long.jobs
    assert fast.charge_c == pytest.approx(long.charge_c, rel=1e-6)
    assert fast.energy_j == pytest.approx(long.energy_j, rel=1e-6)
    parts, expected = fast.energy_by_component_and_phase, long.energy_by_component_and_phase
    assert {key for key, value in parts.items() if value} == {key for key, value in expected.items() if value}
    assert fast.energy_by_component == pytest.approx(long.energy_by_component, rel=1e-6)
    assert parts == pytest.approx(expected, rel=1e-6, abs=1e-6 * long.energy_j)
    assert fast.time_by_phase == pytest.approx(long.time_by_phase, rel=1e-6, abs=1e-6)


def test_vibration_node_for_a_year() -> None:
    """The node lasts longer where the core sleeps deeper; alarms happen at the odds of the model card."""
    loaded = load_scenario("vibration-node")
    windows = {"inference": ComputeWindow(0.7e-3), "features": ComputeWindow(1.8e-3)}
    results = {
        board: simulate_scenario(loaded, load_platform(board).platform, windows).result
        for board in ("nucleo-l4r5zi", "nrf52840-dk")
    }
    lives = {board: result.battery_life_s for board, result in results.items()}
    assert lives["nrf52840-dk"] > lives["nucleo-l4r5zi"] > 180 * 86400  # type: ignore[operator]
    one = results["nucleo-l4r5zi"]
    assert one.jobs == 365 * 8640
    # inference is a small part of what the battery gives: the wait for samples is most of it
    assert one.energy_by_phase["inference"] < 0.1 * one.energy_j < one.energy_by_phase["capture"]
