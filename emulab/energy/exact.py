"""The long simulation: every job of a duty cycle, event by event, in SimPy, on one ledger.

It sees the same draws as the counting of :mod:`emulab.energy.counting`, which is held against it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.energy.arrivals import Source, sources
from emulab.energy.budget import Tally
from emulab.energy.counting import edges
from emulab.energy.courses import Replay
from emulab.energy.ledger import Ledger
from emulab.energy.node import Node

if TYPE_CHECKING:
    import simpy

    from emulab.energy.budget import Budget
    from emulab.energy.trace import Trace
    from emulab.model.dutycycle import DutyCycle


def run_exact(
    budget: Budget,
    cycle: DutyCycle,
    duration_s: float,
    seed: int,
    *,
    folder: Path | None = None,
    trace: Trace | None = None,
    supply_v: Callable[[float], float] | None = None,
) -> tuple[Ledger, Tally]:
    """Simulate everything that comes within *duration_s*: (ledger at the end, tally).

    ``supply_v`` gives the supply voltage from the charge drawn so far; it is asked before each job.
    """
    import simpy

    if supply_v is not None:
        budget.network.set_supply(supply_v(0.0))
    slots = budget.slots()
    boundaries = {slot: [float(e) for e in edges([c.probability for c in found])] for slot, found in slots.items()}
    tally = Tally(duration_s, {slot: [0.0] * len(found) for slot, found in slots.items()})
    network = budget.network
    for component in network.components.values():
        component.state = component.schema.initial
    env = simpy.Environment()
    node = Node(env, Ledger(network), budget.plan)
    ledger = node.ledger = Ledger(network, phase="sleep", trace=trace)
    queue = simpy.Store(env)
    found = sources(cycle, seed, duration_s, folder)
    server = env.process(_serve(env, queue, node, budget, boundaries, tally, len(found), supply_v))
    for source in found:
        env.process(_arrive(env, source, queue))
    env.run(until=server)
    ledger.advance(max(duration_s, float(env.now)))
    tally.duration_s = ledger.time_s
    return ledger, tally


def _arrive(env: simpy.Environment, source: Source, queue: simpy.Store) -> Generator[simpy.Event, Any, None]:
    index = 0
    for times, draws in source.blocks(1024):
        for time, draw in zip(times.tolist(), draws.tolist(), strict=True):
            if time > env.now:
                yield env.timeout(time - env.now)
            queue.put((source.name, index, draw, time))
            index += 1
    queue.put(None)


def _serve(
    env: simpy.Environment,
    queue: simpy.Store,
    node: Node,
    budget: Budget,
    boundaries: dict[tuple[str, int], list[float]],
    tally: Tally,
    live: int,
    supply_v: Callable[[float], float] | None,
) -> Generator[simpy.Event, Any, None]:
    slots = budget.slots()
    jobs = budget.plan.jobs
    while live:
        item = yield queue.get()
        if item is None:
            live -= 1
            continue
        name, index, draw, time = item
        slot = (name, index % jobs[name].cycles)
        course = bisect_right(boundaries[slot], draw)
        tally.counts[slot][course] += 1
        tally.longest_wait_s = max(tally.longest_wait_s, env.now - time)
        node.ledger.advance(float(env.now))
        if supply_v is not None:
            node.ledger.set_supply(supply_v(node.ledger.total_charge_c), float(env.now))
        yield from node.job(jobs[name], index, Replay(slots[slot][course].choices))
