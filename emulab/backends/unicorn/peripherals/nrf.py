# ruff: noqa: RUF012  (register tables are constants)
"""Nordic nRF52: CLOCK/POWER, UARTE (and UART), TIMER, RTC. nRF52840 Product Specification v1.7, chapters 5 and 6.

Whoever needs the high-frequency clock holds it: while the core sleeps and nobody does, the chip is in System ON idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from emulab.backends.unicorn.peripherals.base import RegisterFile, register
from emulab.backends.unicorn.peripherals.serial import SerialPort

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

_HFXO_STARTUP_S = 360e-6
"""Typical start-up time of the 32 MHz crystal oscillator, PS 5.4.4.1."""
_LFXO_STARTUP_S = 0.25


class NrfPeripheral(RegisterFile):
    """Tasks, events and interrupt enables, which all Nordic peripherals share."""

    tasks: dict[int, str] = {}
    events: dict[int, str] = {}

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        layout: dict[str, Any] = dict(type(self).layout)
        layout |= {f"TASKS_{n}": o for o, n in self.tasks.items()} | {f"EVENTS_{n}": o for o, n in self.events.items()}
        layout |= {"SHORTS": 0x200, "INTEN": 0x300, "INTENSET": 0x304, "INTENCLR": 0x308}
        self.layout = layout  # type: ignore[misc]
        super().__init__(machine, name, spec)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset in self.tasks:
            if value & 1:
                self.task(self.tasks[offset])
            return
        if offset in (0x304, 0x308):
            on = self.value["INTEN"]
            self.value["INTEN"] = on | value if offset == 0x304 else on & ~value
            self.value["INTENSET"] = self.value["INTENCLR"] = self.value["INTEN"]
            self.update()
            return
        super().write(offset, size, value)
        if offset in self.events or offset == 0x300:
            self.update()

    def task(self, name: str) -> None:
        """The firmware triggered a task."""

    def fire(self, name: str) -> None:
        """Hardware raises an event."""
        self.value[f"EVENTS_{name}"] = 1
        self.update()

    def hold_clock(self, on: bool) -> None:
        """This peripheral needs the high-frequency clock from now on, or no longer."""
        self.machine.hold_clock(self.name, on)

    def update(self) -> None:
        """Interrupt line: any event that is set and enabled; bit n of INTEN belongs to the event at 0x100 + 4 n."""
        enabled = self.value["INTEN"]
        self.irq(any(self.value[f"EVENTS_{n}"] and enabled >> ((o - 0x100) // 4) & 1 for o, n in self.events.items()))


@register("nrf-clock")
class NrfClock(NrfPeripheral):
    """CLOCK and POWER: oscillators start after their start-up time."""

    tasks = {
        0x00: "HFCLKSTART",
        0x04: "HFCLKSTOP",
        0x08: "LFCLKSTART",
        0x0C: "LFCLKSTOP",
        0x10: "CAL",
        0x78: "CONSTLAT",
        0x7C: "LOWPWR",
    }
    events = {0x100: "HFCLKSTARTED", 0x104: "LFCLKSTARTED", 0x10C: "DONE", 0x108: "POFWARN", 0x114: "SLEEPENTER"}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "HFCLKRUN": 0x408, "HFCLKSTAT": {"offset": 0x40C, "writable": 0}, "LFCLKRUN": 0x414,
        "LFCLKSTAT": {"offset": 0x418, "writable": 0}, "LFCLKSRCCOPY": 0x41C, "RESETREAS": {"offset": 0x400, "reset": 0},
        "SYSTEMOFF": 0x500, "GPREGRET": 0x51C, "GPREGRET2": 0x520, "LFCLKSRC": 0x518, "DCDCEN": 0x578, "DCDCEN0": 0x580,
        "MAINREGSTATUS": {"offset": 0x640, "writable": 0}, "USBREGSTATUS": {"offset": 0x438, "writable": 0},
    }  # fmt: skip

    def start(self) -> None:
        self.machine.gates_clock = True

    def task(self, name: str) -> None:
        if name == "HFCLKSTART":
            self.hold_clock(True)
            self.after(_HFXO_STARTUP_S, self._high_started)
        elif name == "HFCLKSTOP":
            self.value["HFCLKSTAT"] = 0
            self.hold_clock(False)
        elif name == "LFCLKSTART":
            self.after(_LFXO_STARTUP_S if self.value["LFCLKSRC"] & 3 == 1 else 0.6e-3, self._low_started)
        elif name == "LFCLKSTOP":
            self.value["LFCLKSTAT"] = 0
        elif name == "CAL":
            self.after(16e-3, lambda: self.fire("DONE"))

    def _high_started(self) -> None:
        self.value["HFCLKSTAT"] = 0x10001
        self.fire("HFCLKSTARTED")

    def _low_started(self) -> None:
        self.value["LFCLKSTAT"] = 0x10000 | self.value["LFCLKSRC"] & 3
        self.fire("LFCLKSTARTED")


@register("nrf-uarte")
class NrfUarte(NrfPeripheral, SerialPort):
    """UARTE with EasyDMA, and the byte-wise UART behind the same registers (ENABLE 4)."""

    tasks = {0x00: "STARTRX", 0x04: "STOPRX", 0x08: "STARTTX", 0x0C: "STOPTX", 0x2C: "FLUSHRX"}
    events = {
        0x100: "CTS", 0x104: "NCTS", 0x108: "RXDRDY", 0x110: "ENDRX", 0x11C: "TXDRDY", 0x120: "ENDTX", 0x124: "ERROR",
        0x144: "RXTO", 0x14C: "RXSTARTED", 0x150: "TXSTARTED", 0x158: "TXSTOPPED",
    }  # fmt: skip
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "ERRORSRC": {"offset": 0x480, "clear_on_one": 0xF}, "ENABLE": 0x500, "PSELRTS": {"offset": 0x508, "reset": 0xFFFFFFFF},
        "PSELTXD": {"offset": 0x50C, "reset": 0xFFFFFFFF}, "PSELCTS": {"offset": 0x510, "reset": 0xFFFFFFFF},
        "PSELRXD": {"offset": 0x514, "reset": 0xFFFFFFFF}, "RXD": {"offset": 0x518, "writable": 0}, "TXD": 0x51C,
        "BAUDRATE": {"offset": 0x524, "reset": 0x04000000}, "RXDPTR": 0x534, "RXDMAXCNT": 0x538,
        "RXDAMOUNT": {"offset": 0x53C, "writable": 0}, "TXDPTR": 0x544, "TXDMAXCNT": 0x548,
        "TXDAMOUNT": {"offset": 0x54C, "writable": 0}, "CONFIG": 0x56C,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._inbox: deque[int] = deque()
        self._receiving = False
        self._sent = self._to_send = self._got = 0

    @property
    def _dma(self) -> bool:
        return self.value["ENABLE"] & 0xF == 8

    def byte_time_s(self) -> float:
        baud = self.value["BAUDRATE"] * 16e6 / 2**32
        return (10 + (self.value["CONFIG"] >> 4 & 1)) / baud if baud else 10 / 115200

    def receiver_on(self) -> bool:
        return self._receiving

    def task(self, name: str) -> None:
        if name == "STARTTX" and self._dma:
            self._sent, self._to_send = 0, self.value["TXDMAXCNT"] & 0xFFFF
            self.fire("TXSTARTED")
            self._next()
        elif name == "STOPTX":
            self._to_send = 0
            self.fire("TXSTOPPED")
        elif name == "STARTRX":
            self._receiving, self._got = True, 0
            self.fire("RXSTARTED")
            self.receiver_changed()
        elif name == "STOPRX":
            self._receiving = False
            if self._dma:
                self._end_receive()
            self.fire("RXTO")
        self._hold()

    def _hold(self) -> None:
        self.hold_clock(self._receiving or bool(self._to_send) or self.transmitting)

    def _next(self) -> None:
        if self._sent < self._to_send:
            byte = self.machine.bus_read(self.value["TXDPTR"] + self._sent, 1)
            self._sent += 1
            self.transmit(byte)
        elif self._to_send:
            self.value["TXDAMOUNT"], self._to_send = self._sent, 0
            self.fire("ENDTX")

    def sent_one(self) -> None:
        self.fire("TXDRDY")
        if self._dma:
            self._next()
        self._hold()

    def write_TXD(self, _old: int, new: int) -> None:
        if not self._dma:
            self.transmit(new & 0xFF)

    def read_RXD(self, _: int) -> int:
        value = self._inbox.popleft() if self._inbox else 0
        if self._inbox:
            self.fire("RXDRDY")
        return value

    def received(self, byte: int) -> None:
        if not self._dma:
            self._inbox.append(byte)
            self.fire("RXDRDY")
            return
        self.machine.bus_write(self.value["RXDPTR"] + self._got, 1, byte)
        self._got += 1
        self.fire("RXDRDY")
        if self._got >= self.value["RXDMAXCNT"] & 0xFFFF:
            if not self.value["SHORTS"] & 0x20:
                self._receiving = False
            self._end_receive()

    def _end_receive(self) -> None:
        self.value["RXDAMOUNT"], self._got = self._got, 0
        self.fire("ENDRX")
        self._hold()


class _Counter(NrfPeripheral):
    """What TIMER and RTC share: a counter, compare events."""

    width = 32

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._running = False
        self._from, self._since = 0, 0.0
        self._planned: list[Event] = []

    def tick_hz(self) -> float:
        raise NotImplementedError

    def mask(self) -> int:
        return (1 << self.width) - 1

    def _passed(self) -> int:
        """Ticks since the counter was started, wraps included."""
        return int((self.now() - self._since) * self.tick_hz() + 1e-6) if self._running else 0

    def count(self) -> int:
        return (self._from + self._passed()) & self.mask()

    def restart(self, count: int, running: bool) -> None:
        self._from, self._since, self._running = count, self.now(), running
        self.plan()

    def channels(self) -> range:
        return range(int(self.parameters.get("channels", 4)))

    def plan(self) -> None:
        for event in self._planned:
            event.cancel()
        self._planned.clear()
        if self._running and self.tick_hz():
            for channel in self.channels():
                wait = (self.value[f"CC{channel}"] - self.count()) & self.mask() or self.mask() + 1
                due = self._since + (self._passed() + wait) / self.tick_hz()
                self._planned.append(self.after(due - self.now(), self._compare(channel)))

    def _compare(self, channel: int) -> Callable[[], None]:
        def action() -> None:
            self.fire(f"COMPARE{channel}")
            self.compared(channel)
            self.plan()

        return action

    def compared(self, channel: int) -> None:
        """Shortcuts of a compare event."""

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if 0x504 <= offset < 0x560:
            self.plan()


@register("nrf-timer")
class NrfTimer(_Counter):
    tasks = {0x00: "START", 0x04: "STOP", 0x08: "COUNT", 0x0C: "CLEAR", 0x10: "SHUTDOWN"} | {
        0x40 + 4 * i: f"CAPTURE{i}" for i in range(6)
    }
    events = {0x140 + 4 * i: f"COMPARE{i}" for i in range(6)}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "MODE": 0x504,
        "BITMODE": 0x508,
        "PRESCALER": {"offset": 0x510, "reset": 4},
        **{f"CC{i}": 0x540 + 4 * i for i in range(6)},
    }

    def tick_hz(self) -> float:
        return self.clock_hz / (1 << (self.value["PRESCALER"] & 0xF))

    def mask(self) -> int:
        return (1 << (16, 8, 24, 32)[self.value["BITMODE"] & 3]) - 1

    def task(self, name: str) -> None:
        if name == "START" and not self._running:
            self.restart(self._from, True)
        elif name in ("STOP", "SHUTDOWN"):
            self.restart(self.count(), False)
        elif name == "CLEAR":
            self.restart(0, self._running)
        elif name == "COUNT":
            self.restart(self.count() + 1 & self.mask(), self._running)
        elif name.startswith("CAPTURE"):
            self.value[f"CC{name[7:]}"] = self.count()
            self.plan()
        self.hold_clock(self._running)

    def compared(self, channel: int) -> None:
        if self.value["SHORTS"] >> channel & 1:
            self.restart(0, self._running)
        if self.value["SHORTS"] >> (8 + channel) & 1:
            self.restart(self.count(), False)
            self.hold_clock(False)


@register("nrf-rtc")
class NrfRtc(_Counter):
    width = 24
    tasks = {0x00: "START", 0x04: "STOP", 0x08: "CLEAR", 0x0C: "TRIGOVRFLW"}
    events = {0x100: "TICK", 0x104: "OVRFLW"} | {0x140 + 4 * i: f"COMPARE{i}" for i in range(4)}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "EVTEN": 0x340, "EVTENSET": 0x344, "EVTENCLR": 0x348, "COUNTER": {"offset": 0x504, "writable": 0},
        "PRESCALER": 0x508, **{f"CC{i}": 0x540 + 4 * i for i in range(4)},
    }  # fmt: skip

    def tick_hz(self) -> float:
        return self.clock_hz / ((self.value["PRESCALER"] & 0xFFF) + 1)

    def read_COUNTER(self, _: int) -> int:
        return self.count()

    def task(self, name: str) -> None:
        if name == "START" and not self._running:
            self.restart(self._from, True)
        elif name == "STOP":
            self.restart(self.count(), False)
        elif name == "CLEAR":
            self.restart(0, self._running)
