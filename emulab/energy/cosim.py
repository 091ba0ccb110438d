"""Firmware on the ledger: the embedded machine's sleep, wake-up and clock changes drive the power components.

The machine tells what the core does (``run``, ``sleep``, ``deep-sleep``) and at which clock; a deep sleep becomes the
state that the firmware's own power register asks for. The MCU's other components follow by ``power.modes``::

    with backend.open(platform, image, options) as session:
        meter = FirmwareMeter(platform, session.machine)
        ...
        meter.charges(session.clock.now_s())        # coulomb per component since reset

Windows of the session then carry their own charge, which :func:`emulab.energy.window_energy` uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from emulab.energy.network import platform_ledger

if TYPE_CHECKING:
    from emulab.energy.ledger import Ledger
    from emulab.energy.trace import Trace
    from emulab.model.platform import Platform


class PowerSource(Protocol):
    """What a machine offers to whoever accounts its energy."""

    power_listeners: list[Callable[[str, str, float], None]]
    clock_listeners: list[Callable[[float, float], None]]
    charge_sources: list[Callable[[float], dict[str, float]]]

    def bus_read(self, address: int, size: int) -> int: ...


DEEP_SLEEP = "deep-sleep"


class FirmwareMeter:
    """Keeps the ledger of a platform while its machine runs. Attach it right after the session is opened."""

    def __init__(self, platform: Platform, machine: PowerSource, *, trace: Trace | None = None) -> None:
        self.ledger: Ledger = platform_ledger(platform, trace=trace)
        self.power = self.ledger.network.power
        self._machine = machine
        self._told: dict[str, str] = {}
        self.sleeps: list[tuple[float, dict[str, float]]] = []
        """Time and charge by component at each entry into deep sleep, for :func:`fast_forward`."""
        for name, state in self.power.modes.get(self.power.run_state, {}).items():
            self.ledger.set_state(name, state, 0.0)
        machine.power_listeners.append(self._on_state)
        machine.clock_listeners.append(self._on_clock)
        machine.charge_sources.append(self.charges)

    def charges(self, time_s: float) -> dict[str, float]:
        """Charge in coulomb per component since reset, up to *time_s* (or later, if events beyond it came already)."""
        self.ledger.advance(self._at(time_s))
        return self.ledger.charge_by_component()

    def _at(self, time_s: float) -> float:
        """A time the ledger takes: within one block the machine's events may lie a few cycles apart, out of order."""
        return max(time_s, self.ledger.time_s)

    def _on_state(self, component: str, state: str, time_s: float) -> None:
        at = self._at(time_s)
        if component == "core":
            if state == DEEP_SLEEP:
                self.sleeps.append((at, self.charges(at)))
            self._mcu(self._mode(state), at)
            return
        known = self.ledger.network.components.get(component)
        if known is not None and state in known.schema.states:
            self._told[component] = state
            self.ledger.set_state(component, state, at)

    def _on_clock(self, clock_hz: float, time_s: float) -> None:
        at = self._at(time_s)
        for name, component in self.ledger.network.components.items():
            if component.clock_hz != clock_hz:
                self.ledger.set_clock(name, clock_hz, at)

    def _mode(self, state: str) -> str:
        """The MCU state that the machine's word stands for."""
        states = self.ledger.network.components[self.power.mcu].schema.states
        if state == "run":
            return self.power.run_state
        if state == DEEP_SLEEP:
            choice = self.power.deep_sleep
            if choice is not None:
                value = self._machine.bus_read(choice.register_address, 4) & choice.mask
                value //= choice.mask & -choice.mask
                return choice.states.get(value, self.power.sleep_state)
            return self.power.sleep_state or self.power.run_state
        return state if state in states else self.power.sleep_state or self.power.run_state

    def _mcu(self, state: str, time_s: float) -> None:
        self.ledger.set_state(self.power.mcu, state, time_s)
        for name, other in self.power.modes.get(state, {}).items():
            self.ledger.set_state(name, other, time_s)
        if state == self.power.run_state:
            # what a deep sleep stopped goes on where firmware had left it
            for name, other in self._told.items():
                self.ledger.set_state(name, other, time_s)


@dataclass(frozen=True)
class Steady:
    """A steady cycle that firmware settled into: *sleeps* deep sleeps long, averaged over *cycles* of them."""

    period_s: float
    charge_c: dict[str, float]
    sleeps: int
    cycles: int


def steady_cycle(
    sleeps: Sequence[tuple[float, dict[str, float]]], tolerance: float = 1e-5, cycles: int = 4
) -> Steady | None:
    """The shortest cycle that the last entries into deep sleep repeat *cycles* times; None while there is none.

    Two cycles are alike when time and total charge between entries agree within *tolerance*.
    """
    totals = [(time, sum(charge.values())) for time, charge in sleeps]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(totals)]
    for length in range(1, len(steps) // cycles + 1):
        recent = steps[-length * cycles :]
        first = recent[:length]
        alike = all(
            abs(a - b) <= tolerance * max(abs(b), 1e-12)
            for index, step in enumerate(recent)
            for a, b in zip(step, first[index % length], strict=True)
        )
        if alike:
            (t0, q0), (t1, q1) = sleeps[-length * cycles - 1], sleeps[-1]
            charge = {name: (q1[name] - q0.get(name, 0.0)) / cycles for name in q1}
            return Steady((t1 - t0) / cycles, charge, length, cycles)
    return None


def fast_forward(
    run: Callable[[float], None], meter: FirmwareMeter, duration_s: float, *, cycles: int = 4
) -> tuple[dict[str, float], Steady | None]:
    """(charge by component over *duration_s* from reset, the steady cycle that was skipped or None).

    ``run(until_s)`` lets the machine go on to a time (``machine.env.run``). Firmware is executed until it repeats
    itself; whole cycles are then skipped and what is left of the time is executed from there.
    """
    now = 0.0
    step = max(duration_s / 2000, 1e-3)
    found: Steady | None = None
    while now < duration_s and found is None:
        now = min(now + step, duration_s)
        run(now)
        found = steady_cycle(meter.sleeps, cycles=cycles)
        step = min(step * 1.2, duration_s)
    if found is None:
        return meter.charges(duration_s), None
    skipped = int((duration_s - now) / found.period_s)
    rest_s = duration_s - skipped * found.period_s
    if rest_s > now:
        run(rest_s)
    charges = meter.charges(rest_s)
    return {name: value + skipped * found.charge_c.get(name, 0.0) for name, value in charges.items()}, found
