"""A stream on the host: recordings, scores of the model step by step, detections, and how many were right.

The front end is :mod:`emulab.quality.audio`, the model runs in LiteRT; both keep their state from step to step.
"""

from __future__ import annotations

import json
import struct
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.firmware.audio import SAMPLE_HZ
from emulab.model.streaming import Recording
from emulab.quality.audio import extract
from emulab.quality.golden import load_host_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emulab.firmware.audio.stream import StreamOptions, StreamPlan

LONGEST_S = 4 * 3600.0
DEBOUNCE_S = 1.0
"""False accepts closer than that are one (mlcommons/tiny, benchmark/runner/streaming_ww_utils.py)."""


def read_wav(path: Path) -> NDArray[Any]:
    """Samples of a WAV file, the first channel: 1-D int16 at 16 kHz. InputError says what is wrong with another file."""
    import numpy as np

    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            if (width, rate) != (2, SAMPLE_HZ):
                raise InputError.at(
                    path, "", f"expected 16 bits at {SAMPLE_HZ} Hz, found {8 * width} bits at {rate} Hz"
                )
            if file.getnframes() > LONGEST_S * SAMPLE_HZ:
                raise InputError.at(path, "", f"longer than {LONGEST_S / 3600:g} h")
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, RuntimeError, struct.error, wave.Error) as error:  # what `wave` says of damage
        raise InputError.at(path, "", f"not a WAV file: {error or 'it ends too early'}") from None
    samples = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2")
    return np.ascontiguousarray(samples.reshape(-1, channels)[:, 0].astype(np.int16))


def runner_list(path: Path) -> list[tuple[Path, Recording]]:
    """A list of the benchmark's runner (``sww_long_test.json``): WAV files beside it with their detection windows."""
    from emulab.model.base import validate

    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = [
            (
                path.parent / Path(entry["wav_file"]).name,
                {"path": entry["wav_file"], "wake_words": entry["detection_windows"]},
            )
            for entry in entries
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError.at(
            path, "", f"expected a list of {{wav_file, detection_windows}}: {type(error).__name__} {error}"
        ) from None
    return [(file, validate(Recording, data, path)) for file, data in found]


def synthetic_sound(length_s: float, seed: int) -> NDArray[Any]:
    """Sound without words: a room's noise, tones, and bursts of voiced harmonics. 1-D int16, the same for a seed."""
    import numpy as np

    rng, n = np.random.default_rng(seed), round(length_s * SAMPLE_HZ)
    t = np.arange(n) / SAMPLE_HZ
    spectrum = np.fft.rfft(rng.normal(size=n))
    sound = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_HZ), 20.0)), n)
    sound *= 300 / max(float(sound.std()), 1e-9)
    for start in np.arange(0.5, length_s, 1.1):
        long_s, pitch_hz = rng.uniform(0.1, 0.5), rng.uniform(90, 240)
        envelope = np.where((t >= start) & (t < start + long_s), np.sin(np.pi * (t - start) / long_s) ** 2, 0.0)
        formants = rng.uniform([300, 900, 2200], [800, 2000, 3200])
        for k in range(1, int(4000 / pitch_hz)):
            strength = sum(1 / (1 + ((k * pitch_hz - f) / 120) ** 2) for f in formants)
            sound += envelope * 2500 * strength * np.sin(2 * np.pi * k * pitch_hz * (1 + 0.05 * t) * t)
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


def host_scores(model: Path, samples: NDArray[Any], options: StreamOptions, plan: StreamPlan) -> NDArray[Any]:
    """Raw score of every inference over *samples*, from silence: shape (inferences,), int64.

    Raises HostModelUnavailable where LiteRT is missing.
    """
    import numpy as np

    host = load_host_model(model, "reference")
    features = extract(plan.front_end.name, samples, plan.scale, plan.zero_point)
    rows = np.zeros((plan.rows, plan.front_end.channels), np.int8)
    scores = []
    for at in range(0, len(features) - plan.fresh_rows + 1, plan.fresh_rows):
        rows = np.concatenate([rows[plan.fresh_rows :], features[at : at + plan.fresh_rows]])
        scores.append(int(host.run(rows).reshape(-1)[options.output]))
    return np.array(scores, np.int64)


def detections(scores: NDArray[Any], options: StreamOptions, plan: StreamPlan) -> list[int]:
    """Inferences at which firmware detects, by its own rule."""
    found, silent = [], 0
    for index in range(len(scores)):
        if silent:
            silent -= 1
        elif index + 1 >= options.average and scores[index + 1 - options.average : index + 1].sum() > plan.threshold:
            found.append(index)
            silent = plan.refractory
    return found


@dataclass(frozen=True)
class Verdict:
    """Detections against wake words, all in seconds: ``hits`` and ``misses`` by the word's start."""

    hits: tuple[float, ...]
    misses: tuple[float, ...]
    false_accepts: tuple[float, ...]
    delays: tuple[float, ...] = ()
    """Of every hit, from the word's end to its first detection; below zero where the word was not over yet."""


def judge(detected_s: list[float], wake_words: list[tuple[float, float]], late_s: float) -> Verdict:
    """Count as the benchmark's runner does.

    A word is hit by any detection from its start to *late_s* after its end, which then is used up; what is left is
    false, and false ones within a second are one.
    """
    left = sorted(detected_s)
    hits: list[float] = []
    misses: list[float] = []
    delays: list[float] = []
    for start, stop in wake_words:
        own = [t for t in left if start <= t <= stop + late_s]
        (hits if own else misses).append(start)
        delays += [own[0] - stop] if own else []
        left = [t for t in left if t not in own]
    false: list[float] = []
    for t in left:
        if not false or t > false[-1] + DEBOUNCE_S:
            false.append(t)
    return Verdict(tuple(hits), tuple(misses), tuple(false), tuple(delays))
