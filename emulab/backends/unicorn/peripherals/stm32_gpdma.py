"""STM32 GPDMA (U5, U3): linear and linked-list transfers. RM0456 chapter 17; registers as in the CMSIS device headers.

One data unit per request, at the time of the request; memory to memory in one go, complete after the time its bus accesses
take. Not modelled: triggers, 2D addressing and repeated blocks, packing, security (each told in a note when firmware asks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulab.backends.unicorn.peripherals.base import Peripheral, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

FIRST, STRIDE = 0x50, 0x80
CLBAR, CFCR, CSR, CCR, CTR1, CTR2, CBR1, CSAR, CDAR, CTR3, CBR2, CLLR = (
    0x00, 0x0C, 0x10, 0x14, 0x40, 0x44, 0x48, 0x4C, 0x50, 0x54, 0x58, 0x7C,
)  # fmt: skip
NAMES = {
    CLBAR: "CLBAR", CFCR: "CFCR", CSR: "CSR", CCR: "CCR", CTR1: "CTR1", CTR2: "CTR2", CBR1: "CBR1", CSAR: "CSAR",
    CDAR: "CDAR", CTR3: "CTR3", CBR2: "CBR2", CLLR: "CLLR",
}  # fmt: skip
EN, RESET, SUSP, LSM = 1, 2, 4, 1 << 16
IDLEF, TCF, HTF, SUSPF = 1, 1 << 8, 1 << 9, 1 << 13
FLAGS = 0x7F00
SINC, DINC = 1 << 3, 1 << 19
SWREQ, BREQ = 1 << 9, 1 << 11
UPDATES = ((31, CTR1), (30, CTR2), (29, CBR1), (28, CSAR), (27, CDAR), (26, CTR3), (25, CBR2), (16, CLLR))
"""Bits of CLLR and the registers they load, in the order of the words in memory."""
CYCLES_PER_UNIT = 4
"""AHB cycles of a data unit, read and write, assumed."""


class _Channel:
    """One channel: its registers by offset, the size of the block under way."""

    def __init__(self) -> None:
        self.value: dict[int, int] = dict.fromkeys(NAMES, 0)
        self.value[CSR] = IDLEF
        self.total = 0
        self.due: Event | None = None

    @property
    def left(self) -> int:
        """Bytes of the block still to be read."""
        return self.value[CBR1] & 0xFFFF


@register("stm32-gpdma")
class Gpdma(Peripheral):
    """The controller: a channel per interrupt line, or ``parameters.channels``."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.channels = [_Channel() for _ in range(int(self.parameters.get("channels", len(self.irqs) or 1)))]
        self._common: dict[int, int] = {}
        machine.dma_controllers.append(self)

    def register_name(self, offset: int) -> str:
        channel, at = divmod((offset & ~3) - FIRST, STRIDE)
        return f"C{channel}.{NAMES[at]}" if offset >= FIRST and at in NAMES else ""

    def _at(self, offset: int) -> tuple[int, _Channel, int] | None:
        number, at = divmod((offset & ~3) - FIRST, STRIDE)
        if offset < FIRST or number >= len(self.channels) or at not in NAMES:
            return None
        return number, self.channels[number], at

    def read(self, offset: int, size: int) -> int:
        found = self._at(offset)
        if found is not None:
            value = found[1].value[found[2]]
        elif offset & ~3 == 0x0C:  # MISR: channels whose interrupt is raised
            value = sum(1 << i for i, c in enumerate(self.channels) if c.value[CSR] & c.value[CCR] & FLAGS)
        else:
            value = self._common.get(offset & ~3, 0)
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        found = self._at(offset)
        if size != 4:
            shift, mask = 8 * (offset & 3), (1 << 8 * size) - 1
            value = self.read(offset & ~3, 4) & ~(mask << shift) | (value & mask) << shift
        if found is None:
            self._common[offset & ~3] = value
            return
        number, channel, at = found
        if at == CFCR:
            channel.value[CSR] &= ~(value & FLAGS)
        elif at == CCR:
            self._control(number, channel, value)
        elif at != CSR:
            channel.value[at] = value
        self._update(number)

    # -- control --------------------------------------------------------------------------------------------

    def _control(self, number: int, channel: _Channel, new: int) -> None:
        old = channel.value[CCR]
        if new & RESET:
            if channel.due is not None:
                channel.due.cancel()
                channel.due = None
            channel.value[CCR] = new & ~(EN | RESET | SUSP)
            channel.value[CSR] = IDLEF
            return
        # EN is set by firmware and cleared by the channel alone
        channel.value[CCR] = new | old & EN
        if new & SUSP and not old & SUSP and old & EN:
            channel.value[CSR] |= SUSPF | IDLEF
        elif old & SUSP and not new & SUSP and old & EN:
            channel.value[CSR] &= ~IDLEF
            self._go(number, channel)
        elif new & EN and not old & EN:
            channel.value[CSR] &= ~IDLEF
            self._block(channel)
            self._go(number, channel)

    def _block(self, channel: _Channel) -> None:
        channel.total = channel.left
        unsupported = {
            "a trigger": channel.value[CTR2] >> 24 & 3,
            "repeated blocks": channel.value[CBR1] >> 16 & 0x7FF,
            "packing": channel.value[CTR1] >> 12 & 1,
        }
        for what, asked in unsupported.items():
            if asked:
                self.note(f"{what} is not modelled: the transfer goes on without")

    def _go(self, number: int, channel: _Channel) -> None:
        if not channel.left:  # nothing to move: straight to the end, or to the next item of the list
            self._ended(number, channel)
        elif channel.value[CTR2] & SWREQ:
            units = channel.left // (1 << (channel.value[CTR1] & 3)) or 1
            hz = self.clock_hz or 1.0
            channel.due = self.after(units * CYCLES_PER_UNIT / hz, lambda: self._copy(number, channel))
        else:
            self.machine.dma_enabled()

    def _active(self, channel: _Channel) -> bool:
        return channel.value[CCR] & (EN | SUSP) == EN and channel.left > 0

    def _copy(self, number: int, channel: _Channel) -> None:
        """Memory to memory: the rest of the block."""
        channel.due = None
        while self._active(channel) and channel.value[CTR2] & SWREQ:
            if self._unit(number, channel):
                break

    def request(self, wanted: int) -> bool:
        """A peripheral asks for one transfer; True if a channel served it."""
        for number, channel in enumerate(self.channels):
            control = channel.value[CTR2]
            if not control & SWREQ and control & 0x7F == wanted and self._active(channel):
                while not self._unit(number, channel) and control & BREQ:
                    pass
                return True
        return False

    # -- data -----------------------------------------------------------------------------------------------

    def _unit(self, number: int, channel: _Channel) -> bool:
        """Move one data unit; True if the block ended with it."""
        value, machine = channel.value, self.machine
        layout = value[CTR1]
        source, target = 1 << (layout & 3), 1 << (layout >> 16 & 3)
        data = machine.bus_read(value[CSAR], source)
        if target > source and layout >> 11 & 1 and data >> 8 * source - 1:  # PAM 01: sign extended
            data |= (1 << 8 * target) - (1 << 8 * source)
        to, before = value[CDAR], channel.left
        left = max(before - source, 0)
        # counted before it is made: a peripheral that takes the data may ask for the next transfer at once
        value[CSAR] += source if layout & SINC else 0
        value[CDAR] += target if layout & DINC else 0
        value[CBR1] = value[CBR1] & ~0xFFFF | left
        machine.bus_write(to, target, data & (1 << 8 * target) - 1)
        if before * 2 > channel.total >= left * 2:
            value[CSR] |= HTF
        ended = left == 0
        if ended:
            self._ended(number, channel)
        self._update(number)
        return ended

    def _ended(self, number: int, channel: _Channel) -> None:
        value = channel.value
        link, mode = value[CLLR], value[CTR2] >> 30
        last = not link & 0xFE01FFFC or bool(value[CCR] & LSM)
        if mode != 3 or last:
            value[CSR] |= TCF
        if last:
            value[CCR] &= ~EN
            value[CSR] |= IDLEF
            return
        at = value[CLBAR] & 0xFFFF0000 | link & 0xFFFC
        value[CLLR] = link if link >> 16 & 1 else 0
        for bit, name in UPDATES:
            if link >> bit & 1:
                value[name] = machine_word(self.machine, at)
                at += 4
        self._block(channel)
        # the next item starts when the bus is free again: after what is under way
        channel.due = self.after(0.0, lambda: self._next(number, channel))

    def _next(self, number: int, channel: _Channel) -> None:
        channel.due = None
        if channel.value[CCR] & (EN | SUSP) == EN:
            self._go(number, channel)
            self._update(number)

    def _update(self, number: int) -> None:
        channel = self.channels[number]
        self.irq(bool(channel.value[CSR] & channel.value[CCR] & FLAGS), number)


def machine_word(machine: Any, address: int) -> int:
    """A word in memory, as the controller reads its list."""
    return int.from_bytes(machine.peek(address, 4), "little")
