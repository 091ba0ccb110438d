"""ST LIS2DH12 accelerometer on SPI or I2C: rates, 32-level FIFO with watermark, interrupt 1 (datasheet chapter 8).

What it measures is a function of time, on top of 1 g along z: ``signal: [{axis, amplitude_g, frequency_hz, phase_rad},
...]`` in the board's entry, or ``signal: {condition, stretches, seed}``, a simulated rotor along x (``rotor.py``), of
which the next stretch begins each time the sensor is switched on. Samples exist only when somebody looks: a quiet sensor
costs no simulation time. Not modelled: interrupt generators, click, temperature, self-test, the high-pass filter, and
the time after power-up until samples are good.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from emulab.backends.unicorn.parts import drive_pin
from emulab.backends.unicorn.parts.rotor import Rotor
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine

WHO_AM_I, CTRL1, CTRL3, CTRL4, CTRL5 = 0x0F, 0x20, 0x22, 0x23, 0x24
STATUS, OUT_X_L, OUT_Z_H, FIFO_CTRL, FIFO_SRC = 0x27, 0x28, 0x2D, 0x2E, 0x2F
FIFO_EN, I1_WTM, DEPTH = 0x40, 0x04, 32
RATES_HZ = {1: 1, 2: 10, 3: 25, 4: 50, 5: 100, 6: 200, 7: 400, 8: 1620, 9: 1344}
STATES = {2: "odr10", 3: "odr25", 5: "odr100", 7: "odr400", 9: "odr1344"}
"""States of ``platforms/parts/lis2dh12.yaml``; a rate between them is charged as the next faster one."""


class Lis2dh12:
    """One sensor. In stream mode the oldest sample is lost when the FIFO is full; in FIFO mode sampling stops."""

    def __init__(self, machine: Machine, name: str, entry: dict[str, Any]) -> None:
        self.machine, self.name = machine, name
        self.interrupt = str(entry.get("interrupt", "")).upper()
        signal = entry.get("signal", [])
        self.rotor = Rotor(f"board.parts.{name}.signal", signal) if isinstance(signal, dict) else None
        self.signal = [] if isinstance(signal, dict) else [self._tone(tone) for tone in signal]
        self._switched_on = -1
        self.register = {WHO_AM_I: 0x33, CTRL1: 0x07}
        self._address: int | None = None
        self._reading = self._auto = False
        self._from_s = 0.0
        self._taken = 0
        self._out = bytes(6)
        self._due: Event | None = None

    def _tone(self, tone: dict[str, Any]) -> tuple[int, float, float, float]:
        try:
            axis = "xyz".index(tone["axis"])
            return axis, float(tone["amplitude_g"]), float(tone["frequency_hz"]), float(tone.get("phase_rad", 0.0))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"board.parts.{self.name}.signal: expected {{axis: x|y|z, amplitude_g, frequency_hz}}, found {tone!r}"
            ) from None

    # -- bus ------------------------------------------------------------------------------------------------

    def select(self) -> None:
        """A transaction begins: the next frame is the address."""
        self._address = None

    def deselect(self) -> None:
        """The transaction ends; what was read may have taken the FIFO below its watermark."""
        self._address = None
        self._plan()

    @property
    def only_answers(self) -> bool:
        """Reading registers changes none of what others see before the end of the transaction."""
        return self._reading and self._address is not None

    def exchange(self, sent: int, bits: int) -> int:
        """First frame: read bit, auto-increment bit, address; then data (datasheet 6.2)."""
        if self._address is None:
            self._reading, self._auto, self._address = bool(sent & 0x80), bool(sent & 0x40), sent & 0x3F
            return 0xFF
        answer = 0xFF
        if self._reading:
            answer = self._read(self._address)
        else:
            self._write(self._address, sent & 0xFF)
        self._step(self._reading)
        return answer

    # -- the same on I2C (datasheet 6.1): the sub-address' top bit counts up ---------------------------------------

    def start(self, reading: bool) -> bool:
        """A (repeated) start with this address; the sub-address of the write before it is kept for a read."""
        if not reading:
            self._address = None
        return True

    def put(self, byte: int) -> bool:
        """A byte from the master: the sub-address, then data. Acknowledged."""
        if self._address is None:
            self._auto, self._address = bool(byte & 0x80), byte & 0x3F
        else:
            self._write(self._address, byte)
            self._step(False)
        return True

    def get(self) -> int:
        """A byte to the master."""
        answer = self._read(self._address or 0)
        self._step(True)
        return answer

    def stop(self) -> None:
        """The transaction ends."""
        self._plan()

    def _step(self, reading: bool) -> None:
        if self._auto and self._address is not None:
            wraps = reading and self._address == OUT_Z_H and self.register.get(CTRL5, 0) & FIFO_EN
            self._address = OUT_X_L if wraps else (self._address + 1) & 0x3F

    # -- samples --------------------------------------------------------------------------------------------

    @property
    def rate_hz(self) -> float:
        """Output data rate; 0 in power-down."""
        return RATES_HZ.get(self.register[CTRL1] >> 4, 0)

    def _produced(self) -> int:
        """Samples since the rate was set."""
        return int((self.machine.now() - self._from_s) * self.rate_hz + 1e-6) if self.rate_hz else 0

    def held(self) -> int:
        """Samples in the FIFO now; the oldest are gone where there were more than fit."""
        produced = self._produced()
        if produced - self._taken > DEPTH:
            if self.register.get(FIFO_CTRL, 0) >> 6 == 1:  # FIFO mode: full is full
                return DEPTH
            self._taken = produced - DEPTH
        return produced - self._taken

    def sample(self, number: int) -> bytes:
        """The *number*-th sample since the rate was set: three little-endian int16, +-2 g, 12 bits left-justified."""
        time_s = self._from_s + (number + 1) / self.rate_hz
        g = [0.0, 0.0, 1.0]
        if self.rotor is not None:
            g[0] += self.rotor.value_g(self._switched_on, number)
        for axis, amplitude, frequency, phase in self.signal:
            g[axis] += amplitude * math.sin(2 * math.pi * frequency * time_s + phase)
        scale = 2.0 * (1 << (self.register.get(CTRL4, 0) >> 4 & 3))
        counts = [max(-2048, min(2047, round(value / scale * 2048))) for value in g]
        return b"".join((count * 16).to_bytes(2, "little", signed=True) for count in counts)

    def _read(self, address: int) -> int:
        if OUT_X_L <= address <= OUT_Z_H:
            if address == OUT_X_L:
                self._next()
            return self._out[address - OUT_X_L]
        if address == FIFO_SRC:
            held, mark = self.held(), self.register.get(FIFO_CTRL, 0) & 0x1F
            return (0x80 if held > mark else 0) | (0x40 if held >= DEPTH else 0) | (0 if held else 0x20) | min(held, 31)
        if address == STATUS:
            return 0x0F if self.held() else 0
        return self.register.get(address, 0)

    def _next(self) -> None:
        if self.held():
            self._out = self.sample(self._taken)
            self._taken += 1
            if not self.register.get(CTRL5, 0) & FIFO_EN:
                self._taken = self._produced()

    def _write(self, address: int, value: int) -> None:
        before = self.rate_hz
        self.register[address] = value
        if address == CTRL1 and self.rate_hz != before:
            self._switched_on += not before
            self._from_s, self._taken = self.machine.now(), 0
            code = value >> 4
            faster = [c for c in STATES if RATES_HZ[c] >= RATES_HZ.get(code, 0)]
            state = STATES[min(faster, key=lambda c: RATES_HZ[c])] if self.rate_hz and faster else "odr1344"
            self.machine.power_state(self.name, state if self.rate_hz else "powerdown")
        if address == FIFO_CTRL and value >> 6 == 0:  # bypass empties the FIFO
            self._taken = self._produced()
        self._plan()

    # -- interrupt ------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Drive interrupt 1, and come back when the watermark is reached."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        wanted = self.interrupt and self.rate_hz and self.register.get(CTRL3, 0) & I1_WTM
        over = self.held() > (self.register.get(FIFO_CTRL, 0) & 0x1F) if wanted else False
        if self.interrupt:
            drive_pin(self.machine, self.interrupt, over)
        if wanted and not over:
            mark = (self.register.get(FIFO_CTRL, 0) & 0x1F) + 1
            due_s = self._from_s + (self._taken + mark) / self.rate_hz - self.machine.now()
            self._due = self.machine.after(max(due_s, 0.0) + 1e-9, self._plan)
