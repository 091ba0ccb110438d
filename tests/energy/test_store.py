"""Stores and harvesting: shipped cells, temperature, load, brown-out and restart."""

from __future__ import annotations

import pytest
from nodes import cell, cycle, n, platform, toy_power

from emulab.energy.battery import load_store
from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.harvest import pieces
from emulab.energy.parts import load_part, part_files
from emulab.errors import InputError
from emulab.model.dutycycle import Battery, Harvest


def test_every_shipped_part_loads() -> None:
    kinds = [load_part(name).kind for name in part_files()]
    assert kinds.count("sensor") >= 5
    assert kinds.count("radio") >= 3
    assert {"cr2032", "lipo-500", "aa-lithium", "supercap-1f"} <= set(part_files())


def test_unknown_battery_names_the_closest() -> None:
    with pytest.raises(InputError, match=r"battery\.type: part 'cr2302' is unknown; did you mean 'cr2032'"):
        load_store(Battery(type="cr2302"))


def test_a_sensor_is_not_a_battery() -> None:
    with pytest.raises(InputError, match="is a sensor, not a battery"):
        load_store(Battery(type="lis2dh12"))


def test_coin_cell_gives_less_when_cold_and_when_pressed() -> None:
    warm, cold = load_store(Battery(type="cr2032")), load_store(Battery(type="cr2032", temperature_degc=-10))
    assert cold.capacity_c(1e-4) < warm.capacity_c(1e-4)
    assert cold.resistance_ohm(0.5) > warm.resistance_ohm(0.5)
    assert warm.capacity_c(5e-3) < warm.capacity_c(1e-5)
    assert warm.end_depth(20e-3, 2.0) < warm.end_depth(1e-3, 2.0)
    with pytest.raises(InputError, match="outside what is known"):
        load_store(Battery(type="cr2032", temperature_degc=-50))


def test_series_and_parallel() -> None:
    one, pack = load_store(Battery(type="aa-lithium")), load_store(Battery(type="aa-lithium", series=2, parallel=3))
    assert pack.open_v(0.2) == pytest.approx(2 * one.open_v(0.2))
    assert pack.resistance_ohm(0.2) == pytest.approx(one.resistance_ohm(0.2) * 2 / 3)
    assert pack.capacity_c(0.03) == pytest.approx(3 * one.capacity_c(0.01))


def test_a_peak_the_cell_cannot_give() -> None:
    power = toy_power(minimum_v=n(2.0, "V"))
    power["components"]["radio"]["states"]["tx"]["current_a"] = n(0.2)
    node = cycle(phases=[{"name": "tx", "use": "radio", "bytes": 10}], battery={"type": "cr2032"})
    result = simulate_duty_cycle(platform(power), node, trace=False)
    assert result.battery_life_s == 0
    assert "cannot start" in result.battery_end


def test_solar_day_keeps_its_charge() -> None:
    day = pieces(Harvest(kind="solar", current_a=1e-3, day_s=36000))
    assert sum(duration for duration, _ in day) == pytest.approx(86400)
    assert sum(duration * current for duration, current in day) == pytest.approx(1e-3 * 36000 * 2 / 3.141592653589793)


def supercap(**keys: object) -> dict[str, object]:
    return {
        "type": "custom",
        "parameters": {
            "capacitance_f": n(1.0, "F"),
            "full_v": n(3.3, "V"),
            "resistance_ohm": n(1.0, "ohm"),
            **keys,
        },
    }


def test_brown_out_and_restart_by_day_and_night() -> None:
    """A node that empties its capacitor at night comes back by day; charge in is charge out."""
    power = toy_power(minimum_v=n(2.0, "V"), restart_v=n(2.5, "V"))
    node = cycle(
        period_s=1.0,
        battery=supercap(),
        harvest={"kind": "solar", "current_a": 5e-3, "day_s": 43200},
        phases=[{"name": "w", "duration_s": 0.05}],
    )
    result = simulate_duty_cycle(platform(power), node, duration_s=10 * 86400, trace=False)
    assert result.uptime is not None
    assert result.uptime.brown_outs == 10
    assert 0.45 < result.uptime.share < 0.65
    assert result.uptime.lowest_v == pytest.approx(2.0, abs=0.02)
    # 1.29 V above what the peak needs, at the mean current: the first night ends after about 1.29 F V / I, sunset late
    assert result.battery_life_s is not None and 43200 * 0.9 < result.battery_life_s < 86400


def test_enough_harvest_never_browns_out() -> None:
    power = toy_power(minimum_v=n(2.0, "V"))
    node = cycle(battery=supercap(), harvest={"kind": "constant", "current_a": 1e-3})
    result = simulate_duty_cycle(platform(power), node, duration_s=5 * 86400, trace=False)
    assert result.battery_life_s == float("inf")
    assert result.battery_life().value is None
    assert result.uptime is not None and result.uptime.share == pytest.approx(1.0)


def test_a_regulator_between_battery_and_board() -> None:
    battery = {**cell(), "regulator": {"kind": "smps", "output_v": n(1.5, "V"), "efficiency": n(0.5, "1")}}
    result = simulate_duty_cycle(platform(toy_power(supply_v=n(1.5, "V"))), cycle(battery=battery), trace=False)
    inside = (5e-6 + 10e-3 * 0.1 + 2e-6 * (10 - 0.1 - 1e-3)) / 10
    assert result.mean_current_a == pytest.approx(inside * 1.5 / (0.5 * 3.0), rel=1e-9)


@pytest.mark.parametrize("exponent", [-1, 1])
@pytest.mark.parametrize("mode", ["auto", "exact", "expected"])
def test_a_capacitor_is_simulated_beyond_its_end(exponent: int, mode: str) -> None:
    """A supply that is used up stays where the node stops: finite figures however long the simulation."""
    power = toy_power()
    for state in power["components"]["core"]["states"].values():
        state["voltage_exponent"] = exponent
    store = {"type": "supercap-1f"}
    result = simulate_duty_cycle(
        platform({**power, "minimum_v": n(1.8, "V")}), cycle(battery=store), duration_s=86400.0, mode=mode
    )
    assert result.battery_life_s is not None and 0 < result.battery_life_s < 86400.0
    least_v = 1.8 * 0.9
    factors = [(volts / 3.0) ** exponent for volts in (5.5, least_v)]
    awake_a = 10e-3 * 0.1 / 10.0
    assert min(factors) * awake_a < result.mean_current_a < max(factors) * awake_a * 1.1


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_harvested_capacitor_feeds_at_its_full_voltage(mode: str) -> None:
    """What flows in keeps the voltage up: the draw is that of the full store, not of one that only empties."""
    power = toy_power()
    for state in power["components"]["core"]["states"].values():
        state["voltage_exponent"] = -1
    harvest = {"kind": "constant", "current_a": 1e-3}
    node = cycle(battery={"type": "supercap-1f"}, harvest=harvest)
    result = simulate_duty_cycle(platform(power), node, duration_s=864000.0, mode=mode)
    assert result.battery_life_s == float("inf")
    asleep_s = 10.0 - 0.1 - 1e-3
    expected_c = (10e-3 * 0.1 + 2e-6 * asleep_s) * 3.0 / 5.5 + 5e-6
    assert result.mean_current_a == pytest.approx(expected_c / 10.0, rel=1e-6)
