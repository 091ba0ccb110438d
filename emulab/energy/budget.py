"""What a duty cycle draws at a supply voltage: the courses of every job, and totals from how often each was taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulab.energy.courses import Charges, Course, courses, sleep_currents

if TYPE_CHECKING:
    from emulab.energy.network import Network
    from emulab.energy.steps import Plan
    from emulab.model.dutycycle import DutyCycle

Slot = tuple[str, int]
"""(job name, its index modulo the cycles after which `every` conditions repeat)."""


@dataclass
class Tally:
    """How often each course of each slot was taken, over how long, and how long the longest wait was."""

    duration_s: float
    counts: dict[Slot, list[float]] = field(default_factory=dict)
    longest_wait_s: float = 0.0

    @property
    def jobs(self) -> float:
        return sum(sum(counts) for counts in self.counts.values())


@dataclass(frozen=True)
class Rate:
    """Mean currents of the supply: in all, per (component, phase); share of time per phase."""

    current_a: float
    by_part: Charges
    phase_share: dict[str, float]


class Budget:
    """Courses and sleep currents of a plan, kept per supply voltage."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self.network, self.plan = network, plan
        self._courses: dict[float, dict[Slot, list[Course]]] = {}
        self._sleep: dict[float, dict[str, float]] = {}

    def slots(self, supply_v: float | None = None) -> dict[Slot, list[Course]]:
        """Courses of every slot at a supply voltage (default: the network's present one)."""
        volts = self.network.supply_v if supply_v is None else supply_v
        if volts not in self._courses:
            self.network.set_supply(volts)
            found: dict[Slot, list[Course]] = {}
            for job in self.plan.jobs.values():
                alike: dict[tuple[bool, ...], list[Course]] = {}
                for index in range(job.cycles):
                    pattern = job.pattern(index)
                    if pattern not in alike:
                        alike[pattern] = courses(self.network, self.plan, job, index)
                    found[(job.name, index)] = alike[pattern]
            self._courses[volts] = found
            self._sleep[volts] = sleep_currents(self.network, self.plan)
        return self._courses[volts]

    def sleep(self, supply_v: float | None = None) -> dict[str, float]:
        """Supply current per component between jobs."""
        volts = self.network.supply_v if supply_v is None else supply_v
        self.slots(volts)
        return self._sleep[volts]

    def rate(self, tally: Tally, supply_v: float | None = None) -> Rate:
        """Mean currents over a tally, were the supply at that voltage all the time."""
        slots, asleep = self.slots(supply_v), self.sleep(supply_v)
        charges: Charges = {}
        phases: dict[str, float] = {}
        busy = 0.0
        alike: dict[int, tuple[list[Course], list[float]]] = {}
        for slot, counts in tally.counts.items():
            known = alike.setdefault(id(slots[slot]), (slots[slot], [0.0] * len(counts)))
            known[1][:] = [a + b for a, b in zip(known[1], counts, strict=True)]
        for found, totals in alike.values():
            for course, count in zip(found, totals, strict=True):
                if not count:
                    continue
                busy += count * course.duration_s
                for key, charge in course.charges.items():
                    charges[key] = charges.get(key, 0.0) + count * charge
                for phase, duration_s in course.phase_s.items():
                    phases[phase] = phases.get(phase, 0.0) + count * duration_s
        idle = tally.duration_s - busy
        phases["sleep"] = phases.get("sleep", 0.0) + idle
        for name, current in asleep.items():
            if current:
                key = (name, "sleep")
                charges[key] = charges.get(key, 0.0) + current * idle
        by_part = {key: charge / tally.duration_s for key, charge in charges.items()}
        shares = {phase: duration_s / tally.duration_s for phase, duration_s in phases.items()}
        return Rate(math.fsum(by_part.values()), by_part, shares)

    def peak_a(self, supply_v: float | None = None) -> float:
        """Highest supply current of any course that can happen."""
        peaks = [course.peak_a for slot in self.slots(supply_v).values() for course in slot if course.probability > 0]
        return max(peaks, default=math.fsum(self.sleep(supply_v).values()))

    def expected(self, cycle: DutyCycle, tally: Tally | None = None) -> Tally:
        """The tally of a long time in the mean: odds instead of draws. Recorded events are taken from *tally*."""
        slots = self.slots()
        duration_s = cycle.period_s * self.plan.jobs["cycle"].cycles
        rates: dict[str, float] = {"cycle": 1 / cycle.period_s}
        for event in cycle.events:
            if event.rate_per_s is not None:
                rates[event.name] = event.rate_per_s
            elif event.repeat_s is not None and event.times_s:
                rates[event.name] = len(event.times_s) / event.repeat_s
            elif tally is not None:
                taken = sum(sum(c) for (name, _), c in tally.counts.items() if name == event.name)
                rates[event.name] = taken / tally.duration_s
        counts = {
            (name, index): [
                rates.get(name, 0.0) * duration_s / self.plan.jobs[name].cycles * course.probability for course in slot
            ]
            for (name, index), slot in slots.items()
        }
        return Tally(duration_s, counts)

    def load(self, tally: Tally) -> float:
        """Share of time the node is busy; above 1 it cannot keep up."""
        slots = self.slots()
        busy = math.fsum(
            count * course.duration_s
            for slot, counts in tally.counts.items()
            for course, count in zip(slots[slot], counts, strict=True)
        )
        return busy / tally.duration_s


class VoltageCurve:
    """Rates as smooth functions of the supply voltage: Chebyshev through ``nodes`` voltages, error below 1e-8."""

    def __init__(self, budget: Budget, tally: Tally, low_v: float, high_v: float, nodes: int = 10) -> None:
        import numpy
        from numpy.polynomial import chebyshev

        points = numpy.cos(numpy.pi * (numpy.arange(nodes) + 0.5) / nodes)
        volts = low_v + (high_v - low_v) * (points + 1) / 2
        rates = [budget.rate(tally, float(v)) for v in volts]
        self._keys = sorted({key for rate in rates for key in rate.by_part})
        table = numpy.array([[rate.by_part.get(key, 0.0) for key in self._keys] for rate in rates])
        self._fit = chebyshev.chebfit(points, table, nodes - 1)
        self._low, self._high, self._evaluate = low_v, high_v, chebyshev.chebval
        self.shares = rates[0].phase_share

    def vector(self, supply_v: float) -> Any:
        """Mean current per key, in the order of :attr:`keys`; array of shape (keys,)."""
        x = 2 * (supply_v - self._low) / (self._high - self._low) - 1
        return self._evaluate(x, self._fit)

    @property
    def keys(self) -> list[tuple[str, str]]:
        return self._keys

    def current_a(self, supply_v: float) -> float:
        """Mean supply current at a voltage."""
        return float(self.vector(supply_v).sum())


def fold(values: Mapping[tuple[str, str], float], index: int) -> dict[str, float]:
    """Sums per component (*index* 0) or per phase (1), largest first."""
    folded: dict[str, float] = {}
    for key, value in values.items():
        folded[key[index]] = folded.get(key[index], 0.0) + value
    return dict(sorted(folded.items(), key=lambda item: -item[1]))
