# ruff: noqa: RUF012  (register tables are constants)
"""SiFive SPI and I2C of the FE310-G002: manual chapters 19 (SPI) and 20 (I2C, the OpenCores core). No DMA there is.

SPI: one lane, frames up to 8 bits, eight-deep FIFOs, watermarks, chip selects of its own (``select: CS0``) or pins
(``select: gpio0.9``). Not modelled: two and four lanes, delays, the flash interface. I2C: controller, 7-bit addresses,
one command after the other. Not modelled: arbitration, clock stretching.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.backends.unicorn.parts import I2cDevice, SpiDevice
    from emulab.model.soc import Peripheral as Spec

DEPTH = 8
EMPTY_OR_FULL = 1 << 31
AUTO, HOLD, OFF = 0, 2, 3
DIRECTION = 8


@register("sifive-spi")
class SifiveSpi(RegisterFile):
    """One SPI without the memory-mapped flash mode."""

    layout = {
        "SCKDIV": {"offset": 0x00, "reset": 3, "writable": 0xFFF}, "SCKMODE": 0x04, "CSID": 0x10,
        "CSDEF": {"offset": 0x14, "reset": 0xF}, "CSMODE": {"offset": 0x18, "writable": 3},
        "DELAY0": {"offset": 0x28, "reset": 0x00010001}, "DELAY1": {"offset": 0x2C, "reset": 1},
        "FMT": {"offset": 0x40, "reset": 0x00080000}, "TXDATA": 0x48, "RXDATA": {"offset": 0x4C, "writable": 0},
        "TXMARK": {"offset": 0x50, "writable": 7}, "RXMARK": {"offset": 0x54, "writable": 7}, "IE": {"offset": 0x70, "writable": 3},
        "IP": {"offset": 0x74, "writable": 0},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._busy = False
        self._asks = False
        self._frame = (-1, -1, -1.0, 0.0)  # format, divider, clock, and the time of a frame with these
        self._held: SpiDevice | None = None

    def start(self) -> None:
        """Put the board's parts of this bus on it."""
        from emulab.backends.unicorn.parts import SpiSlaves

        self._slaves = SpiSlaves(self.machine, self.name)

    def frame_time_s(self) -> float:
        """Time of one frame: its bits at the bus clock / 2 (SCKDIV + 1)."""
        key, clock_hz = (self.value["FMT"], self.value["SCKDIV"]), self.clock_hz
        if self._frame[:3] != (*key, clock_hz):
            bits = key[0] >> 16 & 0xF
            self._frame = (*key, clock_hz, bits * 2 * (key[1] + 1) / clock_hz)
        return self._frame[3]

    def _begin(self) -> None:
        if self._busy or not self._tx:
            return
        self._busy = True
        if self.value["CSMODE"] != OFF and self._held is None:
            self._held = self._slaves.by_pin.get(f"CS{self.value['CSID']}")
            if self._held is not None:
                self._held.select()
        self.after(self.frame_time_s(), self._end)

    def _end(self) -> None:
        self._busy = False
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
        self._update()

    def _release(self) -> None:
        if self._held is not None:
            self._held.deselect()
            self._held = None

    def read_TXDATA(self, _: int) -> int:
        return EMPTY_OR_FULL if len(self._tx) >= DEPTH else 0

    def write_TXDATA(self, _old: int, new: int) -> None:
        if len(self._tx) < DEPTH:  # ignored where the FIFO is full (19.8)
            self._tx.append(new & 0xFF)
        self._begin()
        self._update()

    def read_RXDATA(self, _: int) -> int:
        value = self._rx.popleft() if self._rx else EMPTY_OR_FULL
        self._update()
        return value

    def write_CSMODE(self, _old: int, new: int) -> None:
        if new != HOLD:
            self._release()

    def write_CSID(self, old: int, new: int) -> None:
        if old != new:
            self._release()

    def read_IP(self, _: int) -> int:
        return (len(self._tx) < self.value["TXMARK"]) | (len(self._rx) > self.value["RXMARK"]) << 1

    def write_IE(self, _old: int, _new: int) -> None:
        self._update()

    write_TXMARK = write_RXMARK = write_IE

    def _update(self) -> None:
        enabled = self.value["IE"]
        asks = bool(enabled) and self.read_IP(0) & enabled != 0
        if asks != self._asks:  # this is asked for every frame and every access
            self._asks = asks
            self.irq(asks)


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
