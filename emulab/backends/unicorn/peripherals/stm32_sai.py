"""STM32 SAI block as a slave receiver with DMA: what a digital microphone, or a player, clocks in (RM0432 chapter 51).

The line sends 16-bit frames of which the first slot is taken. Samples reach memory when the DMA channel has half a
buffer or a whole one, which is when firmware hears of them: between those times nothing has to be simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts.microphone import Microphone
    from emulab.model.soc import Peripheral as Spec

SAIEN, DMAEN, MODE, SLAVE_RECEIVER = 1 << 16, 1 << 17, 3, 3
OVRUDR, DATA_SIZE, SIXTEEN_BITS, FIRST_SLOT = 1, 7 << 5, 4 << 5, 1 << 16


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
        """Samples for which no DMA channel waited."""
        self._taken = 0
        self._due: Event | None = None

    def write_CR1(self, old: int, new: int) -> None:
        if new & SAIEN and not old & SAIEN:
            self._listen(new)
        if old & SAIEN and not new & SAIEN and self._due is not None:
            self._due.cancel()
            self._due = None

    def write_CLRFR(self, _old: int, written: int) -> None:
        self.set_bits("SR", written & 0x77, False)

    def _listen(self, control: int) -> None:
        wanted = {MODE: SLAVE_RECEIVER, DATA_SIZE: SIXTEEN_BITS, DMAEN: DMAEN}
        if any(control & mask != value for mask, value in wanted.items()) or not self.value["SLOTR"] & FIRST_SLOT:
            self.note("only a slave receiver of 16-bit samples with DMA is modelled; nothing is received")
            return
        if self.microphone is None:
            self.note("nothing is on the audio line; nothing is received")
            return
        if self.microphone.start_s is None:
            self.microphone.start_s = self.now()
        # a block that is enabled while frames come waits for the next one
        self._taken = max(0, round((self.now() - self.microphone.start_s) * self.microphone.sample_hz + 0.4999))
        self._plan()

    def _plan(self) -> None:
        """Come back when the DMA channel has as much as firmware wants to hear of."""
        assert self.microphone is not None
        request = int(self.parameters["dma"])
        ahead = max((c.ahead(request) for c in self.machine.dma_controllers), default=0)
        count = ahead or 16
        due_s = self.microphone.due_s(self._taken + count) - self.now()
        self._due = self.after(max(due_s, 0.0), lambda: self._arrived(count, bool(ahead)))

    def _arrived(self, count: int, wanted: bool) -> None:
        assert self.microphone is not None
        request = int(self.parameters["dma"])
        data = self.microphone.take(self._taken, count)
        self._taken += count
        controller = next((c for c in self.machine.dma_controllers if c.ahead(request)), None)
        if wanted and controller is not None:
            controller.feed(request, data)
        else:
            self.lost += count
            self.set_bits("SR", OVRUDR)
        self._plan()
