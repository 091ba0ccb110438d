"""Readers of evaluation sets: what they give, and one clear line for every broken one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.quality.datasets import open_dataset
from emulab.quality.samples import TensorSpec

INT8 = TensorSpec("in", (1, 2, 3), "int8", 0.5, 10)
FLOAT = TensorSpec("in", (1, 2, 3), "float32")


def npz(path: Path, **arrays: Any) -> Path:
    file = path / "set.npz"
    np.savez_compressed(file, **arrays)
    return file


def folder(path: Path, name: str, index: str, **files: bytes) -> Path:
    place = path / name
    place.mkdir()
    (place / "y_labels.csv").write_text(index)
    for file, data in files.items():
        (place / f"{file}.bin").write_bytes(data)
    return place


def test_npz_counts_with_scale(tmp_path: Path) -> None:
    x = np.array([[[0, 1, 2], [3, 4, 5]], [[-8, 8, 100], [-1000, 0, 0]]], np.int16)
    file = npz(tmp_path, x=x, y=[1, 0], scale=np.float32(0.5), offset=[1.0, 0, 0], labels=["a", "b"], group=[7, 8])
    dataset = open_dataset(file, model=INT8)
    first, second = dataset
    assert (len(dataset), dataset.labels, dataset.task, dataset.name) == (2, ("a", "b"), "classification", "set")
    assert first.real.tolist() == [[[1.0, 0.5, 1.0], [2.5, 2.0, 2.5]]]
    assert np.frombuffer(first.payload, np.int8).tolist() == [12, 11, 12, 15, 14, 15]
    assert np.frombuffer(second.payload, np.int8).tolist() == [4, 18, 110, -128, 10, 10]
    assert (first.label, first.group, second.group) == (1, "7", "8")
    assert dataset.value_range == (-16384.0, 16384.5)
    sample = first.dut_sample()
    assert (sample.name, sample.data, sample.size) == ("set-0000", first.payload, None)


def test_npz_integers_without_scale_are_the_models_tensor(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.int8).reshape(1, 2, 3)
    (sample,) = open_dataset(npz(tmp_path, x=x, y=[0]), model=INT8)
    assert sample.payload == x.tobytes()
    assert sample.real[0, 0].tolist() == [-5.0, -4.5, -4.0]


def test_npz_without_a_model_gives_real_values(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float16).reshape(1, 2, 3)
    dataset = open_dataset(npz(tmp_path, x=x, y=[0], names=["n"]))
    (sample,) = dataset
    assert (sample.name, sample.payload) == ("n", x.astype("<f4").tobytes())
    assert dataset.value_range == (0.0, 5.0)


GOOD = {"x": np.zeros((2, 2, 3), np.int8), "y": [0, 1]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"x": None}, "x: no such array"),
        ({"y": None}, "y: no such array"),
        ({"x": np.zeros((2, 2, 3), complex)}, "x: expected"),
        ({"x": np.zeros(2)}, "x: expected"),
        ({"x": np.zeros((2, 2, 4))}, "x: samples of 8 values, but the model takes 6"),
        ({"y": [0]}, "y: expected"),
        ({"y": [0, -1]}, "y: expected"),
        ({"y": [0.0, 1.0]}, "y: expected"),
        ({"x": np.zeros((0, 2, 3)), "y": np.zeros(0, int)}, "y: expected"),
        ({"labels": ["only one"]}, "labels: 1 names"),
        ({"scale": np.zeros(4)}, "scale: shape"),
        ({"scale": np.zeros((9, 2, 3))}, "scale: shape"),
        ({"group": [1]}, "group: expected"),
    ],
)
def test_npz_broken(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    arrays = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(InputError, match="set.npz: " + place.replace("(", r"\(")):
        open_dataset(npz(tmp_path, **arrays), model=INT8)


def test_npz_refuses_pickles_bombs_and_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "set.npz"
    np.savez(file, x=np.array([{}], dtype=object), y=[0])
    with pytest.raises(InputError, match="not an archive"):
        open_dataset(file)
    monkeypatch.setattr("emulab.quality.datasets.MAX_NPZ_BYTES", 1 << 16)
    np.savez_compressed(file, x=np.zeros((1, 1 << 17), np.int8), y=[0])
    assert file.stat().st_size < 1 << 16
    with pytest.raises(InputError, match="unpacks to"):
        open_dataset(file)
    file.write_bytes(b"no zip")
    with pytest.raises(InputError, match="not an archive"):
        open_dataset(file)
    with pytest.raises(InputError, match="no such file"):
        open_dataset(tmp_path / "absent.npz")


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.data())
def test_npz_survives_damage(tmp_path: Path, data: st.DataObject) -> None:
    """Any cut or flipped byte gives a dataset or an InputError, nothing else."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **GOOD)
    blob = bytearray(buffer.getvalue())
    if data.draw(st.booleans()):
        blob = blob[: data.draw(st.integers(0, len(blob)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if blob:
            blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.npz"
    file.write_bytes(bytes(blob))
    try:
        list(open_dataset(file, model=INT8))
    except InputError as error:
        assert "\n" not in str(error)


def test_mlperf_int8_and_uint8(tmp_path: Path) -> None:
    data = bytes([0, 1, 127, 128, 254, 255])
    kws = open_dataset(folder(tmp_path, "kws01", "a.bin,3,2\n\n b.bin , 3, 0\n", a=data, b=data), "mlperf", INT8)
    first = next(iter(kws))
    assert (len(kws), kws.labels, first.name, first.label) == (2, ("0", "1", "2"), "a", 2)
    assert first.payload == data
    assert first.real.ravel().tolist() == [-5.0, -4.5, 58.5, -69.0, -6.0, -5.5]
    assert kws.value_range == (-69.0, 58.5)
    pixels = TensorSpec("in", (1, 2, 3), "int8", 1.0, -128)
    image = next(iter(open_dataset(folder(tmp_path, "ic01", "a.bin,10,7", a=data), "mlperf", pixels)))
    assert image.real.ravel().tolist() == [0, 1, 127, 128, 254, 255]
    assert pixels.quantise(image.real).ravel().tolist() == [-128, -127, -1, 0, 126, 127]


def test_mlperf_sliding_windows(tmp_path: Path) -> None:
    values = np.arange(10, dtype="<f4")
    place = folder(tmp_path, "ad01", "a.bin,2,1,24,8", a=values.tobytes())
    dataset = open_dataset(place, "mlperf", FLOAT)
    (sample,) = dataset
    assert (dataset.task, dataset.labels) == ("anomaly", ("normal", "anomaly"))
    assert sample.real.reshape(3, 6)[:, 0].tolist() == [0, 2, 4]
    assert (sample.window_bytes, sample.stride_bytes, len(sample.payload)) == (24, 8, 40)
    assert dataset.value_range == (0.0, 9.0)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("", "holds no samples"),
        ("a.bin,3", "line 1: expected file,classes,class"),
        ("a.bin,3,x", "line 1: expected whole numbers"),
        ("a.bin,3,3", "line 1: class 3 of 3"),
        ("a.bin,3,0\na.bin,4,0", "line 2: class 0 of 4"),
        ("a.bin,2,0,0,4", "line 1: bytes and stride"),
        ("../a.bin,2,0", "line 1: '../a.bin' is not the name"),
        ("/etc/passwd,2,0", "is not the name"),
        (",2,0", "is not the name"),
        ("a.bin,2,0\na.bin,2,0,24,8", "line 2: some samples"),
    ],
)
def test_mlperf_broken_index(tmp_path: Path, index: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(folder(tmp_path, "kws01", index, a=bytes(6)), "mlperf", INT8)


def test_mlperf_broken_files(tmp_path: Path) -> None:
    place = folder(tmp_path, "kws01", "a.bin,2,0\nb.bin,2,0", a=bytes(5))
    samples = iter(open_dataset(place, "mlperf", INT8))
    with pytest.raises(InputError, match=r"a\.bin: expected 6 bytes"):
        next(samples)
    (place / "a.bin").unlink()
    with pytest.raises(InputError, match="no such file"):
        next(iter(open_dataset(place, "mlperf", INT8)))
    with pytest.raises(InputError, match="give that model"):
        open_dataset(place, "mlperf", None)
    odd = folder(tmp_path, "mine", "a.bin,2,0", a=bytes(6))
    with pytest.raises(InputError, match="cannot tell the encoding"):
        open_dataset(odd, "mlperf", INT8)
    assert len(open_dataset(odd, "mlperf", INT8, encoding="int8")) == 1
    with pytest.raises(InputError, match=r"y_labels\.csv"):
        open_dataset(tmp_path, "mlperf", INT8)
    with pytest.raises(InputError, match="expected 'npz', 'mlperf' or 'bearing'"):
        open_dataset(odd, "csv", INT8)
    nan = folder(tmp_path, "ad01", "a.bin,2,0,24,8", a=np.full(6, np.nan, "<f4").tobytes())
    with pytest.raises(InputError, match="not finite"):
        next(iter(open_dataset(nan, "mlperf", FLOAT)))
    short = folder(tmp_path, "ad02", "a.bin,2,0,24,8", a=bytes(20))
    with pytest.raises(InputError, match="holds no window"):
        next(iter(open_dataset(short, "mlperf", FLOAT)))


def test_mlperf_real_folders(mlperf: Path) -> None:
    for name, model, n, shape in (
        ("kws01", "kws_ref_model", 1000, (1, 49, 10, 1)),
        ("ic01", "pretrainedResnet_quant", 200, (1, 32, 32, 3)),
        ("ad01", "ad01_int8", 40, (196, 640)),
    ):
        dataset = open_dataset(mlperf / "eval" / name, "mlperf", mlperf / "models" / f"{model}.tflite")
        sample = next(iter(dataset))
        assert (len(dataset), sample.real.shape) == (n, shape)
