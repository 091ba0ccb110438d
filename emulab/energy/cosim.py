"""Firmware on the ledger: the embedded machine's sleep, wake-up and clock changes drive the power components.

The machine tells what the core does (``run``, ``sleep``, ``deep-sleep``) and at which clock; a deep sleep becomes the
state that the firmware's own power register asks for. The MCU's other components follow by ``power.modes``::

    with backend.open(platform, image, options) as session:
        meter = FirmwareMeter(platform, session.machine)
        ...
        meter.charges(session.clock.now_s())        # coulomb per component since reset

What the core executes that its run state prices (multiply-accumulates) is counted, and charged where it happened: at each
change of state, clock or phase. A machine that counts nothing is charged the typical share instead.

Windows of the session then carry their own charge, which :func:`emulab.energy.window_energy` uses. Charge is entered
under the phase the firmware is in: a window that :class:`FirmwarePhases` follows, else ``awake`` or ``sleep``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from emulab.energy.network import platform_ledger, require_power
from emulab.energy.repeats import Entry, Parts, Steady, by_component, noisy_cycle, steady_cycle
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.energy.ledger import Ledger
    from emulab.energy.trace import Trace
    from emulab.model.platform import Platform


class PowerSource(Protocol):
    """What a machine offers to whoever accounts its energy; ``activity(names)`` besides, where it counts what it executes."""

    power_listeners: list[Callable[[str, str, float], None]]
    clock_listeners: list[Callable[[float, float], None]]
    charge_sources: list[Callable[[float], dict[str, float]]]

    def bus_read(self, address: int, size: int) -> int: ...


DEEP_SLEEP = "deep-sleep"
AWAKE, ASLEEP = "awake", "sleep"
KEPT_SLEEPS = 8192


class FirmwareMeter:
    """Keeps the ledger of a platform while its machine runs. Attach it right after the session is opened."""

    def __init__(self, platform: Platform, machine: PowerSource, *, trace: Trace | None = None) -> None:
        self._activity: Callable[[Sequence[str]], dict[str, int]] | None = getattr(machine, "activity", None)
        power = require_power(platform)
        self._priced = tuple(power.components[power.mcu].states[power.run_state].per_activity)
        counted = [power.mcu] if self._activity and self._priced else []
        self.ledger: Ledger = platform_ledger(platform, counted=counted, trace=trace)
        self.power = self.ledger.network.power
        self._machine = machine
        self._counts: Mapping[str, int] = {}
        self._counted_s = 0.0
        self._told: dict[str, str] = {}
        self.sleeps: deque[Entry] = deque(maxlen=KEPT_SLEEPS)
        """The last entries into deep sleep, for :func:`fast_forward`: those between the windows of the firmware."""
        self.naps: deque[Entry] = deque(maxlen=KEPT_SLEEPS)
        """Entries within windows, kept where the firmware sleeps nowhere else."""
        self.ledger.set_phase(AWAKE, 0.0)
        for name, state in self.power.modes.get(self.power.run_state, {}).items():
            self.ledger.set_state(name, state, 0.0)
        machine.power_listeners.append(self._on_state)
        machine.clock_listeners.append(self._on_clock)
        machine.charge_sources.append(self.charges)

    def phase(self, name: str, time_s: float, counted: Mapping[str, int] | None = None) -> float:
        """The firmware is in phase *name* from *time_s* on; returns the time it was entered at.

        *counted* is what :meth:`count` said then, where this is told later.
        """
        at = self._at(time_s)
        self._account(at, counted)
        self.ledger.set_phase(name, at)
        return at

    def charges(self, time_s: float) -> dict[str, float]:
        """Charge in coulomb per component since reset, up to *time_s* (or later, if events beyond it came already)."""
        at = self._at(time_s)
        self._account(at)
        self.ledger.advance(at)
        return self.ledger.charge_by_component()

    def count(self) -> Mapping[str, int]:
        """What the core has executed so far of what its run state prices."""
        return self._activity(self._priced) if self._activity is not None and self._priced else {}

    def _account(self, at: float, counted: Mapping[str, int] | None = None) -> None:
        """Charge what was executed since the last account; the core has run all the time since."""
        since_s, self._counted_s = self._counted_s, at
        now = self.count() if counted is None else counted
        if now is not self._counts:
            new = {name: value - self._counts.get(name, 0) for name, value in now.items()}
            self._counts = now
            if any(new.values()):
                state = self.power.run_state
                self.ledger.add_activity(self.power.mcu, new, at, state=state, since_s=min(since_s, at))

    def _at(self, time_s: float) -> float:
        """A time the ledger takes: within one block the machine's events may lie a few cycles apart, out of order."""
        return max(time_s, self.ledger.time_s)

    def _on_state(self, component: str, state: str, time_s: float) -> None:
        at = self._at(time_s)
        if component == "core":
            self._account(at)
            if self._deepest(state):
                if self.ledger.phase == AWAKE:
                    self.ledger.set_phase(ASLEEP, at)
                self.ledger.advance(at)
                between = self.ledger.phase == ASLEEP
                if between or len(self.sleeps) < 2:
                    kept = self.sleeps if between else self.naps
                    kept.append(Entry(at, self.ledger.charges(), self.ledger.phase_times()))
            elif state == "run" and self.ledger.phase == ASLEEP:
                self.ledger.set_phase(AWAKE, at)
            self._mcu(self._mode(state), at)
            return
        known = self.ledger.network.components.get(component)
        if known is not None and state in known.schema.states:
            self._told[component] = state
            self.ledger.set_state(component, state, at)

    def _on_clock(self, clock_hz: float, time_s: float) -> None:
        at = self._at(time_s)
        self._account(at)
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

    def _deepest(self, state: str) -> bool:
        """Whether the machine's word is the sleep between wakes: a deep one, or the only one the chip has."""
        return state == DEEP_SLEEP or (self.power.deep_sleep is None and self._mode(state) == self.power.sleep_state)

    def _mcu(self, state: str, time_s: float) -> None:
        self.ledger.set_state(self.power.mcu, state, time_s)
        for name, other in self.power.modes.get(state, {}).items():
            self.ledger.set_state(name, other, time_s)
        if state == self.power.run_state:
            # what a deep sleep stopped goes on where firmware had left it
            for name, other in self._told.items():
                self.ledger.set_state(name, other, time_s)


