"""Quantisation after training: what comes out runs, loses little, and repeats."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from emulab.cli import main
from emulab.errors import InputError
from emulab.quality import evaluate, open_dataset, quantize
from emulab.quality.quantization import QuantizerUnavailable
from emulab.quality.samples import model_io

pytestmark = pytest.mark.usefixtures("litert")


@pytest.fixture
def quantizer() -> None:
    pytest.importorskip("ai_edge_quantizer", reason="pip install 'emulab[quantize]'")


@pytest.mark.usefixtures("quantizer")
@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_shipped_float_model(har: Path, tmp_path: Path, activations: str) -> None:
    made = quantize(
        har / "har_float32.tflite",
        tmp_path / "out.tflite",
        open_dataset(har / "eval.npz"),
        samples=100,
        activations=activations,  # type: ignore[arg-type]
    )
    assert made.agreement is not None and made.accuracy_lost is not None
    assert (made.representative_samples, made.agreement.samples) == (100, 158)
    assert abs(made.accuracy_lost) <= 0.02 and made.agreement.agreement >= 0.97
    assert made.quantised_bytes == (tmp_path / "out.tflite").stat().st_size < made.float_bytes
    source, sink = model_io(tmp_path / "out.tflite")
    assert source.dtype == sink.dtype == activations
    json.dumps(made.details())


@pytest.mark.usefixtures("quantizer")
def test_ranges_hold_every_representative_sample(har: Path, tmp_path: Path) -> None:
    dataset = open_dataset(har / "eval.npz")
    quantize(har / "har_float32.tflite", tmp_path / "out.tflite", dataset, dataset, samples=len(dataset), limit=3)
    spec, _ = model_io(tmp_path / "out.tflite")
    values = np.concatenate([sample.real for sample in dataset])
    low, high = spec.dequantise(np.array([-128, 127], np.int8))
    assert low - spec.scale <= values.min() and values.max() <= high + spec.scale


@pytest.mark.usefixtures("quantizer")
def test_same_seed_same_model_other_seed_other_ranges(har: Path, tmp_path: Path) -> None:
    dataset = open_dataset(har / "eval.npz")
    blobs = []
    for seed in (1, 1, 2):
        quantize(har / "har_float32.tflite", tmp_path / "out.tflite", dataset, samples=10, seed=seed, limit=1)
        blobs.append((tmp_path / "out.tflite").read_bytes())
    assert blobs[0] == blobs[1] != blobs[2]


@pytest.mark.usefixtures("quantizer")
@pytest.mark.parametrize(
    ("folder", "reference", "model"),
    [
        ("kws01", "kws_ref_model", "kws_ref_model_float32"),
        ("ic01", "pretrainedResnet_quant", "pretrainedResnet"),
        pytest.param("ad01", "ad01_int8", "ad01_fp32", marks=pytest.mark.slow),
    ],
)
def test_reference_models_lose_little(mlperf: Path, tmp_path: Path, folder: str, reference: str, model: str) -> None:
    models = mlperf / "models"
    dataset = open_dataset(mlperf / "eval" / folder, "mlperf", models / f"{reference}.tflite")
    made = quantize(models / f"{model}.tflite", tmp_path / "out.tflite", dataset, samples=20, seed=3)
    assert made.accuracy_lost is not None and made.accuracy_lost <= 0.02
    assert made.quantised_bytes < made.float_bytes
    assert evaluate(tmp_path / "out.tflite", dataset, limit=50 if folder == "kws01" else None).n


def test_what_cannot_be_quantised(har: Path, tmp_path: Path, mlperf: Path) -> None:
    dataset = open_dataset(har / "eval.npz")
    with pytest.raises(InputError, match="expected a float32 model, found int8"):
        quantize(har / "har_int8.tflite", tmp_path / "out.tflite", dataset)
    copy = tmp_path / "copy.tflite"
    copy.write_bytes((har / "har_float32.tflite").read_bytes())
    with pytest.raises(InputError, match="would overwrite"):
        quantize(copy, tmp_path / "." / "copy.tflite", dataset)
    with pytest.raises(InputError, match="at least 1"):
        quantize(copy, tmp_path / "out.tflite", dataset, samples=0)
    with pytest.raises(InputError, match="expected 490 elements"):
        quantize(mlperf / "models" / "kws_ref_model_float32.tflite", tmp_path / "out.tflite", dataset)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.tflite"]


def test_without_the_quantizer(har: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(QuantizerUnavailable, match=r"pip install 'emulab\[quantize\]'"):
        quantize(har / "har_float32.tflite", tmp_path / "out.tflite", open_dataset(har / "eval.npz"), samples=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quantizer")
def test_verb(har: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quantize", str(har / "har_float32.tflite"), "--data", str(har / "eval.npz"), "--samples", "50"]
    words += ["--output", str(tmp_path / "out.tflite")]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agreement"]["samples"] == 208
    assert main([*words, "--max-loss", "-0.9"]) == 1
    assert "allowed -0.9" in capsys.readouterr().err
    assert main([*words[:1], str(tmp_path / "absent.tflite"), *words[2:]]) == 2
