"""The embedded machine: a core in Unicorn, its memories and peripherals, all on one SimPy clock.

The CPU is a SimPy process. It runs until the next event on the clock (or a quantum), counted in cycles by the probe;
seconds are ``base + (cycles - base_cycles) / core_hz``, re-based whenever the firmware changes the core clock. Cycles
include sleep: they are the time line, and what was slept is kept in ``idle_q8``.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import simpy

from emulab.backends.unicorn.activity import ActivityCounter
from emulab.backends.unicorn.address_space import AddressSpace
from emulab.backends.unicorn.clocks import ClockTree
from emulab.backends.unicorn.console import Console
from emulab.backends.unicorn.engine import Engine
from emulab.backends.unicorn.peripherals import Peripheral, RegisterFile, peripheral_class
from emulab.backends.unicorn.polling import PollSkipper
from emulab.backends.unicorn.timeline import Timeline
from emulab.backends.unicorn.unmodelled import UnmodelledRegisters
from emulab.errors import FirmwareFault, InputError
from emulab.probe import core as probe_core
from emulab.probe.core import ProbeCore

if TYPE_CHECKING:
    from emulab.backends.unicorn.blocks import BlockTable
    from emulab.backends.unicorn.core import Core
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

QUANTUM_S = 5e-3
"""Longest stretch the CPU runs between two looks at the outside world."""

MEMORY_PARAMETERS = {
    "wait_states": 0,
    "prefetch": 1,
    "icache": 2,
    "dcache": 3,
    "icache_invalidate": 4,
    "dcache_invalidate": 5,
}


class Event:
    """Something due at a virtual time; it can be called off."""

    __slots__ = ("action", "cancelled")

    def __init__(self, action: Callable[[], None]) -> None:
        self.action, self.cancelled = action, False

    def cancel(self) -> None:
        self.cancelled = True

    def __call__(self, _event: object = None) -> None:
        if not self.cancelled:
            self.action()


class Machine:
    """A board, ready to run one image. ``env`` is the SimPy environment; its time unit is the second."""

    def __init__(self, platform: Platform, image: Image) -> None:
        from emulab.backends.unicorn.blocks import BlockTable
        from emulab.backends.unicorn.core import make_core
        from emulab.timing.memory import memory_config

        self.platform, self.image = platform, image
        self.env = Timeline()
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self.probe = ProbeCore(list(memory_config(platform)))
        self.face = self.probe.face
        self._probe, self._time_of_access = self.probe.handle, self.probe.library.em_probe_time
        self.engine = Engine(platform, self.probe)
        self.space = AddressSpace(platform, self.engine, self.probe, self.fault)
        self.space.load(image)
        self.peek, self.poke = self.space.peek, self.space.poke
        self.core_hz = 1.0
        self.base_s, self.base_q8, self.idle_q8 = 0.0, 0, 0
        self.access_q8: int | None = None
        self.past_s: float | None = None
        """The time that is being made up for, by whoever is behind."""
        self.error: BaseException | None = None
        self.power_listeners: list[Callable[[str, str, float], None]] = []
        self.clock_listeners: list[Callable[[float, float], None]] = []
        self.watchers: dict[str, list[Callable[[int, int], None]]] = {}
        self.charge_sources: list[Callable[[float], dict[str, float]]] = []
        """Cumulative charge by component at a time (set by whoever keeps an energy ledger)."""
        self.pin_listeners: list[Callable[[str, float, bool], None]] = []
        self.on_edge: Callable[[int], None] | None = None
        self.interrupts = 0
        self.serial_ports: dict[str, Any] = {}
        self.dma_controllers: list[Any] = []
        self.exti: Any = None
        self.gates_clock = False
        """The chip stops its high clock by itself while the core sleeps and no peripheral holds it."""
        self._clock_users: set[str] = set()
        self.blocked = ""
        """What the CPU polls when no event can ever change it; empty while it runs."""

        self.last_lines: Callable[[], list[str]] = list
        self.console = Console(self, platform.board.console.peripheral)
        self.peripherals: dict[str, Peripheral] = {}
        self._bases: list[int] = []
        self._found: tuple[int, int, Peripheral] | None = None
        """The device accessed last."""
        self._by_base: list[tuple[int, int, Peripheral]] = []
        for name, spec in platform.soc.peripherals.items():
            self.peripherals[name] = peripheral_class(spec.type)(self, name, spec)
        self.clocks = ClockTree(platform.soc.clocks, platform.board.clocks, self.register_value)
        self.core: Core = make_core(self)
        self._map_devices()
        self._apply_clock()
        for peripheral in self.peripherals.values():
            peripheral.start()
        self.poll = PollSkipper(self)
        self.unmodelled_registers = UnmodelledRegisters(self)
        self.table: BlockTable = BlockTable(self)
        self.activity = ActivityCounter(self)
        self._wake: simpy.Event | None = None
        self.core.reset()
        self.env.process(self._cpu())

    # -- devices --------------------------------------------------------------------------------------------

    def _map_devices(self) -> None:
        for peripheral in self.peripherals.values():
            self.add_device(peripheral.spec.base, peripheral.spec.size_bytes, peripheral)
        for base, size in self.core.device_ranges():
            self.engine.map_device(base, size, self._read, self._write)
            self.probe.add_region(base, size, None, self.space.region("peripheral"), device=True)

    def add_device(self, base: int, size: int, peripheral: Peripheral) -> None:
        at = bisect.bisect(self._bases, base)
        self._bases.insert(at, base)
        self._by_base.insert(at, (base, base + size, peripheral))
        self._found = None

    def device_at(self, address: int) -> tuple[Peripheral, int] | None:
        found = self._find(address)
        return None if found is None else (found[2], address - found[0])

    def _find(self, address: int) -> tuple[int, int, Peripheral] | None:
        """(base, end, device) around *address*."""
        found = self._found
        if found is None or not found[0] <= address < found[1]:
            at = bisect.bisect(self._bases, address) - 1
            if at < 0 or address >= self._by_base[at][1]:
                return None
            found = self._found = self._by_base[at]
        return found

    def _read(self, address: int, size: int) -> int:
        try:
            self.access_q8 = self._time_of_access(self._probe, address, 0)
            found = self._found  # nearly always that of the access before
            if found is None or not found[0] <= address < found[1]:
                found = self._find(address)
            if found is None:
                self._unmapped(address, False)
                self.poll.saw_read(address, 0, self.access_q8)
                return 0
            value = found[2].read(address - found[0], size)
            self.poll.saw_read(address, value, self.access_q8)
            return value
        except BaseException as error:
            self._stop(error)
            return 0
        finally:
            self.access_q8 = None

    def _write(self, address: int, size: int, value: int) -> None:
        try:
            self.access_q8 = self._time_of_access(self._probe, address, 1)
            self.poll.saw_write()
            found = self._found
            if found is None or not found[0] <= address < found[1]:
                found = self._find(address)
            if found is None:
                self._unmapped(address, True)
                return
            found[2].write(address - found[0], size, value)
        except BaseException as error:
            self._stop(error)
        finally:
            self.access_q8 = None

    def _stop(self, error: BaseException) -> None:
        self.error = self.error or error
        self.face.request = 1

    def _unmapped(self, address: int, write: bool) -> None:
        self.note(f"{'write to' if write else 'read of'} {address & ~3:#010x}: no peripheral is modelled there")

    def unmodelled(self, peripheral: Peripheral, offset: int, write: bool) -> None:
        """Note once that a register of *peripheral* has no model: it behaves as plain storage."""
        address = peripheral.spec.base + (offset & ~3)
        what = "write to" if write else "read of"
        self.note(
            f"{what} {peripheral.name}+{offset & ~3:#05x} ({address:#010x}): register not modelled, plain storage"
        )

    def register_value(self, peripheral: str, name: str) -> int:
        """Value of a register of a register file, by name."""
        found = self.peripherals.get(peripheral)
        if not isinstance(found, RegisterFile) or name not in found.value:
            raise InputError(f"platform {self.platform.name}: no register {peripheral}.{name}")
        return found.value[name]

    def register_written(self, peripheral: Peripheral, name: str, old: int, new: int, written: int) -> None:
        key = f"{peripheral.name}.{name}"
        for watcher in self.watchers.get(key, ()):
            watcher(old, new)
        if old != new and key in self.clocks.depends_on:
            self._apply_clock()

    def watch(self, register: str, action: Callable[[int, int], None]) -> None:
        """Call ``action(old, new)`` after each write to *register*, e.g. ``rcc.AHB1ENR``."""
        self.watchers.setdefault(register, []).append(action)

    def memory_setting(self, name: str, value: int) -> None:
        """The firmware changed wait states, prefetch or a cache: tell the memory simulator."""
        if name in MEMORY_PARAMETERS:
            self.probe.set_memory_parameter(MEMORY_PARAMETERS[name], value)

    def power_state(self, component: str, state: str) -> None:
        for listener in self.power_listeners:
            listener(component, state, self.now())

    def hold_clock(self, who: str, on: bool) -> None:
        """Peripheral *who* needs the high clock also while the core sleeps, or no longer."""
        before = bool(self._clock_users)
        if on:
            self._clock_users.add(who)
        else:
            self._clock_users.discard(who)
        if self.gates_clock and self.asleep and before != bool(self._clock_users):
            self.power_state("core", self._sleep_state())

    def _sleep_state(self) -> str:
        if self.gates_clock:
            return "sleep" if self._clock_users else "idle"
        return self.core.sleep_state()

    # -- between peripherals --------------------------------------------------------------------------------

    def bus_read(self, address: int, size: int) -> int:
        """What a bus master other than the core reads."""
        found = self.device_at(address)
        if found is not None:
            return found[0].read(found[1], size)
        return int.from_bytes(self.peek(address, size), "little")

    def bus_write(self, address: int, size: int, value: int) -> None:
        found = self.device_at(address)
        if found is not None:
            found[0].write(found[1], size, value)
        else:
            self.poke(address, (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little"))

    def dma_request(self, number: int) -> None:
        """A peripheral asks for one DMA transfer."""
        for controller in self.dma_controllers:
            if controller.request(number):
                return

    def dma_enabled(self) -> None:
        """A channel was enabled: peripherals that already wait for one ask again."""
        for port in self.serial_ports.values():
            update = getattr(port, "_update", None)
            if update is not None:
                self.after(0.0, update)

    def pin_changed(self, pin: str, level: bool, by_firmware: bool) -> None:
        """A pin changed level: tell EXTI and whoever records edges."""
        if self.exti is not None and pin[2:].isdigit():
            self.exti.pin_changed(pin[1], int(pin[2:]), level)
        if by_firmware:
            for listener in self.pin_listeners:
                listener(pin, self.now(), level)

    # -- time -----------------------------------------------------------------------------------------------

    def time_of(self, cycles_q8: int) -> float:
        """Virtual time in seconds of a point on the cycle time line."""
        return self.base_s + (cycles_q8 - self.base_q8) / (256.0 * self.core_hz)

    def q8_at(self, time_s: float) -> int:
        """First point on the cycle time line that is not before *time_s*."""
        if math.isinf(time_s):
            return probe_core.FOREVER
        return self.base_q8 + max(0, math.ceil((time_s - self.base_s) * 256.0 * self.core_hz - 1e-3))

    def now(self) -> float:
        """Virtual time in seconds; within a register access exact to the cycle."""
        if self.past_s is not None:
            return self.past_s
        return self.env.now if self.access_q8 is None else self.time_of(self.access_q8)

    def cycles(self) -> int:
        """Cycles on the time line now, sleep included."""
        if self.access_q8 is not None:
            return self.access_q8 >> 8
        return int(max(self.face.cycles_q8, self.q8_at(self.env.now))) >> 8

    def after(self, delay_s: float, action: Callable[[], None]) -> Event:
        """Call *action* in *delay_s* seconds from :meth:`now`."""
        event = Event(action)
        due = self.now() + max(0.0, delay_s)
        timeout = self.env.timeout(max(0.0, due - self.env.now))
        assert timeout.callbacks is not None
        timeout.callbacks.append(event)
        due_q8 = self.q8_at(due)
        self.face.deadline_q8 = min(self.face.deadline_q8, due_q8)
        return event

    def _apply_clock(self) -> None:
        self.clocks.invalidate()
        hz = self.clocks.hz("core")
        if hz <= 0:
            raise self.fault("the firmware switched the core to a clock that is off")
        if hz != self.core_hz:
            at = self.access_q8 if self.access_q8 is not None else self.face.cycles_q8
            now = self.time_of(at)
            self.base_s, self.base_q8, self.core_hz = now, at, hz
            self.face.deadline_q8 = at  # look at the clock again before going on
            for listener in self.clock_listeners:
                listener(hz, now)
        for peripheral in self.peripherals.values():
            peripheral.clock_changed()
        if hasattr(self, "core"):
            self.core.clock_changed()

    # -- running --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something happened that may end a sleep or a wait."""
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    @property
    def asleep(self) -> bool:
        return self._wake is not None and not self._wake.triggered

    def _idle(self) -> Generator[simpy.Event, Any, None]:
        """Let time pass without executing, until :meth:`wake`."""
        self._wake = self.env.event()
        yield self._wake
        self._wake = None
        target = max(self.face.cycles_q8, self.q8_at(self.env.now))
        self.idle_q8 += target - self.face.cycles_q8
        self.face.cycles_q8 = target

    def _cpu(self) -> Generator[simpy.Event, Any, None]:
        env, face = self.env, self.face
        while True:
            if self.core.sleeping and self.core.wakes():
                self.core.woken()  # what ends the sleep came while the block that began it was still running
            face.request = 0  # whoever asked for a look at the interrupts gets it now
            self.core.take_interrupts()
            if self.core.sleeping:
                self.power_state("core", self._sleep_state())
                yield from self._idle()
                self.core.woken()
                self.power_state("core", "run")
                continue
            if face.interrupt and face.reason == probe_core.UNMASKED:
                face.interrupt = 2
            limit = min(env.peek(), env.now + QUANTUM_S)
            began, limit_q8 = face.cycles_q8, self.q8_at(limit)
            face.deadline_q8 = limit_q8
            self.poll.forget()
            self.execute()
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            now = self.time_of(face.cycles_q8)
            if face.cycles_q8 >= limit_q8:
                now = max(now, limit)  # rounding must not leave us just before the event we ran to
            elif face.cycles_q8 > began and now < env.peek() and not self.core.sleeping and not self.poll.endless:
                continue  # an exception was left: nothing is due until then
            if self.poll.endless and math.isinf(env.peek()):
                self.blocked = self.poll.description()
                if now > env.now:
                    yield env.timeout(now - env.now)
                if math.isinf(env.peek()):
                    yield from self._idle()
                self.blocked = ""
                continue
            rest = max(0.0, now - env.now)
            if not self._slept_through(rest):
                yield env.timeout(rest)

    def _slept_through(self, delay_s: float) -> bool:
        """The core fell asleep *delay_s* from now, before anything else is due: it is then now."""
        return self.core.sleeping and self.env.passes(delay_s)

    def execute(self) -> None:
        """Run until the deadline, an exception, sleep or a request."""
        face, engine, core = self.face, self.engine, self.core
        pc = core.resume_pc()
        while True:
            error = engine.run(pc)
            reason = face.reason
            if reason == probe_core.UNKNOWN_BLOCK:
                self.table.describe(face.stop_address, face.stop_size)
                pc = face.stop_address
                continue
            if reason == probe_core.EDGE:
                face.pass_edge = 1
                pc = face.stop_address
                if self.on_edge is not None:
                    self.on_edge(pc)
                continue
            face.pass_edge = 0
            if reason == probe_core.EXCEPTION:
                core.exception(face.exception)
            elif reason == probe_core.GUARDED:
                core.guarded(face.stop_address, face.exception, face.guarded_address)
            elif reason == probe_core.RUNNING:
                core.stopped(error)
            else:
                core.set_resume_pc(face.stop_address)
            face.request = 0
            return

    # -- diagnosis ------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A line for the record, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.notes.append(text)

    def waits_for(self) -> str:
        """What the firmware does that takes so long: sleep, poll a register, loop on itself, or run."""
        from emulab.backends.unicorn.diagnosis import waits_for

        return waits_for(self)

    def close(self) -> None:
        """Free the emulator; the machine cannot be used after this."""
        self.engine.close()
        self.probe.close()

    def where(self, pc: int) -> str:
        """``0x08001234 in main+0x10``"""
        return self.image.describe(pc)

    def fault(self, what: str) -> FirmwareFault:
        """An error that says where the firmware was and what it printed last."""
        pc = self.engine.pc if hasattr(self, "engine") else 0
        lines = self.last_lines()
        tail = f"; last console lines: {' | '.join(lines)}" if lines else "; nothing was printed"
        return FirmwareFault(
            f"{self.platform.name}: {what} at PC {self.where(pc)}, {self.now() * 1e3:.3f} ms after reset{tail}"
        )
