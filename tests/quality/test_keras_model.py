"""Keras models into `emulab quantize`: converted where TensorFlow is, told where it is not, refused when broken."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.quality.samples import model_io


def test_a_keras_model_is_quantised(tmp_path: Path, har: Path, litert: None) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install 'emulab[train]'")
    pytest.importorskip("ai_edge_quantizer", reason="needs ai-edge-quantizer: pip install 'emulab[quantize]'")
    layers = tf.keras.layers
    stack = [layers.Input((192, 1, 6)), layers.Conv2D(8, (7, 1), 4), layers.BatchNormalization(), layers.Flatten()]
    network = tf.keras.Sequential([*stack, layers.Dense(7, activation="softmax")])
    network.save(tmp_path / "a.keras")
    assert main(["quantize", str(tmp_path / "a.keras"), "--data", str(har / "eval.npz"), "--samples", "20"]) == 0
    assert model_io(tmp_path / "a-int8.tflite")[0].dtype == "int8"
    assert model_io(tmp_path / "a.float.tflite")[0].shape == (1, 192, 1, 6)


def test_without_tensorflow(
    tmp_path: Path, har: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert main(["quantize", str(tmp_path / "a.keras"), "--data", str(har / "eval.npz")]) == 3
    assert "pip install 'emulab[train]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]


def test_not_a_keras_archive(tmp_path: Path, har: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.keras").write_bytes(b"HDF")
    assert main(["quantize", str(tmp_path / "a.keras"), "--data", str(har / "eval.npz")]) == 2
    said = capsys.readouterr().err
    assert "not a .keras archive" in said and said.count("\n") == 1
