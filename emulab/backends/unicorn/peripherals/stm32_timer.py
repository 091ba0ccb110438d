# ruff: noqa: RUF012  (register tables are constants)
"""STM32 general-purpose and low-power timers: RM0432 chapters 37 to 42. Counting, update and compare; no pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

CEN, UDIS, URS, OPM, ARPE = 1, 2, 4, 8, 0x80
_ROUND = 1e-6  # of a tick: what floating point may have lost


@register("stm32-timer")
class Timer(RegisterFile):
    """Up-counter. ``parameters.bits``: 16 (default) or 32. Interrupt line 0 is update, the last line compare."""

    layout = {
        "CR1": 0x00, "CR2": 0x04, "SMCR": 0x08, "DIER": 0x0C, "SR": {"offset": 0x10, "writable": 0},
        "EGR": {"offset": 0x14, "self_clearing": 0xFFFFFFFF}, "CCMR1": 0x18, "CCMR2": 0x1C, "CCER": 0x20, "CNT": 0x24,
        "PSC": {"offset": 0x28, "writable": 0xFFFF}, "ARR": 0x2C, "RCR": 0x30, "CCR1": 0x34, "CCR2": 0x38, "CCR3": 0x3C,
        "CCR4": 0x40, "BDTR": 0x44, "DCR": 0x48, "DMAR": 0x4C, "OR1": 0x50, "CCMR3": 0x54, "CCR5": 0x58, "CCR6": 0x5C,
        "AF1": 0x60, "AF2": 0x64, "TISEL": 0x68,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._mask = (1 << int(self.parameters.get("bits", 16))) - 1
        self.value["ARR"] = self._mask
        self._since, self._from = 0.0, 0
        self._divider = 1
        self._hz = 0.0
        self._events: list[Event] = []

    def _tick_hz(self) -> float:
        return self._hz / self._divider

    def _count(self) -> int:
        """Counter value now."""
        if not self.value["CR1"] & CEN or not self._hz:
            return self._from
        passed = int((self.now() - self._since) * self._tick_hz() + _ROUND)
        return (self._from + passed) % ((self.value["ARR"] & self._mask) + 1)

    def _restart(self, count: int) -> None:
        self._from, self._since, self._hz = count & self._mask, self.now(), self.clock_hz
        self._plan()

    def _plan(self) -> None:
        for event in self._events:
            event.cancel()
        self._events.clear()
        if not self.value["CR1"] & CEN or not self._hz:
            return
        top = self.value["ARR"] & self._mask
        if top and not self.value["CR1"] & UDIS and (self.value["DIER"] & 0x101 or self.value["CR1"] & OPM):
            self._events.append(self.after((top + 1 - self._count()) / self._tick_hz(), self._overflow))
        for channel in range(1, 5):
            if self.value["DIER"] >> channel & 1:
                wait = (self.value[f"CCR{channel}"] - self._count()) % (top + 1) or top + 1
                self._events.append(self.after(wait / self._tick_hz(), self._match(channel)))

    def _match(self, channel: int):  # type: ignore[no-untyped-def]
        def action() -> None:
            self.value["SR"] |= 1 << channel
            self._update_irq()
            self._plan()

        return action

    def _overflow(self) -> None:
        self.value["SR"] |= 1
        self._divider = self.value["PSC"] + 1
        if self.value["CR1"] & OPM:
            self.value["CR1"] &= ~CEN
        self._restart(0)
        self._update_irq()

    def _update_irq(self) -> None:
        active = self.value["SR"] & self.value["DIER"]
        self.irq(bool(active & 1) or (len(self.irqs) < 2 and bool(active & 0x1E)), 0)
        if len(self.irqs) > 1:
            self.irq(bool(active & 0x1E), 1)

    def clock_changed(self) -> None:
        if self._hz and self.clock_hz != self._hz:
            self._restart(self._count())

    # -- registers ------------------------------------------------------------------------------------------

    def read_CNT(self, _: int) -> int:
        return self._count()

    def write_CNT(self, _old: int, new: int) -> None:
        self._restart(new)

    def write_CR1(self, old: int, new: int) -> None:
        self.value["CR1"] = old
        count = self._count()
        self.value["CR1"] = new
        self._restart(count)

    def write_DIER(self, _old: int, _new: int) -> None:
        self._update_irq()
        self._plan()

    def write_ARR(self, old: int, new: int) -> None:
        self.value["ARR"] = old
        count = self._count()
        self.value["ARR"] = new & self._mask
        self._restart(count if count <= (new & self._mask) else 0)

    def write_EGR(self, _old: int, written: int) -> None:
        if written & 1:
            self._divider = self.value["PSC"] + 1
            if not self.value["CR1"] & URS:
                self.value["SR"] |= 1
            self._restart(0)
        self.value["SR"] |= written & 0x1E
        self._update_irq()

    def read_SR(self, value: int) -> int:
        if self.value["CR1"] & CEN and self._hz and not value & 1:
            top = (self.value["ARR"] & self._mask) + 1
            if self._from + int((self.now() - self._since) * self._tick_hz() + _ROUND) >= top and not self._events:
                self.value["SR"] |= 1
                self._restart(self._count())
        return self.value["SR"]

    def write(self, offset: int, size: int, value: int) -> None:
        if offset & ~3 == 0x10:  # SR: flags are cleared by writing 0
            self.value["SR"] &= value
            self._update_irq()
            return
        super().write(offset, size, value)
        if offset & ~3 in (0x34, 0x38, 0x3C, 0x40):
            self._plan()


@register("stm32-lptim")
class LowPowerTimer(RegisterFile):
    """16-bit low-power timer, internal clock. ``parameters.layout: v2``: RM0456 chapter 58, with DIEROK and a repetition counter."""

    layout = {
        "ISR": {"offset": 0x00, "writable": 0}, "ICR": {"offset": 0x04, "self_clearing": 0xFFFFFFFF}, "IER": 0x08,
        "CFGR": 0x0C, "CR": 0x10, "CMP": 0x14, "ARR": {"offset": 0x18, "reset": 1}, "CNT": {"offset": 0x1C, "writable": 0},
        "OR": 0x20, "CFGR2": 0x24, "RCR": 0x28,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._since = 0.0
        self._running = False
        self._single = False
        self._events: list[Event] = []
        self._flags = 0
        self._told = {1: 0, 2: 0}  # flag -> ticks up to which its matches are in the flags
        self._v2 = self.parameters.get("layout") == "v2"

    def _hz(self) -> float:
        return self.clock_hz / (1 << (self.value["CFGR"] >> 9 & 7))

    def _passed(self) -> int:
        """Ticks since the start; a single run ends when it reaches ARR."""
        if not self._running:
            return 0
        passed = int((self.now() - self._since) * self._hz() + _ROUND)
        return min(passed, self.value["ARR"] & 0xFFFF) if self._single else passed

    def read_CNT(self, _: int) -> int:
        return self._passed() % ((self.value["ARR"] & 0xFFFF) + 1)

    def _matches(self) -> list[tuple[int, int]]:
        """(flag, counter value that raises it): compare, and auto-reload reached."""
        return [(1, self.value["CMP"] & 0xFFFF), (2, self.value["ARR"] & 0xFFFF)]

    def read_ISR(self, _: int) -> int:
        if self._running and self._hz():
            passed, top = self._passed(), (self.value["ARR"] & 0xFFFF) + 1
            for flag, at in self._matches():
                if (passed - at) // top > (self._told[flag] - at) // top and passed >= at:
                    self._flags |= flag
                self._told[flag] = passed
        return self._flags

    def write_ICR(self, _old: int, written: int) -> None:
        self._flags &= ~written
        self._update()

    def write_IER(self, _old: int, _new: int) -> None:
        if self._v2:
            self._flags |= 1 << 24
        self._plan()
        self._update()

    def write_RCR(self, _old: int, _new: int) -> None:
        if self._v2:
            self._flags |= 1 << 8

    def write_CR(self, _old: int, new: int) -> None:
        if not new & 1:
            self._running = False
        elif new & 6 and (not self._running or (self._single and self._over())):
            self._running, self._single, self._since = True, bool(new & 2), self.now()
            self._told = {1: 0, 2: 0}
        self.value["CR"] &= ~6  # both starts are cleared by hardware
        self._plan()

    def _over(self) -> bool:
        return self._passed() >= (self.value["ARR"] & 0xFFFF)

    def write_ARR(self, _old: int, _new: int) -> None:
        self._flags |= 0x10
        self._plan()
        self._update()

    def write_CMP(self, _old: int, _new: int) -> None:
        self._flags |= 0x08
        self._plan()
        self._update()

    def _plan(self) -> None:
        for event in self._events:
            event.cancel()
        self._events.clear()
        if not self._running or not self._hz():
            return
        top = (self.value["ARR"] & 0xFFFF) + 1
        for flag, at in self._matches():
            if self.value["IER"] & flag and not (self._single and self._passed() >= at):
                wait = (at - self._passed()) % top or top
                exact = (self._passed() + wait) / self._hz() - (self.now() - self._since)
                self._events.append(self.after(exact, self._flag(flag)))

    def _flag(self, flag: int):  # type: ignore[no-untyped-def]
        def action() -> None:
            self._flags |= flag
            self._told[flag] = self._passed()
            self._update()
            self._plan()

        return action

    def _update(self) -> None:
        self.irq(bool(self._flags & self.value["IER"]))

    def clock_changed(self) -> None:
        if self._running:
            self._plan()
