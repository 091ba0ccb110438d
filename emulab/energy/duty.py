"""Simulate a duty cycle: mean current, energy by component and phase, battery life, the trace of one cycle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.energy.budget import Budget, Tally, VoltageCurve, fold
from emulab.energy.counting import count_all, count_periodic, count_sampled, is_steady
from emulab.energy.courses import play
from emulab.energy.network import platform_network, require_power
from emulab.energy.steps import ComputeWindow, Resolver
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.base import CurrentTrace
    from emulab.energy.battery import Life, Store
    from emulab.energy.harvest import Uptime
    from emulab.model.dutycycle import DutyCycle
    from emulab.model.platform import Platform
    from emulab.model.power import PowerComponent
    from emulab.model.quantity import Quantity

__all__ = ["ComputeWindow", "DutyCycleResult", "Mode", "Study", "simulate_duty_cycle"]

Mode = Literal["auto", "exact", "drawn", "sampled", "expected"]
YEAR_S = 365 * 86400.0
DRAW_LIMIT = 50_000_000
"""Jobs up to which ``auto`` draws every one."""

MOST_JOBS = {"exact": 100_000_000, "drawn": 10_000_000_000}
"""Jobs a simulation asked for by name takes on: some hours of them."""
TRACE_BUCKETS = 1 << 16


@dataclass(frozen=True)
class DutyCycleResult:
    """What a duty cycle came to. Charges and energies are at the supply, over ``duration_s``.

    ``battery_life_s`` is None without a battery and infinite where it outlives any drain (see ``battery_end``).
    ``interval`` is the relative half-width of the 99 % interval of the mean current: 0 unless ``mode`` is sampled.
    """

    duration_s: float
    mode: str
    jobs: float
    mean_current_a: float
    mean_power_w: float
    peak_current_a: float
    charge_c: float
    energy_j: float
    energy_by_component: dict[str, float]
    energy_by_phase: dict[str, float]
    energy_by_component_and_phase: dict[tuple[str, str], float]
    time_by_phase: dict[str, float]
    supply_v: float
    battery_life_s: float | None = None
    battery_end: str = ""
    self_discharge_share: float = 0.0
    trace: CurrentTrace | None = None
    segments: list[tuple[float, float, float, str]] = field(default_factory=list)
    interval: float = 0.0
    longest_wait_s: float = 0.0
    busy_share: float = 0.0
    watchdog_resets: float = 0.0
    uptime: Uptime | None = None

    def battery_life(self) -> Quantity:
        """Battery life as a quantity; unavailable without a battery or where it does not end."""
        import math

        from emulab.model.quantity import Quantity, unavailable

        if self.battery_life_s is None:
            return unavailable("s", "the duty cycle names no battery")
        if math.isinf(self.battery_life_s):
            return unavailable("s", f"the battery does not run down: {self.battery_end}")
        return Quantity(
            value=self.battery_life_s,
            unit="s",
            kind="modelled",
            uncertainty=self.battery_life_s * self.interval / 2.576 or None,
            source=f"duty cycle at {self.mean_current_a * 1e6:.4g} uA mean; {self.battery_end}",
        )


class Study:
    """A duty cycle on a platform, resolved once: budget of its courses, battery, supply."""

    def __init__(
        self,
        platform: Platform,
        cycle: DutyCycle,
        compute: Mapping[str, ComputeWindow | Sequence[float | None]],
        *,
        folder: Path | None = None,
        parts: Mapping[str, PowerComponent] | None = None,
        store: Store | None = None,
    ) -> None:
        """*parts* and *store* stand in for those the board and the cycle name, e.g. with other tolerances."""
        from emulab.energy.battery import check_supply, load_store
        from emulab.energy.parts import cycle_parts

        self.platform, self.cycle, self.folder = platform, cycle, folder
        self.power = require_power(platform)
        self.store = store or (load_store(cycle.battery) if cycle.battery else None)
        if store is None and self.store is not None and cycle.battery is not None:
            check_supply(cycle.battery, self.store, self.power)
        regulator = cycle.battery.regulator if cycle.battery else None
        self.network = platform_network(
            platform,
            cycle_parts(cycle.parts) if parts is None else parts,
            clock_hz=cycle.clock_hz,
            supply_v=self.store.open_v(0.0) if self.store else None,
            upstream=regulator,
        )
        windows = {name: ComputeWindow.of(value) for name, value in compute.items()}
        self.plan = Resolver(self.network, cycle, windows).plan()
        self.budget = Budget(self.network, self.plan)
        self.minimum_v = self.power.minimum_v.value if self.power.minimum_v else 0.0
        if regulator is not None:
            drop = regulator.dropout_v.value if regulator.dropout_v else 0.0
            self.minimum_v = regulator.output_v.value + drop if regulator.kind == "ldo" else 0.0

    @property
    def constant(self) -> bool:
        """Whether the supply voltage stays what it is, or does not matter."""
        return self.store is None or not self.network.voltage_dependent

    @property
    def drains(self) -> bool:
        """Whether the voltage goes down with what is drawn; a store that is harvested into stays near full instead."""
        return not self.constant and self.cycle.harvest is None

    @property
    def floor_v(self) -> float:
        """Least supply the node is reckoned at: just below where it stops. Beyond that nothing would draw."""
        assert self.store is not None
        cut_off = self.store.cut_off_v(self.minimum_v) * 0.9
        return max(self.store.open_v(1.0), cut_off, 0.2 * self.store.open_v(0.0))

    def drained_v(self, depth: float) -> float:
        """Supply at a depth of discharge; a node told to run on after its store is empty does so at the least."""
        assert self.store is not None
        return max(self.store.open_v(depth), self.floor_v)

    def expected(self, tally: Tally | None = None) -> Tally:
        return self.budget.expected(self.cycle, tally)

    def curve(self, tally: Tally) -> VoltageCurve:
        """Rates against supply voltage, over the range the store goes through."""
        assert self.store is not None
        high, low = self.store.open_v(0.0), self.floor_v
        return VoltageCurve(self.budget, tally, low, max(high, low * 1.001))

    def life(self) -> Life:
        """Battery life at the cycle's expected draw. Only with a battery."""
        assert self.store is not None
        expected = self.expected()
        peak = self.budget.peak_a(self.store.open_v(0.0))
        if self.constant:
            current = self.budget.rate(expected).current_a
            return self.store.life(lambda volts: current, peak, self.minimum_v)
        curve = self.curve(expected)
        peak = max(peak, self.budget.peak_a(max(self.store.cut_off_v(self.minimum_v), 0.2 * self.store.open_v(0.0))))
        return self.store.life(curve.current_a, peak, self.minimum_v, constant=False)


