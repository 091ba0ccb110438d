"""A session on the embedded machine: the parts that `backends.base` names, over one :class:`Machine`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from emulab.backends.base import GpioEdge, SessionOptions
from emulab.backends.stack import StackRegion, stack_region
from emulab.backends.unicorn.diagnosis import foreign_addresses, is_over
from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.windows import WindowTracker

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.probe.profile import WindowProfile

_QUIET_READS = 3
_LOOK_EVERY = 256
"""Steps of the simulation between two looks at whether the firmware loops on itself for good."""


class UnicornConsole:
    """The board's console. Reading advances virtual time until the firmware has sent something."""

    def __init__(self, session: UnicornSession) -> None:
        self._session = session
        self._quiet = 0

    def write(self, data: bytes) -> None:
        self._quiet = 0
        self._session.machine.console.write(data)

    def read(self, timeout_s: float) -> bytes:
        import simpy

        machine = self._session.machine
        output = machine.console.output
        deadline = time.monotonic() + timeout_s
        steps = 0
        while not output:
            steps += 1
            if steps % 16 == 0 and time.monotonic() > deadline:
                return b""
            if steps % _LOOK_EVERY == 0 and is_over(machine):
                raise machine.fault(f"the firmware can never answer: it {machine.waits_for()}")
            try:
                machine.env.step()
            except simpy.core.EmptySchedule:
                return self._nothing_due()
        self._quiet = 0
        data = bytes(output)
        output.clear()
        return data

    def _nothing_due(self) -> bytes:
        """The firmware sleeps or polls and no event is due: only the host can go on, once it has been told so."""
        self._quiet += 1
        if self._quiet >= _QUIET_READS:
            machine = self._session.machine
            raise machine.fault(f"the firmware can never answer: it {machine.waits_for()}, and nothing is due")
        return b""


class VirtualClock:
    """Modelled time since reset."""

    kind: Literal["virtual"] = "virtual"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def now_s(self) -> float:
        return self._machine.env.now


class UnicornProfiler:
    def __init__(self, tracker: WindowTracker) -> None:
        self._tracker = tracker

    def windows(self) -> list[WindowProfile]:
        return list(self._tracker.finished)


class UnicornSession:
    """One board, running. Leaving it frees the emulator."""

    def __init__(self, platform: Platform, image: Image, options: SessionOptions) -> None:
        self.platform, self.image, self.options = platform, image, options
        self.machine = Machine(platform, image)
        self._edges: list[GpioEdge] = []
        self.machine.pin_listeners.append(self._record_edge)
        self._tracker = WindowTracker(self.machine, options.windows, options.profile)
        self.console = UnicornConsole(self)
        self.clock = VirtualClock(self.machine)
        self.profiler: UnicornProfiler | None = UnicornProfiler(self._tracker)
        self.power_meter = None
        self._stack = self._paint_stack()

    def _record_edge(self, pin: str, time_s: float, level: bool) -> None:
        self._edges.append(GpioEdge(pin, time_s, level))

    # -- stack ----------------------------------------------------------------------------------------------

    def _paint_stack(self) -> StackRegion | None:
        """Fill what lies between the program's data and the initial stack pointer, to see later how deep it went."""
        region = stack_region(self.image, self.machine.core.initial_stack(), self.machine.space.joined)
        if region is not None:
            self.machine.poke(region.low, region.paint())
        return region

    def _stack_bytes(self) -> int | None:
        if self._stack is None:
            return None
        return self._stack.used_bytes(self.machine.peek(self._stack.low, self._stack.high - self._stack.low))

    # -- the contract ---------------------------------------------------------------------------------------

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        return [e for e in self._edges if e.pin.lower() == pin.lower()]

    def notes(self) -> list[str]:
        return list(self.machine.notes)

    def details(self) -> dict[str, Any]:
        machine = self.machine
        details: dict[str, Any] = {
            "core_clock_hz": machine.core_hz,
            "instructions": machine.face.instructions,
            "cycles": (machine.face.cycles_q8 - machine.idle_q8) >> 8,
            "idle_cycles": machine.idle_q8 >> 8,
            "interrupts": machine.interrupts,
            "unresolved_accesses": machine.face.unresolved,
        }
        stack = self._stack_bytes()
        if stack is not None:
            details["stack_bytes"] = stack
        return details

    def describe_state(self) -> str:
        machine = self.machine
        where = machine.where(machine.engine.pc)
        return (
            f"the firmware is at {where} after {machine.env.now:.6f} s and {machine.waits_for()}"
            f"{foreign_addresses(machine)}"
        )

    def close(self) -> None:
        self.machine.close()

    def __enter__(self) -> UnicornSession:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
