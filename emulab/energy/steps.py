"""A duty cycle, resolved against a node: every name looked up, every time known, every mistake said with its phase."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.energy.network import Network
    from emulab.model.dutycycle import Condition, DutyCycle, Phase, Retry
    from emulab.model.power import UseStep


DEEPEST = "deepest"


@dataclass(frozen=True, slots=True)
class ComputeWindow:
    """What a window costs, from measurement or emulation: latency and either energy or charge of the whole board.

    ``energy_j`` and ``charge_c`` hold at the board's nominal supply; neither given: the MCU's run current.
    """

    latency_s: float
    energy_j: float | None = None
    charge_c: float | None = None

    @classmethod
    def of(cls, value: ComputeWindow | Sequence[float | None]) -> ComputeWindow:
        """A ComputeWindow, or a pair (latency_s, energy_j)."""
        return value if isinstance(value, ComputeWindow) else cls(float(value[0] or 0.0), value[1])


@dataclass(frozen=True, slots=True)
class Hold:
    """Components in given states for a time. ``current_a`` is what the MCU draws meanwhile where it was measured."""

    duration_s: float
    states: tuple[tuple[str, str], ...] = ()
    current_a: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One phase, resolved: holds in order (or branches side by side), repeated, perhaps conditional."""

    name: str
    path: str
    holds: tuple[Hold, ...] = ()
    parallel: tuple[Step, ...] = ()
    count: int = 1
    window: str = ""
    states: tuple[tuple[str, str], ...] = ()
    when: Condition | None = None
    retry: Retry | None = None
    retry_state: str = ""
    uses: frozenset[str] = frozenset()
    touched: tuple[str, ...] = ()
    """Components that the holds put into states, in order of first mention."""


@dataclass(frozen=True)
class Job:
    """What the node does when woken by one source: the periodic cycle or an event."""

    name: str
    steps: tuple[Step, ...]
    cycles: int = 1
    """After how many jobs the ``every`` conditions repeat."""

    everys: tuple[tuple[int, int], ...] = ()
    """(every, offset) of all such conditions."""

    def pattern(self, index: int) -> tuple[bool, ...]:
        """Which of the ``every`` conditions hold the *index*-th time; jobs of one pattern are alike."""
        return tuple(index % every == offset for every, offset in self.everys)


@dataclass(frozen=True)
class Plan:
    """A whole duty cycle, resolved: jobs by source, and what holds between them."""

    jobs: dict[str, Job]
    mcu: str
    run_state: str
    sleep_state: str
    modes: Mapping[str, Mapping[str, str]]
    background: Mapping[str, str]
    results: Mapping[str, Mapping[str, float]]
    restart: tuple[Step, ...] = ()
    watchdog_s: float = 0.0
    hang_probability: float = 0.0
    phases: tuple[str, ...] = field(default=())


def _unknown(place: str, what: str, name: str, known: Iterable[str]) -> InputError:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return InputError(f"{place}: {what} {name!r} is unknown; {hint}")


