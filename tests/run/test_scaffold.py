"""``emulab init`` for firmware: what it asks for, and a scenario that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.cli import main
from emulab.model.record import read_record

MODEL = Path(__file__).resolve().parents[2] / "scenarios" / "har-wearable" / "har_int8.tflite"


def test_firmware_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "app.elf"
    assert main(["build", str(MODEL), "--platform", "nucleo-l4r5zi", "--output", str(image)]) == 0
    words = ["init", str(image), "--folder", str(tmp_path), "--ci", "none"]
    capsys.readouterr()
    assert main(words) == 2
    assert "firmware does not say how long its input is; add --input-bytes N" in capsys.readouterr().err
    assert main([*words, "--input-bytes", "1152"]) == 0
    assert main(["run", str(tmp_path), "--output", str(tmp_path / "run"), "--no-html"]) == 0
    record = read_record(tmp_path / "run")
    assert [e.status for e in record.expectations] == ["passed"] * 4
    assert "db load 1152%" in (tmp_path / "run" / "nucleo-l4r5zi.unicorn" / "console.log").read_text()
    # without it the length is asked for, and a model says it itself
    capsys.readouterr()
    assert main(["run", str(tmp_path), "--set", "workload.input_bytes=null", "--output", str(tmp_path / "no")]) == 2
    assert "give input_bytes: N, a dataset, or an mlperf_id of kws01" in capsys.readouterr().err
    assert main(["init", str(MODEL), "--input-bytes", "4", "--folder", str(tmp_path / "other")]) == 2
    assert "har_int8.tflite says itself" in capsys.readouterr().err


def test_a_known_metric_that_a_run_lacks_is_not_called_misspelt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "expectations=[{metric: missed_steps, max: 0}]"
    words = ["run", "har-wearable", "--platform", "nucleo-l4r5zi", "--set", asked, "--set", "robustness=null"]
    short = ["--set", "measure.loops=1", "--set", "measure.modes=[performance]", "--no-html"]
    assert main([*words, *short, "--output", str(tmp_path / "run")]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "the run gave no missed_steps" in told and "did you mean" not in told


def test_assets_are_listed_without_being_asked_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets"]) == 0
    assert "kws_ref_model.tflite" in capsys.readouterr().out
