"""Quantised against float on the shipped pair, and where two models cannot be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.errors import InputError
from emulab.quality import agreement, evaluate, open_dataset

pytestmark = pytest.mark.usefixtures("litert")


def test_shipped_pair(har: Path) -> None:
    dataset = open_dataset(har / "eval.npz", model=har / "har_int8.tflite")
    quantised, golden = har / "har_int8.tflite", har / "har_float32.tflite"
    report = agreement(quantised, golden, dataset)
    assert report.quantised_quality == evaluate(quantised, dataset).value
    assert report.float_quality == evaluate(golden, dataset).value
    assert report.agreement == 1 - len(report.disagreements) / len(dataset)
    assert report.agreement > 0.95
    assert [layer.op for layer in report.layers][-2:] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert all(0 < layer.floor < 0.05 and layer.added <= layer.error for layer in report.layers)
    assert report.parts_at is not None and report.parts_at.op != "SOFTMAX"
    assert report.details()["parts_at"] == report.parts_at.index
    for item in report.disagreements:
        assert item.float_answer != item.quantised_answer and 0 <= item.margin <= 1


def test_a_model_agrees_with_itself(har: Path) -> None:
    dataset = open_dataset(har / "eval.npz", model=har / "har_int8.tflite")
    report = agreement(har / "har_float32.tflite", har / "har_float32.tflite", dataset, limit=5)
    assert (report.agreement, report.score_rms, report.disagreements) == (1.0, 0.0, ())
    assert all(layer.error == 0 for layer in report.layers)
    assert agreement(har / "har_int8.tflite", har / "har_float32.tflite", dataset, 5, layer_samples=0).layers == ()


def test_models_of_different_kind(har: Path, mlperf: Path) -> None:
    kws = mlperf / "models" / "kws_ref_model_float32.tflite"
    with pytest.raises(InputError, match="but kws_ref_model_float32"):
        agreement(har / "har_int8.tflite", kws, open_dataset(har / "eval.npz"))


def test_anomaly_pair(mlperf: Path) -> None:
    models = mlperf / "models"
    dataset = open_dataset(mlperf / "eval" / "ad01", "mlperf", models / "ad01_int8.tflite")
    report = agreement(models / "ad01_int8.tflite", models / "ad01_fp32.tflite", dataset, limit=2, layer_samples=1)
    assert report.agreement is None and report.float_quality is None and report.score_rms > 0
    assert {layer.op for layer in report.layers} == {"FULLY_CONNECTED"}
