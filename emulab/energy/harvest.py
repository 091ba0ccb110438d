"""A node that lives on a harvester: the store fills and empties, the node browns out and starts again.

The harvested current is constant within a piece of the profile; within a piece the node draws its mean, so the store
follows a straight line (cell) or the exact solution of its RC circuit (supercapacitor), and the instants at which the
node browns out or restarts are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.energy.battery import capacitor_voltage

if TYPE_CHECKING:
    from emulab.energy.battery import Store
    from emulab.energy.budget import Tally
    from emulab.energy.duty import Study
    from emulab.model.dutycycle import Harvest

SOLAR_PIECES = 96


@dataclass(frozen=True)
class Uptime:
    """How a harvesting node fared: share of time it ran, brown-outs, the store's voltage at the edges of pieces."""

    share: float
    brown_outs: int
    harvested_c: float
    lowest_v: float
    highest_v: float
    voltage: tuple[tuple[float, float], ...]


def pieces(harvest: Harvest) -> list[tuple[float, float]]:
    """The profile of one period as (duration s, current A into the store); a solar day keeps its exact charge."""
    if harvest.kind == "constant":
        return [(harvest.period_s, harvest.current_a * harvest.efficiency)]
    if harvest.kind == "solar":
        width = harvest.day_s / SOLAR_PIECES
        found = []
        for index in range(SOLAR_PIECES):
            a, b = math.pi * index / SOLAR_PIECES, math.pi * (index + 1) / SOLAR_PIECES
            mean = harvest.current_a * (math.cos(a) - math.cos(b)) / (b - a)
            found.append((width, mean * harvest.efficiency))
        night = harvest.period_s - harvest.day_s
        return found + ([(night, 0.0)] if night > 0 else [])
    times = [point.time_s for point in harvest.profile] + [harvest.period_s]
    return [
        (end - point.time_s, point.current_a * harvest.efficiency)
        for point, end in zip(harvest.profile, times[1:], strict=True)
    ]


class _Tank:
    """The store's state: depth of a cell or voltage of a capacitor, under constant net currents."""

    def __init__(self, store: Store, mean_a: float) -> None:
        self.store, self.capacity = store, store.capacity_c(mean_a)
        self.depth = 0.0
        self.full_v = store.open_v(0.0)
        self.rechargeable = store.is_capacitor or store.cell.rechargeable

    @property
    def voltage(self) -> float:
        return self.store.open_v(self.depth)

    def depth_at(self, voltage: float) -> float:
        """Least depth at which the open-circuit voltage is *voltage*."""
        if self.store.open_v(0.0) <= voltage:
            return 0.0
        if self.store.open_v(1.0) >= voltage:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.store.open_v(middle) > voltage else (low, middle)
        return high

    def after(self, time_s: float, net_a: float) -> float:
        """Depth after *time_s* under a net drain (negative: charging)."""
        if self.store.is_capacitor:
            volts = capacitor_voltage(self.voltage, time_s, net_a, self.store.capacitance_f, self.store.leakage_ohm)
            return min(max(1 - volts / self.full_v, 0.0), 1.0)
        rate = self.store.self_discharge_per_s
        charge = self.capacity * (1 - self.depth)
        if not self.rechargeable:
            net_a = max(net_a, 0.0)
        if rate:
            charge = charge * math.exp(-rate * time_s) + net_a / rate * math.expm1(-rate * time_s)
        else:
            charge -= net_a * time_s
        return min(max(1 - charge / self.capacity, 0.0), 1.0)

    def time_to(self, depth: float, net_a: float, limit_s: float) -> float:
        """First time within *limit_s* at which the depth is *depth*; bisection on a monotone curve."""
        low, high = 0.0, limit_s
        rising = self.after(limit_s, net_a) > self.depth
        for _ in range(80):
            middle = (low + high) / 2
            beyond = self.after(middle, net_a) >= depth if rising else self.after(middle, net_a) <= depth
            low, high = (low, middle) if beyond else (middle, high)
        return high


def harvest_life(study: Study, tally: Tally) -> tuple[float, str, Uptime]:
    """(time to the first brown-out or infinity, what happened, uptime) over the duration of *tally*."""
    assert study.store is not None and study.cycle.harvest is not None
    store = study.store
    rate = study.budget.rate(tally)
    peak = study.budget.peak_a()
    tank = _Tank(store, rate.current_a)
    off_depth = store.end_depth(peak, study.minimum_v)
    cut_off = store.cut_off_v(study.minimum_v)
    restart_v = study.power.restart_v.value if study.power.restart_v else cut_off
    # the node's own peak sags the supply: it must not brown out the moment it starts
    restart_v = max(restart_v, cut_off + peak * store.resistance_ohm(off_depth))
    on_depth = min(tank.depth_at(restart_v), off_depth)
    profile = pieces(study.cycle.harvest)
    now = up = harvested = 0.0
    running, outages, first = True, 0, math.inf
    history = [(0.0, tank.voltage)]
    span = tally.duration_s
    while now < span:
        for duration_s, income_a in profile:
            left = min(duration_s, span - now)
            while left > 1e-9:
                net = (rate.current_a if running else 0.0) - income_a
                target = off_depth if running else on_depth
                end = tank.after(left, net)
                crosses = end >= target > tank.depth if running else end <= target < tank.depth
                if running and tank.depth >= target:
                    crosses, step = net > 0 or end >= target, 0.0
                elif not running and tank.depth <= target:
                    crosses, step = True, 0.0
                else:
                    step = tank.time_to(target, net, left) if crosses else left
                tank.depth = (target if step else tank.depth) if crosses else end
                up += step if running else 0.0
                harvested += income_a * step
                now, left = now + step, left - step
                if crosses:
                    if running:
                        outages += 1
                        first = min(first, now)
                    elif net >= 0 and step == 0.0:
                        break
                    running = not running
                    if on_depth >= off_depth and step == 0.0:
                        break
            else:
                history.append((now, tank.voltage))
                if now >= span:
                    break
                continue
            # neither running nor recovering within this piece
            now += left
            history.append((now, tank.voltage))
    volts = [v for _, v in history]
    keep = history[:: max(len(history) // 2000, 1)]
    uptime = Uptime(up / span, outages, harvested, min(volts), max(volts), tuple(keep))
    if outages:
        return first, f"first brown-out; ran {uptime.share:.1%} of the time, {outages} brown-outs", uptime
    return math.inf, "harvest keeps it running", uptime
