"""STM32 DMA with streams (F7, H7): RM0385 chapter 8, RM0455 chapter 15; the H7's requests come through DMAMUX1.

One transfer per request, at the time of the request; memory to memory at once. Not modelled: bursts and the FIFO's
packing of different widths, peripheral flow control (told in a note).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec

EN, HTIE, TCIE, PFCTRL, CIRC, PINC, MINC, DBM, CT = 1, 8, 0x10, 0x20, 0x100, 0x200, 0x400, 1 << 18, 1 << 19
SHIFT = (0, 6, 16, 22)
HALF, COMPLETE = 0x10, 0x20
STREAMS = 8


@register("stm32-dma-streams")
class DmaStreams(RegisterFile):
    """One controller. ``parameters``: number (1 or 2), and mux, mux_channel (first) or requests {number: [[stream, channel]]}."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        layout: dict[str, object] = {
            "LISR": {"offset": 0, "writable": 0},
            "HISR": {"offset": 4, "writable": 0},
            "LIFCR": {"offset": 8, "self_clearing": 0xFFFFFFFF},
            "HIFCR": {"offset": 12, "self_clearing": 0xFFFFFFFF},
        }
        for i in range(STREAMS):
            for j, key in enumerate(("CR", "NDTR", "PAR", "M0AR", "M1AR", "FCR")):
                layout[f"{key}{i}"] = {"offset": 0x10 + 24 * i + 4 * j, "reset": 0x21 if key == "FCR" else 0}
        self.layout = layout  # type: ignore[misc,assignment]
        super().__init__(machine, name, spec)
        self._total, self._done = [0] * STREAMS, [0] * STREAMS
        machine.dma_controllers.append(self)

    def write(self, offset: int, size: int, value: int) -> None:
        stream, at = divmod((offset & ~3) - 0x10, 24)
        before = self.value[f"CR{stream}"] if 0 <= stream < STREAMS else 0
        super().write(offset, size, value)
        if 0 <= stream < STREAMS and at == 0:
            control = self.value[f"CR{stream}"]
            if control & EN and not before & EN:
                self._total[stream], self._done[stream] = self.value[f"NDTR{stream}"] & 0xFFFF, 0
                self._begin(stream, control)
            elif before & EN and not control & EN and self._done[stream] < self._total[stream]:
                self._flag(stream, COMPLETE)  # switched off before the end: TCIF says when it has stopped
            self._update(stream)

    def _begin(self, stream: int, control: int) -> None:
        if control & PFCTRL:
            self.note("peripheral flow control is not modelled: the DMA counts")
        if control >> 6 & 3 == 2:
            while self.value[f"CR{stream}"] & EN and self.value[f"NDTR{stream}"]:
                self._transfer(stream)
        else:
            self.machine.dma_enabled()

    def _asks(self, stream: int, number: int) -> bool:
        mux = self.parameters.get("mux", "")
        if mux:
            first = int(self.parameters.get("mux_channel", 0))
            return self.machine.register_value(mux, f"C{first + stream}") & 0x7F == number
        channel = self.value[f"CR{stream}"] >> 25 & 0xF
        return [stream, channel] in self.parameters.get("requests", {}).get(number, [])

    def request(self, number: int) -> bool:
        """A peripheral asks for one transfer; True if a stream served it."""
        for stream in range(STREAMS):
            waits = self.value[f"CR{stream}"] & EN and self.value[f"NDTR{stream}"]
            if waits and self._asks(stream, number):
                self._transfer(stream)
                return True
        return False

    def _transfer(self, stream: int) -> None:
        value, machine, index = self.value, self.machine, self._done[stream]
        control = value[f"CR{stream}"]
        peripheral_size, memory_size = 1 << (control >> 11 & 3), 1 << (control >> 13 & 3)
        if not value[f"FCR{stream}"] & 4:  # direct mode: one width
            memory_size = peripheral_size
        peripheral = value[f"PAR{stream}"] + (index * peripheral_size if control & PINC else 0)
        base = value[f"M1AR{stream}" if control & DBM and control & CT else f"M0AR{stream}"]
        memory = base + (index * memory_size if control & MINC else 0)
        # counted before it is made: a peripheral that takes the data may ask for the next transfer at once
        done = self._done[stream] = index + 1
        left = value[f"NDTR{stream}"] = value[f"NDTR{stream}"] - 1
        if control >> 6 & 3 == 1:
            machine.bus_write(peripheral, peripheral_size, machine.bus_read(memory, memory_size))
        else:
            machine.bus_write(memory, memory_size, machine.bus_read(peripheral, peripheral_size))
        if done == max(self._total[stream] // 2, 1):
            self._flag(stream, HALF)
        if not left:
            if control & (CIRC | DBM):
                value[f"NDTR{stream}"], self._done[stream] = self._total[stream], 0
                value[f"CR{stream}"] ^= CT if control & DBM else 0
            else:
                value[f"CR{stream}"] &= ~EN
            self._flag(stream, COMPLETE)
        self._update(stream)

    def _flag(self, stream: int, flag: int) -> None:
        self.value["LISR" if stream < 4 else "HISR"] |= flag << SHIFT[stream % 4]

    def write_LIFCR(self, _old: int, written: int) -> None:
        self.value["LISR"] &= ~written
        for stream in range(4):
            self._update(stream)

    def write_HIFCR(self, _old: int, written: int) -> None:
        self.value["HISR"] &= ~written
        for stream in range(4, 8):
            self._update(stream)

    def _update(self, stream: int) -> None:
        flags = self.value["LISR" if stream < 4 else "HISR"] >> SHIFT[stream % 4]
        enabled = self.value[f"CR{stream}"]
        self.irq(bool((flags & HALF and enabled & HTIE) or (flags & COMPLETE and enabled & TCIE)), stream)
