"""The courses a job can take: every combination of what is left to chance, its odds, and what it costs.

A job is simulated once per course, event by event; a year of jobs is then a matter of counting courses. A course is
drawn with one uniform number, so that the counted and the event-by-event simulation see the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.energy.network import Network
    from emulab.energy.node import Choose
    from emulab.energy.steps import Job, Plan
    from emulab.energy.trace import Trace

MAX_COURSES = 4096

Charges = dict[tuple[str, str], float]
"""Coulomb per (component, phase)."""


@dataclass(frozen=True)
class Course:
    """One way a job can go. Charges are those of the supply, from wake-up to asleep again."""

    choices: tuple[int, ...]
    probability: float
    duration_s: float
    charges: Charges
    peak_a: float
    phase_s: dict[str, float]
    resets: int


class Replay:
    """Takes given choices, and the first possible one after those; remembers the odds it was asked for."""

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self.choices = choices
        self.asked: list[tuple[int, tuple[float, ...]]] = []

    def __call__(self, place: str, odds: tuple[float, ...]) -> int:
        position = len(self.asked)
        if position < len(self.choices):
            choice = self.choices[position]
        else:
            choice = next(index for index, probability in enumerate(odds) if probability > 0)
        self.asked.append((choice, odds))
        return choice


def play(
    network: Network,
    plan: Plan,
    job: Job,
    index: int,
    choose: Choose,
    trace: Trace | None = None,
) -> tuple[float, Charges, float, dict[str, float], int]:
    """Simulate one job from asleep to asleep: (duration s, charges, peak A, seconds per phase, watchdog resets)."""
    import simpy

    from emulab.energy.ledger import Ledger
    from emulab.energy.node import Node

    for component in network.components.values():
        component.state = component.schema.initial
    env = simpy.Environment()
    node = Node(env, Ledger(network), plan)
    ledger = node.ledger = Ledger(network, phase="sleep", trace=trace)
    process = env.process(node.job(job, index, choose))
    env.run(until=process)
    duration_s = float(env.now)
    ledger.advance(duration_s)
    return duration_s, ledger.charges(), ledger.peak_current_a, ledger.phase_times(), node.resets


def sleep_currents(network: Network, plan: Plan) -> dict[str, float]:
    """Share of the supply current per component between jobs."""
    states = {**plan.background, plan.mcu: plan.sleep_state, **plan.modes.get(plan.sleep_state, {})}
    return network.supply_currents(
        {name: part.current_a(states.get(name, part.schema.initial)) for name, part in network.components.items()}
    )


def courses(network: Network, plan: Plan, job: Job, index: int) -> list[Course]:
    """Every course of the *index*-th *job*, most likely first choice first; probabilities sum to 1.

    InputError where there are more than 4096: state so many conditions as probabilities of fewer phases.
    """
    found: list[Course] = []
    pending: list[tuple[int, ...]] = [()]
    while pending:
        prefix = pending.pop()
        replay = Replay(prefix)
        duration_s, charges, peak_a, phase_s, resets = play(network, plan, job, index, replay)
        taken = tuple(choice for choice, _ in replay.asked)
        probability = 1.0
        for choice, odds in replay.asked:
            probability *= odds[choice]
        found.append(Course(taken, probability, duration_s, charges, peak_a, phase_s, resets))
        for position in range(len(prefix), len(taken)):
            choice, odds = replay.asked[position]
            pending += [(*taken[:position], other) for other, p in enumerate(odds) if p > 0 and other != choice]
        if len(found) + len(pending) > MAX_COURSES:
            raise InputError(
                f"duty_cycle: {job.name!r} can go in more than {MAX_COURSES} ways; use fewer conditions and retries"
            )
    return sorted(found, key=lambda course: course.choices)
