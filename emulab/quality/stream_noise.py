"""Wake words found under noise: recordings disturbed at the microphone, through front end, model and detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.firmware.audio import SAMPLE_HZ
from emulab.quality.background import read_background
from emulab.quality.disturbances import DISTURBANCES, Conditions, Kind, check_levels, check_suits, perturb
from emulab.quality.metrics import wilson
from emulab.quality.noise import NoiseCurve, NoisePoint, NoiseReport, Surroundings, random_of
from emulab.quality.streaming import detections, host_scores, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emulab.firmware.audio.stream import StreamOptions, StreamPlan
    from emulab.model.streaming import Recording

METRIC = "wake_words_found"
FULL_SCALE = 32768.0


def stream_sweep(
    model: Path,
    heard: Sequence[tuple[Recording, NDArray[Any]]],
    options: StreamOptions,
    plan: StreamPlan,
    late_s: float,
    sweep: Mapping[Kind, Sequence[float]],
    *,
    seed: int,
    on_point: Callable[[str, float], None] | None = None,
    surroundings: Surroundings | None = None,
) -> NoiseReport:
    """Share of wake words found, and false accepts, clean and at every level; noise against each recording's own power.

    InputError for recordings without wake words, levels that make no sense, or disturbances of images.
    """
    words = sum(len(recording.wake_words) for recording, _ in heard)
    if not words:
        raise InputError("noise sweep: the recordings hold no wake word that could be missed")
    around = surroundings or Surroundings()
    background = None if around.background is None else read_background(around.background, SAMPLE_HZ)
    each = [
        Conditions(
            samples.astype(float).var(keepdims=True), -FULL_SCALE, FULL_SCALE - 1, SAMPLE_HZ, around.hum_hz, background
        )
        for _, samples in heard
    ]
    for kind, levels in sweep.items():
        check_levels(kind, levels)
        check_suits(kind, (len(heard[0][1]), 1), each[0])

    def point(level: float, sounds: Sequence[NDArray[Any]]) -> NoisePoint:
        found = false = 0
        for (recording, _), samples in zip(heard, sounds, strict=True):
            times = [plan.inference_s(i) for i in detections(host_scores(model, samples, options, plan), options, plan)]
            verdict = judge(times, [(float(a), float(b)) for a, b in recording.wake_words], late_s)
            found, false = found + len(verdict.hits), false + len(verdict.false_accepts)
        length_s = sum(len(samples) for samples in sounds) / SAMPLE_HZ
        return NoisePoint(level, found / words, wilson(found, words), false / length_s)

    curves = []
    for kind, levels in sweep.items():
        points = []
        for level in levels:
            if on_point:
                on_point(kind, level)
            sounds = [
                _disturbed(samples, kind, level, random_of(seed, kind, i), conditions)
                for i, ((_, samples), conditions) in enumerate(zip(heard, each, strict=True))
            ]
            points.append(point(float(level), sounds))
        curves.append(NoiseCurve(kind, DISTURBANCES[kind].unit, tuple(points)))
    names = ", ".join(Path(recording.path.removeprefix("asset:")).name for recording, _ in heard)
    clean = point(0.0, [samples for _, samples in heard])
    return NoiseReport(METRIC, clean, tuple(curves), names, words, seed, "signal")


def _disturbed(samples: NDArray[Any], kind: Kind, level: float, random: Any, conditions: Conditions) -> NDArray[Any]:
    import numpy as np

    found = perturb(samples[None, :, None], kind, level, random, conditions)[0, :, 0]
    result: NDArray[Any] = np.rint(found).astype(np.int16)
    return result
