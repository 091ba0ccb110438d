"""What is wrong with a simulated monitor: noise, drift, lost samples, clock error; seeded, so that a run repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from emulab.errors import InputError


@dataclass(frozen=True, slots=True)
class Imperfection:
    """``noise``: standard deviation, part of the value; ``drift``: slow gain error, amplitude over ``drift_period_s``;
    ``lost``: part of the samples lost, in runs of up to ``lost_run``; ``clock_ppm``: the monitor's clock is this
    much fast.
    """

    noise: float = 0.01
    drift: float = 0.001
    drift_period_s: float = 20.0
    lost: float = 0.0
    lost_run: int = 8
    clock_ppm: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.noise < 1 and 0 <= self.drift < 1 and 0 <= self.lost < 0.9 and self.lost_run >= 1):
            raise InputError("bench-sim: noise and drift are parts of 1, lost is less than 0.9, lost_run at least 1")

    def generator(self) -> Any:
        """The random numbers of one acquisition."""
        import numpy as np

        return np.random.default_rng(self.seed)

    def spoil(self, values: Any, times: Any, random: Any) -> Any:
        """Values with noise and drift."""
        import numpy as np

        gain = 1.0 + self.drift * np.sin(2 * math.pi * times / self.drift_period_s)
        return values * gain * (1.0 + self.noise * random.standard_normal(len(values)))

    def kept(self, count: int, random: Any) -> Any:
        """Which of *count* samples arrive."""
        import numpy as np

        keep = np.ones(count, dtype=bool)
        if self.lost:
            mean_run = (1 + self.lost_run) / 2
            for start in np.flatnonzero(random.random(count) < self.lost / mean_run):
                keep[start : start + int(random.integers(1, self.lost_run + 1))] = False
        return keep