@dataclass(frozen=True)
class Occurrence:
    """A window the firmware went through once; ``cycles`` are those the core was clocked."""

    name: str
    start_s: float
    stop_s: float
    cycles: int
    instructions: int
    charge_c: dict[str, float]


class FirmwarePhases:
    """Follows windows of the firmware (``EMULAB_WINDOW_BEGIN`` and ``END``): each is a phase of the ledger."""

    KEPT = 64

    def __init__(self, machine: Machine, meter: FirmwareMeter, windows: Sequence[str]) -> None:
        self._machine, self._meter = machine, meter
        self._edges: dict[int, tuple[str, bool]] = {}
        self._started: dict[str, tuple[float, int, int, dict[str, float]]] = {}
        self.counts: dict[str, int] = dict.fromkeys(windows, 0)
        """How often each window has ended."""
        self.seen: dict[str, list[Occurrence]] = {name: [] for name in windows}
        """The first occurrences of each."""
        self.on_begin: Callable[[str, float], None] | None = None
        self._late = 0
        for name in windows:
            for end in ("begin", "end"):
                symbol = f"emulab_marker_{name}.{end}"
                if symbol not in machine.image.symbols:
                    marked = [
                        s[14:-6]
                        for s in machine.image.symbols
                        if s.startswith("emulab_marker_") and s.endswith(".begin")
                    ]
                    raise InputError(
                        f"application.windows: the firmware has no EMULAB_WINDOW_{end.upper()}({name}); "
                        f"windows it marks: {', '.join(sorted(marked)) or 'none'}"
                    )
                address = machine.image.resolve(symbol)
                self._edges[address] = name, end == "begin"
                machine.table.watch_store(address)
        machine.on_edge = self._at

    def _at(self, block: int) -> None:
        face = self._machine.face
        for address, prefix_q8 in self._machine.table.hits(block):
            if address in self._edges:
                self._edge(*self._edges[address], face.cycles_q8 + prefix_q8)

    def _edge(self, name: str, begins: bool, at_q8: int) -> None:
        """The core met an edge; whatever happens outside of it before that time comes first on the ledger."""
        env, at_s = self._machine.env, self._machine.time_of(at_q8)
        clocked, instructions = at_q8 - self._machine.idle_q8, self._machine.face.instructions
        counted = self._meter.count()

        def told(_event: object = None) -> None:
            self._late -= 1
            self._enter(name, begins, at_s, clocked, instructions, counted)

        self._late += 1
        if self._late == 1 and env.peek() >= at_s:
            told()
        else:
            self._machine.after(at_s - self._machine.now(), told)

    def _enter(
        self, name: str, begins: bool, time_s: float, clocked: int, instructions: int, counted: Mapping[str, int]
    ) -> None:
        meter = self._meter
        at = meter.phase(name if begins else AWAKE, time_s, counted)
        if begins:
            if self.on_begin is not None:
                self.on_begin(name, at)
            self._started[name] = at, clocked, instructions, meter.ledger.charge_by_component()
        elif name in self._started:
            start_s, cycles, before, charges = self._started.pop(name)
            self.counts[name] += 1
            if len(self.seen[name]) < self.KEPT:
                now = meter.ledger.charge_by_component()
                spent = {key: value - charges.get(key, 0.0) for key, value in now.items()}
                self.seen[name].append(
                    Occurrence(name, start_s, at, (clocked - cycles) >> 8, instructions - before, spent)
                )


