# ruff: noqa: RUF012  (register tables are constants)
"""STM32 RTC, random number generator and CRC unit: RM0432 chapters 46, 34, 18; RM0456 chapter 63."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec


@register("stm32-rtc")
class Rtc(RegisterFile):
    """Calendar that counts seconds, and the wake-up timer. ``parameters.layout``: ``isr`` (L4, F7) or ``icsr`` (G0, U5, H7)."""

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
            layout |= {"ALRABINR": 0x70, "ALRBBINR": 0x74}
        self.layout = layout  # type: ignore[misc,assignment]
        super().__init__(machine, name, spec)
        self._set_at, self._seconds = 0.0, 0
        self._wakeup: Event | None = None
        self._isr = isr

    def _now_seconds(self) -> float:
        return self._seconds + self.now() - self._set_at

    def read_TR(self, _: int) -> int:
        total = int(self._now_seconds()) % 86400
        fields = (total % 60, total // 60 % 60, total // 3600)
        return sum(((f // 10 << 4) | f % 10) << (8 * i) for i, f in enumerate(fields))

    def write_TR(self, _old: int, new: int) -> None:
        fields = [(new >> (8 * i) & 0xF) + 10 * (new >> (8 * i + 4) & 7) for i in range(3)]
        self._seconds, self._set_at = fields[0] + 60 * fields[1] + 3600 * fields[2], self.now()

    def read_SSR(self, _: int) -> int:
        prescaler = self.value["PRER"] & 0x7FFF
        return prescaler - int((self._now_seconds() % 1.0) * (prescaler + 1))

    def write_CR(self, _old: int, new: int) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if new & 0x400:
            self._plan_wakeup()

    def _plan_wakeup(self) -> None:
        selection = self.value["CR"] & 7
        clock = self.clock_hz or 32768.0
        period = (self.value["WUTR"] & 0xFFFF) + 1
        seconds = period if selection >= 4 else period * (16 >> selection) / clock
        self._wakeup = self.after(seconds, self._woke)

    def _woke(self) -> None:
        name = "STATUS" if self._isr else "SR"
        self.value[name] |= 0x400 if self._isr else 4
        if self.value["CR"] & 0x4000:
            self.irq(True, 0)
        self._plan_wakeup()

    def write_STATUS(self, _old: int, _new: int) -> None:
        if self._isr:
            self.irq(False, 0)

    def write_SCR(self, _old: int, new: int) -> None:
        self.value["SR"] &= ~new
        self.irq(False, 0)


@register("stm32-rng")
class Rng(RegisterFile):
    """Random numbers, always ready, from a fixed seed so that runs repeat."""

    layout = {
        "CR": 0x00,
        "SR": {"offset": 0x04, "reset": 1, "writable": 0x60},
        "DR": {"offset": 0x08, "writable": 0},
        "HTCR": 0x10,
    }

    def start(self) -> None:
        self._random = random.Random(0)

    def read_DR(self, _: int) -> int:
        return self._random.getrandbits(32)


@register("stm32-crc")
class Crc(RegisterFile):
    """CRC unit: 32-bit words with the programmed polynomial, no bit reversal other than the standard ones."""

    layout = {
        "DR": {"offset": 0x00, "reset": 0xFFFFFFFF}, "IDR": 0x04, "CR": 0x08, "INIT": {"offset": 0x10, "reset": 0xFFFFFFFF},
        "POL": {"offset": 0x14, "reset": 0x04C11DB7},
    }  # fmt: skip

    def start(self) -> None:
        self._crc = 0xFFFFFFFF

    def write_CR(self, _old: int, new: int) -> None:
        if new & 1:
            self._crc = self.value["INIT"]
            self.value["CR"] &= ~1

    def write_INIT(self, _old: int, new: int) -> None:
        self._crc = new

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= 4:
            super().write(offset, size, value)
            return
        reverse = self.value["CR"] >> 5 & 3
        bits = 8 * size
        if reverse:
            unit = min(bits, 8 << (reverse - 1))
            mask = (1 << unit) - 1
            value = sum(int(f"{value >> i & mask:0{unit}b}"[::-1], 2) << i for i in range(0, bits, unit))
        for i in reversed(range(bits)):
            top = (self._crc >> 31) ^ (value >> i & 1)
            self._crc = ((self._crc << 1) & 0xFFFFFFFF) ^ (self.value["POL"] if top & 1 else 0)

    def read_DR(self, _: int) -> int:
        if self.value["CR"] & 0x80:
            return int(f"{self._crc:032b}"[::-1], 2)
        return self._crc
