"""The cycle that firmware settles into, found in its entries into deep sleep; see :func:`emulab.energy.cosim.forward`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from emulab.energy.counting import student_99

LOOK = 8
"""Steps by which a length of cycle is refused at first sight."""

Parts = dict[tuple[str, str], float]
"""A figure per (component, phase)."""


class Entry(NamedTuple):
    """An entry into deep sleep: when, and what had been drawn and spent by then."""

    time_s: float
    charge_c: Parts
    phase_s: dict[str, float]


@dataclass(frozen=True)
class Steady:
    """A steady cycle that firmware settled into: *sleeps* deep sleeps long, averaged over *cycles* of them."""

    period_s: float
    parts_c: Parts
    phase_s: dict[str, float]
    sleeps: int
    cycles: int

    @property
    def charge_c(self) -> dict[str, float]:
        """Charge of one cycle per component."""
        return by_component(self.parts_c)


def by_component(parts: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Sums over phases."""
    found: dict[str, float] = {}
    for (component, _), value in parts.items():
        found[component] = found.get(component, 0.0) + value
    return found


def steady_cycle(
    sleeps: Sequence[Entry], tolerance: float = 1e-5, cycles: int = 4, least_s: float = 0.0
) -> Steady | None:
    """The shortest cycle that the last entries into deep sleep repeat *cycles* times; None while there is none.

    Two cycles are alike when time and charge between entries agree within ten times *tolerance* of themselves or of their
    mean (an event meets the core's clock a cycle earlier or later, perhaps while a radio sends), and the sums within a tenth
    of it, so that the mean is known as well. Shorter cycles than *least_s* do not count: for firmware whose wakes are
    nearly alike but for what it does every so often.
    """
    totals = [(entry.time_s, math.fsum(entry.charge_c.values())) for entry in sleeps]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(totals)]
    for length in range(1, len(steps) // cycles + 1):
        if totals[-1][0] - totals[-length * cycles - 1][0] < least_s * cycles * (1 - 1e-6):
            continue
        means = [(totals[-1][i] - totals[-length - 1][i]) / length for i in (0, 1)]
        # most lengths are refused by the last few steps alone
        if any(
            abs(steps[-n - lap * length][i] - steps[-n][i]) > 10 * tolerance * max(abs(steps[-n][i]), means[i])
            for lap in range(1, cycles)
            for n in range(1, min(LOOK, length) + 1)
            for i in (0, 1)
        ):
            continue
        recent = steps[-length * cycles :]
        laps = [recent[i : i + length] for i in range(0, len(recent), length)]
        sums = [math.fsum(charge for _, charge in lap) for lap in laps]
        if all(_alike(lap, laps[0], tolerance) for lap in laps[1:]) and _known(sums, 0.1 * tolerance):
            return _mean_cycle(sleeps, length, cycles)
    return None


def noisy_cycle(
    sleeps: Sequence[Entry], least_s: float = 0.0, *, laps: int = 16, within: float = 1e-6, tolerance: float = 1e-5
) -> Steady | None:
    """The shortest cycle that at least *laps* laps repeat but for noise: a clock read a tick earlier or later.

    Its steps are alike as in :func:`steady_cycle`, its laps within *tolerance*. It is the mean of all laps, and taken
    only once the 99 % interval of that mean is narrower than *within*, and no trend is seen in them.
    """
    totals = [(entry.time_s, math.fsum(entry.charge_c.values())) for entry in sleeps]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(totals)]
    for length in range(1, len(steps) // laps + 1):
        if totals[-1][0] - totals[-length - 1][0] < least_s * (1 - 1e-6):
            continue
        last, number = steps[-length:], 1
        while (number + 1) * length <= len(steps):
            lap = steps[-(number + 1) * length : -number * length]
            if not _alike(lap, last, tolerance, 1.0):
                break
            number += 1
        if number < laps:
            continue
        sums = [totals[-n * length - 1][1] - totals[-(n + 1) * length - 1][1] for n in range(number)]
        trend = abs(fmean(sums[: number // 2]) - fmean(sums[number // 2 :]))
        if _known(sums, within) and trend <= 5 * stdev(sums) / sqrt(number):
            return _mean_cycle(sleeps, length, number)
    return None


def _known(values: Sequence[float], within: float) -> bool:
    """Whether the 99 % interval of the mean of *values* is narrower than that part of it."""
    half = student_99(len(values) - 1) * stdev(values) / sqrt(len(values))
    return half <= within * fmean(values)


def _mean_cycle(sleeps: Sequence[Entry], length: int, cycles: int) -> Steady:
    """The mean of the last *cycles* cycles of *length* sleeps."""
    start, stop = sleeps[-length * cycles - 1], sleeps[-1]
    charge = {key: (value - start.charge_c.get(key, 0.0)) / cycles for key, value in stop.charge_c.items()}
    times = {name: (value - start.phase_s.get(name, 0.0)) / cycles for name, value in stop.phase_s.items()}
    return Steady((stop.time_s - start.time_s) / cycles, charge, times, length, cycles)


def _alike(
    lap: Sequence[tuple[float, float]], first: Sequence[tuple[float, float]], tolerance: float, of_sum: float = 0.1
) -> bool:
    for mine, theirs in zip(zip(*lap, strict=True), zip(*first, strict=True), strict=True):
        total = math.fsum(theirs)
        if abs(math.fsum(mine) - total) > of_sum * tolerance * total:
            return False
        mean = total / len(theirs)
        if any(abs(a - b) > 10 * tolerance * max(abs(b), mean) for a, b in zip(mine, theirs, strict=True)):
            return False
    return True
