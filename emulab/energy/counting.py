"""A year of jobs without simulating each: draw when they come and which course they take, and count.

Three ways that give the same charge: :func:`count_all` draws every job (in blocks, vectorised); :func:`count_periodic`
needs no draw where nothing is left to chance; :func:`count_sampled` draws some blocks and states an interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.energy.arrivals import Periodic, Source, sources
from emulab.energy.budget import Tally

if TYPE_CHECKING:
    from emulab.energy.budget import Budget
    from emulab.model.dutycycle import DutyCycle


def is_steady(budget: Budget, cycle: DutyCycle) -> bool:
    """Whether nothing is left to chance: no events, one course per slot, no overrun."""
    slots = budget.slots()
    return not cycle.events and all(
        len(slot) == 1 and slot[0].duration_s + 2 * cycle.jitter_s <= cycle.period_s for slot in slots.values()
    )


def count_periodic(budget: Budget, cycle: DutyCycle, duration_s: float) -> Tally:
    """Steady cycles: how many of each slot start before the end. The cycle under way then is finished."""
    number = Periodic(cycle, 0, duration_s).count
    repeat = budget.plan.jobs["cycle"].cycles
    slots = budget.slots()
    counts = {("cycle", i): [float(len(range(i, number, repeat)))] for i in range(repeat)}
    last_end = 0.0
    if number and not cycle.jitter_s:
        last_end = (number - 1) * cycle.period_s + slots[("cycle", (number - 1) % repeat)][0].duration_s
    return Tally(max(duration_s, last_end), counts)


class _Counter:
    """Turns (slot, uniform number) into courses and keeps the counts."""

    def __init__(self, budget: Budget) -> None:
        import numpy

        self._numpy = numpy
        slots = budget.slots()
        self.counts = {slot: numpy.zeros(len(found), dtype=numpy.int64) for slot, found in slots.items()}
        self._edges = {slot: edges([course.probability for course in found]) for slot, found in slots.items()}
        self._lengths = {slot: numpy.array([course.duration_s for course in found]) for slot, found in slots.items()}
        self._cycles = {name: job.cycles for name, job in budget.plan.jobs.items()}

    def take(self, name: str, first: int, draws: Any) -> Any:
        """Durations of the jobs *first*, *first* + 1, ... of a source, given their uniform numbers."""
        numpy, cycles = self._numpy, self._cycles[name]
        lengths = numpy.empty(len(draws))
        for index in range(cycles):
            slot = (name, index)
            own = slice((index - first) % cycles, None, cycles)
            if len(self.counts[slot]) == 1:
                self.counts[slot][0] += len(draws[own])
                lengths[own] = self._lengths[slot][0]
                continue
            taken = numpy.searchsorted(self._edges[slot], draws[own], side="right")
            self.counts[slot] += numpy.bincount(taken, minlength=len(self.counts[slot]))
            lengths[own] = self._lengths[slot][taken]
        return lengths


def edges(odds: list[float]) -> Any:
    """Upper edges of all but the last course on the unit interval, for ``searchsorted``; array of shape (n - 1,)."""
    import numpy

    return numpy.cumsum(numpy.asarray(odds))[:-1]


def _merged(found: list[Source], counter: _Counter) -> Iterator[tuple[Any, Any]]:
    """Blocks (times, durations) of all sources together, in order of time."""
    import numpy

    streams = [source.blocks() for source in found]
    held: list[tuple[Any, Any]] = [(numpy.empty(0), numpy.empty(0)) for _ in found]
    numbers = [0] * len(found)
    live = [True] * len(found)
    while True:
        for position, source in enumerate(found):
            while live[position] and not len(held[position][0]):
                block = next(streams[position], None)
                if block is None:
                    live[position] = False
                    break
                lengths = counter.take(source.name, numbers[position], block[1])
                numbers[position] += len(lengths)
                held[position] = (block[0], lengths)
        ends = [float(held[p][0][-1]) for p in range(len(found)) if len(held[p][0])]
        if not ends:
            return
        until = min(ends)
        times, lengths = [], []
        for position, (own_times, own_lengths) in enumerate(held):
            cut = int(numpy.searchsorted(own_times, until, side="right"))
            times.append(own_times[:cut])
            lengths.append(own_lengths[:cut])
            held[position] = (own_times[cut:], own_lengths[cut:])
        if len(found) == 1:
            yield times[0], lengths[0]
            continue
        together = numpy.concatenate(times)
        order = numpy.argsort(together, kind="stable")
        yield together[order], numpy.concatenate(lengths)[order]


def count_all(budget: Budget, cycle: DutyCycle, duration_s: float, seed: int, folder: Path | None = None) -> Tally:
    """Draw every job that comes within *duration_s*; those waiting at the end are done, and the time counts."""
    import numpy

    counter = _Counter(budget)
    end_s = longest = 0.0
    for times, lengths in _merged(sources(cycle, seed, duration_s, folder), counter):
        # a job starts when it comes or when the one before is over: end[n] = max(t[n], end[n-1]) + d[n]
        done = numpy.cumsum(lengths)
        ends = numpy.maximum(numpy.maximum.accumulate(times - (done - lengths)), end_s) + done
        longest = max(longest, float((ends - lengths - times).max(initial=0.0)))
        end_s = float(ends[-1]) if len(ends) else end_s
    counts = {slot: [float(n) for n in found] for slot, found in counter.counts.items()}
    return Tally(max(duration_s, end_s), counts, longest)


def count_sampled(
    budget: Budget, cycle: DutyCycle, duration_s: float, seed: int, *, blocks: int = 64, jobs: int = 4096
) -> tuple[Tally, float]:
    """Draw *blocks* stretches of about *jobs* jobs each: (tally scaled to the whole, half-width of the interval).

    The half-width is relative, at 99 % confidence, for the mean current a full draw of *duration_s* would give:
    Student's t over block means, with the block-to-block variance of the sample and of the full draw.
    """
    rate = 1 / cycle.period_s + math.fsum(event.rate_per_s or 0.0 for event in cycle.events)
    unit = cycle.period_s * budget.plan.jobs["cycle"].cycles
    length = min(max(unit * math.ceil(jobs / rate / unit), unit), duration_s)
    total = max(duration_s / length, 1.0)
    used = int(min(blocks, math.ceil(total)))
    if used < 2 or total <= blocks:
        return count_all(budget, cycle, duration_s, seed), 0.0
    tallies = [count_all(budget, cycle, length, seed * 1_000_003 + 17 * number + 1) for number in range(used)]
    means = [budget.rate(tally).current_a for tally in tallies]
    mean = math.fsum(means) / used
    variance = math.fsum((value - mean) ** 2 for value in means) / (used - 1)
    half = student_99(used - 1) * math.sqrt(variance * (1 / used + 1 / total))
    span = math.fsum(tally.duration_s for tally in tallies)
    merged: dict[tuple[str, int], list[float]] = {}
    for tally in tallies:
        for slot, counts in tally.counts.items():
            before = merged.get(slot, [0.0] * len(counts))
            merged[slot] = [a + b for a, b in zip(before, counts, strict=True)]
    scaled = {slot: [count * duration_s / span for count in counts] for slot, counts in merged.items()}
    return Tally(duration_s, scaled, max(t.longest_wait_s for t in tallies)), half / mean


def student_99(degrees: int) -> float:
    """Two-sided 99 % quantile of Student's t (Abramowitz & Stegun 26.7.5), within 0.2 % from 8 degrees on."""
    z, n = 2.5758293, float(degrees)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + terms[0] / n + terms[1] / n**2 + terms[2] / n**3
