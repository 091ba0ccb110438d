# ruff: noqa: RUF012  (register tables are constants)
"""SiFive UART, GPIO, CLINT, PLIC and the test finisher: FE310-G002 manual chapters 9, 10, 17, 18; QEMU virt map."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import Peripheral, RegisterFile, register
from emulab.backends.unicorn.peripherals.serial import SerialPort
from emulab.backends.unicorn.riscv import EXTERNAL, SOFTWARE, TIMER

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

_FIFO = 8


@register("sifive-uart")
class SifiveUart(SerialPort):
    """UART with 8-byte FIFOs both ways; baud = clock / (div + 1)."""

    layout = {
        "TXDATA": {"offset": 0x00, "writable": 0xFF}, "RXDATA": {"offset": 0x04, "writable": 0}, "TXCTRL": 0x08,
        "RXCTRL": 0x0C, "IE": 0x10, "IP": {"offset": 0x14, "writable": 0}, "DIV": {"offset": 0x18, "reset": 0x21E},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._inbox: deque[int] = deque()

    def byte_time_s(self) -> float:
        return (10 + (self.value["TXCTRL"] >> 1 & 1)) * (self.value["DIV"] + 1) / self.clock_hz

    def receiver_on(self) -> bool:
        return bool(self.value["RXCTRL"] & 1)

    def read_TXDATA(self, _: int) -> int:
        return 0x80000000 if len(self.sending) > _FIFO else 0

    def write_TXDATA(self, _old: int, new: int) -> None:
        if self.value["TXCTRL"] & 1 and len(self.sending) <= _FIFO:
            self.transmit(new & 0xFF)
        self._update()

    def read_RXDATA(self, _: int) -> int:
        value = self._inbox.popleft() if self._inbox else 0x80000000
        self._update()
        return value

    def read_IP(self, _: int) -> int:
        waiting_out = max(0, len(self.sending) - 1)
        out = waiting_out < (self.value["TXCTRL"] >> 16 & 7)
        into = len(self._inbox) > (self.value["RXCTRL"] >> 16 & 7)
        return int(out) | int(into) << 1

    def write_RXCTRL(self, _old: int, _new: int) -> None:
        self.receiver_changed()
        self._update()

    def write_IE(self, _old: int, _new: int) -> None:
        self._update()

    write_TXCTRL = write_IE

    def sent_one(self) -> None:
        self._update()

    def received(self, byte: int) -> None:
        if len(self._inbox) < _FIFO:
            self._inbox.append(byte)
        else:
            self.note("receiver overrun: the firmware did not read a byte before the FIFO was full")
        self._update()

    def _update(self) -> None:
        self.irq(bool(self.read_IP(0) & self.value["IE"]))


@register("ns16550")
class Ns16550(SerialPort):
    """16550 UART, byte registers, 16-byte FIFOs."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._inbox: deque[int] = deque()
        self._r = {"IER": 0, "LCR": 0, "MCR": 0, "SCR": 0, "FCR": 0, "DLL": 1, "DLM": 0}

    def byte_time_s(self) -> float:
        divisor = self._r["DLM"] << 8 | self._r["DLL"] or 1
        return 10 * 16 * divisor / self.clock_hz

    def register_name(self, offset: int) -> str:
        return ("RBR/THR", "IER", "IIR/FCR", "LCR", "MCR", "LSR", "MSR", "SCR")[offset & 7]

    def read(self, offset: int, size: int) -> int:
        divisor = self._r["LCR"] & 0x80
        if offset == 0:
            if divisor:
                return self._r["DLL"]
            value = self._inbox.popleft() if self._inbox else 0
            self._update()
            return value
        if offset == 1:
            return self._r["DLM"] if divisor else self._r["IER"]
        if offset == 2:
            fifo = 0xC0 if self._r["FCR"] & 1 else 0
            if self._r["IER"] & 1 and self._inbox:
                return fifo | 4
            return fifo | (2 if self._r["IER"] & 2 and self._space() else 1)
        if offset == 5:
            return int(bool(self._inbox)) | (0x20 if self._space() else 0) | (0x40 if not self.sending else 0)
        return {3: self._r["LCR"], 4: self._r["MCR"], 6: 0xB0, 7: self._r["SCR"]}.get(offset, 0)

    def _space(self) -> bool:
        return len(self.sending) <= (16 if self._r["FCR"] & 1 else 1)

    def write(self, offset: int, size: int, value: int) -> None:
        value &= 0xFF
        divisor = self._r["LCR"] & 0x80
        if offset == 0 and not divisor:
            if self._space():
                self.transmit(value)
        elif offset in (0, 1) and divisor:
            self._r["DLL" if offset == 0 else "DLM"] = value
        else:
            name = {1: "IER", 2: "FCR", 3: "LCR", 4: "MCR", 7: "SCR"}.get(offset)
            if name:
                self._r[name] = value
        self._update()

    def sent_one(self) -> None:
        self._update()

    def received(self, byte: int) -> None:
        if len(self._inbox) < 16:
            self._inbox.append(byte)
        else:
            self.note("receiver overrun: the firmware did not read a byte before the FIFO was full")
        self._update()

    def _update(self) -> None:
        enabled = self._r["IER"]
        self.irq(bool((enabled & 1 and self._inbox) or (enabled & 2 and self._space())))