def simulate_duty_cycle(
    platform: Platform,
    duty_cycle: DutyCycle,
    compute: Mapping[str, ComputeWindow | Sequence[float | None]] | None = None,
    *,
    duration_s: float | None = None,
    seed: int = 0,
    mode: Mode = "auto",
    folder: Path | None = None,
    trace: bool = True,
) -> DutyCycleResult:
    """Simulate *duty_cycle* on *platform* for *duration_s* (default: 365 days, whole cycles).

    *compute*: per window that a phase ``run``s, a :class:`ComputeWindow` or a pair (latency_s, energy_j) for one
    pass, the energy of the whole board at its nominal supply. *mode*: ``auto`` fast-forwards steady cycles and draws
    every event of others (up to 50 million, then sampled); ``exact`` simulates event by event; ``drawn``, ``sampled``,
    ``expected`` ask for one way. *folder*: where trace files of events lie.

    Raises InputError naming the phase that is wrong.
    """
    study = Study(platform, duty_cycle, compute or {}, folder=folder)
    return run_study(study, duration_s=duration_s, seed=seed, mode=mode, trace=trace)


def run_study(
    study: Study, *, duration_s: float | None = None, seed: int = 0, mode: Mode = "auto", trace: bool = True
) -> DutyCycleResult:
    """Simulate a resolved duty cycle; arguments as :func:`simulate_duty_cycle`."""
    cycle, budget = study.cycle, study.budget
    span = YEAR_S if duration_s is None else duration_s
    if not span > 0:
        raise InputError(f"the time to simulate must be above 0 s, not {span!r}")
    study.network.set_supply(study.store.open_v(0.0) if study.store else study.network.nominal_v)
    start_v = study.network.supply_v
    steady = is_steady(budget, cycle)
    jobs = span / cycle.period_s + math.fsum((event.rate_per_s or 0.0) * span for event in cycle.events)
    load = budget.load(study.expected())
    if load > 1 and not steady:
        raise InputError(
            f"duty_cycle: the node is busy {load:.0%} of the time and cannot keep up; fewer events or phases"
        )
    interval = 0.0
    chosen: str = mode
    if mode == "auto":
        chosen = "fast-forward" if steady else "drawn" if jobs <= DRAW_LIMIT else "sampled"
    most = MOST_JOBS.get(chosen)
    if most is not None and jobs > most:
        raise InputError(
            f"{jobs:.2g} jobs in {span:g} s are too many for mode {chosen!r}, which takes up to {most:.0e}; "
            "simulate a shorter time, or in mode 'auto'"
        )
    if chosen == "exact":
        charges, energies, tally = _exact(study, span, seed)
    else:
        if chosen == "expected":
            tally = _scaled(study.expected(), span)
        elif chosen == "sampled":
            tally, interval = count_sampled(budget, cycle, span, seed)
        elif chosen == "fast-forward" or (chosen == "drawn" and steady and not cycle.jitter_s):
            tally = count_periodic(budget, cycle, span)
        else:
            tally = count_all(budget, cycle, span, seed, study.folder)
        charges, energies = _totals(study, tally)
    shares = budget.rate(tally, start_v).phase_share
    slots = budget.slots(start_v)
    resets = sum(n * c.resets for s, counts in tally.counts.items() for c, n in zip(slots[s], counts, strict=True))
    charge, energy = math.fsum(charges.values()), math.fsum(energies.values())
    life_s, end, lost, uptime = _battery(study, tally)
    drawn, segments = _trace(study, start_v) if trace else (None, [])
    return DutyCycleResult(
        duration_s=tally.duration_s,
        mode=chosen,
        jobs=tally.jobs,
        mean_current_a=charge / tally.duration_s,
        mean_power_w=energy / tally.duration_s,
        peak_current_a=budget.peak_a(start_v),
        charge_c=charge,
        energy_j=energy,
        energy_by_component=fold(energies, 0),
        energy_by_phase=fold(energies, 1),
        energy_by_component_and_phase=dict(sorted(energies.items())),
        time_by_phase={phase: share * tally.duration_s for phase, share in shares.items()},
        supply_v=start_v,
        battery_life_s=life_s,
        battery_end=end,
        self_discharge_share=lost,
        trace=drawn,
        segments=segments,
        interval=interval,
        longest_wait_s=tally.longest_wait_s,
        busy_share=load,
        watchdog_resets=resets,
        uptime=uptime,
    )


