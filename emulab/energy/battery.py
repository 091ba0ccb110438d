"""Energy stores: coin cell, lithium polymer, AA lithium, supercapacitor.

A cell has an open-circuit voltage and an internal resistance against depth of discharge, delivers a share of its
nominal capacity that depends on load and temperature, loses charge by itself, and is empty where its voltage under
the node's current peak falls below what the node (or the cell's own cut-off) allows. A supercapacitor is C, ESR and a
leakage resistance; its voltage follows from the exact solution of the RC circuit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from emulab.energy.component import interpolate
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.model.dutycycle import Battery
    from emulab.model.power import Cell, Power

YEAR_S = 365.25 * 86400.0


@dataclass(frozen=True)
class Life:
    """How long a store lasts. ``life_s`` is infinite where nothing drains it; ``reason`` says what ended it."""

    life_s: float
    reason: str
    delivered_c: float
    self_discharged_c: float
    end_v: float


class Store:
    """A battery of ``series`` x ``parallel`` cells at a temperature; voltages and currents are at its terminals."""

    def __init__(self, cell: Cell, battery: Battery) -> None:
        self.cell, self.series, self.parallel = cell, battery.series, battery.parallel
        self.temperature_degc = battery.temperature_degc
        self._fraction = self._factor = 1.0
        if cell.temperature:
            points = cell.temperature
            low, high = points[0].temperature_degc, points[-1].temperature_degc
            if not low <= battery.temperature_degc <= high:
                raise InputError(
                    f"duty_cycle.battery.temperature_degc: {battery.temperature_degc:g} is outside what is known "
                    f"of {battery.type!r} ({low:g} to {high:g})"
                )
            pick = [(p.temperature_degc, p.fraction) for p in points]
            self._fraction = interpolate(pick, battery.temperature_degc)
            self._factor = interpolate(
                [(p.temperature_degc, p.resistance_factor) for p in points], battery.temperature_degc
            )
        self._ocv = [(p.depth, p.voltage_v) for p in cell.voltage]
        self._resistance = [(p.depth, p.resistance_ohm) for p in cell.voltage if p.resistance_ohm is not None]

    @property
    def is_capacitor(self) -> bool:
        return self.cell.capacitance_f is not None

    @property
    def capacitance_f(self) -> float:
        assert self.cell.capacitance_f is not None
        return self.cell.capacitance_f.value * self.parallel / self.series

    @property
    def leakage_ohm(self) -> float:
        """Parallel resistance of a supercapacitor; infinite where none is given."""
        leak = self.cell.leakage_ohm
        return leak.value * self.series / self.parallel if leak else math.inf

    @property
    def self_discharge_per_s(self) -> float:
        """Share of the remaining charge lost per second."""
        rate = self.cell.self_discharge_per_year
        return -math.log1p(-rate.value) / YEAR_S if rate else 0.0

    def capacity_c(self, mean_a: float) -> float:
        """Charge in coulomb the full store delivers at a mean current, at its temperature."""
        if self.is_capacitor:
            assert self.cell.full_v is not None
            return self.capacitance_f * self.cell.full_v.value * self.series
        assert self.cell.capacity_c is not None
        fraction = self._fraction
        if self.cell.load:
            points = [(math.log(p.current_a), p.fraction) for p in self.cell.load]
            x = math.log(max(mean_a / self.parallel, 1e-15))
            fraction *= interpolate(points, min(max(x, points[0][0]), points[-1][0]))
        return self.cell.capacity_c.value * self.parallel * fraction

    def open_v(self, depth: float) -> float:
        """Open-circuit voltage at a depth of discharge, 0 full to 1 empty."""
        if self.is_capacitor:
            assert self.cell.full_v is not None
            return self.cell.full_v.value * self.series * (1 - depth)
        return interpolate(self._ocv, min(max(depth, 0.0), 1.0)) * self.series

    def resistance_ohm(self, depth: float) -> float:
        """Internal resistance at a depth of discharge and the store's temperature."""
        own = self.cell.resistance_ohm.value if self.cell.resistance_ohm else 0.0
        if self._resistance:
            own = interpolate(self._resistance, min(max(depth, 0.0), 1.0))
        return own * self._factor * self.series / self.parallel

    def loaded_v(self, depth: float, current_a: float) -> float:
        """Terminal voltage under a current."""
        return self.open_v(depth) - current_a * self.resistance_ohm(depth)

    def cut_off_v(self, node_minimum_v: float) -> float:
        """Terminal voltage at which the node stops: its own minimum or the cell's cut-off."""
        own = self.cell.cut_off_v.value * self.series if self.cell.cut_off_v else 0.0
        return max(own, node_minimum_v)

    def end_depth(self, peak_a: float, minimum_v: float) -> float:
        """Depth of discharge at which the voltage under *peak_a* first falls below the cut-off; 1 if it never does."""
        cut_off = self.cut_off_v(minimum_v)
        grid = sorted({d for d, _ in self._ocv} | {d for d, _ in self._resistance} | {0.0, 1.0})
        for low, high in pairwise(grid):
            if self.loaded_v(low, peak_a) < cut_off:
                return low
            if self.loaded_v(high, peak_a) < cut_off:
                # piecewise linear in between: the crossing is exact
                v_low, v_high = self.loaded_v(low, peak_a), self.loaded_v(high, peak_a)
                return low + (high - low) * (v_low - cut_off) / (v_low - v_high)
        return 1.0

    def life(
        self,
        mean_a: Callable[[float], float],
        peak_a: float,
        minimum_v: float = 0.0,
        *,
        constant: bool = True,
        steps: int = 400,
    ) -> Life:
        """How long the store feeds a node that draws ``mean_a(voltage)`` on average and ``peak_a`` at most.

        ``constant`` says the mean does not depend on the voltage: the solution is then exact, else Runge-Kutta.
        """
        end = self.end_depth(peak_a, minimum_v)
        if end <= 0:
            sag = self.loaded_v(0.0, peak_a)
            reason = f"cannot start: {sag:.2f} V under the {peak_a * 1e3:.3g} mA peak"
            return Life(0.0, reason, 0.0, 0.0, sag)
        first_a = mean_a(self.open_v(0.0))
        capacity = self.capacity_c(first_a)
        reason = (
            "empty" if end >= 1 else f"{self.cut_off_v(minimum_v):.2f} V reached under the {peak_a * 1e3:.3g} mA peak"
        )
        if self.is_capacitor:
            rate = 1.0 / (self.leakage_ohm * self.capacitance_f)
        else:
            rate = self.self_discharge_per_s
        if first_a <= 0 and rate == 0:
            return Life(math.inf, "nothing drains it", 0.0, 0.0, self.open_v(0.0))
        full, empty = capacity, capacity * (1 - end)
        if constant:
            life_s = _decay_time(full, empty, first_a, rate)
            delivered = first_a * life_s
        else:
            life_s, delivered = self._integrate(mean_a, capacity, end, rate, steps)
        lost = max(full - empty - delivered, 0.0)
        return Life(life_s, reason, delivered, lost, self.open_v(end))

    def _integrate(
        self, mean_a: Callable[[float], float], capacity: float, end: float, rate: float, steps: int
    ) -> tuple[float, float]:
        """(time, charge delivered) down to depth *end*: Simpson over depth, between the knees of the voltage curve."""
        knees = sorted({0.0, end, *(d for d, _ in self._ocv if d < end)})
        life_s = delivered = 0.0
        for low, high in pairwise(knees):
            count = max(2 * math.ceil(steps * (high - low)), 8)
            count += count % 2
            width = (high - low) / count
            for index in range(count + 1):
                depth = low + index * width
                weight = 1 if index in (0, count) else 4 if index % 2 else 2
                current = mean_a(self.open_v(depth))
                drain = current + rate * capacity * (1 - depth)
                if drain <= 0:
                    return math.inf, delivered
                life_s += weight * width / 3 * capacity / drain
                delivered += weight * width / 3 * capacity * current / drain
        return life_s, delivered


