"""Robustness of a scenario: what is asked, what a run tells, what is printed, and wrong input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from emulab.cli import main
from emulab.errors import InputError
from emulab.model.record import Provenance, Result, RunRecord
from emulab.model.scenario import Robustness, load_scenario
from emulab.quality import host_model_available
from emulab.report import html, markdown
from emulab.report import robustness as report
from emulab.run.inputs import load_inputs
from emulab.run.robustness import robustness, robustness_of

LEVELS = "{snr_db: [30, 0], gain: [0.9], seed: 3, limit: 120}"


@pytest.fixture(scope="module", autouse=True)
def litert() -> None:
    state = host_model_available()
    if not state.available:
        pytest.skip(f"{state.reason}; {state.how_to_install}")


@pytest.fixture(scope="module")
def record() -> RunRecord:
    """A record as a run leaves it, of two boards with the same models."""
    loaded = load_scenario("har-wearable", [f"robustness={LEVELS}"])
    metrics, details = robustness_of(loaded, load_inputs(loaded))
    results = [
        Result(platform=name, backend="unicorn", status="passed", metrics=metrics, details=details)
        for name in ("board-a", "board-b")
    ]
    scenario = loaded.scenario.model_dump(mode="json")
    return RunRecord(scenario=scenario, provenance=Provenance(emulab="0"), results=results)


def test_curves_of_model_and_golden_model(record: RunRecord) -> None:
    found = record.results[0].details["robustness"]
    assert [found[role]["file"] for role in ("model", "golden")] == ["har_int8.tflite", "har_float32.tflite"]
    for curves in found.values():
        assert (curves["samples"], curves["seed"], curves["where"]) == (120, 3, "input")
        noise = {p["level"]: p for p in curves["curves"][0]["points"]}
        assert noise[0]["quality"] < noise[30]["quality"] - 0.1
        assert all(p["interval"]["low"] < p["quality"] < p["interval"]["high"] for p in noise.values())
    metric = record.results[0].metrics["accuracy_top1@snr_db=0"]
    assert metric.value == {p["level"]: p for p in found["model"]["curves"][0]["points"]}[0]["quality"]
    assert metric.uncertainty and "120 samples of eval" in metric.source
    assert "accuracy_top1_golden@gain=0.9" in record.results[0].metrics


def test_every_form_shows_each_model_once(record: RunRecord, tmp_path: Path) -> None:
    table = report.of_record(record)
    assert table is not None and table.models == ("har_int8.tflite", "har_float32.tflite")
    assert [name for name, _ in table.rows] == ["clean", "SNR 30 dB", "SNR 0 dB", "gain x 0.9"]
    stream = io.StringIO()
    report.print_table(table, Console(file=stream, width=160))
    text = " ".join(stream.getvalue().split())
    assert (
        "SNR 0 dB" in text and "the model's input disturbed" in text and "; ↓ below the 80 % the task asks for" in text
    )
    assert str(next(cells for name, cells in table.rows if name == "SNR 0 dB")[0]).startswith("↓ ")
    assert not str(table.rows[0][1][0]).startswith("↓")
    assert "| ↓ " in markdown.markdown(record) and "Accuracy under noise" in markdown.markdown(record)
    titles = [plot["title"] for plot in html.plots(record, tmp_path)]
    assert titles == ["Accuracy, disturbed by noise", "Accuracy, disturbed by gain"]
    rows = list(csv.DictReader(io.StringIO(report.csv_text(report.reports(record)))))
    assert len(rows) == 2 * 4 and {row["kind"] for row in rows} == {"clean", "snr_db", "gain"}
    assert "accuracy_top1@" not in html.write_html(record, tmp_path).read_text().split("plot-data")[0]


def test_noise_as_an_expectation(record: RunRecord) -> None:
    from emulab.run.judge import judge

    wanted = ["{metric: accuracy_top1@snr_db=30, min: 0.7}", "{metric: accuracy_top1@snr_db=0, min: 0.7}"]
    loaded = load_scenario("har-wearable", [f"expectations=[{', '.join(wanted)}]"])
    _, outcomes = judge(loaded, record.results[:1])
    assert [o.status for o in outcomes] == ["passed", "failed"]


def test_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["robustness", "har-wearable", "--snr", "20", "--limit", "10", "--seed", "1"]
    assert main([*words, "--csv", str(tmp_path / "a.csv")]) == 0
    assert "10 samples of eval" in capsys.readouterr().out
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 2 * 2
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["har_int8.tflite"]["seed"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--snr", "20,x"], "--snr 20,x: expected numbers"),
        (["--bits", "7.5"], "bits.0"),
        (["--dropout", "2"], "dropout.0"),
        (["--snr", "nan"], "snr_db.0"),
        (["--gain", "-1"], "gain.0"),
        (["--limit", "0"], "limit"),
        (["--set", "workload.dataset=null"], "names no dataset"),
    ],
)
def test_wrong_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robustness", "har-wearable", *words]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_no_levels() -> None:
    loaded = load_scenario("har-wearable")
    with pytest.raises(InputError, match="gives no levels"):
        robustness(load_inputs(loaded), Robustness())


def test_unknown_kind_names_the_closest() -> None:
    with pytest.raises(InputError, match="snr_db"):
        load_scenario("har-wearable", ["robustness={snr: [10]}"])
