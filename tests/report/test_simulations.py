"""Several simulated duty cycles side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.model.platform import data_folder

HAR = data_folder("scenarios") / "har-wearable"


def simulate(folder: Path, period_s: float) -> Path:
    words = ["simulate", str(HAR), "--platform", "nucleo-l4r5zi", "--for", "30d", "--output", str(folder)]
    phases = "duty_cycle.phases=[{name: report, use: ble.advertise, bytes: 12}]"
    assert main([*words, "--set", f"duty_cycle.period_s={period_s}", "--set", phases]) == 0
    return folder


def test_table_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [simulate(tmp_path / "often", 1.0), simulate(tmp_path / "seldom", 60.0)]
    capsys.readouterr()
    assert main(["compare", *map(str, folders)]) == 0
    printed = capsys.readouterr().out
    assert "often: nucleo-l4r5zi" in printed and "seldom: nucleo-l4r5zi" in printed
    assert "component ble" in printed and "battery life" in printed
    page = (tmp_path / "often" / "compare.html").read_text()
    assert page.count('"scattergl"') == 2
    assert '"range": [0.0, 0.0' in page  # what happens within milliseconds is shown, not the minute of sleep behind it


def test_json_rows_and_wrong_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = simulate(tmp_path / "one", 10.0)
    capsys.readouterr()
    assert main(["compare", str(folder), "--json", "--no-html"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"": "cycle", "nucleo-l4r5zi": "every 10 s"}
    assert main(["compare", str(folder), str(tmp_path / "absent")]) == 2
    assert "simulations are compared with simulations" in capsys.readouterr().err
    (folder / "simulation.json").write_text("{}")
    assert main(["compare", str(folder)]) == 2
    assert "not a simulation" in capsys.readouterr().err


def test_pulses_survive_the_thinning_of_the_plot(tmp_path: Path) -> None:
    from emulab.report.html import read_trace, thinned

    trace = read_trace(next(simulate(tmp_path / "run", 10.0).glob("*.cycle.csv")))
    time, mean, low, high = thinned(trace, 500)
    assert len(time) == len(mean) == len(low) == len(high) <= 501
    assert max(high) == max(trace[3]) and min(low) == min(trace[2])
    assert sum(mean) / len(mean) == pytest.approx(sum(trace[1]) / len(trace[1]), rel=1e-2)
