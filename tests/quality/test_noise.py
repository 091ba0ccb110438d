"""Noise sweeps: what each kind does to a signal, and curves that repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.quality import evaluate, noise_sweep, open_dataset
from emulab.quality.disturbances import Conditions, Kind, _hold, perturb

WIDE = Conditions(np.array([4.0, 1.0]), -1e9, 1e9)
UNIT = Conditions(np.array([1.0, 1.0]), -1.0, 1.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_noise_has_the_power_asked_for() -> None:
    x = np.zeros((1, 20_000, 2), np.float32)
    for level in (20.0, 0.0):
        power = perturb(x, "snr_db", level, rng(), WIDE).var(axis=(0, 1))
        assert power == pytest.approx(WIDE.power * 10 ** (-level / 10), rel=0.05)


def test_same_pattern_at_every_level() -> None:
    x = np.zeros((1, 50, 2), np.float32)
    loud, quiet = (perturb(x, "snr_db", level, rng(), WIDE) for level in (0.0, 20.0))
    assert loud == pytest.approx(quiet * 10, rel=1e-5)
    few, many = (perturb(x + 1 + np.arange(50)[:, None], "dropout", level, rng(), WIDE) for level in (0.1, 0.5))
    steps = (1 + np.arange(50)).astype(np.float32)
    assert set(np.flatnonzero(few[0, :, 0] != steps)) <= set(np.flatnonzero(many[0, :, 0] != steps))


def test_gain_offset_bits_saturate() -> None:
    x = np.array([[[0.25, -0.25], [0.9, -0.9]]], np.float32)
    assert perturb(x, "gain", 2.0, rng(), UNIT).ravel() == pytest.approx([0.5, -0.5, 1.0, -1.0])
    assert perturb(x, "offset", 0.5, rng(), UNIT).ravel() == pytest.approx([0.75, 0.25, 1.0, -0.4])
    assert set(perturb(x, "bits", 1, rng(), UNIT).ravel()) == {-1.0, 1.0}
    assert perturb(x, "bits", 24, rng(), UNIT) == pytest.approx(x, abs=1e-6)


def test_drop_outs_hold_the_last_good_step() -> None:
    x = np.arange(5.0).reshape(1, 5, 1)
    assert _hold(x, np.array([0, 1, 1, 0, 1], bool)).ravel().tolist() == [0, 0, 0, 3, 3]
    assert _hold(x, np.array([1, 1, 0, 0, 0], bool)).ravel().tolist() == [2, 2, 2, 3, 4]
    assert _hold(x, np.ones(5, bool)).ravel().tolist() == [0, 0, 0, 0, 0]


@given(st.sampled_from(["snr_db", "gain", "offset", "dropout", "bits"]), st.integers(0, 2**32))
def test_stays_in_range_and_shape(kind: Kind, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-1, 1, (2, 7, 3, 2)).astype(np.float32)
    level = {"snr_db": 0.0, "gain": 3.0, "offset": -0.7, "dropout": 0.5, "bits": 2}[kind]
    y = perturb(x, kind, level, np.random.default_rng(seed), UNIT)
    assert y.shape == x.shape and y.dtype == np.float32 and y.min() >= -1 and y.max() <= 1


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("rattle", 1.0),
        ("gain", -1.0),
        ("dropout", 1.5),
        ("bits", 0),
        ("bits", 2.5),
        ("snr_db", float("nan")),
        ("clip", 0.0),
    ],
)
def test_levels_that_make_no_sense(kind: Kind, level: float, har: Path) -> None:
    with pytest.raises(InputError, match="noise sweep"):
        noise_sweep(har / "har_int8.tflite", open_dataset(har / "eval.npz"), {kind: [level]}, seed=0)


@pytest.mark.usefixtures("litert")
def test_curves_of_the_shipped_model(har: Path) -> None:
    model = har / "har_int8.tflite"
    dataset = open_dataset(har / "eval.npz", model=model)
    sweep: dict[Kind, list[float]] = {"snr_db": [60, 0], "gain": [1.0], "dropout": [0.0], "offset": [0.0]}
    first, again = (noise_sweep(model, dataset, sweep, seed=7) for _ in range(2))
    other = noise_sweep(model, dataset, {"snr_db": [0]}, seed=8)
    assert first == again
    assert (
        first.clean.quality == evaluate(model, dataset).value == noise_sweep(model, dataset, {}, seed=0).clean.quality
    )
    curves = {curve.kind: [point.quality for point in curve.points] for curve in first.curves}
    assert curves["gain"] == curves["dropout"] == curves["offset"] == [first.clean.quality]
    assert curves["snr_db"][0] > curves["snr_db"][1] + 0.1
    assert other.curves[0].points[0].quality != curves["snr_db"][1]
    assert first.details()["curves"][0]["points"][0]["level"] == 60
