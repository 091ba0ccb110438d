"""System control space of a Cortex-M: NVIC, SysTick, SCB, DWT cycle counter, MPU and FPU registers.

Armv6-M ARM B3, Armv7-M ARM B3, Armv8-M ARM D1. Addresses are offsets from 0xE0000000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn import mpu
from emulab.backends.unicorn.peripherals.base import Peripheral
from emulab.model.soc import Peripheral as Spec

if TYPE_CHECKING:
    from emulab.backends.unicorn.cortexm import CortexM
    from emulab.backends.unicorn.machine import Event, Machine

_CPUID = {
    "cortex-m0": 0x410CC200,
    "cortex-m0plus": 0x410CC601,
    "cortex-m3": 0x412FC231,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC271,
    "cortex-m33": 0x410FD214,
}
_SHCSR, _CFSR, _HFSR, _MMFAR = 0xED24, 0xED28, 0xED2C, 0xED34
_MEMFAULTENA, _DACCVIOL, _MMARVALID, _FORCED = 1 << 16, 2, 0x80, 1 << 30
_FIXED_PRIORITY = {1: -3, 2: -2, 3: -1}


class Nvic:
    """Pending, enabled and active state of all exceptions, and which is the most urgent."""

    def __init__(self, interrupts: int, priority_bits: int) -> None:
        self.count = interrupts
        self.priority_mask = (0xFF << (8 - priority_bits)) & 0xFF
        self.pending: set[int] = set()
        self.enabled: set[int] = {2, 3, 11, 14, 15}
        self.priority: dict[int, int] = {}
        self._lines: dict[int, set[str]] = {}

    def set_line(self, number: int, level: bool, driver: str) -> None:
        drivers = self._lines.setdefault(number, set())
        if level:
            if not drivers:
                self.pending.add(16 + number)
            drivers.add(driver)
        else:
            drivers.discard(driver)

    def returned(self, exception: int) -> None:
        """A handler returned: a line that is still high makes its interrupt pending again."""
        if exception >= 16 and self._lines.get(exception - 16):
            self.pending.add(exception)

    def priority_of(self, exception: int) -> int:
        return _FIXED_PRIORITY.get(exception, self.priority.get(exception, 0))

    @staticmethod
    def group_mask(prigroup: int) -> int:
        """Bits of a priority that decide about preemption."""
        return (0xFF << (prigroup + 1)) & 0xFF

    def group_priority(self, exception: int, prigroup: int) -> int:
        priority = self.priority_of(exception)
        return priority if priority < 0 else priority & self.group_mask(prigroup)

    def most_urgent(self) -> int | None:
        """The enabled pending exception with the lowest priority value, then the lowest number."""
        if not self.pending:
            return None
        candidates = self.pending & self.enabled
        if len(candidates) == 1:
            return next(iter(candidates))
        return min(candidates, key=lambda e: (self.priority_of(e), e)) if candidates else None


class SysTick:
    """The 24-bit system timer, counted on the cycle time line."""

    def __init__(self, machine: Machine, core: CortexM) -> None:
        self.machine, self.core = machine, core
        self.control, self.reload = 0, 0
        self._start_q8 = 0
        self._first = 0
        self._event: Event | None = None
        self._flag_from = 0
        self._flag_cleared_at = -1

    @property
    def _ratio(self) -> float:
        """Core cycles per count."""
        if self.control & 4:
            return 1.0
        reference = self.machine.clocks.hz("systick") if "systick" in self.machine.clocks.nodes else 0.0
        return self.machine.core_hz / reference if reference else 1.0

    def _counts(self) -> int:
        """Counts since the counter was started with its first value."""
        if not self.control & 1:
            return 0
        return int((self.machine.cycles() - (self._start_q8 >> 8)) / self._ratio)

    def _wraps(self) -> int:
        counts = self._counts()
        return 0 if counts < self._first else 1 + (counts - self._first) // (self.reload + 1)

    def value(self) -> int:
        counts = self._counts()
        if counts < self._first:
            return self._first - counts if self._first - counts <= self.reload else 0
        since = (counts - self._first) % (self.reload + 1)
        return self.reload + 1 - since if since else 0

    def read_control(self) -> int:
        wraps = self._wraps()
        flag = wraps > self._flag_from
        self._flag_from = wraps
        return self.control | (0x10000 if flag else 0)

    def _restart(self, first: int) -> None:
        self._start_q8, self._first, self._flag_from = self.machine.cycles() << 8, first, 0
        self._plan()

    def write_control(self, value: int) -> None:
        current, enabled = self.value(), self.control & 1
        self.control = value & 7
        if self.control & 1 and not enabled:
            # the counter loads on the clock after it is enabled at zero
            self._restart(current if current else self.reload + 1)
        elif self.control & 1:
            self._plan()
        else:
            self._first, self._start_q8 = current, self.machine.cycles() << 8
            self._cancel()

    def write_reload(self, value: int) -> None:
        current = self.value()
        self.reload = value & 0xFFFFFF
        if self.control & 1:
            self._restart(current)

    def write_value(self) -> None:
        self._first = 0
        if self.control & 1:
            self._restart(self.reload + 1 if self.reload else 0)
        else:
            self._start_q8 = self.machine.cycles() << 8

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def _plan(self) -> None:
        """Schedule the next count to zero, if it interrupts."""
        self._cancel()
        if self.control & 3 != 3 or self.reload == 0:
            return
        counts = self._counts()
        if counts < self._first:
            due = self._first
        else:
            due = self._first + ((counts - self._first) // (self.reload + 1) + 1) * (self.reload + 1)
        at_q8 = self._start_q8 + int(due * self._ratio * 256)
        delay = self.machine.time_of(at_q8) - self.machine.now()
        self._event = self.machine.after(delay, self._tick)

    def _tick(self) -> None:
        self.core.pend(15)
        self._plan()

    def clock_changed(self) -> None:
        if self.control & 1:
            self._restart(self.value())


class SystemControl(Peripheral):
    """Registers of the private peripheral bus; what they do is in NVIC, SysTick and the core model."""

    def __init__(self, machine: Machine, core: CortexM) -> None:
        super().__init__(machine, "scs", Spec(type="scs", base=0xE0000000, size_bytes=0x42000))
        self.core, self.nvic = core, core.nvic
        self.systick = SysTick(machine, core)
        self.vtor, self.scr, self.prigroup, self.ccr = 0, 0, 0, 0x200
        self.storage: dict[int, int] = {0xED88: 0, 0xEF34: 0xC0000000}
        self._dwt_base, self._dwt_control, self._demcr = 0, 0x40000000, 0
        regions = 0 if core.is_v6 else machine.platform.core.mpu_regions
        self.mpu = mpu.Mpu(regions, machine.platform.core.isa.startswith("armv8"))
        self.protection = mpu.Protection(machine, self.mpu)

    def clock_changed(self) -> None:
        if hasattr(self, "systick"):
            self.systick.clock_changed()

    def register_name(self, offset: int) -> str:
        names = {0xE010: "SYST_CSR", 0xE014: "SYST_RVR", 0xE018: "SYST_CVR", 0x1004: "DWT_CYCCNT", 0xED04: "ICSR"}
        return names.get(offset & ~3, "")

    def data_fault(self, address: int, preempts: bool) -> int:
        """An access to *address* was refused: the fault registers say so. Returns MemManage, or HardFault if that is off.

        *preempts*: MemManage is more urgent than what runs.
        """
        self.storage[_CFSR] = self.storage.get(_CFSR, 0) | _DACCVIOL | _MMARVALID
        self.storage[_MMFAR] = address
        if preempts and self.storage.get(_SHCSR, 0) & _MEMFAULTENA:
            return 4
        self.storage[_HFSR] = self.storage.get(_HFSR, 0) | _FORCED
        return 3

    # -- reading --------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        value = self._read_word(offset & ~3)
        if size == 4:
            return value
        return (value >> (8 * (offset & 3))) & ((1 << (8 * size)) - 1)

    def _bitmap(self, exceptions: set[int], index: int) -> int:
        return sum(1 << i for i in range(32) if 16 + 32 * index + i in exceptions)

    def _read_word(self, offset: int) -> int:
        nvic = self.nvic
        if offset == 0xE010:
            return self.systick.read_control()
        if offset == 0xE014:
            return self.systick.reload
        if offset == 0xE018:
            return self.systick.value()
        if offset == 0x1000:
            return self._dwt_control
        if offset == 0x1004:
            return self._cycle_count()
        if 0xE100 <= offset < 0xE200:
            return self._bitmap(nvic.enabled, (offset & 0x7F) // 4)
        if 0xE200 <= offset < 0xE300:
            return self._bitmap(nvic.pending, (offset & 0x7F) // 4)
        if 0xE300 <= offset < 0xE400:
            return self._bitmap(set(self.core.active), (offset & 0x7F) // 4)
        if 0xE400 <= offset < 0xE5F0:
            first = 16 + offset - 0xE400
            return sum(nvic.priority.get(first + i, 0) << (8 * i) for i in range(4))
        if 0xED18 <= offset < 0xED24:
            first = 4 + offset - 0xED18
            return sum(nvic.priority.get(first + i, 0) << (8 * i) for i in range(4))
        return self._read_control(offset)

    def _read_control(self, offset: int) -> int:
        core = self.core
        if offset == 0xE004:
            return max(0, (self.nvic.count + 31) // 32 - 1)
        if offset == 0xE01C:
            return 0x40000000  # SYST_CALIB: no exact 10 ms value
        if offset == 0xED00:
            return _CPUID.get(self.machine.platform.core.name, 0x410FC240)
        if offset == 0xED04:
            urgent = self.nvic.most_urgent()
            value = (core.active[-1] if core.active else 0) | ((urgent or 0) << 12)
            value |= (1 << 28) * (14 in self.nvic.pending) | (1 << 26) * (15 in self.nvic.pending)
            value |= (1 << 22) * any(e >= 16 for e in self.nvic.pending)
            return value | (1 << 11) * (len(core.active) <= 1)
        if mpu.TYPE <= offset <= mpu.LAST:
            return self.mpu.read(offset)
        simple = {
            0xED08: self.vtor,
            0xED0C: 0xFA050000 | (self.prigroup << 8),
            0xED10: self.scr,
            0xED14: self.ccr,
            0xEDFC: self._demcr,
        }
        return simple.get(offset, self.storage.get(offset, 0))

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, offset: int, size: int, value: int) -> None:
        word = offset & ~3
        if size != 4:
            if 0xE400 <= word < 0xE5F0 or 0xED18 <= word < 0xED24:
                for i in range(size):
                    self._set_priority(offset + i, (value >> (8 * i)) & 0xFF)
                return
            shift, mask = 8 * (offset & 3), (1 << (8 * size)) - 1
            value = (self._read_word(word) & ~(mask << shift)) | ((value & mask) << shift)
        self._write_word(word, value)

    def _set_priority(self, offset: int, value: int) -> None:
        exception = 4 + offset - 0xED18 if offset >= 0xED00 else 16 + offset - 0xE400
        self.nvic.priority[exception] = value & self.nvic.priority_mask
        if self.nvic.pending:
            self.core.signal()

    def _write_word(self, offset: int, value: int) -> None:
        nvic, core = self.nvic, self.core
        bits = [i for i in range(32) if value >> i & 1] if 0xE100 <= offset < 0xE300 else []
        exceptions = {16 + 8 * (offset & 0x7F) + i for i in bits}
        if 0xE100 <= offset < 0xE180:
            nvic.enabled |= exceptions
        elif 0xE180 <= offset < 0xE200:
            nvic.enabled -= exceptions
        elif 0xE200 <= offset < 0xE280:
            nvic.pending |= exceptions
        elif 0xE280 <= offset < 0xE300:
            nvic.pending -= exceptions
            for exception in exceptions:
                nvic.returned(exception)
        elif 0xE400 <= offset < 0xE5F0 or 0xED18 <= offset < 0xED24:
            for i in range(4):
                self._set_priority(offset + i, (value >> (8 * i)) & 0xFF)
        elif offset == 0xE010:
            self.systick.write_control(value)
        elif offset == 0xE014:
            self.systick.write_reload(value)
        elif offset == 0xE018:
            self.systick.write_value()
        elif offset == 0x1000:
            self._write_dwt_control(value)
        elif offset == 0x1004:
            self.storage[0x1004] = value & 0xFFFFFFFF
            self._dwt_base = (self._counted() - value) & 0xFFFFFFFF
        else:
            self._write_control(offset, value)
        if nvic.pending:
            core.signal()

    def _write_control(self, offset: int, value: int) -> None:
        core = self.core
        if offset == 0xED04:
            for bit, exception, on in ((28, 14, True), (27, 14, False), (26, 15, True), (25, 15, False), (31, 2, True)):
                if value >> bit & 1:
                    core.pend(exception, on)
        elif offset == 0xED08:
            self.vtor = value & ~0x7F
        elif offset == 0xED0C:
            if value >> 16 != 0x05FA:
                return
            self.prigroup = value >> 8 & 7
            if value & 5:
                raise self.machine.fault("the firmware resets the system (AIRCR.SYSRESETREQ)")
        elif offset == 0xED10:
            self.scr = value & 0x1F
        elif offset == 0xED14:
            self.ccr = value
            self._cache_control()
        elif offset == 0xEF00:
            core.pend(16 + (value & 0x1FF))
        elif offset == 0xEDFC:
            self._demcr = value
        elif mpu.TYPE <= offset <= mpu.LAST:
            self.mpu.write(offset, value)
            self.protection.changed()
        elif offset in (_CFSR, _HFSR):
            self.storage[offset] = self.storage.get(offset, 0) & ~value
        elif offset in (0xEF50, 0xEF58):  # ICIALLU, ICIMVAU
            self.machine.memory_setting("icache_invalidate", 1)
        elif offset in (0xEF5C, 0xEF60, 0xEF64, 0xEF68, 0xEF6C, 0xEF70, 0xEF74):
            # maintenance by line or by set: only a whole invalidation at start-up matters, and it walks all sets
            if offset == 0xEF60:
                self.machine.memory_setting("dcache_invalidate", 1)
        else:
            self.storage[offset] = value & 0xFFFFFFFF

    def _cache_control(self) -> None:
        if self.machine.platform.core.name == "cortex-m7":
            self.machine.memory_setting("dcache", self.ccr >> 16 & 1)
            self.machine.memory_setting("icache", self.ccr >> 17 & 1)

    # -- DWT ------------------------------------------------------------------------------------------------

    def _counted(self) -> int:
        """Cycles the core was clocked: the time line without sleep."""
        return self.machine.cycles() - (self.machine.idle_q8 >> 8)

    def _cycle_count(self) -> int:
        if not self._dwt_control & 1:
            return self.storage.get(0x1004, 0)
        return (self._counted() - self._dwt_base) & 0xFFFFFFFF

    def _write_dwt_control(self, value: int) -> None:
        if value & 1 and not self._dwt_control & 1:
            self._dwt_base = (self._counted() - self.storage.get(0x1004, 0)) & 0xFFFFFFFF
        elif not value & 1 and self._dwt_control & 1:
            self.storage[0x1004] = self._cycle_count()
        self._dwt_control = 0x40000000 | (value & 0x0FFFFFFF)
