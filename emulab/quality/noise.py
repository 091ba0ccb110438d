"""Noise robustness: accuracy as a function of what a real sensor does to the signal, with an explicit seed.

Each curve varies one thing and leaves the rest clean. The same sample sees the same noise pattern at every point of a
curve, only stronger, so that a curve is smooth for its sample size and repeats bit for bit.

============ ===================================================================================================
``snr_db``    white Gaussian noise per channel (last axis). The level is relative to the *dataset's* mean power of that
              channel about its mean, since a sensor's noise floor does not know how strong the signal of the moment is
``gain``      factor on all channels: sensitivity tolerance, or a gesture made larger or smaller
``offset``    added to all channels, as a fraction of half the sensor's range: bias, drift
``dropout``   fraction of time steps (first axis; of images: rows) lost at random, the last good one held
``bits``      resolution of an ideal converter over the sensor's range
============ ===================================================================================================

Whatever leaves the sensor's range saturates there. Where a dataset holds the signals behind its samples
(:class:`emulab.quality.samples.Sensed`), the disturbance is put on the signal and goes through the front end; else it
is put on the model's input, which is then taken for the sensor's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.errors import InputError
from emulab.quality.evaluation import evaluate
from emulab.quality.golden import HostModel, Kernels, load_host_model
from emulab.quality.metrics import Interval
from emulab.quality.samples import Dataset, Sample, Sensed, Task, draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["snr_db", "gain", "offset", "dropout", "bits"]

UNITS: dict[Kind, str] = {"snr_db": "dB", "gain": "1", "offset": "half range", "dropout": "1", "bits": "bit"}

DEFAULT_SWEEP: dict[Kind, tuple[float, ...]] = {
    "snr_db": (40, 30, 25, 20, 15, 10, 5, 0),
    "gain": (0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.5, 2.0),
    "offset": (-0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2),
    "dropout": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    "bits": (12, 10, 8, 7, 6, 5, 4, 3),
}


@dataclass(frozen=True, slots=True)
class NoisePoint:
    """Quality at one level, with its 95 % interval (of the samples drawn, not of the noise)."""

    level: float
    quality: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class NoiseCurve:
    """Quality over the levels of one kind, in the order asked for."""

    kind: Kind
    unit: str
    points: tuple[NoisePoint, ...]


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """The clean figure and one curve per kind."""

    metric: str
    clean: NoisePoint
    curves: tuple[NoiseCurve, ...]
    dataset: str
    samples: int
    seed: int
    where: str = "input"
    """What was disturbed: ``input`` of the model, or the sensor's ``signal`` before the front end."""

    def details(self) -> dict[str, Any]:
        """Plain data for a run record."""
        return asdict(self)


@dataclass(frozen=True)
class _Signal:
    """What a perturbation must know of the dataset: AC power per channel and where the sensor saturates."""

    power: NDArray[np.float64]
    low: float
    high: float


def noise_sweep(
    model: str | Path | HostModel,
    dataset: Dataset,
    sweep: Mapping[Kind, Sequence[float]] | None = None,
    *,
    seed: int,
    limit: int | None = None,
    kernels: Kernels = "optimised",
    on_point: Callable[[str, float], None] | None = None,
) -> NoiseReport:
    """Quality of *model* on *limit* samples of *dataset* (drawn with *seed*), clean and at every level of *sweep*.

    ``sweep`` maps kinds to levels (default :data:`DEFAULT_SWEEP`). Raises InputError for a kind or level that makes no
    sense, and what :func:`emulab.quality.evaluate` raises.
    """
    return noise_sweeps([model], dataset, sweep, seed=seed, limit=limit, kernels=kernels, on_point=on_point)[0]


def noise_sweeps(
    models: Sequence[str | Path | HostModel],
    dataset: Dataset,
    sweep: Mapping[Kind, Sequence[float]] | None = None,
    *,
    seed: int,
    limit: int | None = None,
    kernels: Kernels = "optimised",
    on_point: Callable[[str, float], None] | None = None,
) -> list[NoiseReport]:
    """As :func:`noise_sweep`, of several models that take the same samples: each sees the very same disturbance."""
    wanted = DEFAULT_SWEEP if sweep is None else sweep
    for kind, levels in wanted.items():
        _check(kind, levels)
    loaded = [load_host_model(m, kernels) if isinstance(m, str | Path) else m for m in models]
    source = _Source(dataset, limit, seed)
    clean = [evaluate(model, _Perturbed(dataset, source.samples)) for model in loaded]
    curves: list[list[NoiseCurve]] = [[] for _ in loaded]
    for kind, levels in wanted.items():
        points: list[list[NoisePoint]] = [[] for _ in loaded]
        for level in levels:
            if on_point:
                on_point(kind, level)
            disturbed = _Perturbed(dataset, source.disturbed(kind, level, seed))
            for model, found in zip(loaded, points, strict=True):
                result = evaluate(model, disturbed)
                found.append(NoisePoint(float(level), result.value, result.interval()))
        for own, found in zip(curves, points, strict=True):
            own.append(NoiseCurve(kind, UNITS[kind], tuple(found)))
    return [
        NoiseReport(
            result.metric,
            NoisePoint(0.0, result.value, result.interval()),
            tuple(own),
            dataset.name,
            len(source.samples),
            seed,
            source.where,
        )
        for result, own in zip(clean, curves, strict=True)
    ]


