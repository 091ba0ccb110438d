"""RISC-V machine mode around Unicorn: traps, CLINT and PLIC interrupts, sleep, and the cycle counters.

Unicorn executes the instructions, CSR accesses and MRET; it delivers no interrupts, and its counters follow the host's
clock. So traps are entered here (privileged specification 3.1), and a read of a counter is executed here too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from emulab.backends.stack import riscv_initial_sp
from emulab.backends.unicorn.faults import describe_error
from emulab.probe import core as probe_core

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.backends.unicorn.peripherals.base import Peripheral

SOFTWARE, TIMER, EXTERNAL = 3, 7, 11
_MIE, _MPIE, _MPP = 1 << 3, 1 << 7, 3 << 11
_CYCLE = {0xB00, 0xC00}
_CYCLE_HIGH = {0xB80, 0xC80}
_INSTRET = {0xB02, 0xC02}
_INSTRET_HIGH = {0xB82, 0xC82}
_TIME, _TIME_HIGH = 0xC01, 0xC81
COUNTERS = _CYCLE | _CYCLE_HIGH | _INSTRET | _INSTRET_HIGH | {_TIME, _TIME_HIGH}
_ENTRY_CYCLES = 4
"""SiFive E31 Core Complex Manual 8: four cycles from interrupt to the first fetch of the handler."""
_CAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    4: "load address misaligned",
    5: "load access fault",
    6: "store address misaligned",
    7: "store access fault",
}


class RiscV:
    """One hart in machine mode."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.engine = machine, machine.engine
        self.const = machine.engine.const
        self.sleeping = False
        self.pending = 0  # mip
        self._pc = 0
        self._exits: list[int] = []
        self._lines: dict[int, set[str]] = {}
        self._plic: list[Peripheral] | None = None
        c = self.const
        self._masks = (c.UC_RISCV_REG_MIE, c.UC_RISCV_REG_MSTATUS)
        self._at_trap = (c.UC_RISCV_REG_MSTATUS, c.UC_RISCV_REG_MTVEC)
        self._trapped = (c.UC_RISCV_REG_MSTATUS, c.UC_RISCV_REG_MEPC, c.UC_RISCV_REG_MCAUSE, c.UC_RISCV_REG_MTVAL)
        self.cycle_offset = 0
        self.instret_offset = 0
        self.engine.uc.ctl_exits_enabled(True)

    def device_ranges(self) -> list[tuple[int, int]]:
        ranges = []
        for peripheral in self.machine.peripherals.values():
            base = peripheral.spec.base & ~0xFFF
            ranges.append((base, (peripheral.spec.base + peripheral.spec.size_bytes - base + 0xFFF) & ~0xFFF))
        return ranges

    def reset(self) -> None:
        image = self.machine.image
        entry = image.entry
        if entry is None:
            entry = self.machine.platform.soc.vector_base or 0
        self._pc = entry
        if self.machine.space.at(entry, 2) is None:
            from emulab.errors import InputError

            raise InputError(
                f"{image.path}: entry {entry:#010x} is not in the memories of {self.machine.platform.name}"
            )

    def initial_stack(self) -> int:
        return riscv_initial_sp(self.machine.image)

    def resume_pc(self) -> int:
        return self._pc

    def set_resume_pc(self, pc: int) -> None:
        self._pc = pc

    def clock_changed(self) -> None:
        pass

    # -- interrupts -----------------------------------------------------------------------------------------

    def set_line(self, number: int, level: bool, driver: str) -> None:
        """External interrupt *number* of the PLIC."""
        if self._plic is None:
            self._plic = [p for p in self.machine.peripherals.values() if p.spec.type == "plic"][:1]
        for plic in self._plic:
            plic.set_source(number, level)  # type: ignore[attr-defined]

    def pend(self, cause: int, on: bool) -> None:
        """Set or clear a bit of mip: SOFTWARE, TIMER or EXTERNAL."""
        before = self.pending
        self.pending = before | 1 << cause if on else before & ~(1 << cause)
        if self.pending == before:
            return
        self.engine.set(self.const.UC_RISCV_REG_MIP, self.pending)
        if not self.pending:
            self.machine.face.interrupt = 0  # there is nothing to look for when interrupts are enabled
        if on and not before >> cause & 1:
            self.machine.face.request = 1
            if self.sleeping and self.wakes():
                self.machine.wake()

    def _enabled(self) -> int:
        return self.pending & self.engine.get(self.const.UC_RISCV_REG_MIE)

    def wakes(self) -> bool:
        return self._enabled() != 0

    def deaf(self) -> bool:
        """mstatus.MIE clear, or nothing enabled in mie."""
        enabled, status = self.engine.get_all(self._masks)
        return not status & _MIE or not enabled

    def take_interrupts(self) -> None:
        face = self.machine.face
        face.interrupt = int(bool(self.pending))
        if not self.pending or self.sleeping:
            return
        enabled, status = self.engine.get_all(self._masks)
        ready = self.pending & enabled
        if not ready or not status & _MIE:
            return
        cause = next(c for c in (EXTERNAL, SOFTWARE, TIMER) if ready >> c & 1)
        self._trap(0x80000000 | cause, self._pc, 0)
        self.machine.interrupts += 1

    def _trap(self, cause: int, pc: int, value: int) -> None:
        engine = self.engine
        status, vector = engine.get_all(self._at_trap)
        status = (status & ~(_MIE | _MPIE)) | (_MPIE if status & _MIE else 0) | _MPP
        engine.set_all(self._trapped, (status, pc, cause, value))
        base = vector & ~3
        if not base:
            raise self.machine.fault(f"a trap (mcause {cause:#x}) is taken, but mtvec was never set")
        self._pc = base + (4 * (cause & 0xFF) if vector & 1 and cause >> 31 else 0)
        self.machine.probe.library.em_probe_break(self.machine.probe.handle, _ENTRY_CYCLES * 256)

    # -- what Unicorn stops for -----------------------------------------------------------------------------

    def exception(self, number: int) -> None:
        machine = self.machine
        pc = self.engine.pc - 4  # Unicorn has already gone on
        if number == 11 or number == 8:
            self._trap(11, pc, 0)
        elif number == 3:
            raise machine.fault("the firmware executes EBREAK (an assertion, or semihosting, which is not supported)")
        else:
            self.engine.pc = pc
            raise machine.fault(f"the processor raises {_CAUSES.get(number, f'exception {number}')}")

    def guarded(self, block: int, instruction: int, address: int) -> None:
        raise self.machine.fault(f"memory protection at {block:#010x}: {address:#010x}")

    def stopped(self, error: int) -> None:
        machine = self.machine
        pc = self.engine.pc
        if error:
            raise machine.fault(describe_error(machine, error, 0))
        self._pc = pc
        if pc in self._exits:
            self._read_counter(pc)
            return
        current = machine.face.current
        if current != probe_core.NO_BLOCK and machine.table.flags[current] & probe_core.BLOCK_SLEEPS:
            self.sleeping = not self.wakes()

    def sleep_state(self) -> str:
        return "sleep"

    def woken(self) -> None:
        self.sleeping = False

    # -- counters -------------------------------------------------------------------------------------------

    def intercept(self, address: int, code: bytes) -> bool:
        """True if the block reads a counter before its end: it is then split there, and must be translated anew."""
        found = counter_read(code)
        if found is None or address + found in self._exits:
            return False
        self._exits.append(address + found)
        self.engine.uc.ctl_set_exits(self._exits)
        self.engine.uc.ctl_remove_cache(address, address + len(code))
        return True

    def _read_counter(self, pc: int) -> None:
        """Execute ``csrrs rd, counter, x0`` (or a write to a counter) at *pc*."""
        machine = self.machine
        word = struct.unpack("<I", machine.peek(pc, 4))[0]
        number, target, kind, source = word >> 20, word >> 7 & 31, word >> 12 & 7, word >> 15 & 31
        table, probe = machine.table, machine.probe
        known = next((i for i, a in enumerate(table.addresses) if a == pc and table.sizes[i] == 4), None)
        if known is None:
            table.add(pc, 4)
        deadline, machine.face.deadline_q8 = machine.face.deadline_q8, probe_core.FOREVER
        request, machine.face.request = machine.face.request, 0
        stop, machine.face.stop = machine.face.stop, None
        probe.library.em_probe_enter(probe.handle, pc, 4)
        machine.face.deadline_q8, machine.face.request, machine.face.stop = deadline, request, stop
        value = self._counter(number)
        if kind == 1 and number in (0xB00, 0xB80):
            written = self.engine.registers[source] << (32 if number == 0xB80 else 0)
            mask = 0xFFFFFFFF << (32 if number == 0xB80 else 0)
            now = machine.face.block_start_q8 >> 8
            self.cycle_offset = (((now + self.cycle_offset) & ~mask & (1 << 64) - 1) | written) - now
        if target:
            self.engine.registers[target] = value & 0xFFFFFFFF
        self._pc = pc + 4

    def _counter(self, number: int) -> int:
        machine = self.machine
        if number in _CYCLE | _CYCLE_HIGH:
            value = (machine.face.block_start_q8 >> 8) + self.cycle_offset
        elif number in (_TIME, _TIME_HIGH):
            hz = machine.clocks.hz("rtc") if "rtc" in machine.clocks.nodes else 0.0
            value = int(machine.time_of(machine.face.block_start_q8) * hz + 1e-6)
        else:
            value = machine.face.instructions + self.instret_offset
        value = int(value)
        return value >> 32 if number in _CYCLE_HIGH | _INSTRET_HIGH | {_TIME_HIGH} else value


def counter_read(code: bytes) -> int | None:
    """Offset of the first instruction in *code* that accesses a counter CSR, else None."""
    offset = 0
    while offset + 2 <= len(code):
        half = code[offset] | code[offset + 1] << 8
        if half & 3 != 3:
            offset += 2
            continue
        if offset + 4 > len(code):
            return None
        word = half | code[offset + 2] << 16 | code[offset + 3] << 24
        if word & 0x7F == 0x73 and word >> 12 & 3 and word >> 20 in COUNTERS:
            return offset
        offset += 4
    return None
