"""The charge ledger: exact charge per component and per phase, event by event.

Between two events every current is constant, so charge is a sum of products and exact to rounding; sums are
compensated, so that a year of short events loses nothing. Time never goes back: events come in order.

Whoever runs the node drives it, a duty cycle or the embedded machine as firmware runs::

    ledger = platform_ledger(platform, counted=["core"])
    ledger.set_state("core", "run", 0.0)                       # states: the machine's power registers, WFI, enables
    ledger.add_activity("core", {"flash_read": 5000}, 1e-3)    # what the probe counted, at the end of each slice
    delay_s = ledger.set_state("core", "stop2", 1e-3)          # time the transition takes
    ledger.set_clock("core", 16e6, 2e-3)
    ledger.add_charge("flash", 2e-6, 3e-3)                     # e.g. one page programmed
    ledger.advance(10.0)
    ledger.charge_by_component()                               # coulomb, at the supply
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emulab.errors import EmulabError

if TYPE_CHECKING:
    from emulab.energy.network import Network
    from emulab.energy.trace import Trace


class TimeWentBack(EmulabError):
    """An event was entered before one that the ledger already has."""


class Account:
    """A compensated sum: exact to the last bits whatever the order of the terms.

    What each addition rounds off is had exactly (Knuth's two-sum, The Art of Computer Programming 2, 4.2.2) and summed
    beside, as Neumaier (1974) does.
    """

    __slots__ = ("_carry", "_sum")

    def __init__(self) -> None:
        self._sum = self._carry = 0.0

    def add(self, value: float) -> None:
        before = self._sum
        self._sum = total = before + value
        added = total - before
        self._carry += (before - (total - added)) + (value - added)

    @property
    def value(self) -> float:
        return self._sum + self._carry


class Ledger:
    """Integrates the supply current of a :class:`~emulab.energy.network.Network`.

    Charges and currents are those of the supply (behind all regulators); ``total_charge_c`` is integrated from the
    total current on its own, so that it can be held against the sum of the components.
    """

    def __init__(self, network: Network, *, time_s: float = 0.0, phase: str = "", trace: Trace | None = None) -> None:
        self.network, self.trace = network, trace
        self.time_s, self.phase = time_s, phase
        self.peak_current_a = 0.0
        self._own = {name: component.current_a() for name, component in network.components.items()}
        self._share: dict[str, float] = {}
        self._since: dict[str, float] = {}
        """From when on a component's share is still to be entered; of no account where it draws nothing."""
        self._accounts: dict[tuple[str, str], tuple[Account, Account]] = {}
        """Charge and energy per (component, phase)."""
        self._phase_s: dict[str, Account] = {}
        self._phase_since = time_s
        self._total_charge, self._total_energy = Account(), Account()
        self._pending: list[tuple[float, int, str, int]] = []
        self._serial: dict[str, int] = dict.fromkeys(self._own, 0)
        self._order = 0
        self._overridden: set[str] = set()
        self._linear = network.linear
        self._factors = network.factors(self._own)
        self._rail = {name: self._rail_of(name) for name in self._own}
        self._recompute_all()

    # -- what drives it ----------------------------------------------------------------------------------------

    def set_state(self, component: str, state: str, time_s: float) -> float:
        """Put *component* into *state* at *time_s*; returns the time in s its transition takes (0 for most).

        The transition's charge is spread over that time, then the state's current holds. Another state set while a
        transition is under way ends that transition. InputError for an unknown component or state.
        """
        part = self.network.component(component)
        before = part.state
        if state == before:
            self.advance(time_s)
            if component in self._overridden:
                self._overridden.discard(component)
                self._set_current(component, part.current_a())
            return self.transition_left_s(component)
        part.check_state(state)
        self.advance(time_s)
        self._overridden.discard(component)
        duration_s, current_a = part.transition(before, state)
        part.state = state
        self._serial[component] += 1
        if duration_s > 0:
            self._order += 1
            entry = (time_s + duration_s, self._order, component, self._serial[component])
            heapq.heappush(self._pending, entry)
            self._set_current(component, current_a)
        else:
            impulse = part.transition_impulse_c(before, state)
            if impulse:
                self.add_charge(component, impulse, time_s)
            self._set_current(component, part.current_a())
        return duration_s

    def set_current(self, component: str, current_a: float, time_s: float) -> None:
        """Have *component* draw *current_a* (at its own supply), as measured or emulated, until its next state."""
        self.network.component(component)
        self.advance(time_s)
        self._serial[component] += 1
        self._overridden.add(component)
        self._set_current(component, current_a)

    def set_clock(self, component: str, clock_hz: float, time_s: float) -> None:
        """Change the clock of *component* (the core, or whatever is fed by that clock)."""
        part = self.network.component(component)
        self.advance(time_s)
        part.clock_hz = clock_hz
        if not self._in_transition(component):
            self._set_current(component, part.current_a())

    def set_supply(self, supply_v: float, time_s: float) -> None:
        """Change the supply voltage of the whole node."""
        self.advance(time_s)
        self.settle()
        self.network.set_supply(supply_v)
        for name, part in self.network.components.items():
            if not self._in_transition(name) and name not in self._overridden:
                self._own[name] = part.current_a()
        self._recompute_all()

    def set_phase(self, phase: str, time_s: float) -> None:
        """From *time_s* on, charge is entered under *phase*."""
        self.advance(time_s)
        if phase == self.phase:
            return
        self.settle()
        self.phase = phase
        if self.trace is not None:
            self.trace.mark(phase, time_s)

    def add_charge(self, component: str, charge_c: float, time_s: float, since_s: float | None = None) -> None:
        """Enter *charge_c* (coulomb, at the component's own supply) drawn by *component* at *time_s*.

        With *since_s* it was drawn evenly from then on, which the trace and the peak show; it all counts to this phase.
        """
        self.network.component(component)
        self.advance(time_s)
        charge = charge_c * self._gain(component)
        self._account(component, charge)
        self._total_charge.add(charge)
        self._total_energy.add(charge * self.network.supply_v)
        if since_s is not None and since_s < time_s:
            peak = self._total_a + charge / (time_s - since_s)
            self.peak_current_a = max(self.peak_current_a, peak)
            if self.trace is not None:
                self.trace.spread(since_s, time_s, charge, peak)
        elif self.trace is not None:
            self.trace.impulse(time_s, charge)

    def add_activity(
        self,
        component: str,
        counts: Mapping[str, float],
        time_s: float,
        *,
        state: str | None = None,
        since_s: float | None = None,
    ) -> float:
        """Enter events counted since the last call (``{"flash_read": 5000, ...}``); returns their charge in coulomb.

        For components the network was told are ``counted``; others already carry their typical activity. Priced by
        *state* (default: the one the component is in), spread from *since_s* on where that is given.
        """
        charge = self.network.component(component).activity_charge_c(counts, state)
        self.add_charge(component, charge, time_s, since_s)
        return charge

    def advance(self, time_s: float) -> None:
        """Let time pass to *time_s*."""
        pending = self._pending
        while pending and pending[0][0] <= time_s:
            end_s, _, component, serial = heapq.heappop(pending)
            if serial == self._serial[component]:
                self._pass(end_s)
                self._serial[component] += 1
                self._set_current(component, self.network.components[component].current_a())
        if time_s != self.time_s:
            self._pass(time_s)

    # -- what it knows -----------------------------------------------------------------------------------------

    @property
    def current_a(self) -> float:
        """Supply current now."""
        return self._total_a

    @property
    def total_charge_c(self) -> float:
        """Charge taken from the supply so far."""
        return self._total_charge.value

    @property
    def total_energy_j(self) -> float:
        """Energy taken from the supply so far."""
        return self._total_energy.value

    def charges(self) -> dict[tuple[str, str], float]:
        """Charge in coulomb per (component, phase), up to now."""
        self.settle()
        return {key: charge.value for key, (charge, _) in self._accounts.items()}

    def energies(self) -> dict[tuple[str, str], float]:
        """Energy in joule per (component, phase), up to now."""
        self.settle()
        return {key: energy.value for key, (_, energy) in self._accounts.items()}

    def charge_by_component(self) -> dict[str, float]:
        """Charge in coulomb per component, up to now."""
        return _fold(self.charges(), 0)

    def charge_by_phase(self) -> dict[str, float]:
        """Charge in coulomb per phase, up to now."""
        return _fold(self.charges(), 1)

    def phase_times(self) -> dict[str, float]:
        """Time in s spent per phase, up to now."""
        self.settle()
        return {phase: account.value for phase, account in self._phase_s.items()}

    def transition_left_s(self, component: str) -> float:
        """Time until the transition of *component* that is under way ends."""
        if not self._pending:
            return 0.0
        ends = [e for e, _, name, serial in self._pending if name == component and serial == self._serial[name]]
        return max(ends) - self.time_s if ends else 0.0

    def transitions_left_s(self) -> float:
        """Time until no transition is under way."""
        return max(map(self.transition_left_s, self._own)) if self._pending else 0.0

    # -- how ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Enter what has been drawn up to now."""
        for name, current_a in self._share.items():
            if current_a:
                self._flush(name)
        elapsed = self.time_s - self._phase_since
        if elapsed:
            self._phase_s.setdefault(self.phase, Account()).add(elapsed)
            self._phase_since = self.time_s

    def _in_transition(self, component: str) -> bool:
        serial = self._serial[component]
        return any(name == component and s == serial for _, _, name, s in self._pending)

    def _rail_of(self, component: str) -> str | None:
        """Rail a component hangs on; None for what the upstream regulator draws itself, before its own conversion."""
        from emulab.energy.network import QUIESCENT

        return None if component == QUIESCENT + "upstream" else self.network.components[component].schema.supply

    def _gain(self, component: str) -> float:
        rail = self._rail[component]
        return 1.0 if rail is None else self._factors[rail]

    def _pass(self, time_s: float) -> None:
        elapsed = time_s - self.time_s
        if elapsed < 0:
            raise TimeWentBack(
                f"energy ledger: an event at {time_s!r} s comes after one at {self.time_s!r} s; enter events in order"
            )
        charge = self._total_a * elapsed
        self._total_charge.add(charge)
        self._total_energy.add(charge * self.network.supply_v)
        if elapsed and self._total_a > self.peak_current_a:
            self.peak_current_a = self._total_a
        if self.trace is not None:
            self.trace.add(self.time_s, time_s, self._total_a)
        self.time_s = time_s

    def _flush(self, component: str) -> None:
        elapsed = self.time_s - self._since[component]
        if elapsed:
            self._since[component] = self.time_s
            current = self._share[component]
            if current:
                self._account(component, current * elapsed)

    def _account(self, component: str, charge: float) -> None:
        key = (component, self.phase)
        accounts = self._accounts.get(key)
        if accounts is None:
            accounts = self._accounts[key] = (Account(), Account())
        accounts[0].add(charge)
        accounts[1].add(charge * self.network.supply_v)

    def _set_current(self, component: str, current_a: float) -> None:
        if not self._linear:
            self.settle()
            self._own[component] = current_a
            self._recompute_all()
            return
        self._flush(component)
        self._own[component] = current_a
        self._share[component] = current_a * self._gain(component)
        self._total_a = math.fsum(self._share.values())

    def _recompute_all(self) -> None:
        """Shares anew after :meth:`settle`, which passes over those that draw nothing."""
        self._since = dict.fromkeys(self._own, self.time_s)
        self._factors = self.network.factors(self._own)
        self._share = {name: current * self._gain(name) for name, current in self._own.items()}
        self._total_a = math.fsum(self._share.values())


def _fold(values: Mapping[tuple[str, str], float], index: int) -> dict[str, float]:
    folded: dict[str, float] = {}
    for key, value in values.items():
        folded[key[index]] = folded.get(key[index], 0.0) + value
    return folded
