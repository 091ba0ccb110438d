"""Simulating a scenario: windows from a record, tables, files, tolerances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nodes import cell, cycle, n, platform, toy_power

from emulab.cli import main
from emulab.energy.duty import Study, run_study, simulate_duty_cycle
from emulab.energy.montecarlo import monte_carlo
from emulab.energy.simulate import (
    Simulation,
    breakdown_rows,
    human_time,
    needed_windows,
    parse_duration,
    result_of,
    summary_rows,
    windows_of_result,
    write_simulations,
)
from emulab.energy.windows import energy_per_inference, window_energy
from emulab.errors import InputError
from emulab.model.record import Result, WindowRecord
from emulab.probe.profile import Profile, RegionCount, WindowProfile


@pytest.mark.parametrize(
    ("text", "seconds"), [("365d", 31536000), ("90min", 5400), ("30", 30), ("1e3s", 1000), ("1y", 31536000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-3d", "3 fortnights", "0s", "1e400d", "1e300d", "101y"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(InputError, match="--for"):
        parse_duration(text)


def window(**keys: Any) -> WindowRecord:
    return WindowRecord.model_validate({"name": "inference", "start_s": 1.0, "stop_s": 1.5, "inferences": 5, **keys})


def test_window_energy_is_run_current_times_time() -> None:
    whole = window_energy(platform(), window())
    assert whole.value == pytest.approx(3.0 * 10e-3 * 0.5)
    assert energy_per_inference(platform(), window()).value == pytest.approx(3.0 * 10e-3 * 0.1)


def test_counted_activity_replaces_the_typical() -> None:
    power = toy_power()
    power["components"]["core"]["states"]["run"] = {
        "current_a": n(1e-3),
        "per_activity": {"cycle": n(1e-9, "C"), "flash_read": n(2e-9, "C"), "ram_write": n(3e-9, "C")},
        "typical_activity": {"cycle": n(1.0, "1"), "flash_read": n(0.1, "1")},
    }
    board = platform(power, clock_hz=1e6)
    assert window_energy(board, window()).value == pytest.approx(3.0 * 0.5 * (1e-3 + 1e-3 + 0.2e-3))
    profile = Profile(
        cycles=400_000, regions={"flash": RegionCount(reads=70_000), "ram": RegionCount(reads=9, writes=5_000)}
    )
    counted = WindowProfile("inference", 0, 1.0, 1.5, 5, profile)
    charge = 0.5e-3 + 400_000e-9 + 140_000e-9 + 15_000e-9
    assert window_energy(board, counted).value == pytest.approx(3.0 * charge)
    recorded = window(cycles=400_000, activity={"flash_read": 70_000, "ram_read": 9, "ram_write": 5_000})
    assert window_energy(board, recorded).value == pytest.approx(3.0 * charge)


def test_charges_of_the_machine_come_first() -> None:
    charged = WindowProfile("inference", 0, 0.0, 1.0, 1, None, {"core": 2e-3, "radio": 1e-3})
    assert window_energy(platform(), charged).value == pytest.approx(9e-3)


def test_no_power_data_is_unavailable_with_a_reason() -> None:
    bare = platform().model_copy(update={"power": None})
    assert "describes no power" in window_energy(bare, window()).reason


def test_windows_of_a_result() -> None:
    result = Result.model_validate(
        {
            "platform": "toy",
            "backend": "unicorn",
            "status": "passed",
            "windows": [window(), window(index=1, stop_s=1.6), window(name="fft", energy_j=5e-3)],
        }
    )
    found = windows_of_result(result, platform())
    assert found["inference"].latency_s == pytest.approx(0.11)
    assert found["fft"].energy_j == pytest.approx(1e-3)
    record: Any = type("Record", (), {"results": [result]})()
    assert result_of(record, "toy") is result
    with pytest.raises(InputError, match=r"no result of platform 'other'; it holds toy"):
        result_of(record, "other")


def test_tables_and_files(tmp_path: Path) -> None:
    board = platform()
    items = [
        Simulation(label, board.name, simulate_duty_cycle(board, cycle(period_s=period, battery=cell())), {})
        for label, period in (("ten", 10.0), ("a minute", 60.0))
    ]
    headers, rows = summary_rows(items)
    assert [row[0] for row in rows] == ["ten", "a minute"]
    assert all(len(row) == len(headers) for row in rows)
    for by in ("component", "phase"):
        headers, rows = breakdown_rows(items, by)
        assert headers[0] == by and len(headers) == 5
        assert sum(float(row[2].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.2)
    files = write_simulations(items, tmp_path)
    assert {f.name for f in files} == {"ten.cycle.csv", "a-minute.cycle.csv", "simulation.json"}
    data = json.loads((tmp_path / "simulation.json").read_text())
    assert data[0]["battery_life_s"] < data[1]["battery_life_s"]


def test_human_times() -> None:
    assert human_time(3.2e8) == "10.1 years"
    assert human_time(86400 * 40) == "40 days"
    assert human_time(float("inf")) == "does not end"


def test_needed_windows_look_everywhere() -> None:
    node = cycle(
        phases=[{"name": "p", "parallel": [{"name": "x", "run": "fft"}, {"name": "y", "duration_s": 1}]}],
        events=[{"name": "e", "rate_per_s": 1e-3, "phases": [{"name": "z", "run": "wake"}]}],
    )
    assert needed_windows(node) == {"fft", "wake"}


def test_windows_cost_one_measurement_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No duty cycle of the scenario's own, no accuracy, and its application only for a window it alone marks."""
    from emulab.model.scenario import load_scenario
    from emulab.run import execute
    from emulab.run.plan import plan

    asked: list[Any] = []

    def measured(loaded: Any, job: Any, options: Any, *_: Any) -> tuple[Result, dict[str, str]]:
        asked.append((loaded.scenario.measure.modes, options.accuracy, loaded.scenario.application is not None))
        return Result(platform=job.platform, backend="unicorn", status="passed", windows=[window()]), {}

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the scenario's own duty cycle was simulated")

    monkeypatch.setattr(execute, "_measurement", measured)
    monkeypatch.setattr(execute, "_MEASURED", {})
    monkeypatch.setattr("emulab.energy.simulate_duty_cycle", never)
    loaded = load_scenario("vibration-node")
    job = plan(loaded.scenario, ["nucleo-l4r5zi"])[0]
    assert execute.compute_windows(loaded, job, set()) == {} and not asked
    assert execute.compute_windows(loaded, job, {"inference"})["inference"].latency_s == pytest.approx(0.1)
    execute.compute_windows(loaded, job, {"features", "inference"})
    assert asked == [(["performance"], False, False), (["performance"], False, True)]


