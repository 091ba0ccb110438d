"""Wake words under noise: the sweep over recordings, with a detector of loud steps in the place of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.firmware.audio import SAMPLE_HZ
from emulab.firmware.audio.stream import StreamOptions, StreamPlan, plan_stream
from emulab.firmware.codegen.generator import TensorDescription
from emulab.model.streaming import Recording
from emulab.quality import stream_noise
from emulab.quality.noise import NoiseReport
from emulab.quality.stream_noise import stream_sweep

WORDS = [(1.0, 1.5), (3.0, 3.5)]
OPTIONS = StreamOptions("lfbe", threshold=0.9, refractory_s=0.5)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> StreamPlan:
    """Of the reference model's tensors; a step whose middle is above a tenth of full scale scores the most."""
    made = plan_stream(
        OPTIONS,
        TensorDescription("in", (1, 30, 40), "int8", 1200, 1 / 256, -128),
        TensorDescription("out", (1, 3), "int8", 3, 1 / 256, -128),
    )

    def loud(model: Path, samples: Any, options: StreamOptions, plan: StreamPlan) -> Any:
        steps = samples[: len(samples) // plan.step_samples * plan.step_samples].reshape(-1, plan.step_samples)
        return np.where(np.median(np.abs(steps.astype(int)), axis=1) > 3277, 127, -128).astype(np.int64)

    monkeypatch.setattr(stream_noise, "host_scores", loud)
    return made


def recording() -> tuple[Recording, np.ndarray]:
    t = np.arange(5 * SAMPLE_HZ) / SAMPLE_HZ
    said = sum(((t >= a) & (t < b)).astype(float) for a, b in WORDS)
    return Recording(path="words.wav", wake_words=WORDS), (6000 * said * np.sign(np.sin(2 * np.pi * 200 * t))).astype(
        np.int16
    )


def sweep(plan: StreamPlan, asked: dict[Any, list[float]], *heard: tuple[Recording, np.ndarray]) -> NoiseReport:
    return stream_sweep(Path("model.tflite"), heard or [recording()], OPTIONS, plan, 1.0, asked, seed=4)


def test_words_are_missed_and_noise_is_taken_for_words(plan: StreamPlan) -> None:
    asked: dict[Any, list[float]] = {"gain": [1.0, 0.2], "pink_db": [40, -20], "clip": [0.05]}
    found = sweep(plan, asked)
    assert found == sweep(plan, asked), "a sweep repeats"
    assert (found.metric, found.samples, found.where, found.dataset) == ("wake_words_found", 2, "signal", "words.wav")
    assert (found.clean.quality, found.clean.false_accepts_per_s) == (1.0, 0.0)
    points = {(c.kind, p.level): p for c in found.curves for p in c.points}
    assert points["gain", 1.0].quality == 1 and points["gain", 0.2].quality == 0
    assert points["pink_db", 40].false_accepts_per_s == 0 and (points["pink_db", -20].false_accepts_per_s or 0) > 0.2
    assert points["clip", 0.05].quality == 0
    assert found.details()["curves"][0]["points"][0]["false_accepts_per_s"] == 0


def test_sound_without_words_and_images(plan: StreamPlan) -> None:
    with pytest.raises(InputError, match="no wake word"):
        sweep(plan, {"gain": [1.0]}, (Recording(path="a.wav"), recording()[1]))
    with pytest.raises(InputError, match="is of images"):
        sweep(plan, {"blur": [1.0]})