@register("clint")
class Clint(Peripheral):
    """Core-local interruptor: msip, mtimecmp, mtime counted by the platform's ``rtc`` clock."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._compare = (1 << 64) - 1
        self._offset = 0
        self._msip = 0
        self._event: Event | None = None

    def _mtime(self) -> int:
        return int(self.now() * self.clock_hz + 1e-6) + self._offset

    def register_name(self, offset: int) -> str:
        return {0: "msip", 0x4000: "mtimecmp", 0x4004: "mtimecmph", 0xBFF8: "mtime", 0xBFFC: "mtimeh"}.get(offset, "")

    def read(self, offset: int, size: int) -> int:
        if offset == 0:
            return self._msip
        if offset in (0x4000, 0x4004):
            return self._compare >> (8 * (offset - 0x4000)) & 0xFFFFFFFF
        if offset in (0xBFF8, 0xBFFC):
            return self._mtime() >> (8 * (offset - 0xBFF8)) & 0xFFFFFFFF
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self._msip = value & 1
            self.machine.core.pend(SOFTWARE, bool(value & 1))  # type: ignore[attr-defined]
            return
        if offset in (0x4000, 0x4004):
            shift = 8 * (offset - 0x4000)
            self._compare = (self._compare & ~(0xFFFFFFFF << shift)) | value << shift
        elif offset in (0xBFF8, 0xBFFC):
            shift = 8 * (offset - 0xBFF8)
            now = self._mtime()
            self._offset += ((now & ~(0xFFFFFFFF << shift)) | value << shift) - now
        self._plan()

    def _plan(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        due = self._compare - self._mtime() <= 0
        self.machine.core.pend(TIMER, due)  # type: ignore[attr-defined]
        if not due and self._compare - self._offset < 1 << 62:
            delay = (self._compare - self._offset) / self.clock_hz - self.now()
            self._event = self.after(delay, self._plan)


@register("plic")
class Plic(Peripheral):
    """Platform-level interrupt controller, one machine-mode context."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._priority: dict[int, int] = {}
        self._enable: dict[int, int] = {}
        self._threshold = 0
        self._level: set[int] = set()
        self._pending: set[int] = set()
        self._claimed: set[int] = set()

    def set_source(self, number: int, level: bool) -> None:
        if level:
            self._level.add(number)
            if number not in self._claimed:
                self._pending.add(number)
        else:
            self._level.discard(number)
            self._pending.discard(number)
        self._update()

    def _best(self) -> int:
        ready = [
            n for n in self._pending
            if self._enable.get(n // 32, 0) >> (n % 32) & 1 and self._priority.get(n, 0) > self._threshold
        ]  # fmt: skip
        return min(ready, key=lambda n: (-self._priority.get(n, 0), n)) if ready else 0

    def _update(self) -> None:
        self.machine.core.pend(EXTERNAL, self._best() != 0)  # type: ignore[attr-defined]

    def read(self, offset: int, size: int) -> int:
        if offset < 0x1000:
            return self._priority.get(offset // 4, 0)
        if offset < 0x2000:
            word = (offset - 0x1000) // 4
            return sum(1 << (n % 32) for n in self._pending if n // 32 == word)
        if offset < 0x200000:
            return self._enable.get((offset - 0x2000) // 4, 0)
        if offset == 0x200000:
            return self._threshold
        if offset == 0x200004:
            best = self._best()
            self._pending.discard(best)
            if best:
                self._claimed.add(best)
            self._update()
            return best
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset < 0x1000:
            self._priority[offset // 4] = value & 7
        elif 0x2000 <= offset < 0x200000:
            self._enable[(offset - 0x2000) // 4] = value
        elif offset == 0x200000:
            self._threshold = value & 7
        elif offset == 0x200004:
            self._claimed.discard(value)
            if value in self._level:
                self._pending.add(value)
        self._update()


@register("sifive-gpio")
class SifiveGpio(RegisterFile):
    """32 pins; inputs read what the board drives."""

    layout = {
        name: 4 * i
        for i, name in enumerate(
            ("INPUT_VAL", "INPUT_EN", "OUTPUT_EN", "OUTPUT_VAL", "PUE", "DS", "RISE_IE", "RISE_IP", "FALL_IE", "FALL_IP",
             "HIGH_IE", "HIGH_IP", "LOW_IE", "LOW_IP", "IOF_EN", "IOF_SEL", "OUT_XOR")
        )
    }  # fmt: skip

    def start(self) -> None:
        self._levels = self._driven = self._seen = self._raised = 0
        for name, level in self.machine.platform.board.inputs.items():
            prefix, _dot, number = name.rpartition(".")
            if prefix == self.name and level:
                self._driven |= 1 << int(number)

    def drive_pin(self, name: str, level: bool) -> bool:
        """The outside world drives pin *name* (``GPIO0.9``); False if it is none of these."""
        prefix, _, number = name.rpartition(".")
        if prefix != self.name.upper() or not number.isdigit() or int(number) > 31:
            return False
        self._driven = self._driven & ~(1 << int(number)) | int(level) << int(number)
        self._sample()
        return True

    def read_INPUT_VAL(self, _: int) -> int:
        return (self.value["OUTPUT_VAL"] & self.value["OUTPUT_EN"] | self._driven) & self.value["INPUT_EN"]

    def _sample(self) -> None:
        """Edges and levels set their pending bits; each pin has an interrupt of its own, the platform's and those after."""
        now = self.read_INPUT_VAL(0)
        rises, falls, self._seen = now & ~self._seen, self._seen & ~now, now
        for name, bits in (
            ("RISE_IP", rises),
            ("FALL_IP", falls),
            ("HIGH_IP", now),
            ("LOW_IP", ~now & self.value["INPUT_EN"]),
        ):
            self.value[name] |= bits
        self._interrupt()

    def _interrupt(self) -> None:
        value = self.value
        pending = 0
        for kind in ("RISE", "FALL", "HIGH", "LOW"):
            pending |= value[f"{kind}_IP"] & value[f"{kind}_IE"]
        for pin in range(32):
            if (pending ^ self._raised) >> pin & 1 and self.irqs:
                self.machine.core.set_line(self.irqs[0] + pin, bool(pending >> pin & 1), f"{self.name}.{pin}")
        self._raised = pending

    def write(self, offset: int, size: int, value: int) -> None:
        name = self.register_name(offset)
        if name.endswith("_IP"):
            self.value[name] &= ~value
            self._sample()
            return
        super().write(offset, size, value)
        if name.endswith("_IE") or name == "INPUT_EN":
            self._sample()

    def _outputs(self) -> None:
        levels = (self.value["OUTPUT_VAL"] ^ self.value["OUT_XOR"]) & self.value["OUTPUT_EN"] & ~self.value["IOF_EN"]
        changed, self._levels = levels ^ self._levels, levels
        for pin in range(32):
            if changed >> pin & 1:
                self.machine.pin_changed(f"{self.name}.{pin}", bool(levels >> pin & 1), True)

    def write_OUTPUT_VAL(self, _old: int, _new: int) -> None:
        self._outputs()

    write_OUTPUT_EN = write_OUT_XOR = write_IOF_EN = write_OUTPUT_VAL


@register("sifive-test")
class TestFinisher(Peripheral):
    """Writing 0x5555 says the program passed; the machine then idles."""

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        status = value & 0xFFFF
        if status == 0x3333:
            raise self.machine.fault(f"the firmware reports failure {value >> 16} to the test finisher")
        self.note(f"the firmware ended with status {'pass' if status == 0x5555 else hex(value)}")
        raise self.machine.fault("the firmware ended (test finisher)")
