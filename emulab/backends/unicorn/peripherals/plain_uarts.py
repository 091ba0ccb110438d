# ruff: noqa: RUF012  (register tables are constants)
"""UARTs with a one-byte or small buffer and no DMA: Arm CMSDK, Nordic nRF51, OpenTitan, STM32 with SR and DR."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import register
from emulab.backends.unicorn.peripherals.serial import SerialPort

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec


class BufferedUart(SerialPort):
    """What they share: received bytes wait in a buffer of ``depth`` bytes; one more than that is lost."""

    depth = 1

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.inbox: deque[int] = deque()
        self.overrun = False

    def received(self, byte: int) -> None:
        if len(self.inbox) < self.depth:
            self.inbox.append(byte)
        else:
            self.overrun = True
        self.changed()

    def sent_one(self) -> None:
        self.changed()

    def take(self) -> int:
        """The oldest byte received, 0 where there is none."""
        byte = self.inbox.popleft() if self.inbox else 0
        self.changed()
        return byte

    def changed(self) -> None:
        """Something that interrupts depend on has changed."""


@register("cmsdk-uart")
class CmsdkUart(BufferedUart):
    """Arm CMSDK APB UART. irq: [receive, transmit]. Source: Arm DDI 0479, chapter 4.3."""

    layout = {
        "DATA": {"offset": 0x00, "writable": 0xFF}, "STATE": {"offset": 0x04, "clear_on_one": 0xC}, "CTRL": 0x08,
        "INT": {"offset": 0x0C, "clear_on_one": 0xF}, "BAUDDIV": 0x10,
    }  # fmt: skip

    def byte_time_s(self) -> float:
        return 10 * max(self.value["BAUDDIV"], 16) / self.clock_hz

    def receiver_on(self) -> bool:
        return bool(self.value["CTRL"] & 2) and self.value["BAUDDIV"] >= 16

    def read_STATE(self, value: int) -> int:
        return (value & 0xC) | (len(self.sending) > 1) | bool(self.inbox) << 1

    def read_DATA(self, _: int) -> int:
        return self.take()

    def write_DATA(self, _old: int, new: int) -> None:
        if self.value["CTRL"] & 1 and len(self.sending) <= 1:
            self.transmit(new & 0xFF)

    def write_CTRL(self, _old: int, _new: int) -> None:
        self.receiver_changed()
        self.changed()

    def write_BAUDDIV(self, _old: int, _new: int) -> None:
        self.receiver_changed()

    def write_INT(self, _old: int, _new: int) -> None:
        self._drive()

    def received(self, byte: int) -> None:
        super().received(byte)
        if self.value["CTRL"] & 8:
            self.set_bits("INT", 2)
        self._drive()

    def sent_one(self) -> None:
        if self.value["CTRL"] & 4:
            self.set_bits("INT", 1)
        self._drive()

    def _drive(self) -> None:
        self.irq(bool(self.value["INT"] & 2), 0)
        if len(self.irqs) > 1:
            self.irq(bool(self.value["INT"] & 1), 1)


@register("stm32-usart-v1")
class OldUsart(BufferedUart):
    """STM32 USART with SR and DR (F1, F2, F4, L1), 8 data bits. Source: ST RM0090, chapter 30.6."""

    layout = {
        "SR": {"offset": 0x00, "writable": 0}, "DR": {"offset": 0x04, "writable": 0x1FF}, "BRR": 0x08, "CR1": 0x0C,
        "CR2": 0x10, "CR3": 0x14, "GTPR": 0x18,
    }  # fmt: skip

    def byte_time_s(self) -> float:
        stop = {0: 1.0, 1: 0.5, 2: 2.0, 3: 1.5}[self.value["CR2"] >> 12 & 3]
        return (9 + stop) * max(self.value["BRR"], 16) / self.clock_hz

    def receiver_on(self) -> bool:
        return self.value["CR1"] & 0x2004 == 0x2004 and self.value["BRR"] != 0

    def read_SR(self, _: int) -> int:
        value = 0x80 if len(self.sending) <= 1 else 0
        value |= 0x40 if not self.sending else 0
        value |= 0x20 if self.inbox else 0
        return value | (8 if self.overrun else 0)

    def read_DR(self, _: int) -> int:
        self.overrun = False
        return self.take()

    def write_DR(self, _old: int, new: int) -> None:
        if self.value["CR1"] & 0x2008 == 0x2008 and len(self.sending) <= 1:
            self.transmit(new & 0xFF)
        self.changed()

    def write_CR1(self, _old: int, _new: int) -> None:
        self.receiver_changed()
        self.changed()

    def write_BRR(self, _old: int, _new: int) -> None:
        self.receiver_changed()

    def changed(self) -> None:
        enabled, status = self.value["CR1"], self.read_SR(0)
        self.irq(bool(enabled & status & 0xE0) or bool(enabled & 0x20 and status & 8))


@register("nrf-uart")
class NrfUart(BufferedUart):
    """Nordic UART without EasyDMA, six bytes of buffer. Source: nRF51 RM v3.0, chapter 29."""

    depth = 6
    layout = {
        "STARTRX": {"offset": 0x000, "self_clearing": 1}, "STOPRX": {"offset": 0x004, "self_clearing": 1},
        "STARTTX": {"offset": 0x008, "self_clearing": 1}, "STOPTX": {"offset": 0x00C, "self_clearing": 1},
        "RXDRDY": 0x108, "TXDRDY": 0x11C, "ERROR": 0x124, "RXTO": 0x144,
        "INTENSET": {"offset": 0x304, "self_clearing": 0xFFFFFFFF},
        "INTENCLR": {"offset": 0x308, "self_clearing": 0xFFFFFFFF}, "ERRORSRC": {"offset": 0x480, "clear_on_one": 0xF},
        "ENABLE": 0x500, "PSELRTS": 0x508, "PSELTXD": 0x50C, "PSELCTS": 0x510, "PSELRXD": 0x514,
        "RXD": {"offset": 0x518, "writable": 0}, "TXD": 0x51C, "BAUDRATE": {"offset": 0x524, "reset": 0x04000000},
        "CONFIG": 0x56C,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._receiving = self._transmitting = False
        self._enabled = 0

    def byte_time_s(self) -> float:
        return 10 * 2.0**32 / (max(self.value["BAUDRATE"], 1) * 16e6)

    def receiver_on(self) -> bool:
        return self._receiving and self.value["ENABLE"] & 7 == 4

    def write_STARTRX(self, _old: int, written: int) -> None:
        self._receiving = self._receiving or bool(written & 1)
        self.receiver_changed()

    def write_STOPRX(self, _old: int, written: int) -> None:
        self._receiving = self._receiving and not written & 1

    def write_STARTTX(self, _old: int, written: int) -> None:
        self._transmitting = self._transmitting or bool(written & 1)

    def write_STOPTX(self, _old: int, written: int) -> None:
        self._transmitting = self._transmitting and not written & 1

    def write_TXD(self, _old: int, new: int) -> None:
        if self._transmitting and self.value["ENABLE"] & 7 == 4:
            self.transmit(new & 0xFF)

    def read_RXD(self, _: int) -> int:
        byte = self.take()
        if self.inbox:
            self.value["RXDRDY"] = 1
        self.changed()
        return byte

    def received(self, byte: int) -> None:
        super().received(byte)
        self.value["RXDRDY"] = 1
        self.changed()

    def sent_one(self) -> None:
        self.value["TXDRDY"] = 1
        self.changed()

    def write_RXDRDY(self, _old: int, _new: int) -> None:
        self.changed()

    def write_TXDRDY(self, _old: int, _new: int) -> None:
        self.changed()

    def write_INTENSET(self, _old: int, written: int) -> None:
        self._enabled |= written
        self.changed()

    def write_INTENCLR(self, _old: int, written: int) -> None:
        self._enabled &= ~written
        self.changed()

    def changed(self) -> None:
        pending = (self.value["RXDRDY"] & 1) << 2 | (self.value["TXDRDY"] & 1) << 7
        self.irq(bool(pending & self._enabled))


@register("opentitan-uart")
class OpenTitanUart(BufferedUart):
    """OpenTitan UART with 32-byte FIFOs. irq: [transmit watermark, receive watermark]. Source: its register table."""

    depth = 32
    layout = {
        "INTR_STATE": {"offset": 0x00, "clear_on_one": 0xFF}, "INTR_ENABLE": 0x04, "INTR_TEST": 0x08, "ALERT_TEST": 0x0C,
        "CTRL": 0x10, "STATUS": {"offset": 0x14, "writable": 0}, "RDATA": {"offset": 0x18, "writable": 0}, "WDATA": 0x1C,
        "FIFO_CTRL": 0x20, "FIFO_STATUS": {"offset": 0x24, "writable": 0}, "OVRD": 0x28, "VAL": 0x2C, "TIMEOUT_CTRL": 0x30,
    }  # fmt: skip

    def byte_time_s(self) -> float:
        rate = self.value["CTRL"] >> 16
        return 10 * 2.0**20 / (max(rate, 1) * self.clock_hz)

    def receiver_on(self) -> bool:
        return bool(self.value["CTRL"] & 2)

    def read_STATUS(self, _: int) -> int:
        value = 1 if len(self.sending) > self.depth else 0
        value |= 2 if len(self.inbox) >= self.depth else 0
        value |= 4 if len(self.sending) <= 1 else 0
        value |= 8 if not self.sending else 0
        return value | 0x10 | (0x20 if not self.inbox else 0)

    def read_RDATA(self, _: int) -> int:
        return self.take()

    def write_WDATA(self, _old: int, new: int) -> None:
        if self.value["CTRL"] & 1 and len(self.sending) <= self.depth:
            self.transmit(new & 0xFF)

    def write_CTRL(self, _old: int, _new: int) -> None:
        self.receiver_changed()

    def write_FIFO_CTRL(self, _old: int, new: int) -> None:
        if new & 1:
            self.inbox.clear()

    def write_INTR_STATE(self, _old: int, _new: int) -> None:
        self.changed()

    def write_INTR_ENABLE(self, _old: int, _new: int) -> None:
        self.changed()

    def received(self, byte: int) -> None:
        super().received(byte)
        self.set_bits("INTR_STATE", 2)
        self.changed()

    def changed(self) -> None:
        self.irq(bool(self.value["INTR_STATE"] & self.value["INTR_ENABLE"] & 2), 1)
