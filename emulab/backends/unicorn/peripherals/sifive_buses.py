# ruff: noqa: RUF012  (register tables are constants)
"""SiFive SPI and I2C of the FE310-G002: manual chapters 19 (SPI) and 20 (I2C, the OpenCores core). No DMA there is.

SPI: one lane, frames up to 8 bits, eight-deep FIFOs, watermarks, chip selects of its own (``select: CS0``) or pins
(``select: gpio0.9``). Not modelled: two and four lanes, delays, the flash interface. I2C: controller, 7-bit addresses,
one command after the other. Not modelled: arbitration, clock stretching.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts import I2cDevice, SpiDevice
    from emulab.model.soc import Peripheral as Spec

DEPTH = 8
EMPTY_OR_FULL = 1 << 31
AUTO, HOLD, OFF = 0, 2, 3
DIRECTION = 8
TXDATA, RXDATA = 0x48, 0x4C


@register("sifive-spi")
class SifiveSpi(RegisterFile):
    """One SPI without the memory-mapped flash mode."""

    layout = {
        "SCKDIV": {"offset": 0x00, "reset": 3, "writable": 0xFFF}, "SCKMODE": 0x04, "CSID": 0x10,
        "CSDEF": {"offset": 0x14, "reset": 0xF}, "CSMODE": {"offset": 0x18, "writable": 3},
        "DELAY0": {"offset": 0x28, "reset": 0x00010001}, "DELAY1": {"offset": 0x2C, "reset": 1},
        "FMT": {"offset": 0x40, "reset": 0x00080000}, "TXDATA": TXDATA, "RXDATA": {"offset": RXDATA, "writable": 0},
        "TXMARK": {"offset": 0x50, "writable": 7}, "RXMARK": {"offset": 0x54, "writable": 7}, "IE": {"offset": 0x70, "writable": 3},
        "IP": {"offset": 0x74, "writable": 0},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._ends_s: float | None = None
        """When the frame on the wire ends; None while there is none."""
        self._seen = False
        """Its end is an event, since something comes of it."""
        self._due_s = math.inf
        self._due: Event | None = None
        """The frame end at which firmware that waits has what it waits for."""
        self._asks = False
        self._frame = (-1, -1, -1.0, 0.0)  # format, divider, clock, and the time of a frame with these
        self._frame_s = 0.0
        """Time of a frame that begins now."""
        self._held: SpiDevice | None = None

    def start(self) -> None:
        """Put the board's parts of this bus on it."""
        from emulab.backends.unicorn.parts import SpiSlaves

        self._slaves = SpiSlaves(self.machine, self.name, self._until_now)

    def frame_time_s(self) -> float:
        """Time of one frame: its bits at the bus clock / 2 (SCKDIV + 1)."""
        key, clock_hz = (self.value["FMT"], self.value["SCKDIV"]), self.clock_hz
        if self._frame[:3] != (*key, clock_hz):
            bits = key[0] >> 16 & 0xF
            self._frame = (*key, clock_hz, bits * 2 * (key[1] + 1) / clock_hz if clock_hz else math.inf)
        return self._frame[3]

    # -- frames ---------------------------------------------------------------------------------------------
    #
    # The end of a frame that only fetches an answer is no event: it is made up for when firmware looks, when a chip
    # select changes, or before the next event of anybody, at the time at which it was.

    def _begin(self) -> None:
        if self._ends_s is not None or not self._tx:
            return
        if self.value["CSMODE"] != OFF and self._held is None:
            self._held = self._slaves.by_pin.get(f"CS{self.value['CSID']}")
            if self._held is not None:
                self._held.select()
        device = self._held or self._slaves.selected
        self._ends_s = self.now() + self._frame_s
        self._seen = device is not None and (self.value["CSMODE"] == AUTO or not device.only_answers)
        if self._seen:
            self.machine.env.behind.pop(self.name, None)
            self.after(self._ends_s - self.now(), self._seen_end)
        elif self.name not in self.machine.env.behind:
            self.machine.env.behind[self.name] = self._before

    def _seen_end(self) -> None:
        self._end()
        self._update()

    def _end(self) -> None:
        self._ends_s = None
        sent = self._tx.popleft()
        device = self._held or self._slaves.selected
        bits = self.value["FMT"] >> 16 & 0xF
        answer = device.exchange(sent, bits) if device is not None else (1 << bits) - 1
        if not self.value["FMT"] & DIRECTION:
            if len(self._rx) < DEPTH:
                self._rx.append(answer & 0xFF)
            else:
                self.note("receive FIFO full: a frame was lost")
        if self.value["CSMODE"] == AUTO:
            self._release()
        self._begin()
        if self._ends_s is None:
            self.machine.env.behind.pop(self.name, None)

    def _before(self, time_s: float) -> None:
        self._catch_up(math.nextafter(time_s, 0.0))

    def _until_now(self) -> None:
        if self._ends_s is not None:
            self._catch_up(self.machine.now())

    def _catch_up(self, until_s: float) -> None:
        """Make up for the frames that ended by then."""
        machine = self.machine
        try:
            while self._ends_s is not None and self._ends_s <= until_s and not self._seen:
                machine.past_s = self._ends_s
                self._end()
        finally:
            machine.past_s = None

    def _release(self) -> None:
        if self._held is not None:
            self._held.deselect()
            self._held = None

    # -- registers ------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if self._ends_s is not None:
            self._until_now()
        value = super().read(offset, size) if offset != RXDATA or not self._rx else self._rx.popleft()
        if self._asks or self.value["IE"]:
            self._update()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if self._ends_s is not None:
            self._until_now()
        if offset == TXDATA:
            if len(self._tx) < DEPTH:  # ignored where the FIFO is full (19.8)
                self._tx.append(value & 0xFF)
        else:
            super().write(offset, size, value)
            self._frame_s = self.frame_time_s()
        if self._ends_s is None:
            self._begin()
        if self._asks or self.value["IE"]:
            self._update()

    def read_TXDATA(self, _: int) -> int:
        return self._waits(EMPTY_OR_FULL) if len(self._tx) >= DEPTH else 0

    def read_RXDATA(self, _: int) -> int:
        return self._waits(EMPTY_OR_FULL)  # what is in the FIFO is given above

    def write_CSMODE(self, _old: int, new: int) -> None:
        if new != HOLD:
            self._release()

    def write_CSID(self, old: int, new: int) -> None:
        if old != new:
            self._release()

    def read_IP(self, _: int) -> int:
        return self._waits(self._pending())

    def _pending(self) -> int:
        return (len(self._tx) < self.value["TXMARK"]) | (len(self._rx) > self.value["RXMARK"]) << 1

    def _waits(self, value: int) -> int:
        """Firmware was told *value*, which the next end of a frame may change: it is to see that in time."""
        if self._ends_s is not None:
            self._look_at(self._ends_s)
        return value

    # -- interrupt ------------------------------------------------------------------------------------------

    def _update(self) -> None:
        enabled = self.value["IE"]
        asks = bool(enabled) and self._pending() & enabled != 0
        if asks != self._asks:  # this is asked for every access
            self._asks = asks
            self.irq(asks)
        if enabled and not asks and self._ends_s is not None and not self._seen:
            frames = []  # until one of the enabled interrupts asks
            if enabled & 1 and self.value["TXMARK"]:
                frames.append(len(self._tx) - self.value["TXMARK"] + 1)
            if enabled & 2:
                frames.append(self.value["RXMARK"] + 1 - len(self._rx))
            at_s = self._ends_s
            for _ in range(min((n for n in frames if n <= len(self._tx)), default=1) - 1):
                at_s += self._frame_s
            self._look_at(at_s)

    def _look_at(self, time_s: float) -> None:
        """Be there at *time_s*."""
        if self._seen or (self._due is not None and self._due_s <= time_s):
            return
        if self._due is not None:
            self._due.cancel()
        self._due_s = time_s
        self._due = self.after(time_s - self.now(), self._looked)

    def _looked(self) -> None:
        self._due = None
        self._catch_up(max(self._due_s, self.now()))
        self._update()

    def clock_changed(self) -> None:
        """The frame on the wire keeps its end, those after it have the new clock."""
        self._until_now()
        self._frame_s = self.frame_time_s()
        self._update()


