"""Cortex-M exceptions around Unicorn: entry, return, priorities, sleep. The registers live in ``scs.py``.

Unicorn executes instructions of the M profile but delivers no exceptions. Here an exception is entered by writing the
frame and the registers, and left when Unicorn meets an EXC_RETURN value (Armv7-M ARM B1.5, Armv8-M ARM B3).
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

from emulab.backends.unicorn.faults import describe_error
from emulab.backends.unicorn.scs import Nvic, SystemControl
from emulab.errors import FirmwareFault
from emulab.probe import core as probe_core

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

SVC, PENDSV, SYSTICK = 11, 14, 15
_EXCEPTION_SVC, _EXCEPTION_BREAKPOINT, _EXCEPTION_RETURN = 2, 7, 8
_CONTROL_SPSEL, _CONTROL_FPCA = 2, 4
_ENTRY_CYCLES = {"armv6-m": 15, "armv7e-m": 12, "armv7-m": 12}
"""Cycles from the interrupted instruction to the first of the handler: Arm DDI 0484 3.5 (M0+), DDI 0439 3.9 (M4)."""
_RETURN_CYCLES = {"armv6-m": 13, "armv7e-m": 10, "armv7-m": 10}
_TAIL_CYCLES = 6
_ERROR_INSTRUCTION = 10
_WFE, _SEV = b"\x20\xbf", b"\x40\xbf"


class CortexM:
    """Exception model of Armv6-M, Armv7-M and Armv8-M without security extension."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.engine = machine, machine.engine
        self.const = machine.engine.const
        platform = machine.platform
        self.isa = platform.core.isa
        self.is_v6 = self.isa in ("armv6-m", "armv8-m.base")
        self.has_fpu = platform.core.fpu != "none"
        self.nvic = Nvic(platform.soc.interrupts, platform.core.interrupt_priority_bits)
        self.active: list[int] = []
        self.sleeping = False
        self.event_register = False
        self._pc = 0
        self._tail_at = -1
        self.entry_cycles = _ENTRY_CYCLES.get(self.isa, 12)
        self.return_cycles = _RETURN_CYCLES.get(self.isa, 10)
        self._context = ctypes.c_void_p()
        self._ipsr: ctypes.c_uint32 | None = None
        self._prepare_context()
        c = self.const
        self._masks: tuple[int, ...] = (c.UC_ARM_REG_PRIMASK,)
        if not self.is_v6:
            self._masks += (c.UC_ARM_REG_BASEPRI, c.UC_ARM_REG_FAULTMASK)
        self._status = (c.UC_ARM_REG_CONTROL, c.UC_ARM_REG_XPSR)
        self._left: tuple[int, ...] = (c.UC_ARM_REG_PC, c.UC_ARM_REG_CONTROL, c.UC_ARM_REG_MSP, c.UC_ARM_REG_PSP)
        if not self.is_v6:
            self._left += (c.UC_ARM_REG_FAULTMASK,)
        self._float = (*range(c.UC_ARM_REG_S0, c.UC_ARM_REG_S0 + 16), c.UC_ARM_REG_FPSCR)
        self.scs = SystemControl(machine, self)
        machine.add_device(0xE0000000, 0x42000, self.scs)
        self._idle_start = 0

    def device_ranges(self) -> list[tuple[int, int]]:
        # peripherals, private bus, and other devices where the platform has them
        ranges = [(0x40000000, 0x20000000), (0xE0000000, 0x100000)]
        for peripheral in self.machine.peripherals.values():
            base, size = peripheral.spec.base & ~0xFFF, (peripheral.spec.size_bytes + 0xFFF) & ~0xFFF
            if not any(low <= base < low + length for low, length in ranges):
                ranges.append((base, size))
        return ranges

    # -- Unicorn's hidden exception number ------------------------------------------------------------------

    def _prepare_context(self) -> None:
        """Find the exception number (IPSR) in Unicorn's saved context: it cannot be written through registers."""
        engine, const = self.engine, self.const
        lib = engine.lib
        lib.uc_context_size.restype = ctypes.c_size_t
        size = lib.uc_context_size(engine.handle)
        lib.uc_context_alloc(engine.handle, ctypes.byref(self._context))
        images = []
        for value in (0, 1):
            engine.set(const.UC_ARM_REG_PRIMASK, value)
            lib.uc_context_save(engine.handle, self._context)
            images.append(ctypes.string_at(self._context, size))
        engine.set(const.UC_ARM_REG_PRIMASK, 0)
        differs = next(i for i in range(size) if images[0][i] != images[1][i]) & ~3
        for offset in range(differs - 4, differs - 36, -4):
            if struct.unpack_from("<I", images[0], offset)[0]:
                continue
            self._ipsr_offset = offset
            self._set_ipsr(9, 0)
            if engine.get(const.UC_ARM_REG_IPSR) == 9:
                self._set_ipsr(0, 0)
                self._find_ipsr(size)
                return
            self._poke_context(0)
        from emulab.errors import ToolError

        raise ToolError("Unicorn: the exception number was not found in its state; use Unicorn 2.1.x")

    def _find_ipsr(self, size: int) -> None:
        """The same number in the state itself, which the saved context is a copy of: it is as far from the registers."""
        engine, registers = self.engine, self.engine.registers
        registers[0:13] = [0x5B000000 + 0x1357 * i for i in range(13)]
        engine.lib.uc_context_save(engine.handle, self._context)
        at = ctypes.string_at(self._context, size).find(bytes(registers)[:52])
        registers[0:13] = [0] * 13
        if at < 0:
            return
        found = ctypes.c_uint32.from_address(ctypes.addressof(registers) + self._ipsr_offset - at)
        self._poke_context(9)
        if found.value == 9:
            found.value = 5
            if engine.get(self.const.UC_ARM_REG_IPSR) == 5:
                self._ipsr = found
        self._set_ipsr(0, 0)

    def _poke_context(self, value: int) -> None:
        lib, handle = self.engine.lib, self.engine.handle
        lib.uc_context_save(handle, self._context)
        assert self._context.value is not None
        ctypes.c_uint32.from_address(self._context.value + self._ipsr_offset).value = value
        lib.uc_context_restore(handle, self._context)

    def _set_ipsr(self, number: int, flags: int) -> None:
        """*flags*: the condition flags, as in a status word. Writing them makes Unicorn rebuild its cached mode."""
        if self._ipsr is None:
            self._poke_context(number)
        else:
            self._ipsr.value = number
        self.engine.set(self.const.UC_ARM_REG_APSR_NZCV, flags & 0xF0000000)

    # -- reset and program counter --------------------------------------------------------------------------

    def reset(self) -> None:
        vectors = self.machine.platform.soc.vector_base or 0
        self.scs.vtor = vectors
        stack, entry = struct.unpack("<II", self.machine.peek(vectors, 8))
        if entry == 0xFFFFFFFF or not entry & 1 or self.machine.space.at(entry & ~1, 2) is None:
            from emulab.errors import InputError

            raise InputError(
                f"{self.machine.image.path}: the vector table at {vectors:#010x} has reset vector {entry:#010x}, which "
                f"is no Thumb code in the memories of {self.machine.platform.name}; is the image for another board?"
            )
        if self.machine.space.at(stack - 4, 4) is None:
            from emulab.errors import InputError

            raise InputError(
                f"{self.machine.image.path}: the vector table at {vectors:#010x} has stack pointer {stack:#010x}, which "
                f"is not in the RAM of {self.machine.platform.name}; is the image for another board?"
            )
        self.engine.set(self.const.UC_ARM_REG_MSP, stack)
        self.engine.set(self.const.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._pc = entry & ~1

    def initial_stack(self) -> int:
        return int(struct.unpack("<I", self.machine.peek(self.machine.platform.soc.vector_base or 0, 4))[0])

    def resume_pc(self) -> int:
        return self._pc

    def set_resume_pc(self, pc: int) -> None:
        self._pc = pc

    def clock_changed(self) -> None:
        self.scs.clock_changed()

    # -- interrupts -----------------------------------------------------------------------------------------

    def set_line(self, number: int, level: bool, driver: str) -> None:
        self.nvic.set_line(number, level, driver)
        if level:
            self.signal()

    def pend(self, exception: int, on: bool = True) -> None:
        """Set or clear the pending state of *exception* (16 + number for external interrupts)."""
        if on:
            self.nvic.pending.add(exception)
            self.signal()
        else:
            self.nvic.pending.discard(exception)

    def signal(self) -> None:
        """An exception became pending, or a mask changed: look at it before the next block."""
        self.machine.face.request = 1
        if self.sleeping and self.wakes():
            self.machine.wake()

    def wakes(self) -> bool:
        """WFI ends when an exception would preempt if PRIMASK were clear; SEVONPEND wakes WFE for any."""
        if self.nvic.most_urgent() is not None:
            return True
        return bool(self.scs.scr & 0x10 and self.nvic.pending)

    def deaf(self) -> bool:
        """PRIMASK or FAULTMASK set, or neither an interrupt nor SysTick enabled."""
        masks = self.engine.get_all(self._masks)
        if masks[0] & 1 or (not self.is_v6 and masks[2] & 1):
            return True
        return not self.nvic.pending and not self.scs.systick.control & 2 and all(e < 16 for e in self.nvic.enabled)

    def execution_priority(self, ignore_primask: bool = False) -> int:
        """Priority of what runs now; 256 for thread mode without masks."""
        priority = 256
        for number in self.active:
            priority = min(priority, self.nvic.group_priority(number, self.scs.prigroup))
        masks = self.engine.get_all(self._masks)
        if not self.is_v6:
            if masks[1]:
                priority = min(priority, masks[1] & self.nvic.group_mask(self.scs.prigroup))
            if masks[2] & 1:
                priority = min(priority, -1)
        if not ignore_primask and masks[0] & 1:
            priority = min(priority, 0)
        return priority

    def take_interrupts(self) -> None:
        number = self.nvic.most_urgent()
        face = self.machine.face
        if number is None:
            face.interrupt = 0
            return
        blocked = face.current != probe_core.NO_BLOCK and face.current in self.machine.table.inside_it
        if blocked or self.nvic.group_priority(number, self.scs.prigroup) >= self.execution_priority():
            face.interrupt = 1
            if blocked:
                face.request = 2
            return
        face.interrupt = 0
        self._enter(number)

    def _enter(self, number: int) -> None:
        engine, const, machine = self.engine, self.const, self.machine
        registers = engine.registers
        thread = not self.active
        control, status = engine.get_all(self._status)
        on_process_stack = thread and bool(control & _CONTROL_SPSEL)
        floating = self.has_fpu and bool(control & _CONTROL_FPCA)
        stack = registers[13]
        size = 0x68 if floating else 0x20
        frame = (stack - size) & ~7
        xpsr = (status & 0xF80F0000) | 0x01000000 | (self.active[-1] if self.active else 0)
        if (stack - size) & 4:
            xpsr |= 1 << 9
        words = [*registers[0:4], registers[12], registers[14], self._pc, xpsr]
        data = struct.pack("<8I", *words)
        if floating:
            data += struct.pack("<18I", *engine.get_all(self._float), 0)
        machine.poke(frame, data)
        if on_process_stack:
            engine.set(const.UC_ARM_REG_PSP, frame)
        else:
            engine.set(const.UC_ARM_REG_MSP, frame)
        handler = control & ~(_CONTROL_SPSEL | _CONTROL_FPCA | 8) & 0xFF
        if (thread or floating) and handler != control:
            engine.set(const.UC_ARM_REG_CONTROL, handler)
        link = 0xFFFFFFF1 if not thread else 0xFFFFFFFD if on_process_stack else 0xFFFFFFF9
        registers[14] = link & ~0x10 if floating else link
        self._set_ipsr(number, status)
        self.active.append(number)
        self.event_register = True
        self.nvic.pending.discard(number)
        vector = struct.unpack("<I", machine.peek(self.scs.vtor + 4 * number, 4))[0]
        if not vector & 1 or machine.space.at(vector & ~1, 2) is None:
            raise machine.fault(f"exception {self.name_of(number)} has vector {vector:#010x}, which is no code")
        self._pc = vector & ~1
        machine.interrupts += 1
        tail = machine.face.cycles_q8 == self._tail_at
        self._charge(_TAIL_CYCLES - self.return_cycles if tail else self.entry_cycles)

    def _charge(self, cycles: int) -> None:
        machine = self.machine
        if cycles < 0:  # tail-chaining: the return that was charged did not unstack
            machine.face.cycles_q8 += cycles * 256
            cycles = 0
        machine.probe.library.em_probe_break(machine.probe.handle, cycles * 256)

    def _return(self) -> None:
        engine, const, machine = self.engine, self.const, self.machine
        pc, before, main_stack, process_stack_pointer, *faultmask = engine.get_all(self._left)
        value = pc | 1 | 0xFFFFFF00
        if not self.active:
            raise machine.fault(f"exception return {value:#010x} without an active exception")
        number = self.active.pop()
        self.event_register = True
        self.nvic.returned(number)
        floating = self.has_fpu and not value & 0x10
        to_thread = bool(value & 8)
        process_stack = to_thread and bool(value & 4)
        frame = process_stack_pointer if process_stack else main_stack
        words = struct.unpack("<8I", machine.peek(frame, 32))
        end = frame + 32
        if floating:
            values = struct.unpack("<18I", machine.peek(end, 72))
            engine.set_all(self._float, values[:17])
            end += 72
        if words[7] & (1 << 9):
            end += 4
        engine.set(const.UC_ARM_REG_PSP if process_stack else const.UC_ARM_REG_MSP, end)
        self._set_ipsr(0 if to_thread else words[7] & 0x1FF, words[7])
        if to_thread and self.active:
            self.active.clear()
        control = before & ~(_CONTROL_SPSEL | _CONTROL_FPCA | 8)
        control |= (_CONTROL_SPSEL if process_stack else 0) | (_CONTROL_FPCA if floating else 0)
        if (to_thread or floating) and control != before:
            engine.set(const.UC_ARM_REG_CONTROL, control)
        if any(faultmask) and number != 2:
            engine.set(const.UC_ARM_REG_FAULTMASK, 0)
        registers = engine.registers
        registers[0:4] = words[0:4]
        registers[12], registers[14] = words[4], words[5]
        engine.set(const.UC_ARM_REG_XPSR_NZCVQG, words[7])
        self._pc = words[6] & ~1
        self._charge(self.return_cycles)
        self._tail_at = machine.face.cycles_q8
        if to_thread and self.scs.scr & 2 and self.nvic.most_urgent() is None:
            self._sleep()  # SLEEPONEXIT

    # -- what Unicorn stops for -----------------------------------------------------------------------------

    def exception(self, number: int) -> None:
        machine = self.machine
        if number == _EXCEPTION_RETURN:
            self._return()
        elif number == _EXCEPTION_SVC:
            self._pc = self.engine.pc
            if self.nvic.group_priority(SVC, self.scs.prigroup) >= self.execution_priority():
                raise machine.fault("SVC at a priority that does not allow it: HardFault")
            self._enter(SVC)
        elif number == _EXCEPTION_BREAKPOINT:
            raise machine.fault("the firmware executes BKPT (an assertion, or semihosting, which is not supported)")
        else:
            raise machine.fault(describe_error(machine, 0, number))

    def guarded(self, block: int, instruction: int, address: int) -> None:
        """See :meth:`emulab.backends.unicorn.core.Core.guarded`."""
        self._pc = self.scs.protection.refused(block, instruction)
        priority = self.execution_priority()
        what = f"the firmware accesses {address:#010x} at {self.machine.where(self._pc)}, which the MPU forbids"
        if priority <= -1:
            raise self.machine.fault(f"{what}, in a fault handler: lockup")
        number = self.scs.data_fault(address, self.nvic.group_priority(4, self.scs.prigroup) < priority)
        self.machine.note(f"{what}: {self.name_of(number)} is taken")
        self._enter(number)

    def stopped(self, error: int) -> None:
        machine = self.machine
        pc = self.engine.pc
        if error and pc >= 0xFFFFFF00 and self.active:
            self._return()
            return
        if error == _ERROR_INSTRUCTION and self._waits_for_event(pc):
            return
        if error:
            raise machine.fault(describe_error(machine, error, 0))
        self._pc = pc
        current = machine.face.current
        if current != probe_core.NO_BLOCK and machine.table.flags[current] & probe_core.BLOCK_SLEEPS:
            self._sleep()

    def _waits_for_event(self, pc: int) -> bool:
        """WFE, which Unicorn stops at as if it were undefined, with the program counter behind it (Armv7-M ARM B1.5.18).

        The event register is set by exceptions and by SEV; of SEV only the usual one is seen, right before the WFE.
        """
        try:
            code = self.machine.peek(pc - 4, 4)
        except FirmwareFault:
            return False
        if code[2:] != _WFE:
            return False
        self._pc = pc
        event, self.event_register = self.event_register or code[:2] == _SEV, False
        if not event:
            self._sleep()
        return True

    def _sleep(self) -> None:
        if self.wakes():
            return
        self.sleeping = True
        self._idle_start = self.machine.face.cycles_q8

    def sleep_state(self) -> str:
        return "deep-sleep" if self.scs.scr & 4 else "sleep"

    def woken(self) -> None:
        self.sleeping = False

    def name_of(self, number: int) -> str:
        """``SysTick``, ``SVC``, ``usart1 (interrupt 37)``"""
        fixed = {
            2: "NMI",
            3: "HardFault",
            4: "MemManage",
            5: "BusFault",
            6: "UsageFault",
            11: "SVC",
            14: "PendSV",
            15: "SysTick",
        }
        if number < 16:
            return fixed.get(number, str(number))
        names = [n for n, p in self.machine.peripherals.items() if number - 16 in p.irqs]
        return f"{'/'.join(names) or 'interrupt'} (interrupt {number - 16})"
