"""STM32 real-time clock: calendar, alarms A and B, wake-up timer. RM0432 chapter 46 (flags in ISR), RM0456 chapter 63 (in SR)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

INIT = 0x80
_ALARMS = {"A": (8, 12, 0), "B": (9, 13, 1)}
"""Alarm -> enable bit and interrupt enable bit of CR, flag bit of SR (of ISR: eight further up)."""
_START = datetime(2000, 1, 1)
_SEARCH_S = 86400 * 32


@register("stm32-rtc")
class Rtc(RegisterFile):
    """Calendar from 2000 to 2099 in 24-hour format. ``parameters.layout``: ``isr`` (L4, F7) or ``icsr`` (G0, U3, U5, H7).

    Interrupt line 0 is the wake-up timer's, the last one that of the alarms. Alarms match whole seconds: their sub-second
    compare is stored only.
    """

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        isr = spec.parameters.get("layout", "isr") == "isr"
        names = (
            "TR DR CR STATUS PRER WUTR - ALRMAR ALRMBR WPR SSR SHIFTR TSTR TSDR TSSSR CALR TAMPCR ALRMASSR ALRMBSSR OR"
            if isr
            else "TR DR SSR STATUS PRER WUTR CR PRIVCFGR SECCFGR WPR CALR SHIFTR TSTR TSDR TSSSR - ALRMAR ALRMASSR ALRMBR "
            "ALRMBSSR SR MISR SMISR SCR"
        ).split()
        layout: dict[str, object] = {n: 4 * i for i, n in enumerate(names) if n != "-"}
        layout["STATUS"] = {"offset": 0x0C, "reset": 0x07, "follows": {6: 7}, "writable": 0x80, "ones": 0x27}
        layout["DR"] = {"offset": 4, "reset": 0x2101}
        layout["PRER"] = {"offset": 0x10, "reset": 0x007F00FF}
        if isr:
            layout |= {f"BKP{i}R": 0x50 + 4 * i for i in range(32)}
        else:
            layout |= {"SR": {"offset": 0x50, "writable": 0}, "MISR": {"offset": 0x54, "writable": 0}}
            layout |= {"ALRABINR": 0x70, "ALRBBINR": 0x74}
        self.layout = layout  # type: ignore[misc,assignment]
        super().__init__(machine, name, spec)
        self._set_at, self._calendar = 0.0, _START
        self._events: dict[str, Event] = {}
        self._isr = isr
        self._flags = 0

    # -- calendar -------------------------------------------------------------------------------------------

    def _ticks_hz(self) -> float:
        """Calendar seconds per second: one where the prescalers suit the clock."""
        prescaler = self.value["PRER"]
        return (self.clock_hz or 32768.0) / (((prescaler >> 16 & 0x7F) + 1) * ((prescaler & 0x7FFF) + 1))

    def _elapsed(self) -> float:
        """Calendar seconds since the calendar was set."""
        return (self.now() - self._set_at) * self._ticks_hz() + 1e-9

    def _date(self) -> datetime:
        return self._calendar + timedelta(seconds=int(self._elapsed()))

    def read_TR(self, _: int) -> int:
        date = self._date()
        return _bcd(date.second) | _bcd(date.minute) << 8 | _bcd(date.hour) << 16

    def read_DR(self, _: int) -> int:
        date = self._date()
        return _bcd(date.day) | _bcd(date.month) << 8 | date.isoweekday() << 13 | _bcd(date.year - 2000) << 16

    def read_SSR(self, _: int) -> int:
        prescaler = self.value["PRER"] & 0x7FFF
        return prescaler - int((self._elapsed() % 1.0) * (prescaler + 1))

    def write_TR(self, _old: int, new: int) -> None:
        hour, minute, second = _number(new >> 16 & 0x3F), _number(new >> 8 & 0x7F), _number(new & 0x7F)
        self._set(self._date().replace(hour=hour % 24, minute=minute % 60, second=second % 60))

    def write_DR(self, _old: int, new: int) -> None:
        date = self._date()
        try:
            date = date.replace(
                year=2000 + _number(new >> 16 & 0xFF), month=_number(new >> 8 & 0x1F), day=_number(new & 0x3F)
            )
        except ValueError:
            self.note(f"DR {new:#x} is no date; the calendar keeps {date:%Y-%m-%d}")
        self._set(date)

    def write_PRER(self, old: int, new: int) -> None:
        self.value["PRER"] = old
        date = self._date()
        self.value["PRER"] = new
        self._set(date)

    def _set(self, date: datetime) -> None:
        self._calendar, self._set_at = date, self.now()
        self._plan_alarms()

    # -- alarms and wake-up timer ---------------------------------------------------------------------------

    def write_CR(self, old: int, new: int) -> None:
        if (old ^ new) & 0x400:
            self._cancel("wakeup")
            if new & 0x400:
                self._plan_wakeup()
        self._plan_alarms()
        self._update()

    def write_ALRMAR(self, _old: int, _new: int) -> None:
        self._plan_alarms()

    write_ALRMBR = write_ALRMAR

    def _cancel(self, name: str) -> None:
        event = self._events.pop(name, None)
        if event is not None:
            event.cancel()

    def _plan_wakeup(self) -> None:
        selection = self.value["CR"] & 7
        period = (self.value["WUTR"] & 0xFFFF) + 1 + (0x10000 if selection >= 6 else 0)
        if selection >= 4:
            seconds = period / self._ticks_hz()
        else:
            seconds = period * (16 >> selection) / (self.clock_hz or 32768.0)
        self._events["wakeup"] = self.after(seconds, self._woke)

    def _woke(self) -> None:
        self._raise(2)
        self._plan_wakeup()

    def _plan_alarms(self) -> None:
        for alarm, (enable, _, _) in _ALARMS.items():
            self._cancel(alarm)
            if self.value["CR"] >> enable & 1:
                wait = self._until(self.value[f"ALRM{alarm}R"])
                if wait is not None:
                    seconds = (wait - self._elapsed()) / self._ticks_hz()
                    self._events[alarm] = self.after(seconds, self._rang(alarm))

    def _until(self, wanted: int) -> int | None:
        """Calendar seconds from the last setting to the next second that matches an alarm register; None: none in a month."""
        fields = [(0x7F, 0), (0x7F, 8), (0x3F, 16), (0x3F, 24)]
        masks = [bool(wanted >> bit & 1) for bit in (7, 15, 23, 31)]
        values = [_number(wanted >> shift & mask) for mask, shift in fields]
        weekday = bool(wanted >> 30 & 1)

        def matches(date: datetime) -> bool:
            day = date.isoweekday() if weekday else date.day
            have = (date.second, date.minute, date.hour, day)
            return all(masked or a == b for masked, a, b in zip(masks, have, values, strict=True))

        start = int(self._elapsed()) + 1
        at = start
        while at < start + _SEARCH_S:
            date = self._calendar + timedelta(seconds=at)
            if matches(date):
                return at
            # whole minutes and hours that cannot match are passed over
            if not masks[2] and date.hour != values[2] and date.minute == date.second == 0:
                at += 3600
            elif not masks[1] and date.minute != values[1] and date.second == 0:
                at += 60
            else:
                at += 1
        return None

    def _rang(self, alarm: str):  # type: ignore[no-untyped-def]
        def action() -> None:
            self._raise(_ALARMS[alarm][2])
            self._plan_alarms()

        return action

    # -- flags ----------------------------------------------------------------------------------------------

    def _raise(self, bit: int) -> None:
        self._flags |= 1 << bit
        self._update()

    def _update(self) -> None:
        control = self.value["CR"]
        masked = sum(1 << flag for _, interrupt, flag in _ALARMS.values() if control >> interrupt & 1)
        masked = (masked | (control >> 14 & 1) << 2) & self._flags
        if not self._isr:
            self.value["SR"], self.value["MISR"] = self._flags, masked
        last = len(self.irqs) - 1
        if last > 0 and self.irqs[0] != self.irqs[last]:
            self.irq(bool(masked & 4), 0)
            self.irq(bool(masked & 3), last)
        else:
            self.irq(bool(masked), 0)

    def read_STATUS(self, value: int) -> int:
        return value | self._flags << 8 if self._isr else value

    def write(self, offset: int, size: int, value: int) -> None:
        if self._isr and offset & ~3 == 0x0C and size == 4:  # flags are cleared by writing 0
            self._flags &= value >> 8
            self._update()
        super().write(offset, size, value)

    def write_SCR(self, _old: int, new: int) -> None:
        self._flags &= ~new
        self._update()


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _number(bcd: int) -> int:
    return (bcd >> 4) * 10 + (bcd & 0xF)
