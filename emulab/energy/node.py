"""A node as a SimPy process: it wakes, does the steps of a job on the ledger, and goes back to sleep.

What is left to chance is asked of a ``choose(place, odds)``, so that a job can be drawn, replayed, or taken through
every course it may have.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import simpy

    from emulab.energy.ledger import Ledger
    from emulab.energy.steps import Job, Plan, Step
    from emulab.model.dutycycle import Condition

Process = Generator["simpy.Event", Any, bool]
"""A piece of a job; its value says whether the watchdog ended it."""


class Choose(Protocol):
    """Decides one thing left to chance: index into *odds* (which sum to 1); *place* names it for the reader."""

    def __call__(self, place: str, odds: tuple[float, ...]) -> int: ...


class Node:
    """Drives the components of one node. Between jobs every component is in its background state, the MCU asleep."""

    def __init__(self, env: simpy.Environment, ledger: Ledger, plan: Plan) -> None:
        self.env, self.ledger, self.plan = env, ledger, plan
        self._origin = env.now - ledger.time_s
        self._deadline: float | None = None
        self._results: dict[str, str] = {}
        self.resets = 0
        with_mode = plan.modes.get(plan.sleep_state, {})
        self._background = [
            (name, plan.background.get(name, component.schema.initial))
            for name, component in ledger.network.components.items()
            if name != plan.mcu and name not in with_mode
        ]
        self._rest()
        ledger.set_phase("sleep", self._now)

    @property
    def _now(self) -> float:
        return float(self.env.now - self._origin)

    def job(self, job: Job, index: int, choose: Choose) -> Process:
        """Do *job* for the *index*-th time: wake-up, steps, back to sleep."""
        plan, ledger = self.plan, self.ledger
        ledger.set_phase("wake-up", self._now)
        self._results = {}
        yield from self._pause(self._mode(plan.run_state), guarded=False)
        expired = False
        if plan.watchdog_s:
            self._deadline = self._now + plan.watchdog_s
            odds = (1 - plan.hang_probability, plan.hang_probability)
            if plan.hang_probability and choose("watchdog.hang_probability", odds):
                ledger.set_phase("hang", self._now)
                expired = yield from self._pause(plan.watchdog_s)
        if not expired:
            expired = yield from self._steps(job.steps, index, choose, top=True)
        self._deadline = None
        if expired:
            yield from self._restart(index, choose)
        ledger.set_phase("sleep", self._now)
        self._rest()
        yield from self._pause(ledger.transitions_left_s(), guarded=False)
        return expired

    def _rest(self) -> None:
        """Put every component where it is between jobs."""
        ledger, now = self.ledger, self._now
        components = ledger.network.components
        for name, state in self._background:
            if components[name].state != state:
                ledger.set_state(name, state, now)
        self._mode(self.plan.sleep_state)

    def _restart(self, index: int, choose: Choose) -> Process:
        self.resets += 1
        self.ledger.set_phase("reset", self._now)
        self._rest()
        self._mode(self.plan.run_state)
        return (yield from self._steps(self.plan.restart, index, choose, top=True))

    def _steps(self, steps: Iterable[Step], index: int, choose: Choose, top: bool) -> Process:
        for step in steps:
            if step.when is not None and not self._holds(step.when, step.path, index, choose):
                continue
            if top:
                self.ledger.set_phase(step.name, self._now)
            attempts = 1
            if step.retry is not None:
                attempts += choose(step.path + ".retry", attempt_odds(step.retry.probability, step.retry.limit))
            for attempt in range(attempts):
                if attempt and step.retry is not None and step.retry.delay_s:
                    delay = self._mode(step.retry_state) if step.retry_state else 0.0
                    if (yield from self._pause(max(delay, step.retry.delay_s))):
                        return True
                if (yield from self._step(step, index, choose)):
                    return True
        return False

    def _step(self, step: Step, index: int, choose: Choose) -> Process:
        components = self.ledger.network.components
        before = {name: components[name].state for name, _ in step.states}
        for name, state in step.states:
            delay = self._put(name, state)
            if name == self.plan.mcu and delay and (yield from self._pause(delay)):
                return True
        resting = {name: components[name].state for name in step.touched}
        for _ in range(step.count):
            for hold in step.holds:
                delay = 0.0
                for name, state in hold.states:
                    delay = max(delay, self._put(name, state))
                if delay and (yield from self._pause(delay)):
                    return True
                if hold.current_a is not None:
                    self._draw(hold.current_a)
                if (yield from self._pause(hold.duration_s)):
                    return True
            if step.parallel:
                branches = [self.env.process(self._steps((b,), index, choose, top=False)) for b in step.parallel]
                done = yield self.env.all_of(branches)
                if any(done.values()):
                    return True
        if step.window in self.plan.results:
            odds = self.plan.results[step.window]
            self._results[step.window] = tuple(odds)[choose(step.path + ".result", tuple(odds.values()))]
        delay = 0.0
        for name, state in resting.items():
            left_in = step.holds[-1].states if step.holds else ()
            if not (step.holds and step.holds[-1].duration_s == 0 and name in dict(left_in)):
                delay = max(delay, self._put(name, state))
        if resting.get(self.plan.mcu) is not None and delay and (yield from self._pause(delay)):
            return True
        for name, state in before.items():
            delay = self._put(name, state)
            if name == self.plan.mcu and delay and (yield from self._pause(delay)):
                return True
        return False

    def _holds(self, when: Condition, path: str, index: int, choose: Choose) -> bool:
        if when.every is not None and index % when.every != when.offset:
            return False
        if when.result is not None and self._results.get(when.result.window) != when.result.result:
            return False
        if when.probability is not None:
            return choose(path + ".when", (1 - when.probability, when.probability)) == 1
        return True

    def _pause(self, duration_s: float, guarded: bool = True) -> Process:
        expired = False
        if guarded and self._deadline is not None and self._now + duration_s >= self._deadline:
            duration_s, expired = max(self._deadline - self._now, 0.0), True
        if duration_s > 0:
            yield self.env.timeout(duration_s)
        self.ledger.advance(self._now)
        return expired

    def _put(self, component: str, state: str) -> float:
        if component == self.plan.mcu:
            return self._mode(state)
        return self.ledger.set_state(component, state, self._now)

    def _mode(self, state: str) -> float:
        """Put the MCU into a mode, and what goes with it; returns the time of the slowest transition."""
        now, ledger = self._now, self.ledger
        delay = ledger.set_state(self.plan.mcu, state, now)
        for name, other in self.plan.modes.get(state, {}).items():
            delay = max(delay, ledger.set_state(name, other, now))
        return delay

    def _draw(self, current_a: float) -> None:
        part = self.ledger.network.components[self.plan.mcu]
        factor = part.voltage_factor(part.check_state(self.plan.run_state))
        self.ledger.set_current(self.plan.mcu, current_a * factor, self._now)


def attempt_odds(failure: float, limit: int) -> tuple[float, ...]:
    """Odds of 0, 1, ... further attempts when each fails with *failure* and there are at most *limit*."""
    odds = [failure**k * (1 - failure) for k in range(limit - 1)]
    return (*odds, failure ** (limit - 1))