class Resolver:
    """Looks the names of a duty cycle up in a network and in the windows that were measured or emulated."""

    def __init__(self, network: Network, cycle: DutyCycle, compute: Mapping[str, ComputeWindow]) -> None:
        self.network, self.cycle, self.compute = network, cycle, compute
        self.power = network.power
        self._asked: set[str] = set()

    def plan(self) -> Plan:
        """The whole plan; InputError naming ``duty_cycle.phases.N (NAME)`` for the first mistake."""
        cycle, power = self.cycle, self.power
        sleep = cycle.sleep or power.sleep_state or power.components[power.mcu].initial
        self._state("duty_cycle.sleep", power.mcu, sleep)
        for name, state in cycle.states.items():
            self._state("duty_cycle.states", name, state)
        jobs = {"cycle": self._job("cycle", cycle.phases, "duty_cycle.phases")}
        for index, event in enumerate(cycle.events):
            if event.name == "cycle":
                raise InputError(f"duty_cycle.events.{index}: an event cannot be called 'cycle'")
            jobs[event.name] = self._job(event.name, event.phases, f"duty_cycle.events.{index} ({event.name}).phases")
        watchdog = cycle.watchdog
        restart = self._steps(watchdog.restart, "duty_cycle.watchdog.restart") if watchdog else ()
        names = dict.fromkeys(step.name for job in jobs.values() for step in job.steps)
        plan = Plan(
            jobs=jobs,
            mcu=power.mcu,
            run_state=power.run_state,
            sleep_state=sleep,
            modes=power.modes,
            background=cycle.states,
            results={window: odds for window, odds in cycle.results.items() if window in self._asked},
            restart=restart,
            watchdog_s=watchdog.timeout_s if watchdog else 0.0,
            hang_probability=watchdog.hang_probability if watchdog else 0.0,
            phases=("wake-up", *names, "sleep"),
        )
        self._check_period(jobs["cycle"])
        return plan

    def _job(self, name: str, phases: Sequence[Phase], place: str) -> Job:
        import math

        steps = self._steps(phases, place)
        everys = [
            (step.when.every, step.when.offset) for step in _walk(steps) if step.when and step.when.every is not None
        ]
        cycles = math.lcm(*(every for every, _ in everys))
        if cycles > 10000:
            raise InputError(f"{place}: the `every` conditions repeat only after {cycles} cycles; at most 10000")
        ran: set[str] = set()
        for step in _walk(steps):
            if step.when and step.when.result:
                wanted = step.when.result
                self._asked.add(wanted.window)
                if wanted.window not in ran:
                    raise InputError(f"{step.path}: when.result: no earlier phase runs window {wanted.window!r}")
                if wanted.window not in self.cycle.results:
                    raise InputError(f"{step.path}: when.result: duty_cycle.results gives no odds of {wanted.window!r}")
                if wanted.result not in self.cycle.results[wanted.window]:
                    raise _unknown(step.path, "result", wanted.result, self.cycle.results[wanted.window])
            if step.window:
                ran.add(step.window)
        return Job(name, steps, cycles, tuple(dict.fromkeys(everys)))

    def _steps(self, phases: Sequence[Phase], place: str) -> tuple[Step, ...]:
        return tuple(self._step(phase, f"{place}.{index} ({phase.name})") for index, phase in enumerate(phases))

    def _step(self, phase: Phase, place: str) -> Step:
        given = {name: self._named(name, state) for name, state in phase.states.items()}
        for name, state in given.items():
            self._state(place, name, state)
        states = tuple(given.items())
        mcu, uses = self.power.mcu, set(phase.states)
        holds: tuple[Hold, ...] = ()
        parallel: tuple[Step, ...] = ()
        if phase.run:
            holds = (self._run(phase.run, phase.duration_s, place),)
            uses.add(mcu)
        elif phase.use:
            holds, component = self._use(phase, place)
            uses |= {component} | {name for hold in holds for name, _ in hold.states if name == mcu}
        elif phase.state:
            self._state(place, mcu, phase.state)
            holds = (Hold(phase.duration_s or 0.0, ((mcu, phase.state),)),)
            uses.add(mcu)
        elif phase.parallel:
            parallel = self._steps(phase.parallel, f"{place}.parallel")
            for branch in parallel:
                shared = uses & branch.uses
                if shared:
                    raise InputError(f"{branch.path}: {sorted(shared)[0]!r} is already used by a parallel phase")
                uses |= branch.uses
        else:
            holds = (Hold(phase.duration_s or 0.0),)
        if phase.retry and phase.retry.state:
            self._state(place, mcu, phase.retry.state)
        return Step(
            name=phase.name,
            path=place,
            holds=holds,
            parallel=parallel,
            count=phase.count,
            window=phase.run or "",
            states=states,
            when=phase.when,
            retry=phase.retry,
            retry_state=phase.retry.state if phase.retry else "",
            uses=frozenset(uses),
            touched=tuple(dict.fromkeys(name for hold in holds for name, _ in hold.states)),
        )

    def _named(self, component: str, state: str) -> str:
        """The state meant: ``deepest`` is whatever the MCU's sleep between jobs is called on this platform."""
        if state == DEEPEST and component == self.power.mcu:
            return self.cycle.sleep or self.power.sleep_state or state
        return state

    def _run(self, window: str, assumed_s: float | None, place: str) -> Hold:
        if window not in self.compute and assumed_s:
            return Hold(assumed_s, ((self.power.mcu, self.power.run_state),))
        if window not in self.compute:
            raise _unknown(place, "window", window, self.compute)
        cost = self.compute[window]
        if not cost.latency_s > 0:
            raise InputError(f"{place}: window {window!r} has latency {cost.latency_s!r} s; expected one above 0")
        state = ((self.power.mcu, self.power.run_state),)
        charge = cost.charge_c
        if charge is None and cost.energy_j is not None:
            charge = cost.energy_j / self.network.nominal_v
        if charge is None:
            return Hold(cost.latency_s, state)
        return Hold(cost.latency_s, state, self._mcu_current(charge / cost.latency_s))

    def _mcu_current(self, board_a: float) -> float:
        """MCU current (own supply) where the whole board drew *board_a* in the run state at nominal supply."""
        from emulab.energy.network import Network

        network = Network(self.power, clock_hz=self.network.components[self.power.mcu].clock_hz)
        states = {self.power.mcu: self.power.run_state, **self.power.modes.get(self.power.run_state, {})}
        own = {name: part.current_a(states.get(name)) for name, part in network.components.items()}
        factors = network.factors(own)
        rest = math.fsum(share for name, share in network.supply_currents(own).items() if name != self.power.mcu)
        return max(board_a - rest, 0.0) / factors[network.components[self.power.mcu].schema.supply]

    def _use(self, phase: Phase, place: str) -> tuple[tuple[Hold, ...], str]:
        assert phase.use is not None
        name, _, use = phase.use.partition(".")
        if name not in self.network.components:
            raise _unknown(place, "component", name, self.network.components)
        schema = self.network.components[name].schema
        if not use:
            return (self._plain_use(phase, name, place),), name
        if use not in schema.uses:
            raise _unknown(place, f"use of {name}", use, schema.uses)
        if phase.duration_s is not None:
            raise InputError(f"{place}: how long {phase.use} takes follows from its steps; give bytes or samples")
        described = schema.uses[use]
        holds: list[Hold] = []
        mcu = ((self.power.mcu, described.mcu),) if described.mcu else ()
        if described.mcu:
            self._state(place, self.power.mcu, described.mcu)
        steps = [*described.lead, *(list(described.steps) * described.repeat), *described.tail]
        for step in steps:
            holds.append(Hold(self._step_time(step, phase, place), ((name, step.state), *mcu)))
        if described.then:
            holds.append(Hold(0.0, ((name, described.then),)))
        return tuple(holds), name

    def _step_time(self, step: UseStep, phase: Phase, place: str) -> float:
        duration = step.time_s.value if step.time_s else 0.0
        for amount, unit, price in (
            (phase.bytes, "bytes", step.s_per_byte),
            (phase.samples, "samples", step.s_per_sample),
        ):
            if price is not None:
                if amount is None:
                    raise InputError(f"{place}: {phase.use} needs `{unit}`")
                duration += price.value * amount
        return duration

    def _plain_use(self, phase: Phase, name: str, place: str) -> Hold:
        schema = self.network.components[name].schema
        state = schema.active_state
        if not state:
            raise InputError(f"{place}: {name!r} has no state `active`; use one of its states with `states:` instead")
        duration = phase.duration_s
        for amount, unit, price in (
            (phase.bytes, "byte", schema.s_per_byte),
            (phase.samples, "sample", schema.s_per_sample),
        ):
            if amount is not None:
                if price is None:
                    raise InputError(f"{place}: the platform does not say how long {name!r} takes per {unit}")
                duration = amount * price.value
        if duration is None:
            raise InputError(f"{place}: give duration_s, bytes or samples")
        return Hold(duration, ((name, state),))

    def _state(self, place: str, component: str, state: str) -> None:
        if component not in self.network.components:
            raise _unknown(place, "component", component, self.network.components)
        if state not in self.network.components[component].schema.states:
            raise _unknown(place, f"state of {component}", state, self.network.components[component].schema.states)

    def _check_period(self, job: Job) -> None:
        total = math.fsum(_duration(step) for step in job.steps if step.when is None)
        if total > self.cycle.period_s:
            longest = max(job.steps, key=_duration)
            raise InputError(
                f"duty_cycle.period_s: phases take {total:.4g} s, longer than the {self.cycle.period_s:g} s period; "
                f"the longest is {longest.path} with {_duration(longest):.4g} s"
            )


def _duration(step: Step) -> float:
    own = math.fsum(hold.duration_s for hold in step.holds)
    return step.count * (own + max((_duration(branch) for branch in step.parallel), default=0.0))


def _walk(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        yield step
        yield from _walk(step.parallel)
