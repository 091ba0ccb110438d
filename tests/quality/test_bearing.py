"""Bearing front end and simulation: faults stand where the geometry puts them, at any speed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.model.platform import data_folder
from emulab.quality import evaluate, open_dataset
from emulab.quality.bearing import (
    BINS,
    CONDITIONS,
    ORDER_STEP,
    SAMPLE_RATE_HZ,
    SKF_6205,
    WINDOW,
    Condition,
    envelope_orders,
    simulate,
    simulated_set,
)

SHIPPED = data_folder("scenarios") / "predictive-maintenance"


def test_geometry_of_the_6205() -> None:
    # Case Western Reserve University Bearing Data Center, defect frequencies in multiples of running speed.
    assert SKF_6205.inner == pytest.approx(5.4152, abs=1e-4)
    assert SKF_6205.outer == pytest.approx(3.5848, abs=1e-4)
    assert SKF_6205.cage == pytest.approx(0.39828, abs=1e-4)
    assert SKF_6205.ball == pytest.approx(4.7135, abs=1e-3)


@pytest.mark.parametrize("speed_rpm", [1200.0, 1772.0, 3000.0])
@pytest.mark.parametrize("condition", ["inner_race", "outer_race", "ball"])
def test_fault_stands_at_its_order(condition: Condition, speed_rpm: float) -> None:
    order = {"inner_race": SKF_6205.inner, "outer_race": SKF_6205.outer, "ball": SKF_6205.ball}[condition]
    at = round(order / ORDER_STEP) - 1
    random = np.random.default_rng(3)
    levels = np.mean(
        [
            envelope_orders(
                simulate(condition, random, speed_rpm, samples=2 * WINDOW, snr_db=(10, 10)), SAMPLE_RATE_HZ, speed_rpm
            )
            for _ in range(10)
        ],
        axis=0,
    )
    beside = np.concatenate([levels[at - 3 : at - 1], levels[at + 2 : at + 4]])
    assert levels[at - 1 : at + 2].max() > beside.max() + 10  # 4 dB


def test_gain_does_not_matter_but_noise_has_no_line() -> None:
    random = np.random.default_rng(1)
    x = simulate("outer_race", random)
    first = envelope_orders(x, SAMPLE_RATE_HZ, 1772.0)
    assert first.shape == (BINS,) and first.dtype == np.int8
    assert (envelope_orders(1000 * x + 7, SAMPLE_RATE_HZ, 1772.0) == first).all()
    quiet = envelope_orders(np.zeros(WINDOW), SAMPLE_RATE_HZ, 1772.0)
    assert (quiet == 0).all()


def test_set_repeats_and_is_balanced() -> None:
    x, y = simulated_set(8, seed=4)
    again, _ = simulated_set(8, seed=4)
    other, _ = simulated_set(8, seed=5)
    assert (x == again).all() and (x != other).any()
    assert y.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_what_makes_no_sense() -> None:
    with pytest.raises(InputError, match="less than five turns"):
        envelope_orders(np.zeros(WINDOW), SAMPLE_RATE_HZ, 60.0)
    with pytest.raises(InputError, match="finite"):
        envelope_orders(np.full(WINDOW, np.nan), SAMPLE_RATE_HZ, 1772.0)
    with pytest.raises(InputError, match="unknown condition"):
        simulate("cracked", np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.usefixtures("litert")
@pytest.mark.parametrize("name", ["cnn_float32.tflite", "cnn_int8.tflite", "forest.json", "boosted.json"])
def test_shipped_models_are_as_good_as_their_card_says(name: str) -> None:
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    row = re.search(rf"\| {re.escape(name)} \|([^\n]*)\|\n", card)
    assert row
    cells = [float(cell) for cell in row[1].split("|")]
    dataset = open_dataset(SHIPPED / "eval.npz", model=SHIPPED / "cnn_int8.tflite")
    result = evaluate(SHIPPED / name, dataset)
    assert dataset.labels == CONDITIONS
    one = 1.01 / 100 if name.endswith("tflite") else 5e-4  # of 100 windows per class: versions of LiteRT round apart
    assert [c.recall for c in result.per_class] == pytest.approx(cells[:4], abs=one)
    assert result.value == pytest.approx(cells[4], abs=one / 4 + 5e-5)


def test_shipped_windows_are_what_the_simulation_makes() -> None:
    from_script = re.search(r"^SEED = ([0-9_]+)$", (SHIPPED / "train.py").read_text(), re.M)
    assert from_script
    x, y = simulated_set(24, int(from_script[1].replace("_", "")) + 1)
    with np.load(SHIPPED / "eval.npz") as shipped:
        assert (shipped["y"][:24] == y).all()
        # Libraries of Fourier transforms differ in the last bit: a value may fall on the other side of a step.
        assert np.abs(shipped["x"][:24].reshape(24, BINS).astype(int) - x).max() <= 1
