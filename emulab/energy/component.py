"""A power component at work: which state it is in, and the current that state draws.

>>> from emulab.model.power import PowerComponent
>>> led = Component("led", PowerComponent.model_validate({
...     "initial": "off",
...     "states": {"off": {}, "on": {"current_a": {"value": 2e-3, "unit": "A", "assumed": True}}},
... }), supply_v=3.0)
>>> led.current_a()
0.0
>>> led.state = "on"
>>> led.current_a()
0.002
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.model.power import PowerComponent, PowerState


def interpolate(points: list[tuple[float, float]], x: float) -> float:
    """Piecewise linear through rising *points*, extrapolated by the slopes at the ends (constant for one point)."""
    if len(points) == 1:
        return points[0][1]
    index = 1
    while index < len(points) - 1 and x > points[index][0]:
        index += 1
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


class Component:
    """One consumer. ``current_a`` is at the component's own supply; the network carries it to the battery side.

    ``counted`` says that somebody counts this component's activity and charges it to the ledger; the currents then
    leave the typical activity out.
    """

    def __init__(
        self,
        name: str,
        schema: PowerComponent,
        *,
        supply_v: float,
        clock_hz: float = 0.0,
        reference_v: float | None = None,
        counted: bool = False,
    ) -> None:
        self.name, self.schema = name, schema
        self.state = schema.initial
        self.clock_hz, self.supply_v, self.counted = clock_hz, supply_v, counted
        self.reference_v = supply_v if reference_v is None else reference_v
        self._cache: dict[tuple[str, float, float, bool], float] = {}

    def check_state(self, state: str) -> PowerState:
        """The schema of *state*; InputError naming the closest one where the component has no such state."""
        try:
            return self.schema.states[state]
        except KeyError:
            close = difflib.get_close_matches(state, self.schema.states, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}?" if close else f"states: {', '.join(self.schema.states)}"
            raise InputError(f"component {self.name!r} has no state {state!r}; {hint}") from None

    def current_a(self, state: str | None = None) -> float:
        """Current in ampere in *state* (default: the present one) at the present clock and supply."""
        key = (self.state if state is None else state, self.clock_hz, self.supply_v, self.counted)
        try:
            return self._cache[key]
        except KeyError:
            current = self._cache[key] = self._current(self.check_state(key[0]))
            return current

    def _current(self, state: PowerState) -> float:
        current = state.current_a.value if state.current_a else 0.0
        if state.per_hz_a:
            current += state.per_hz_a.value * self.clock_hz
        if state.points:
            points = [(point.clock_hz, point.current_a.value) for point in state.points]
            current += max(interpolate(points, self.clock_hz), 0.0)
        if not self.counted:
            for name, per_cycle in state.typical_activity.items():
                current += state.per_activity[name].value * per_cycle.value * self.clock_hz
        return current * self.voltage_factor(state)

    def voltage_factor(self, state: PowerState) -> float:
        """How much more the state draws at the present supply than at the one its figures hold for."""
        if state.voltage_exponent == 0.0:
            return 1.0
        return float((self.supply_v / (state.at_v or self.reference_v)) ** state.voltage_exponent)

    def activity_charge_c(self, counts: Mapping[str, float], state: str | None = None) -> float:
        """Charge in coulomb of counted events in *state*; events the state does not price cost nothing."""
        schema = self.check_state(self.state if state is None else state)
        charge = math.fsum(price.value * counts.get(name, 0.0) for name, price in schema.per_activity.items())
        return float(charge * self.voltage_factor(schema))

    def transition(self, from_state: str, to_state: str) -> tuple[float, float]:
        """(time in s, current in A at the component's supply) of a transition; (0, 0) where none is described."""
        best, rank = None, -1
        for candidate in self.schema.transitions:
            if candidate.from_state in (from_state, "*") and candidate.to_state in (to_state, "*"):
                score = 2 * (candidate.from_state != "*") + (candidate.to_state != "*")
                if score > rank:
                    best, rank = candidate, score
        if best is None or from_state == to_state:
            return 0.0, 0.0
        time_s = best.time_s.value
        if best.charge_c is None:
            return time_s, self.current_a(to_state)
        return time_s, best.charge_c.value / time_s if time_s > 0 else 0.0

    def transition_impulse_c(self, from_state: str, to_state: str) -> float:
        """Charge of a transition that takes no time."""
        for candidate in self.schema.transitions:
            if (
                candidate.from_state in (from_state, "*")
                and candidate.to_state in (to_state, "*")
                and candidate.charge_c is not None
                and candidate.time_s.value == 0
                and from_state != to_state
            ):
                return candidate.charge_c.value
        return 0.0
