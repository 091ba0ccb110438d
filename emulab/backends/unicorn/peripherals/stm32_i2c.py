# ruff: noqa: RUF012  (register tables are constants)
"""STM32 I2C, second kind (L4, G0, F7, H7, U5), as controller: RM0432 chapter 47. 7-bit addresses, reload, auto-end, DMA.

What is on the bus are the entries of ``board.parts`` with ``bus:`` this peripheral and ``address:``. A byte takes nine
periods of SCL as TIMINGR has them, with the 750 ns of filters and synchronisation that the manual's examples reckon
with. Not modelled: the target side, 10-bit
addresses, SMBus, clock stretching, arbitration, packet error codes, wake-up from Stop; firmware that asks for one of the
first three is told so in a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts import I2cDevice
    from emulab.model.soc import Peripheral as Spec

PE, TXIE, RXIE, NACKIE, STOPIE, TCIE, TXDMAEN, RXDMAEN = 1, 2, 4, 16, 32, 64, 1 << 14, 1 << 15
SMBUS = 0xF << 20
READ, ADD10, START, STOP, RELOAD, AUTOEND = 1 << 10, 1 << 11, 1 << 13, 1 << 14, 1 << 24, 1 << 25
SYNCHRONISATION_S = 750e-9
TXE, TXIS, RXNE, NACKF, STOPF, TC, TCR, BUSY = 1, 2, 4, 16, 32, 64, 128, 1 << 15


@register("stm32-i2c")
class I2c(RegisterFile):
    """One I2C. ``irq``: event, error. ``parameters``: dma_rx, dma_tx (request numbers)."""

    layout = {
        "CR1": 0x00, "CR2": 0x04, "OAR1": 0x08, "OAR2": 0x0C, "TIMINGR": 0x10, "TIMEOUTR": 0x14,
        "ISR": {"offset": 0x18, "reset": TXE, "writable": TXE | TXIS}, "ICR": {"offset": 0x1C, "self_clearing": 0xFFFFFFFF},
        "PECR": {"offset": 0x20, "writable": 0}, "RXDR": {"offset": 0x24, "writable": 0}, "TXDR": 0x28,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._devices: dict[int, I2cDevice] = {}
        self._device: I2cDevice | None = None
        self._flags = 0
        self._left = 0
        self._reading = False
        self._due: Event | None = None

    def start(self) -> None:
        """Put the board's parts of this bus on it."""
        from emulab.backends.unicorn.parts import make_i2c_devices

        self._devices = make_i2c_devices(self.machine, self.name)

    def bit_time_s(self) -> float:
        """One period of SCL: high and low time of TIMINGR, and synchronisation (RM0432 47.4.10, 47.4.12)."""
        timing = self.value["TIMINGR"]
        clocks = ((timing & 0xFF) + 1 + (timing >> 8 & 0xFF) + 1) * ((timing >> 28) + 1)
        return SYNCHRONISATION_S + clocks / self.clock_hz if self.clock_hz else 1e-5

    # -- the bus --------------------------------------------------------------------------------------------

    def _later(self, bits: int, action: str) -> None:
        self._due = self.after(bits * self.bit_time_s(), getattr(self, action))

    def _addressed(self) -> None:
        """Start and address are out."""
        control = self.value["CR2"]
        self.value["CR2"] &= ~START
        self._reading = bool(control & READ)
        device = self._devices.get(control >> 1 & 0x7F)
        if device is None or not device.start(self._reading):
            self._refused()
            return
        self._device = device
        self._left = control >> 16 & 0xFF
        self._next()

    def _next(self) -> None:
        """The next byte, or what follows the last one."""
        if self._left:
            if self._reading:
                self._later(9, "_read")
            else:
                self._flags |= TXIS
        elif self.value["CR2"] & RELOAD:
            self._flags |= TCR
        elif self.value["CR2"] & AUTOEND:
            self._later(1, "_stopped")
        else:
            self._flags |= TC
        self._update()

    def _read(self) -> None:
        assert self._device is not None
        self.value["RXDR"] = self._device.get() & 0xFF
        self._left -= 1
        self._flags |= RXNE
        self._update()

    def _written(self) -> None:
        assert self._device is not None
        self._left -= 1
        if not self._device.put(self.value["TXDR"] & 0xFF):
            self._refused()
            return
        self._next()

    def _refused(self) -> None:
        """Not acknowledged: a stop follows by itself (RM0432 47.4.9)."""
        self._flags = (self._flags & ~(TXIS | TC | TCR)) | NACKF
        self._later(1, "_stopped")
        self._update()

    def _stopped(self) -> None:
        if self._device is not None:
            self._device.stop()
        self._device = None
        self.value["CR2"] &= ~STOP
        self._flags = (self._flags & ~(BUSY | TC | TCR | TXIS)) | STOPF
        self._update()

    # -- registers ------------------------------------------------------------------------------------------

    def read_ISR(self, _: int) -> int:
        return self._flags | (0 if self._flags & BUSY and not self._flags & TXIS and not self._reading else TXE)

    def read_RXDR(self, value: int) -> int:
        if self._flags & RXNE:
            self._flags &= ~RXNE
            self._next()
        return value

    def write_TXDR(self, _old: int, _new: int) -> None:
        if self._flags & TXIS:
            self._flags &= ~TXIS
            self._later(9, "_written")
            self._update()

    def write_ICR(self, _old: int, written: int) -> None:
        self._flags &= ~(written & (NACKF | STOPF))
        self._update()

    def write_CR1(self, old: int, new: int) -> None:
        if new & SMBUS:
            self.note("SMBus is not modelled: its bits are stored and do nothing")
        if old & PE and not new & PE:
            if self._due is not None:
                self._due.cancel()
            if self._device is not None:
                self._device.stop()
            self._device, self._flags = None, 0
            self.value["CR2"] &= ~(START | STOP)
        self.state("i2c", "active" if new & PE else "off")
        self._update()

    def write_CR2(self, _old: int, new: int) -> None:
        if not self.value["CR1"] & PE:
            return
        if new & ADD10:
            self.note("10-bit addresses are not modelled: the low 7 bits are used")
        if self._flags & TCR:
            self._flags &= ~TCR
            self._left = new >> 16 & 0xFF
            self._next()
        elif new & START and (not self._flags & BUSY or self._flags & TC):
            self._flags = (self._flags & ~TC) | BUSY
            self._later(10, "_addressed")
        elif new & STOP and self._flags & BUSY:
            self._flags &= ~TC
            self._later(1, "_stopped")
        self._update()

    def _update(self) -> None:
        """Interrupt lines and DMA requests from flags and enables."""
        control, flags = self.value["CR1"], self._flags
        wanted = (TXIE, TXIS), (RXIE, RXNE), (NACKIE, NACKF), (STOPIE, STOPF), (TCIE, TC | TCR)
        self.irq(any(control & enable and flags & flag for enable, flag in wanted))
        if control & TXDMAEN and flags & TXIS and "dma_tx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_tx"])
        elif control & RXDMAEN and flags & RXNE and "dma_rx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_rx"])
