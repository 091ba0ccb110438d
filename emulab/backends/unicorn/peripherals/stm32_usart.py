# ruff: noqa: RUF012  (register tables are constants)
"""STM32 USART and LPUART with ISR/ICR registers (L4, G0, F7, H7, U5): RM0432 chapters 48, 49; RM0456 chapter 66.

8 data bits. With FIFOEN the FIFOs are 8 deep. DMA requests go to the controllers of ``stm32_dma.py``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import register
from emulab.backends.unicorn.peripherals.serial import SerialPort

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

UE, RE, TE, IDLEIE, RXNEIE, TCIE, TXEIE, OVER8, FIFOEN = 1, 4, 8, 0x10, 0x20, 0x40, 0x80, 1 << 15, 1 << 29
EIE, DMAR, DMAT = 1, 1 << 6, 1 << 7
ORE, IDLE, RXNE, TC, TXE, BUSY, TEACK, REACK, TXFE, RXFF = (
    1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 16, 1 << 21, 1 << 22, 1 << 23, 1 << 24,
)  # fmt: skip
_PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)


@register("stm32-usart")
class Usart(SerialPort):
    """One port. ``parameters``: low_power (LPUART baud rate rule), dma_rx, dma_tx (request numbers)."""

    layout = {
        "CR1": 0x00, "CR2": 0x04, "CR3": 0x08, "BRR": 0x0C, "GTPR": 0x10, "RTOR": 0x14,
        "RQR": {"offset": 0x18, "self_clearing": 0xFFFFFFFF}, "ISR": {"offset": 0x1C, "reset": TC | TXE, "writable": 0},
        "ICR": {"offset": 0x20, "self_clearing": 0xFFFFFFFF}, "RDR": {"offset": 0x24, "writable": 0}, "TDR": 0x28,
        "PRESC": 0x2C, "AUTOCR": 0x30,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._inbox: deque[int] = deque()
        self._flags = 0  # ORE, IDLE: kept until cleared
        self._tc = True
        self._idle_event: Event | None = None
        self._requested = False

    @property
    def _depth(self) -> int:
        return 8 if self.value["CR1"] & FIFOEN else 1

    def byte_time_s(self) -> float:
        divider = self.value["BRR"]
        clock = self.clock_hz / _PRESCALERS[min(self.value["PRESC"] & 0xF, 11)]
        if self.parameters.get("low_power"):
            baud = 256.0 * clock / divider if divider else 0.0
        elif self.value["CR1"] & OVER8:
            usartdiv = (divider & 0xFFF0) | ((divider & 7) << 1)
            baud = 2.0 * clock / usartdiv if usartdiv else 0.0
        else:
            baud = clock / divider if divider else 0.0
        stop = {0: 1.0, 1: 0.5, 2: 2.0, 3: 1.5}[self.value["CR2"] >> 12 & 3]
        return (9 + stop) / baud if baud else 10 / 115200

    def receiver_on(self) -> bool:
        return self.value["CR1"] & (UE | RE) == UE | RE and self.value["BRR"] != 0

    # -- registers ------------------------------------------------------------------------------------------

    def _space(self) -> bool:
        """Whether the transmit data register (or FIFO) takes another byte; one byte is in the shift register."""
        return len(self.sending) < self._depth + 1

    def read_ISR(self, _: int) -> int:
        cr1, value = self.value["CR1"], self._flags
        value |= TXE if self._space() else 0
        value |= TC if self._tc and not self.sending else 0
        value |= RXNE if self._inbox else 0
        value |= RXFF if len(self._inbox) >= self._depth else 0
        value |= TXFE if len(self.sending) <= 1 else 0
        if cr1 & UE:
            value |= (TEACK if cr1 & TE else 0) | (REACK if cr1 & RE else 0)
        return value

    def read_RDR(self, _: int) -> int:
        value = self._inbox.popleft() if self._inbox else self.value["RDR"]
        self.value["RDR"] = value
        self._update()
        return value

    def write_TDR(self, _old: int, new: int) -> None:
        if not self.value["CR1"] & TE:
            return
        self._tc = False
        if self._space():
            self.transmit(new & 0xFF)
        self._update()

    def write_CR1(self, old: int, new: int) -> None:
        if not new & UE:
            self._inbox.clear()
            self._flags = 0
        self.receiver_changed()
        self._update()

    def write_CR3(self, _old: int, _new: int) -> None:
        self._update()

    def write_BRR(self, _old: int, _new: int) -> None:
        self.receiver_changed()

    def write_ICR(self, _old: int, written: int) -> None:
        self._flags &= ~(written & (ORE | IDLE | 7))
        if written & TC:
            self._tc = False
        self._update()

    def write_RQR(self, _old: int, written: int) -> None:
        if written & 8:
            self._inbox.clear()
        self._update()

    # -- line -----------------------------------------------------------------------------------------------

    def sent_one(self) -> None:
        if not self.sending:
            self._tc = True
        self._update()

    def received(self, byte: int) -> None:
        if len(self._inbox) >= self._depth:
            if not self.value["CR3"] & (1 << 12):  # OVRDIS
                self._flags |= ORE
                self.note("receiver overrun: the firmware did not read a byte before the next one came")
        else:
            self._inbox.append(byte)
        if self._idle_event is not None:
            self._idle_event.cancel()
        self._idle_event = self.after(self.byte_time_s() * 1.05, self._idle) if not self._arriving else None
        self._update()

    def _idle(self) -> None:
        self._idle_event = None
        self._flags |= IDLE
        self._update()

    def _update(self) -> None:
        """Interrupt line and DMA requests from flags and enables."""
        flags, cr1, cr3 = self._flags, self.value["CR1"], self.value["CR3"]
        active = cr1 & UE and (
            (cr1 & RXNEIE and (self._inbox or flags & ORE))
            or (cr1 & TXEIE and self._space())
            or (cr1 & TCIE and self._tc and not self.sending)
            or (cr1 & IDLEIE and flags & IDLE)
            or (cr3 & EIE and flags & ORE)
        )
        self.irq(bool(active))
        if cr1 & UE and cr3 & DMAR and self._inbox and "dma_rx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_rx"])
        if cr1 & (UE | TE) == UE | TE and cr3 & DMAT and self._space() and "dma_tx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_tx"])
