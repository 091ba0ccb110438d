"""STM32 SAI block as a slave receiver with DMA: what a digital microphone, or a player, clocks in (RM0432 chapter 51).

The line sends 16-bit frames; every enabled slot of a frame holds the same sample. Samples reach memory when the DMA
channel has half a buffer or a whole one, which is when firmware hears of them: between those times nothing has to be
simulated. While no channel waits the FIFO holds eight words, and what comes beyond that is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts.microphone import Microphone
    from emulab.model.soc import Peripheral as Spec

SAIEN, DMAEN, MODE, SLAVE_RECEIVER = 1 << 16, 1 << 17, 3, 3
OVRUDR, DATA_SIZE, SIXTEEN_BITS, FIFO_WORDS = 1, 7 << 5, 4 << 5, 8


@register("stm32-sai")
class Sai(RegisterFile):
    """One block of a SAI. ``parameters``: dma (its request). ``microphone`` is what is on its line."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        self.layout = {  # type: ignore[misc]
            "CR1": {"offset": 0x00, "reset": 0x40},
            "CR2": {"offset": 0x04, "self_clearing": 0x8},
            "FRCR": {"offset": 0x08, "reset": 0x7},
            "SLOTR": 0x0C,
            "IM": 0x10,
            "SR": {"offset": 0x14, "writable": 0},
            "CLRFR": {"offset": 0x18, "self_clearing": 0xFFFFFFFF},
            "DR": 0x1C,
        }
        super().__init__(machine, name, spec)
        self.microphone: Microphone | None = None
        self.lost = 0
        """Frames for which there was no place."""
        self._taken = 0
        self._due: Event | None = None

    def write_CR1(self, old: int, new: int) -> None:
        if new & SAIEN and not old & SAIEN:
            self._listen(new)
        if new & SAIEN and new & DMAEN and not old & DMAEN:
            self._plan()
        if self._due is not None and not (new & SAIEN and new & DMAEN):
            self._due.cancel()
            self._due = None

    def write_CLRFR(self, _old: int, written: int) -> None:
        self.set_bits("SR", written & 0x77, False)

    @property
    def _slots(self) -> int:
        """Words of a frame that are taken."""
        slots = self.value["SLOTR"]
        return (slots >> 16 & ((2 << (slots >> 8 & 0xF)) - 1)).bit_count()

    def _listen(self, control: int) -> None:
        if control & MODE != SLAVE_RECEIVER or control & DATA_SIZE != SIXTEEN_BITS or not self._slots:
            self.note("only a slave receiver of 16-bit samples is modelled; nothing is received")
            return
        if self.microphone is None:
            self.note("nothing is on the audio line; nothing is received")
            return
        if self.microphone.start_s is None:
            self.microphone.start_s = self.now()
        # a block that is enabled while frames come waits for the next one
        self._taken = max(0, round((self.now() - self.microphone.start_s) * self.microphone.sample_hz + 0.4999))
        if control & DMAEN:
            self._plan()

    def _plan(self) -> None:
        """Come back when the DMA channel has as much as firmware wants to hear of."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self.microphone is None or self.microphone.start_s is None:
            return
        come = int((self.now() - self.microphone.start_s) * self.microphone.sample_hz + 1e-6)
        beyond = come - self._taken - FIFO_WORDS // self._slots
        if beyond > 0:
            self.lost += beyond
            self._taken += beyond
            self.set_bits("SR", OVRUDR)
        request = int(self.parameters["dma"])
        words = max((c.ahead(request) for c in self.machine.dma_controllers), default=0)
        if not words:
            return  # until DMAEN is set again, with a channel behind it
        count = max(1, words // self._slots)
        due_s = self.microphone.due_s(self._taken + count) - self.now()
        self._due = self.after(max(due_s, 0.0), lambda: self._arrived(count))

    def _arrived(self, count: int) -> None:
        assert self.microphone is not None
        self._due = None
        request = int(self.parameters["dma"])
        controller = next((c for c in self.machine.dma_controllers if c.ahead(request)), None)
        if controller is not None:
            controller.feed(request, self.microphone.take(self._taken, count, self._slots))
            self._taken += count
        if self.value["CR1"] & DMAEN:
            self._plan()
