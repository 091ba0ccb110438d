"""MLPerf Tiny workloads on firmware of our own: published accuracy, and the outputs a real board printed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.model.record import RunRecord, read_record

MAX_KWS_CYCLES = 8.0e6
"""Published at 120 MHz: reference TFLM 21.8 M, ST 5.2 M."""


@pytest.fixture(scope="module")
def kws(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> tuple[Path, RunRecord]:
    folder = tmp_path_factory.mktemp("kws") / "run"
    words = ["run", "mlperf-kws", "--platform", "nucleo-l4r5zi", "--output", str(folder), "--no-html"]
    assert main([*words, "--set", "measure.loops=1"]) == 0
    return folder, read_record(folder)


def test_accuracy_is_the_published_one(kws: tuple[Path, RunRecord]) -> None:
    metrics = kws[1].results[0].metrics
    assert metrics["accuracy_top1"].value == pytest.approx(0.901, abs=1e-9)
    assert metrics["cycles"].value is not None and metrics["cycles"].value <= MAX_KWS_CYCLES


def test_outputs_are_those_of_the_board(kws: tuple[Path, RunRecord], assets: Path) -> None:
    """int8 softmax has steps of 1/256: three printed decimals of one step differ by at most 0.004."""
    with (assets / "board-outputs" / "v0.5_reference_Nucleo-L4R5ZI_kws.csv").open(newline="") as file:
        board = {Path(row["file"]).stem: [float(v) for v in row["outputs"].split(",")] for row in csv.DictReader(file)}
    with (kws[0] / "nucleo-l4r5zi.unicorn" / "outputs.csv").open(newline="") as file:
        ours = {row["name"]: [float(v) for v in row["results"].split()] for row in csv.DictReader(file)}
    assert len(ours) == 20
    for name, values in ours.items():
        assert values == pytest.approx(board[name], abs=0.0042), name
        assert values.index(max(values)) == board[name].index(max(board[name]))
    same = sum(all(abs(a - b) < 0.0011 for a, b in zip(v, board[n], strict=True)) for n, v in ours.items())
    assert same >= 0.9 * len(ours), "most outputs agree to the printed decimal (boards cut, we round)"


def test_without_inputs_performance_still_runs(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "assets" / "mlperf-tiny" / "models"
    models.mkdir(parents=True)
    for name in ("kws_ref_model.tflite", "kws_ref_model_float32.tflite"):
        (models / name).symlink_to(assets / "mlperf-tiny" / "models" / name)
    monkeypatch.setenv("EMULAB_ASSETS", str(tmp_path / "assets"))
    words = ["run", "mlperf-kws", "--output", str(tmp_path / "run"), "--no-html", "--set", "expectations=[]"]
    assert main([*words, "--set", "measure.loops=1", "--set", "measure.inferences=1"]) == 0
    metrics = read_record(tmp_path / "run").results[0].metrics
    assert metrics["latency_s"].value is not None
    assert metrics["accuracy_top1"].value is None and "EMULAB_ASSETS" in metrics["accuracy_top1"].reason


def test_anomaly_scores_are_the_hosts(tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two windows of four files: normal and anomalous ones, though the set lists the normal ones first."""
    words = ["run", "mlperf-ad", "--output", str(tmp_path / "run"), "--no-html", "--set", "measure.loops=1"]
    words += ["--set", "measure.accuracy_samples=4", "--set", "measure.accuracy_windows=2"]
    assert main(words) == 0
    metrics, details = (getattr(read_record(tmp_path / "run").results[0], name) for name in ("metrics", "details"))
    assert metrics["agreement_host"].value == 1
    assert details["quality_device"]["windows"] == 2 and details["quality_device"]["samples"] == 4
    assert details["quality_device"]["value"] == details["quality_device"]["host_value"]
    assert [name.split("_")[0] for name in details["outputs"]] == ["normal", "normal", "anomaly", "anomaly"]
    log = (tmp_path / "run" / "nucleo-l4r5zi.unicorn" / "console.log").read_text()
    assert log.count("infer 1 0%") == 2 * 4
    # 40 of the benchmark's 248 files are here: the figure is the host's over all of these, with its interval
    assert metrics["auc"].value == pytest.approx(0.8175) and metrics["auc_golden"].value == pytest.approx(0.875)
    assert "below the target of 0.850; so few samples cannot tell" in " ".join(capsys.readouterr().out.split())
