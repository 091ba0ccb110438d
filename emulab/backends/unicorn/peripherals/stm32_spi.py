# ruff: noqa: RUF012  (register tables are constants)
"""STM32 SPI with 4-byte FIFOs (L4, G0, F7) as master: RM0432 chapter 49. Full duplex, frames of 4 to 16 bits, DMA.

What is on the bus are the entries of ``board.parts`` with ``bus:`` this peripheral and ``select:`` their chip-select
pin (low while selected); see ``emulab/backends/unicorn/parts``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec

MSTR, SPE, RXONLY, BIDIMODE = 1 << 2, 1 << 6, 1 << 10, 1 << 15
RXDMAEN, TXDMAEN, ERRIE, RXNEIE, TXEIE, FRXTH = 1, 2, 1 << 5, 1 << 6, 1 << 7, 1 << 12
RXNE, TXE, OVR, BSY = 1, 2, 1 << 6, 1 << 7
DATA = 0x0C
FIFO_BYTES = 4
BLOCK_FRAMES = 64


@register("stm32-spi")
class Spi(RegisterFile):
    """One SPI. ``parameters``: dma_rx, dma_tx (request numbers)."""

    layout = {
        "CR1": 0x00, "CR2": {"offset": 0x04, "reset": 0x0700}, "SR": {"offset": 0x08, "reset": TXE, "writable": 0},
        "DR": DATA, "CRCPR": {"offset": 0x10, "reset": 7}, "RXCRCR": {"offset": 0x14, "writable": 0},
        "TXCRCR": {"offset": 0x18, "writable": 0},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._busy = False
        self._overrun = False

    def start(self) -> None:
        """Put the board's parts of this bus on it."""
        from emulab.backends.unicorn.parts import SpiSlaves

        self._slaves = SpiSlaves(self.machine, self.name)

    # -- frames ---------------------------------------------------------------------------------------------

    @property
    def frame_bits(self) -> int:
        return max((self.value["CR2"] >> 8 & 0xF) + 1, 4)

    @property
    def _frame_bytes(self) -> int:
        return 2 if self.frame_bits > 8 else 1

    def frame_time_s(self) -> float:
        """Time of one frame on the wire at the present prescaler."""
        return self.frame_bits * (2 << (self.value["CR1"] >> 3 & 7)) / self.clock_hz

    def _begin(self) -> None:
        control = self.value["CR1"]
        if self._busy or not control & SPE or not control & MSTR:
            return
        if not self._tx:
            self._begin_block()
            return
        self._busy = True
        self.after(self.frame_time_s(), self._end)

    def _end(self) -> None:
        self._busy = False
        if not self._tx:
            return
        sent = self._tx.popleft()
        answer = (1 << self.frame_bits) - 1
        if self._slaves.selected is not None:
            answer = self._slaves.selected.exchange(sent, self.frame_bits)
        if (len(self._rx) + 1) * self._frame_bytes > FIFO_BYTES:
            self._overrun = True
            self.note("receive FIFO overrun: the firmware did not read a frame before the FIFO was full")
        else:
            self._rx.append(answer)
        self._begin()
        self._update()

    def _begin_block(self) -> None:
        """Where DMA feeds and empties byte frames, do many in one event: nothing can look in between but CNDTR."""
        if self.value["CR2"] & (RXDMAEN | TXDMAEN) != RXDMAEN | TXDMAEN or self.frame_bits != 8 or self._rx:
            return
        found = self._block_channels()
        if found is None:
            return
        count = min(found[0][2], found[1][2], BLOCK_FRAMES)
        self._busy = True
        self.after(count * self.frame_time_s(), lambda: self._end_block(count))

    def _block_channels(self) -> tuple[Any, Any, Any, Any] | None:
        """(transmit block, receive block, their controllers) where both directions can go in blocks."""
        blocks: list[Any] = []
        owners: list[Any] = []
        for key, to_memory in (("dma_tx", False), ("dma_rx", True)):
            for controller in self.machine.dma_controllers:
                found = controller.block(self.parameters[key], to_memory) if key in self.parameters else None
                if found is not None:
                    blocks.append(found)
                    owners.append(controller)
                    break
        return (blocks[0], blocks[1], owners[0], owners[1]) if len(blocks) == 2 else None

    def _end_block(self, count: int) -> None:
        self._busy = False
        found = self._block_channels() if self.value["CR1"] & SPE else None
        if found is None:
            return
        sending, receiving, sender, receiver = found
        sent = self.machine.peek(sending[1], count)
        device = self._slaves.selected
        got = bytes(device.exchange(byte, 8) & 0xFF for byte in sent) if device else b"\xff" * count
        self.machine.poke(receiving[1], got)
        sender.advance(sending[0], count)
        receiver.advance(receiving[0], count)
        self._begin()
        self._update()

    # -- registers ------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset & ~3 != DATA:
            return super().read(offset, size)
        value = 0
        frames = 2 if size == 2 and self._frame_bytes == 1 and len(self._rx) > 1 else 1
        for index in range(frames):
            if self._rx:
                value |= self._rx.popleft() << (8 * index)
        self._update()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if offset & ~3 != DATA:
            super().write(offset, size, value)
            return
        # a halfword into byte frames packs two of them (RM0432 49.4.9, data packing)
        frames = 2 if size >= 2 and self._frame_bytes == 1 else 1
        for index in range(frames):
            if (len(self._tx) + 1) * self._frame_bytes <= FIFO_BYTES:
                self._tx.append(value >> (8 * index) & ((1 << self.frame_bits) - 1))
        self._begin()
        self._update()

    def read_SR(self, _: int) -> int:
        sent, held = len(self._tx) * self._frame_bytes, len(self._rx) * self._frame_bytes
        enough = 1 if self.value["CR2"] & FRXTH else 2
        value = RXNE if held >= enough else 0
        value |= TXE if sent <= FIFO_BYTES // 2 else 0
        value |= OVR if self._overrun else 0
        value |= BSY if self._busy or self._tx else 0
        return value | min(held, 3) << 9 | min(sent, 3) << 11

    def write_CR1(self, old: int, new: int) -> None:
        if old & SPE and not new & SPE:
            self._tx.clear()
            self._rx.clear()
            self._overrun = False
        self.state("spi", "active" if new & SPE else "off")
        self._begin()
        self._update()

    def write_CR2(self, _old: int, _new: int) -> None:
        self._update()

    def _update(self) -> None:
        """Interrupt line and DMA requests from flags and enables."""
        status, enables = self.read_SR(0), self.value["CR2"]
        self.irq(
            bool(
                (enables & RXNEIE and status & RXNE)
                or (enables & TXEIE and status & TXE)
                or (enables & ERRIE and status & OVR)
            )
        )
        if not self.value["CR1"] & SPE:
            return
        if enables & RXDMAEN and status & RXNE and "dma_rx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_rx"])
        if self._busy and not self._tx:
            return  # a block is under way
        if not self._tx:
            self._begin()
            if self._busy:
                return
        if enables & TXDMAEN and self.read_SR(0) & TXE and "dma_tx" in self.parameters:
            self.machine.dma_request(self.parameters["dma_tx"])
