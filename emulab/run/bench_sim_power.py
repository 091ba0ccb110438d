"""What the emulated board of a bench draws: the energy model's current as the firmware runs, as a power meter.

The core's states, its peripherals and its clock are charged as they change; what the run state prices besides
(multiply-accumulates) is charged layer by layer, so that the trace of an inference has the steps of its layers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.backends.base import CurrentTrace, GpioEdge
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.platform import Platform

STEP_S = 1e-5
BUCKETS = 1 << 17
"""1.3 s at the finest step, which doubles as often as it must: charge stays exact."""
LAYER = re.compile(r"emulab_layer_(\d+_|end$)")
"""Functions of firmware built here that begin where a layer begins, and where the last one ends."""
WAIT_STATE = "wait"
"""The MCU's state for polling a UART, where the platform has measured it."""
IDLE_STEPS = 50
"""Events of the emulation within which a board that has answered goes to sleep or begins to poll."""


class ModelledPower:
    """A ``PowerMeter`` of a board on the embedded machine. Make it right after the session is opened."""

    def __init__(self, platform: Platform, machine: Machine) -> None:
        from emulab.energy.cosim import FirmwareMeter
        from emulab.energy.trace import BucketTrace

        self._machine = machine
        self._meter = FirmwareMeter(platform, machine)
        self._ledger = self._meter.ledger
        self._trace = BucketTrace(STEP_S, 2)
        for name in self._ledger.network.components:
            self._ledger.set_clock(name, machine.core_hz, 0.0)  # that of reset, before the firmware has set its own
        for name, symbol in machine.image.symbols.items():
            if LAYER.match(name):
                machine.table.mark(symbol.address & ~1)
        machine.on_edge = self._at_layer

    def _at_layer(self, block: int) -> None:
        machine = self._machine
        for _, prefix_q8 in machine.table.hits(block):
            self._meter.charges(machine.time_of(machine.face.cycles_q8 + prefix_q8))

    def start(self) -> None:
        """Begin a trace now."""
        from emulab.energy.trace import BucketTrace

        self._meter.charges(self._machine.now())
        self._trace = BucketTrace(STEP_S, BUCKETS, start_s=self._ledger.time_s)
        self._ledger.trace = self._trace

    def stop(self) -> None:
        """End it now."""
        self._meter.charges(self._machine.now())
        self._ledger.trace = None

    def capture(self) -> CurrentTrace:
        """Supply current between start and stop, in ampere at the platform's supply."""
        return self._trace.current_trace(self._meter.power.supply_v.value, "modelled as the firmware ran")

    def idle_a(self) -> float:
        """Supply current of the board that has answered: asleep, or polling for the next command.

        Lets the firmware go on until it does one of the two.
        """
        import simpy

        machine = self._machine
        for _ in range(IDLE_STEPS):
            if machine.asleep or machine.blocked:
                break
            try:
                machine.env.step()
            except simpy.core.EmptySchedule:
                break
        mcu = self._meter.power.mcu
        waits = WAIT_STATE in self._ledger.network.components[mcu].schema.states
        if waits and not machine.core.sleeping:
            from emulab.energy.windows import run_currents

            return float(sum(run_currents(self._ledger.network, WAIT_STATE).values()))
        return self._ledger.current_a


class PoweredSession:
    """A session of the embedded machine with the modelled current as its power meter."""

    def __init__(self, session: Any, meter: ModelledPower) -> None:
        self._session = session
        self.console, self.clock = session.console, session.clock
        self.power_meter = meter

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        """Those of the board."""
        edges: list[GpioEdge] = self._session.gpio_edges(pin)
        return edges