def _decay_time(full_c: float, empty_c: float, current_a: float, rate_per_s: float) -> float:
    """Time for charge to fall from full to empty under dQ/dt = -I - k Q."""
    if rate_per_s == 0:
        return (full_c - empty_c) / current_a
    if current_a <= 0 and empty_c <= 0:
        return math.inf
    # ln((kF + I) / (kE + I)) without cancellation for small k
    return math.log1p(rate_per_s * (full_c - empty_c) / (rate_per_s * empty_c + current_a)) / rate_per_s


def capacitor_voltage(v0: float, time_s: float, current_a: float, capacitance_f: float, leakage_ohm: float) -> float:
    """Voltage of a capacitor after *time_s* under a constant load: C dV/dt = -I - V/R, solved exactly."""
    if math.isinf(leakage_ohm):
        return v0 - current_a * time_s / capacitance_f
    tau = leakage_ohm * capacitance_f
    return v0 * math.exp(-time_s / tau) + current_a * leakage_ohm * math.expm1(-time_s / tau)


def check_supply(battery: Battery, store: Store, power: Power) -> None:
    """InputError where the board does not bear what the battery, or the regulator behind it, gives."""
    if power.maximum_v is None:
        return
    most = power.maximum_v.value
    if battery.regulator is not None:
        if battery.regulator.output_v.value > most + 1e-9:
            raise InputError(
                f"duty_cycle.battery.regulator.output_v: {battery.regulator.output_v.value:g} V is more than the board "
                f"bears: {most:g} V ({power.maximum_v.source})"
            )
    elif store.open_v(0.0) > most + 1e-9:
        cells = f"{battery.series} x {battery.type}" if battery.series > 1 else battery.type
        raise InputError(
            f"duty_cycle.battery: {cells} has {store.open_v(0.0):.3g} V when full, the board bears {most:g} V "
            f"({power.maximum_v.source}); put a `regulator` between, see docs/energy.md"
        )


def load_store(battery: Battery) -> Store:
    """The store of a duty cycle; InputError names the key that is wrong."""
    from emulab.energy.parts import load_cell

    return Store(load_cell(battery), battery)
