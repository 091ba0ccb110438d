"""When jobs come and which course they take: one reproducible stream of draws per source, in blocks or one by one.

Each source has two generators of its own, spawned from the seed by the source's position, so that results do not
depend on block sizes, on other sources, or on how many processes share the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.model.dutycycle import DutyCycle, EventSource

BLOCK = 1 << 18


class Source:
    """Arrival times of one source up to ``until_s``, with one uniform number each to draw the course from."""

    def __init__(self, name: str, seed: int, position: int, until_s: float) -> None:
        import numpy

        self.name, self.until_s = name, until_s
        times, draws = numpy.random.SeedSequence([seed, position]).spawn(2)
        self._times, self._draws = numpy.random.default_rng(times), numpy.random.default_rng(draws)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[Any, Any]]:
        """Arrays (times in s, uniform numbers), each of shape (n,), times rising across blocks."""
        for times in self._arrivals(size):
            yield times, self._draws.random(len(times))

    def _arrivals(self, size: int) -> Iterator[Any]:
        raise NotImplementedError


class Periodic(Source):
    """Every ``period_s`` from 0 on, each moved by up to ``jitter_s`` either way."""

    def __init__(self, cycle: DutyCycle, seed: int, until_s: float) -> None:
        super().__init__("cycle", seed, 0, until_s)
        self.period_s, self.jitter_s = cycle.period_s, cycle.jitter_s

    @property
    def count(self) -> int:
        """Cycles that start before ``until_s`` (on the grid, before jitter)."""
        import math

        return max(math.ceil(self.until_s / self.period_s - 1e-9), 0)

    def _arrivals(self, size: int) -> Iterator[Any]:
        import numpy

        for first in range(0, self.count, size):
            times = numpy.arange(first, min(first + size, self.count)) * self.period_s
            if self.jitter_s:
                times = times + (2 * self._times.random(len(times)) - 1) * self.jitter_s
                numpy.maximum(times, 0.0, out=times)
            yield times


class Poisson(Source):
    """At random, ``rate_per_s`` on average."""

    def __init__(self, event: EventSource, seed: int, position: int, until_s: float) -> None:
        super().__init__(event.name, seed, position, until_s)
        assert event.rate_per_s is not None
        self.rate_per_s = event.rate_per_s

    def _arrivals(self, size: int) -> Iterator[Any]:
        import numpy

        last = 0.0
        while True:
            due = int((self.until_s - last) * self.rate_per_s * 1.05) + 64
            times = self._times.exponential(1 / self.rate_per_s, min(size, due))
            times[0] += last
            numpy.cumsum(times, out=times)
            last = float(times[-1])
            if last >= self.until_s:
                yield times[: int(numpy.searchsorted(times, self.until_s))]
                return
            yield times


class Recorded(Source):
    """At recorded times, repeated where the source says so."""

    def __init__(self, event: EventSource, seed: int, position: int, until_s: float, folder: Path | None) -> None:
        super().__init__(event.name, seed, position, until_s)
        self.times_s = event.times_s or read_times(event, folder)
        self.repeat_s = event.repeat_s
        if self.repeat_s is not None and self.times_s[-1] >= self.repeat_s:
            raise InputError(f"duty_cycle.events ({event.name}): repeat_s must be above the last time of the trace")

    def _arrivals(self, size: int) -> Iterator[Any]:
        import math

        import numpy

        recorded = numpy.asarray(self.times_s, dtype=float)
        repeats = 1 if self.repeat_s is None else math.ceil(self.until_s / self.repeat_s)
        # short recordings by the block: one by one, a year of them would be as many arrays
        together = max(size // len(recorded), 1)
        for first in range(0, repeats, together):
            shifts = numpy.arange(first, min(first + together, repeats)) * (self.repeat_s or 0.0)
            times = (shifts[:, None] + recorded).ravel()
            yield times[times < self.until_s]


def read_times(event: EventSource, folder: Path | None) -> list[float]:
    """Times of a trace file, one per line; InputError names file and line."""
    file = (folder or Path.cwd()) / str(event.trace)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError.at(file, "", f"trace of event {event.name!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError.at(file, "", f"trace of event {event.name!r} is not text: one time in s per line") from None
    times: list[float] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            time = float(line.split(",")[0])
        except ValueError:
            raise InputError.at(
                file, f"line {number}", f"expected a time in seconds first, commas after it, found {line[:40]!r}"
            ) from None
        if not time >= (times[-1] if times else 0.0) or time == float("inf"):
            raise InputError.at(file, f"line {number}", "times must be finite and rise from 0")
        times.append(time)
    if not times:
        raise InputError.at(file, "", "the trace holds no times")
    return times


def sources(cycle: DutyCycle, seed: int, until_s: float, folder: Path | None = None) -> list[Source]:
    """All sources of a duty cycle, the periodic one first."""
    found: list[Source] = [Periodic(cycle, seed, until_s)]
    for position, event in enumerate(cycle.events, 1):
        if event.rate_per_s is not None:
            found.append(Poisson(event, seed, position, until_s))
        else:
            found.append(Recorded(event, seed, position, until_s, folder))
    return found
