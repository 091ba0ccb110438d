"""Recorded vibration as an evaluation set: the real folder against the model card, and broken folders."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.model.platform import data_folder
from emulab.quality import evaluate, open_dataset
from emulab.quality.bearing import simulate
from emulab.quality.recordings import read_recordings
from emulab.quality.samples import Sensed

SHIPPED = data_folder("scenarios") / "predictive-maintenance"
HEAD = "file,fault,diameter_mil,load_hp\n"


def folder(path: Path, index: str, **change: object) -> Path:
    random = np.random.default_rng(0)
    signal = simulate("inner_race", random, samples=3 * 4096)
    np.savez(path / "a.npz", **{"de": signal.astype("f4"), "fs": 12000, "rpm": 1772.0, **change})
    np.savez(path / "good.npz", de=random.standard_normal(20 * 4096).astype("f4"), fs=48000, rpm=1772.0)
    (path / "index.csv").write_text(HEAD + index)
    return path


def test_windows_and_what_was_held_out(tmp_path: Path) -> None:
    place = folder(tmp_path, "a.npz,IR,007,3\na.npz,OR,014,1\ngood.npz,normal,,0\n")
    every = read_recordings(place)
    assert every.x.shape == (5 + 5 + 33, 128) and every.x.dtype == np.int8
    assert sorted(set(every.diameter.tolist())) == [0, 7, 14]
    assert not (every.good(late=True) & every.good(late=False)).any()
    dataset = open_dataset(place, "bearing", SHIPPED / "cnn_int8.tflite")
    samples = list(dataset)
    assert {s.label for s in samples} == {0, 2} and {s.group for s in samples} == {"", "7"}
    assert len(samples) == len(dataset) == 5 + int(every.good(late=True).sum())
    assert samples[0].payload == every.x[0].tobytes() and samples[0].real.shape == (1, 128, 1, 1)


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        ("a.npz,XX,007,3\n", {}, "line 2"),
        ("a.npz,IR,007,\n", {}, "line 2"),
        ("../a.npz,IR,007,3\n", {}, "line 2"),
        ("b.npz,IR,007,3\n", {}, "no such file"),
        ("", {}, "lists no recording"),
        ("a.npz,IR,007,3\n", {"fs": 16000}, "expected 12000 or 48000"),
        ("a.npz,IR,007,3\n", {"rpm": "fast"}, "expected the arrays"),
        ("a.npz,IR,007,3\n", {"rpm": 0.0}, "less than five turns"),
        ("a.npz,IR,007,3\n", {"de": np.zeros(100, "f4")}, "lists no recording"),
    ],
)
def test_broken_folders(tmp_path: Path, index: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_recordings(folder(tmp_path, index, **change))


def test_no_folder_and_another_model(tmp_path: Path, har: Path) -> None:
    with pytest.raises(InputError, match=r"index\.csv: cannot be read"):
        open_dataset(tmp_path, "bearing")
    with pytest.raises(InputError, match="128 features, but the model takes 1152"):
        open_dataset(tmp_path, "bearing", har / "har_int8.tflite")


@pytest.mark.usefixtures("litert")
def test_recordings_give_the_figures_of_the_card() -> None:
    place = Path(os.environ.get("EMULAB_ASSETS", "")) / "cwru"
    if not (place / "index.csv").is_file():
        pytest.skip("EMULAB_ASSETS is not set to a folder with cwru/; export EMULAB_ASSETS=FOLDER")
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    section = card[card.index("Recordings at a load never trained on") :]
    dataset = open_dataset(place, "bearing", SHIPPED / "cnn_int8.tflite")
    for name in ("cnn_float32.tflite", "cnn_int8.tflite", "forest.json", "boosted.json"):
        row = re.search(rf"\| {re.escape(name)} \|([^\n]*)\|\n", section)
        assert row
        assert evaluate(SHIPPED / name, dataset).value == pytest.approx(float(row[1].split("|")[-1]), abs=1.1 / 557)


def test_simulated_signals_are_those_of_the_shipped_windows() -> None:
    file = SHIPPED / "eval.npz"
    dataset = open_dataset(file, "bearing", SHIPPED / "cnn_int8.tflite")
    assert isinstance(dataset, Sensed) and dataset.name == "simulated signals (eval.npz)"
    samples = list(dataset)
    signals = dataset.signals([0, 5])
    assert signals[0].shape == (4096, 1)
    for index, signal in zip((0, 5), signals, strict=True):
        again = dataset.observe(index, samples[index], signal)
        off = np.frombuffer(again.payload, np.int8).astype(int) - np.frombuffer(samples[index].payload, np.int8)
        assert abs(off).max() <= 1
        louder = dataset.observe(index, samples[index], signal * 3)
        assert louder.payload == again.payload, "the front end takes the gain out"


def test_a_seed_that_does_not_draw_the_windows(tmp_path: Path) -> None:
    arrays = dict(np.load(SHIPPED / "eval.npz"))
    head = {"x": arrays["x"][:8], "y": arrays["y"][:8]}
    np.savez(tmp_path / "a.npz", **head, seed=1)
    dataset = open_dataset(tmp_path / "a.npz", "bearing")
    assert len(list(dataset)) == 8
    with pytest.raises(InputError, match="does not draw the windows"):
        dataset.signals([0])  # type: ignore[union-attr]
    np.savez(tmp_path / "b.npz", **head)
    with pytest.raises(InputError, match="expected the arrays x, y and seed"):
        open_dataset(tmp_path / "b.npz", "bearing")