ENABLE, INTERRUPTS = 0x80, 0x40
START, STOP, READ, WRITE, NACK, CLEAR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
REFUSED, BUSY, IN_PROGRESS, FLAG = 0x80, 0x40, 0x02, 0x01


@register("sifive-i2c")
class SifiveI2c(RegisterFile):
    """The OpenCores I2C controller: a command is a start, a byte, a stop, or several of these at once."""

    layout = {"PRER_LO": {"offset": 0x00, "reset": 0xFF}, "PRER_HI": {"offset": 0x04, "reset": 0xFF}, "CTR": 0x08,
              "DATA": 0x0C, "COMMAND": 0x10}  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._devices: dict[int, I2cDevice] = {}
        self._device: I2cDevice | None = None
        self._status = 0
        self._received = 0
        self._sending = 0

    def start(self) -> None:
        """Put the board's parts of this bus on it."""
        from emulab.backends.unicorn.parts import make_i2c_devices

        self._devices = make_i2c_devices(self.machine, self.name)

    def bit_time_s(self) -> float:
        """One period of SCL: five phases of the prescaled clock."""
        prescale = (self.value["PRER_HI"] & 0xFF) << 8 | self.value["PRER_LO"] & 0xFF
        return 5 * (prescale + 1) / self.clock_hz

    def write_DATA(self, _old: int, new: int) -> None:
        self._sending = new & 0xFF

    def read_DATA(self, _: int) -> int:
        return self._received

    def write_CTR(self, _old: int, new: int) -> None:
        self.state("i2c", "active" if new & ENABLE else "off")
        self._update()

    def read_COMMAND(self, _: int) -> int:
        return self._status

    def write_COMMAND(self, _old: int, new: int) -> None:
        if new & CLEAR:
            self._status &= ~FLAG
        if new & (START | STOP | READ | WRITE) and self.value["CTR"] & ENABLE and not self._status & IN_PROGRESS:
            self._status |= IN_PROGRESS
            bits = bool(new & START) + 9 * bool(new & (READ | WRITE)) + bool(new & STOP)
            self.after(bits * self.bit_time_s(), lambda: self._done(new))
        self._update()

    def _done(self, command: int) -> None:
        accepted = True
        if command & START:
            self._status |= BUSY
            self._device = self._devices.get(self._sending >> 1)
            accepted = self._device is not None and self._device.start(bool(self._sending & 1))
            if not accepted:
                self._device = None
        elif command & WRITE:
            accepted = self._device is not None and self._device.put(self._sending)
        if command & READ:
            self._received = self._device.get() & 0xFF if self._device is not None else 0xFF
            accepted = not command & NACK
        if command & STOP:
            if self._device is not None:
                self._device.stop()
            self._device = None
            self._status &= ~BUSY
        self._status = (self._status & ~(IN_PROGRESS | REFUSED)) | FLAG | (0 if accepted else REFUSED)
        self._update()

    def _update(self) -> None:
        self.irq(bool(self._status & FLAG and self.value["CTR"] & INTERRUPTS))