@dataclass(frozen=True)
class Forwarded:
    """Firmware over a time: charge per (component, phase), time per phase, and how much of it was executed."""

    duration_s: float
    parts_c: Parts
    phase_s: dict[str, float]
    executed_s: float
    steady: Steady | None


def forward(
    run: Callable[[float], None], meter: FirmwareMeter, duration_s: float, *, cycles: int = 4, least_s: float = 0.0
) -> Forwarded:
    """Firmware over *duration_s* from reset. ``run(until_s)`` lets the machine go on to a time (``machine.env.run``).

    Firmware is executed until it repeats itself, or until the mean of its cycles is known well enough; whole cycles are
    then skipped and what is left of the time is executed from there. Where neither happens, all of it is executed.
    """
    now = 0.0
    step = max(duration_s / 2000, 1e-3)
    found: Steady | None = None
    while now < duration_s and found is None:
        now = min(now + step, duration_s)
        run(now)
        sleeps = list(meter.sleeps) if len(meter.sleeps) > 1 else list(meter.naps)
        found = steady_cycle(sleeps, cycles=cycles, least_s=least_s) or noisy_cycle(sleeps, least_s)
        step = min(step * 1.2, duration_s)
    skipped = 0 if found is None else int((duration_s - now) / found.period_s)
    rest_s = duration_s - skipped * (0.0 if found is None else found.period_s)
    if rest_s > now:
        run(rest_s)
    meter.charges(rest_s)
    parts, times = meter.ledger.charges(), meter.ledger.phase_times()
    if found is not None:
        parts = {key: value + skipped * found.parts_c.get(key, 0.0) for key, value in parts.items()}
        times = {name: value + skipped * found.phase_s.get(name, 0.0) for name, value in times.items()}
    return Forwarded(duration_s, parts, times, rest_s, found)


def fast_forward(
    run: Callable[[float], None], meter: FirmwareMeter, duration_s: float, *, cycles: int = 4, least_s: float = 0.0
) -> tuple[dict[str, float], Steady | None]:
    """:func:`forward` as (charge by component, the steady cycle that was skipped or None)."""
    done = forward(run, meter, duration_s, cycles=cycles, least_s=least_s)
    return by_component(done.parts_c), done.steady
