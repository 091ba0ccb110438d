"""STM32 DMA with DMAMUX (L4+, G0): RM0432 chapters 11 and 12. One transfer per request, at the time of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec

EN, TCIE, HTIE, DIR, CIRC, PINC, MINC, MEM2MEM = 1, 2, 4, 0x10, 0x20, 0x40, 0x80, 0x4000


@register("stm32-dma")
class Dma(RegisterFile):
    """One controller. ``parameters``: mux (peripheral that holds C0, C1, ... request numbers), mux_channel (first)."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        count = len(spec.irq) if isinstance(spec.irq, list) else 1
        count = int(spec.parameters.get("channels", count))
        layout: dict[str, object] = {
            "ISR": {"offset": 0, "writable": 0},
            "IFCR": {"offset": 4, "self_clearing": 0xFFFFFFFF},
        }
        for i in range(count):
            for j, key in enumerate(("CCR", "CNDTR", "CPAR", "CMAR")):
                layout[f"{key}{i}"] = 8 + 20 * i + 4 * j
        self.layout = layout  # type: ignore[misc,assignment]
        super().__init__(machine, name, spec)
        self.channels = count
        self._remaining = [0] * count
        self._done = [0] * count
        machine.dma_controllers.append(self)

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if offset >= 8:
            channel, register_index = divmod((offset & ~3) - 8, 20)
            if register_index == 0 and channel < self.channels:
                self._configured(channel)
            elif register_index == 4 and channel < self.channels:
                self._remaining[channel] = self.value[f"CNDTR{channel}"]

    def read(self, offset: int, size: int) -> int:
        channel, register_index = divmod((offset & ~3) - 8, 20)
        if offset >= 8 and register_index == 4 and channel < self.channels:
            return self._remaining[channel]
        return super().read(offset, size)

    def _configured(self, channel: int) -> None:
        control = self.value[f"CCR{channel}"]
        if control & EN and self._done[channel] == 0:
            self._remaining[channel] = self.value[f"CNDTR{channel}"]
            if control & MEM2MEM:
                while self._remaining[channel] and self.value[f"CCR{channel}"] & EN:
                    self._transfer(channel)
            else:
                self.machine.dma_enabled()
        if not control & EN:
            self._done[channel] = 0
        self._update()

    def request(self, number: int) -> bool:
        """A peripheral asks for one transfer; True if a channel served it."""
        mux = self.parameters.get("mux", "")
        first = int(self.parameters.get("mux_channel", 0))
        for channel in range(self.channels):
            if self.value[f"CCR{channel}"] & EN and self._remaining[channel]:
                chosen = self.machine.register_value(mux, f"C{first + channel}") & 0xFF if mux else number
                if chosen == number:
                    self._transfer(channel)
                    return True
        return False

    def block(self, number: int, to_memory: bool) -> tuple[int, int, int] | None:
        """(channel, memory address, transfers) of request *number* that may be done in one go, without a watcher.

        None unless a channel waits for it that moves single bytes from or to consecutive addresses, once. The run ends
        at the half where firmware wants to hear of it.
        """
        mux, first = self.parameters.get("mux", ""), int(self.parameters.get("mux_channel", 0))
        for channel in range(self.channels):
            control, left = self.value[f"CCR{channel}"], self._remaining[channel]
            if not control & EN or not left:
                continue
            chosen = self.machine.register_value(mux, f"C{first + channel}") & 0xFF if mux else number
            if chosen != number:
                continue
            if control & (CIRC | PINC | 0xF00) or not control & MINC or bool(control & DIR) is to_memory:
                return None
            if control & HTIE and self._done[channel] * 2 < self.value[f"CNDTR{channel}"]:
                left = max(self.value[f"CNDTR{channel}"] // 2 - self._done[channel], 1)
            return channel, self.value[f"CMAR{channel}"] + self._done[channel], left
        return None

    def advance(self, channel: int, count: int) -> None:
        """*count* transfers of a channel (see :meth:`block`) are done; the caller moved the bytes."""
        before = self._done[channel]
        self._done[channel] += count
        self._remaining[channel] -= count
        half = self.value[f"CNDTR{channel}"]
        if before * 2 < half <= self._done[channel] * 2:
            self.value["ISR"] |= 5 << (4 * channel)
        if not self._remaining[channel]:
            self.value["ISR"] |= 3 << (4 * channel)
        self._update()

    def ahead(self, number: int) -> int:
        """Transfers of request *number* until its flag of half or end rises; 0 where no channel waits for it."""
        channel = self._channel(number)
        if channel is None:
            return 0
        half, done = self.value[f"CNDTR{channel}"] // 2, self._done[channel]
        return half - done if done < half else self._remaining[channel]

    def feed(self, number: int, data: bytes) -> None:
        """As many transfers of request *number*, from its peripheral to memory, as *data* has; up to the next flag.

        The same as single requests, for a peripheral that knows what comes.
        """
        channel = self._channel(number)
        if channel is None:
            return
        control = self.value[f"CCR{channel}"]
        size = 1 << (control >> 10 & 3)
        at = self.value[f"CMAR{channel}"] + (self._done[channel] * size if control & MINC else 0)
        self.machine.poke(at, data if control & MINC else data[-size:])
        self.advance(channel, len(data) // size)
        if not self._remaining[channel] and control & CIRC:
            self._remaining[channel], self._done[channel] = self.value[f"CNDTR{channel}"], 0

    def _channel(self, number: int) -> int | None:
        """The channel that waits for request *number*."""
        mux, first = self.parameters.get("mux", ""), int(self.parameters.get("mux_channel", 0))
        for channel in range(self.channels):
            if self.value[f"CCR{channel}"] & EN and self._remaining[channel]:
                chosen = self.machine.register_value(mux, f"C{first + channel}") & 0xFF if mux else number
                if chosen == number:
                    return channel
        return None

    def _transfer(self, channel: int) -> None:
        control = self.value[f"CCR{channel}"]
        peripheral_size, memory_size = 1 << (control >> 8 & 3), 1 << (control >> 10 & 3)
        index = self._done[channel]
        peripheral = self.value[f"CPAR{channel}"] + (index * peripheral_size if control & PINC else 0)
        memory = self.value[f"CMAR{channel}"] + (index * memory_size if control & MINC else 0)
        self._done[channel] += 1
        self._remaining[channel] -= 1
        if control & DIR:
            self.machine.bus_write(peripheral, peripheral_size, self.machine.bus_read(memory, memory_size))
        else:
            self.machine.bus_write(memory, memory_size, self.machine.bus_read(peripheral, peripheral_size))
        total = self.value[f"CNDTR{channel}"]
        if self._done[channel] * 2 == total:
            self.value["ISR"] |= 5 << (4 * channel)
        if not self._remaining[channel]:
            self.value["ISR"] |= 3 << (4 * channel)
            if control & CIRC:
                self._remaining[channel], self._done[channel] = total, 0
        self._update()

    def write_IFCR(self, _old: int, written: int) -> None:
        for channel in range(self.channels):
            bits = written >> (4 * channel) & 0xF
            if bits & 1:
                bits = 0xF
            self.value["ISR"] &= ~(bits << (4 * channel))
        self._update()

    def _update(self) -> None:
        for channel in range(self.channels):
            enabled = self.value[f"CCR{channel}"] & 0xE
            active = bool(self.value["ISR"] >> (4 * channel) & enabled)
            if self.irqs:
                number = self.irqs[min(channel, len(self.irqs) - 1)]
                self.machine.core.set_line(number, active, f"{self.name}.{channel}")
