"""What cannot be simulated is refused in one line: stores that hold nothing, supplies a board does not bear, traces that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nodes import cell, cycle, n, platform, toy_power

from emulab.cli import main
from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.montecarlo import monte_carlo
from emulab.energy.simulate import assumed_windows, needed_windows
from emulab.energy.steps import ComputeWindow
from emulab.errors import InputError
from emulab.model.platform import data_folder, load_platform
from emulab.model.power import Power, Regulator
from emulab.model.scenario import load_scenario

LDO = {"kind": "ldo", "output_v": n(3.0, "V"), "quiescent_a": n(1e-6)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capacity_c": n(0.0, "C")}, "capacity_c must be above 0, not 0"),
        ({"capacity_c": n(-5.0, "C")}, "capacity_c must be above 0, not -5"),
        ({"resistance_ohm": n(-1.0, "ohm")}, "resistance_ohm must be at least 0"),
        ({"cut_off_v": n(-1.0, "V")}, "cut_off_v must be at least 0"),
        ({"self_discharge_per_year": n(-0.1, "1")}, "self_discharge_per_year must be at least 0"),
        ({"self_discharge_per_year": n(1.0, "1")}, "self_discharge_per_year must be below 1"),
    ],
)
def test_cells_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"duty_cycle\.battery: {said}"):
        simulate_duty_cycle(platform(), cycle(battery=cell(**changes)), duration_s=100.0)


@pytest.mark.parametrize("key", ["capacitance_f", "full_v", "leakage_ohm"])
def test_supercapacitors_that_cannot_be(key: str) -> None:
    unit = {"capacitance_f": "F", "full_v": "V", "leakage_ohm": "ohm"}[key]
    battery = {"type": "supercap-1f", "parameters": {key: n(0.0, unit)}}
    with pytest.raises(InputError, match=f"{key} must be above 0"):
        simulate_duty_cycle(platform(), cycle(battery=battery), duration_s=100.0)


@pytest.mark.parametrize("changes", [{"output_v": n(0.0, "V")}, {"quiescent_a": n(-1.0)}, {"dropout_v": n(-0.1, "V")}])
def test_regulators_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        Regulator.model_validate({**LDO, **changes})


def test_a_battery_above_what_the_board_bears_needs_a_regulator() -> None:
    board = platform(toy_power(maximum_v=n(3.6, "V")))
    with pytest.raises(InputError, match=r"lipo-500 has 4\.2 V when full, the board bears 3\.6 V .* `regulator`"):
        simulate_duty_cycle(board, cycle(battery={"type": "lipo-500"}))
    with pytest.raises(InputError, match=r"2 x cr2032 has 6\.4 V"):
        simulate_duty_cycle(board, cycle(battery={"type": "cr2032", "series": 2}))
    with pytest.raises(InputError, match=r"regulator\.output_v: 5 V is more than the board bears"):
        battery = {"type": "lipo-500", "regulator": {**LDO, "output_v": n(5.0, "V")}}
        simulate_duty_cycle(board, cycle(battery=battery))
    behind = simulate_duty_cycle(board, cycle(battery={"type": "lipo-500", "regulator": LDO}))
    direct = simulate_duty_cycle(board, cycle(battery={"type": "aa-lithium", "series": 2}))
    assert behind.battery_life_s and direct.battery_life_s
    with pytest.raises(ValueError, match="minimum_v must be below maximum_v"):
        Power.model_validate(toy_power(minimum_v=n(3.6, "V"), maximum_v=n(3.6, "V")))


def test_shipped_scenarios_feed_their_boards_what_these_bear() -> None:
    checked = 0
    for folder in sorted(path for path in data_folder("scenarios").iterdir() if (path / "scenario.yaml").is_file()):
        scenario = load_scenario(folder).scenario
        if scenario.duty_cycle is None:
            continue
        windows = {name: ComputeWindow(1e-6) for name in needed_windows(scenario.duty_cycle)}
        for name in dict.fromkeys(name for target in scenario.targets for name in target.platforms):
            board = load_platform(name).platform
            assert board.power is not None and board.power.maximum_v is not None, name
            simulate_duty_cycle(board, scenario.duty_cycle, windows, mode="expected", trace=False)
            checked += 1
    assert checked >= 8


def test_drawn_tolerances_stay_what_a_cell_can_be() -> None:
    wide = {**n(1000.0, "C"), "uncertainty": 5000.0}  # half of the draws would be below nothing
    lossy = {**n(0.5, "1"), "uncertainty": 5.0}
    found = monte_carlo(platform(), cycle(battery=cell(capacity_c=wide, self_discharge_per_year=lossy)), {}, samples=40)
    assert len(found.life_s) == 40 and min(found.life_s) > 0


@pytest.mark.parametrize("name", ["sleep", "wake-up"])
def test_what_results_call_the_rest_is_no_name_of_a_phase(name: str) -> None:
    with pytest.raises(ValueError, match=f"a phase cannot be called '{name}'"):
        cycle(phases=[{"name": name, "duration_s": 1.0}])
    with pytest.raises(ValueError, match=f"a phase cannot be called '{name}'"):
        cycle(events=[{"name": "e", "rate_per_s": 1.0, "phases": [{"name": name, "duration_s": 1.0}]}])


@pytest.mark.parametrize(("mode", "span_s"), [("exact", 3e7), ("drawn", 3e9)])
def test_more_jobs_than_anyone_waits_for(mode: Any, span_s: float) -> None:
    event = {"name": "e", "rate_per_s": 10.0, "phases": [{"name": "x", "duration_s": 1e-6}]}
    with pytest.raises(InputError, match=f"too many for mode '{mode}'.*mode 'auto'"):
        simulate_duty_cycle(platform(), cycle(events=[event]), mode=mode, duration_s=span_s)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "trace of event 'e' cannot be read: No such file or directory$"),
        (b"\xff\xfe\x00", "trace of event 'e' is not text"),
        (b"", "the trace holds no times"),
        (b"time_s,level\n1,2\n", "line 1: expected a time in seconds first, commas after it, found 'time_s,level'"),
        (b"1;2\n", "line 1: expected a time in seconds first"),
        (b"3\n1\n", "line 2: times must be finite and rise"),
        (b"1\nnan\n", "line 2: times must be finite and rise"),
    ],
)
def test_traces_that_are_none(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    event = {"name": "e", "trace": "t.csv", "phases": [{"name": "x", "duration_s": 0.1}]}
    with pytest.raises(InputError, match=said):
        simulate_duty_cycle(platform(), cycle(events=[event]), folder=tmp_path, duration_s=100.0, mode="drawn")


def test_a_trace_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeff# time, level\n\n1.0, 7\n2.5, 8\n", encoding="utf-8")
    event = {"name": "e", "trace": "t.csv", "phases": [{"name": "x", "duration_s": 0.1}]}
    result = simulate_duty_cycle(platform(), cycle(events=[event]), folder=tmp_path, duration_s=100.0, mode="drawn")
    assert result.jobs == 12


def test_windows_nobody_measured_are_told() -> None:
    nested = [{"name": "both", "parallel": [{"name": "a", "run": "fft", "duration_s": 0.003}]}]
    watchdog = {"timeout_s": 1.0, "restart": [{"name": "boot", "run": "boot", "duration_s": 0.2}]}
    node = cycle(phases=[{"name": "w", "run": "inference", "duration_s": 0.1}, *nested], watchdog=watchdog)
    assert needed_windows(node) == {"inference", "fft", "boot"}
    assert assumed_windows(node, {"inference": ComputeWindow(0.2)}) == {"fft": 0.003, "boot": 0.2}


def test_the_command_line_says_file_place_and_assumptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = data_folder("scenarios") / "vibration-node" / "vibration_int8.tflite"
    scenario: dict[str, Any] = {
        "schema_version": 1,
        "name": "n",
        "workload": {"name": "n", "model": str(model), "task": "none"},
        "targets": [{"platforms": ["nucleo-l4r5zi"], "backends": ["unicorn"]}],
        "duty_cycle": {"period_s": 10.0, "phases": [{"name": "fft", "run": "fft", "duration_s": 0.003}]},
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("emulab.run.execute.compute_windows", lambda *_: {})
    file = tmp_path / "scenario.yaml"  # YAML holds JSON
    file.write_text(json.dumps(scenario))
    assert main(["simulate", ".", "--for", "1d", "--output", "out"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "nucleo-l4r5zi: nobody measured 'fft'; 3 ms are assumed, as its phase says" in told
    assert json.loads((tmp_path / "out" / "simulation.json").read_text())[0]["assumed_windows_s"] == {"fft": 0.003}
    scenario["duty_cycle"]["phases"][0] = {"name": "fft", "use": "uartt", "bytes": 3}
    file.write_text(json.dumps(scenario))
    assert main(["simulate", ".", "--output", "other"]) == 2
    assert "scenario.yaml: duty_cycle.phases.0 (fft): component 'uartt' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert main(["simulate", ".", "--monte-carlo", "100000000"]) == 2
    assert "expected at most 100000" in capsys.readouterr().err
