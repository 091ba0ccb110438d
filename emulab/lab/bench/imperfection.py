"""What is wrong with a simulated monitor: noise, drift, lost samples, clock error; seeded, so that a run repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from emulab.errors import InputError

BLOCK = 4096


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

    def kept(self, begin: int, count: int) -> Any:
        """Which of *count* samples from number *begin* on arrive; the same however the stream is cut into ticks."""
        import numpy as np

        if not self.lost:
            return np.ones(count, dtype=bool)
        blocks = [self._block(k) for k in range(begin // BLOCK, (begin + count - 1) // BLOCK + 1)]
        offset = begin % BLOCK
        return np.concatenate(blocks)[offset : offset + count] if blocks else np.ones(0, dtype=bool)

    def _block(self, number: int) -> Any:
        import numpy as np

        random = np.random.default_rng([self.seed, number])
        keep = np.ones(BLOCK, dtype=bool)
        mean_run = (1 + self.lost_run) / 2
        for start in np.flatnonzero(random.random(BLOCK) < self.lost / mean_run):
            keep[start : start + int(random.integers(1, self.lost_run + 1))] = False
        return keep
