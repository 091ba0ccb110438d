# ruff: noqa: RUF012  (register tables are constants)
"""Nordic SPIM and TWIM behind one block of registers, with EasyDMA: nRF52840 Product Specification v1.7, 6.25 and 6.31.

ENABLE chooses which of the two it is. ``parameters``: spi, i2c (the names by which ``board.parts`` calls them as a bus).
A transfer is one event at its end: what EasyDMA moves is seen in memory then. Not modelled: suspend and resume, lists,
SPIM3's delays and 32 MHz, clock stretching; EasyDMA that points at flash is told in a note, for it cannot read there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from emulab.backends.unicorn.peripherals.base import register
from emulab.backends.unicorn.peripherals.nrf import NrfPeripheral

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts import I2cDevice
    from emulab.model.soc import Peripheral as Spec

TWIM, SPIM = 6, 7
ADDRESS_NACK, DATA_NACK = 2, 4
LASTTX_STARTRX, LASTTX_STOP, LASTRX_STOP = 1 << 7, 1 << 9, 1 << 12
RAM, RAM_END = 0x20000000, 0x20040000


@register("nrf-serial")
class NrfSerial(NrfPeripheral):
    """One block: SPI master or I2C controller."""

    tasks = {0x00: "STARTRX", 0x08: "STARTTX", 0x10: "START", 0x14: "STOP", 0x1C: "SUSPEND", 0x20: "RESUME"}
    events = {
        0x104: "STOPPED", 0x110: "ENDRX", 0x118: "END", 0x120: "ENDTX", 0x124: "ERROR", 0x148: "SUSPENDED",
        0x14C: "STARTED", 0x150: "TXSTARTED", 0x15C: "LASTRX", 0x160: "LASTTX",
    }  # fmt: skip
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "ERRORSRC": {"offset": 0x4C4, "clear_on_one": 7}, "ENABLE": 0x500,
        **{f"PSEL{i}": {"offset": 0x508 + 4 * i, "reset": 0xFFFFFFFF} for i in range(3)},
        "FREQUENCY": {"offset": 0x524, "reset": 0x04000000}, "RXDPTR": 0x534, "RXDMAXCNT": 0x538,
        "RXDAMOUNT": {"offset": 0x53C, "writable": 0}, "RXDLIST": 0x540, "TXDPTR": 0x544, "TXDMAXCNT": 0x548,
        "TXDAMOUNT": {"offset": 0x54C, "writable": 0}, "TXDLIST": 0x550, "CONFIG": 0x554, "ADDRESS": 0x588, "ORC": 0x5C0,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._i2c: dict[int, I2cDevice] = {}
        self._target: I2cDevice | None = None
        self._due: Event | None = None

    def start(self) -> None:
        """Put the board's parts on both buses."""
        from emulab.backends.unicorn.parts import SpiSlaves, make_i2c_devices

        self._slaves = SpiSlaves(self.machine, self.parameters.get("spi", ""))
        self._i2c = make_i2c_devices(self.machine, self.parameters.get("i2c", ""))

    def bit_time_s(self) -> float:
        """FREQUENCY is the share of 16 MHz, as a fraction of 2^32."""
        return 2**32 / (max(self.value["FREQUENCY"], 1) * 16e6)

    def _memory(self, which: str, count: int) -> bytes:
        pointer = self.value[f"{which}PTR"]
        if count and not RAM <= pointer < RAM_END:
            self.note(f"EasyDMA points at {pointer:#010x}, outside RAM: a real one reads nothing there")
        return self.machine.peek(pointer, count) if count else b""

    def task(self, name: str) -> None:
        mode = self.value["ENABLE"] & 0xF
        if mode == SPIM and name == "START":
            self.hold_clock(True)
            self.fire("STARTED")
            count = max(self.value["TXDMAXCNT"], self.value["RXDMAXCNT"]) & 0xFFFF
            self._due = self.after(8 * count * self.bit_time_s(), lambda: self._exchanged(count))
        elif mode == TWIM and name in ("STARTTX", "STARTRX"):
            self._address(name == "STARTRX")
        elif name == "STOP":
            if mode == SPIM and self._due is not None:
                self._due.cancel()
            self.after(self.bit_time_s() if mode == TWIM else 0.0, self._stopped)
        elif name in ("SUSPEND", "RESUME"):
            self.note(f"TASKS_{name} is not modelled: nothing happens")

    # -- SPI ------------------------------------------------------------------------------------------------

    def _exchanged(self, count: int) -> None:
        sent, got = self.value["TXDMAXCNT"] & 0xFFFF, self.value["RXDMAXCNT"] & 0xFFFF
        out = self._memory("TXD", sent) + bytes([self.value["ORC"] & 0xFF]) * (count - sent)
        device = self._slaves.selected
        answer = bytes(device.exchange(byte, 8) & 0xFF for byte in out) if device is not None else b"\xff" * count
        if got:
            self.machine.poke(self.value["RXDPTR"], answer[:got])
        self.value["TXDAMOUNT"], self.value["RXDAMOUNT"] = sent, got
        for event in ("ENDRX", "ENDTX", "END"):
            self.fire(event)
        self.hold_clock(False)

    # -- I2C ------------------------------------------------------------------------------------------------

    def _address(self, reading: bool) -> None:
        self.hold_clock(True)
        self.fire("STARTED" if reading else "TXSTARTED")

        def addressed() -> None:
            self._target = self._i2c.get(self.value["ADDRESS"] & 0x7F)
            if self._target is None or not self._target.start(reading):
                self._target = None
                self._refused(ADDRESS_NACK)
                return
            count = self.value["RXDMAXCNT" if reading else "TXDMAXCNT"] & 0xFFFF
            done = self._received if reading else self._sent
            self.after(9 * count * self.bit_time_s(), lambda: done(count))

        self.after(10 * self.bit_time_s(), addressed)

    def _refused(self, why: int) -> None:
        self.value["ERRORSRC"] |= why
        self.fire("ERROR")

    def _sent(self, count: int) -> None:
        if self._target is None:
            return
        for index, byte in enumerate(self._memory("TXD", count)):
            self.value["TXDAMOUNT"] = index + 1
            if not self._target.put(byte):
                self._refused(DATA_NACK)
                return
        self._last("LASTTX", LASTTX_STOP, LASTTX_STARTRX)

    def _received(self, count: int) -> None:
        if self._target is None:
            return
        data = bytes(self._target.get() & 0xFF for _ in range(count))
        if data:
            self.machine.poke(self.value["RXDPTR"], data)
        self.value["RXDAMOUNT"] = count
        self._last("LASTRX", LASTRX_STOP, 0)

    def _last(self, event: str, stop: int, go_on: int) -> None:
        self.fire(event)
        shorts = self.value["SHORTS"]
        if shorts & stop:
            self.after(self.bit_time_s(), self._stopped)
        elif shorts & go_on:
            self._address(True)

    def _stopped(self) -> None:
        if self._target is not None:
            self._target.stop()
            self._target = None
        self.fire("STOPPED")
        self.hold_clock(False)

    def write_ENABLE(self, _old: int, new: int) -> None:
        for mode, component in ((SPIM, "spi"), (TWIM, "i2c")):
            self.state(component, "active" if new & 0xF == mode else "off")
