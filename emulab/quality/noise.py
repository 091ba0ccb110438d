"""Noise robustness: accuracy as a function of what a real sensor does to the signal, with an explicit seed.

Each curve varies one disturbance (:mod:`emulab.quality.disturbances`) and leaves the rest clean. The same sample sees
the same pattern at every point of a curve, only stronger, so that a curve is smooth for its sample size and repeats bit
for bit. Where a dataset holds the signals behind its samples (:class:`emulab.quality.samples.Sensed`), the disturbance
is put on the signal and goes through the front end; else it is put on the model's input, which is then taken for the
sensor's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.quality.background import read_background
from emulab.quality.disturbances import DISTURBANCES, Conditions, Kind, check_levels, check_suits, perturb
from emulab.quality.evaluation import evaluate
from emulab.quality.golden import HostModel, Kernels, load_host_model
from emulab.quality.metrics import Interval
from emulab.quality.samples import Dataset, Sample, Sensed, Task, draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    false_accepts_per_s: float | None = None
    """Of a stream: detections without a wake word."""


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the disturbances of a sweep need beside the dataset: ``robustness`` in a scenario has the same keys."""

    sample_hz: float | None = None
    """Rate of the samples, where the dataset does not say."""
    hum_hz: float = 50.0
    background: Path | None = None
    """A recording (WAV) of what is heard or felt at the site."""


def noise_sweep(
    model: str | Path | HostModel,
    dataset: Dataset,
    sweep: Mapping[Kind, Sequence[float]] | None = None,
    *,
    seed: int,
    limit: int | None = None,
    kernels: Kernels = "optimised",
    on_point: Callable[[str, float], None] | None = None,
    surroundings: Surroundings | None = None,
) -> NoiseReport:
    """Quality of *model* on *limit* samples of *dataset* (drawn with *seed*), clean and at every level of *sweep*.

    ``sweep`` maps kinds to levels (default :data:`DEFAULT_SWEEP`). Raises InputError for a kind or level that makes no
    sense, and what :func:`emulab.quality.evaluate` raises.
    """
    return noise_sweeps(
        [model], dataset, sweep, seed=seed, limit=limit, kernels=kernels, on_point=on_point, surroundings=surroundings
    )[0]


def noise_sweeps(
    models: Sequence[str | Path | HostModel],
    dataset: Dataset,
    sweep: Mapping[Kind, Sequence[float]] | None = None,
    *,
    seed: int,
    limit: int | None = None,
    kernels: Kernels = "optimised",
    on_point: Callable[[str, float], None] | None = None,
    surroundings: Surroundings | None = None,
) -> list[NoiseReport]:
    """As :func:`noise_sweep`, of several models that take the same samples: each sees the very same disturbance."""
    wanted = DEFAULT_SWEEP if sweep is None else sweep
    for kind, levels in wanted.items():
        check_levels(kind, levels)
    loaded = [load_host_model(m, kernels) if isinstance(m, str | Path) else m for m in models]
    source = _Source(dataset, limit, seed, surroundings or Surroundings())
    for kind in wanted:
        source.check_suits(kind)
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
            own.append(NoiseCurve(kind, DISTURBANCES[kind].unit, tuple(found)))
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

    def __init__(self, dataset: Dataset, limit: int | None, seed: int, around: Surroundings) -> None:
        self._indices = draw(len(dataset), limit, seed)
        chosen = set(self._indices)
        self.samples = [sample for index, sample in enumerate(dataset) if index in chosen]
        self._sensed = dataset if isinstance(dataset, Sensed) else None
        self.where = "input" if self._sensed is None else "signal"
        self._signals = [] if self._sensed is None else list(self._sensed.signals(self._indices))
        power, low, high = _power(dataset, self.samples) if self._sensed is None else _of_signals(self._signals)
        rate = getattr(dataset, "sample_hz", None) or around.sample_hz
        background = None
        if around.background is not None and rate is not None:
            background = read_background(around.background, rate)
        self._conditions = Conditions(power, low, high, rate, around.hum_hz, background)

    def check_suits(self, kind: Kind) -> None:
        """InputError where the samples are not what *kind* disturbs."""
        shape = self.samples[0].real.shape[1:] if self._sensed is None else self._signals[0].shape
        check_suits(kind, shape, self._conditions)

    def disturbed(self, kind: Kind, level: float, seed: int) -> list[Sample]:
        """Every sample with *level* of *kind* on it."""
        found = []
        for i, sample in enumerate(self.samples):
            random = random_of(seed, kind, i)
            if self._sensed is None:
                found.append(replace(sample, real=perturb(sample.real, kind, level, random, self._conditions)))
            else:
                signal = perturb(self._signals[i][None], kind, level, random, self._conditions)[0]
                found.append(self._sensed.observe(self._indices[i], sample, signal))
        return found


def _power(dataset: Dataset, samples: Sequence[Sample]) -> tuple[NDArray[Any], float, float]:
    """AC power per channel, and the sensor's range."""
    import numpy as np

    powers = [s.real.reshape(-1, s.real.shape[-1]).var(axis=0, dtype=np.float64) for s in samples]
    return np.mean(powers, axis=0), *dataset.value_range


def _of_signals(signals: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], float, float]:
    """Of recorded or simulated signals; the sensor is taken to be set to the greatest value among them."""
    import numpy as np

    high = max(float(np.abs(s).max()) for s in signals)
    return np.mean([s.var(axis=0, dtype=np.float64) for s in signals], axis=0), -high, high


def random_of(seed: int, kind: str, index: int) -> np.random.Generator:
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