class _Source:
    """The samples of a sweep, and how they look disturbed."""

    def __init__(self, dataset: Dataset, limit: int | None, seed: int) -> None:
        self._indices = draw(len(dataset), limit, seed)
        chosen = set(self._indices)
        self.samples = [sample for index, sample in enumerate(dataset) if index in chosen]
        self._sensed = dataset if isinstance(dataset, Sensed) else None
        self.where = "input" if self._sensed is None else "signal"
        self._signals = [] if self._sensed is None else list(self._sensed.signals(self._indices))
        self._signal = _signal(dataset, self.samples) if self._sensed is None else _of_signals(self._signals)

    def disturbed(self, kind: Kind, level: float, seed: int) -> list[Sample]:
        """Every sample with *level* of *kind* on it."""
        found = []
        for i, sample in enumerate(self.samples):
            random = _random(seed, kind, i)
            if self._sensed is None:
                found.append(replace(sample, real=perturb(sample.real, kind, level, random, self._signal)))
            else:
                signal = perturb(self._signals[i][None], kind, level, random, self._signal)[0]
                found.append(self._sensed.observe(self._indices[i], sample, signal))
        return found


def perturb(
    real: NDArray[np.floating[Any]], kind: Kind, level: float, random: np.random.Generator, signal: _Signal
) -> NDArray[np.float32]:
    """One sample, (windows, time, ..., channel), disturbed; the same shape, float32."""
    import numpy as np

    x = real.astype(np.float64)
    if kind == "snr_db":
        x = x + random.standard_normal(x.shape) * np.sqrt(signal.power * 10 ** (-level / 10))
    elif kind == "gain":
        x = x * level
    elif kind == "offset":
        x = x + level * (signal.high - signal.low) / 2
    elif kind == "dropout":
        lost = np.asarray(random.random(x.shape[1]) < level)
        x = _hold(x, lost)
    elif kind == "bits":
        steps = 2 ** int(level) - 1
        width = (signal.high - signal.low) / steps
        x = np.rint((x - signal.low) / width) * width + signal.low
    disturbed: NDArray[np.float32] = np.clip(x, signal.low, signal.high).astype(np.float32)
    return disturbed


def _hold(x: NDArray[Any], lost: NDArray[Any]) -> NDArray[Any]:
    """Replace lost time steps by the last good one; before the first good one by that; nothing good: zeros."""
    import numpy as np

    good = np.flatnonzero(~lost)
    if not len(good):
        return np.zeros_like(x)
    source = good[np.maximum(np.searchsorted(good, np.arange(len(lost)), side="right") - 1, 0)]
    held: NDArray[Any] = x[:, source]
    return held


def _check(kind: str, levels: Sequence[float]) -> None:
    import math

    if kind not in UNITS:
        raise InputError(f"noise sweep: unknown kind {kind!r}; expected one of {', '.join(UNITS)}")
    for level in levels:
        wrong = (
            not math.isfinite(level)
            or (kind == "gain" and level < 0)
            or (kind == "dropout" and not 0 <= level <= 1)
            or (kind == "bits" and (level != int(level) or not 1 <= level <= 24))
        )
        if wrong:
            raise InputError(f"noise sweep: {level} is not a level of {kind!r} ({UNITS[kind]})")


def _signal(dataset: Dataset, samples: Sequence[Sample]) -> _Signal:
    import numpy as np

    low, high = dataset.value_range
    powers = [s.real.reshape(-1, s.real.shape[-1]).var(axis=0, dtype=np.float64) for s in samples]
    return _Signal(np.mean(powers, axis=0), low, high)


def _of_signals(signals: Sequence[NDArray[Any]]) -> _Signal:
    """Of recorded or simulated signals; the sensor is taken to be set to the greatest value among them."""
    import numpy as np

    high = max(float(np.abs(s).max()) for s in signals)
    return _Signal(np.mean([s.var(axis=0, dtype=np.float64) for s in signals], axis=0), -high, high)


def _random(seed: int, kind: str, index: int) -> np.random.Generator:
    """The generator of one sample and kind, the same at every level."""
    import numpy as np

    return np.random.default_rng([seed, zlib.crc32(kind.encode()), index])


class _Perturbed:
    """A dataset of samples at hand."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample]) -> None:
        self.name, self.labels, self.value_range = dataset.name, dataset.labels, dataset.value_range
        self.task: Task = dataset.task
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)