def _scaled(tally: Tally, duration_s: float) -> Tally:
    factor = duration_s / tally.duration_s
    return Tally(duration_s, {slot: [n * factor for n in counts] for slot, counts in tally.counts.items()})


Parts = dict[tuple[str, str], float]


def _exact(study: Study, span: float, seed: int) -> tuple[Parts, Parts, Tally]:
    from emulab.energy.exact import run_exact

    supply = None
    if study.drains:
        assert study.store is not None
        store = study.store
        expected = study.expected()
        mean_a = study.budget.rate(expected).current_a
        capacity = store.capacity_c(mean_a)
        # the voltage in the middle of what is drawn until the next job
        half_c = mean_a * expected.duration_s / expected.jobs / 2

        def supply(drawn_c: float) -> float:
            return study.drained_v((drawn_c + half_c) / capacity)

    ledger, tally = run_exact(study.budget, study.cycle, span, seed, folder=study.folder, supply_v=supply)
    return ledger.charges(), ledger.energies(), tally


def _totals(study: Study, tally: Tally) -> tuple[Parts, Parts]:
    """Charge and energy per (component, phase); where the voltage matters, along the discharge of the battery."""
    span = tally.duration_s
    volts = study.network.supply_v
    rate = study.budget.rate(tally)
    if not study.drains:
        charges = {key: current * span for key, current in rate.by_part.items()}
        return charges, {key: charge * volts for key, charge in charges.items()}
    assert study.store is not None
    store, curve = study.store, study.curve(tally)
    capacity = store.capacity_c(rate.current_a)
    steps = 200
    width = span / steps
    drawn: Any = 0.0
    charge: Any = 0.0
    energy: Any = 0.0

    def flow(at_c: float) -> tuple[Any, float]:
        v = study.drained_v(at_c / capacity)
        return curve.vector(v), v

    for _ in range(steps):  # Runge-Kutta 4 on the charge drawn, Simpson on what it is made of
        first, v1 = flow(drawn)
        second, v2 = flow(drawn + width / 2 * float(first.sum()))
        third, v3 = flow(drawn + width / 2 * float(second.sum()))
        fourth, v4 = flow(drawn + width * float(third.sum()))
        step = width / 6 * (first + 2 * second + 2 * third + fourth)
        charge = charge + step
        energy = energy + width / 6 * (first * v1 + 2 * second * v2 + 2 * third * v3 + fourth * v4)
        drawn += float(step.sum())
    keys = curve.keys
    return (
        {key: float(value) for key, value in zip(keys, charge, strict=True)},
        {key: float(value) for key, value in zip(keys, energy, strict=True)},
    )


def _battery(study: Study, tally: Tally) -> tuple[float | None, str, float, Uptime | None]:
    if study.store is None:
        return None, "", 0.0, None
    if study.cycle.harvest is not None:
        from emulab.energy.harvest import harvest_life

        life_s, reason, uptime = harvest_life(study, tally)
        return life_s, reason, 0.0, uptime
    life = study.life()
    whole = life.delivered_c + life.self_discharged_c
    return life.life_s, life.reason, life.self_discharged_c / whole if whole else 0.0, None


def _trace(study: Study, supply_v: float) -> tuple[CurrentTrace, list[tuple[float, float, float, str]]]:
    """One cycle as a power analyser would show it, and its exact segments: the most likely course."""
    from emulab.energy.trace import BucketTrace, SegmentTrace, Tee

    budget, cycle = study.budget, study.cycle
    slot = budget.slots(supply_v)[("cycle", 0)]
    likely = max(slot, key=lambda course: (course.probability, course.duration_s))
    study.network.set_supply(supply_v)
    buckets = BucketTrace(max(cycle.period_s, likely.duration_s) / TRACE_BUCKETS, TRACE_BUCKETS)
    segments = SegmentTrace(phase="sleep")
    from emulab.energy.courses import Replay

    tee = Tee(buckets, segments)
    duration_s, *_ = play(study.network, study.plan, study.plan.jobs["cycle"], 0, Replay(likely.choices), tee)
    asleep = math.fsum(budget.sleep(supply_v).values())
    tee.mark("sleep", duration_s)
    tee.add(duration_s, max(cycle.period_s, duration_s), asleep)
    return buckets.current_trace(supply_v), segments.segments