def test_monte_carlo_is_a_distribution_and_repeats() -> None:
    board, node = platform(), cycle(battery=cell())
    drawn = monte_carlo(board, node, {}, samples=60, seed=7)
    again = monte_carlo(board, node, {}, samples=60, seed=7)
    assert drawn == again
    assert drawn != monte_carlo(board, node, {}, samples=60, seed=8)
    assert drawn.quantile(0.05) < drawn.quantile(0.5) < drawn.quantile(0.95)
    nominal = Study(board, node, {}).life().life_s
    assert drawn.quantile(0.5) == pytest.approx(nominal, rel=0.1)
    assert drawn.quantile(0.95) / drawn.quantile(0.05) > 1.1


@pytest.mark.slow
def test_monte_carlo_on_several_processes_is_the_same() -> None:
    board, node = platform(), cycle(battery={"type": "cr2032"})
    assert monte_carlo(board, node, {}, samples=9, seed=1) == monte_carlo(board, node, {}, samples=9, seed=1, workers=2)


def test_exact_tolerances_give_the_exact_result() -> None:
    board, node = platform(), cycle(battery=cell())
    drawn = monte_carlo(board, node, {}, samples=2, seed=7, tolerance=0.0)
    assert drawn.mean_current_a[0] == pytest.approx(
        run_study(Study(board, node, {}), trace=False).mean_current_a, rel=1e-9
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "-1"], "--seed -1: expected at least 0"),
        (["--monte-carlo", "-3"], "--monte-carlo -3: expected at least 0"),
        (["--workers", "0"], "--workers 0: expected at least 1"),
        (["--for", "1e300d"], "--for 1e300d: expected a time above 0 and at most 100y"),
    ],
)
def test_nonsense_options_are_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "vibration-node", *options]) == 2
    assert capsys.readouterr().err.splitlines() == [f"emulab: error: {said}"]


def test_a_wrong_phase_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("windows were measured")

    monkeypatch.setattr("emulab.run.execute.compute_windows", never)
    phases = "duty_cycle.phases=[{name: think, run: inference}, {name: send, use: uart2, bytes: 10}]"
    assert main(["simulate", "vibration-node", "--set", phases, "--output", str(tmp_path / "new")]) == 2
    said = "duty_cycle.phases.1 (send): component 'uart2' is unknown; did you mean 'uart'?"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emulab: error: ") and line.endswith(f"scenario.yaml: {said}")
    assert not (tmp_path / "new").exists()
