"""Unicorn as the machine needs it: memory, devices, registers, one `run` that ends at a block boundary."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from emulab.errors import ToolError
from emulab.probe import core as probe_core

if TYPE_CHECKING:
    from emulab.model.platform import Platform
    from emulab.probe.core import ProbeCore

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_HOOK_INTR, _HOOK_BLOCK, _HOOK_INVALID = 1, 8, 0x3F0
_NOWHERE = 0xFFFF0000

_READ = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p)
_INVALID = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)

ReadDevice = Callable[[int, int], int]
WriteDevice = Callable[[int, int, int], None]


class Memory:
    """Bytes of one memory region, shared with the engine."""

    def __init__(self, size: int, fill: int, constant: bool = False) -> None:
        self.constant = constant
        self.map = mmap.mmap(-1, size)
        if fill:
            self.map[:] = bytes([fill]) * size
        self.view = memoryview(self.map)
        self._anchor = (ctypes.c_char * size).from_buffer(self.map)
        self.address = ctypes.addressof(self._anchor)


class Engine:
    """A Unicorn core with the probe's hooks installed."""

    def __init__(self, platform: Platform, probe: ProbeCore) -> None:
        from importlib import import_module

        from unicorn.unicorn_py3.unicorn import uclib

        unicorn: Any = import_module("unicorn")

        self.lib: Any = uclib
        self.probe = probe
        self.is_arm = platform.core.isa.startswith("arm")
        if self.is_arm:
            from unicorn import arm_const as const

            self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
            prefix, count = "UC_CPU_ARM_", 16
        else:
            from unicorn import riscv_const as const  # type: ignore[no-redef]

            self.uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            prefix, count = "UC_CPU_RISCV32_", 32
        model = platform.core.cpu.get("unicorn", "")
        number = getattr(const, prefix + model, None)
        if number is None:
            raise ToolError(f"platform {platform.name}: core.cpu.unicorn: Unicorn has no CPU {model!r}")
        self.uc.ctl_set_cpu_model(number)
        self.const: Any = const
        self.handle = ctypes.c_void_p(getattr(self.uc._uch, "value", self.uc._uch))
        self._word = ctypes.c_uint32()
        self._word_at = ctypes.byref(self._word)
        self._batches: dict[tuple[int, ...], tuple[Any, Any, Any]] = {}
        self._callbacks: list[Any] = []
        self.invalid: tuple[int, int] = (0, 0)
        self._hook()
        self.registers = self._find_registers(count)

    # -- set-up ---------------------------------------------------------------------------------------------

    def _check(self, error: int, what: str) -> None:
        if error:
            raise ToolError(f"Unicorn: {what}: error {error}")

    def _hook(self) -> None:
        library, handle = self.probe.library, ctypes.c_void_p(self.probe.handle)
        for kind, name in ((_HOOK_BLOCK, "em_unicorn_block"), (_HOOK_INTR, "em_unicorn_interrupt")):
            hook = ctypes.c_size_t()
            function = ctypes.cast(getattr(library, name), ctypes.c_void_p)
            error = self.lib.uc_hook_add(
                self.handle, ctypes.byref(hook), kind, function, handle, ctypes.c_uint64(1), ctypes.c_uint64(0)
            )
            self._check(error, "hook")
        hook = ctypes.c_size_t()
        invalid = _INVALID(self._on_invalid)
        self._callbacks.append(invalid)
        error = self.lib.uc_hook_add(
            self.handle, ctypes.byref(hook), _HOOK_INVALID, ctypes.cast(invalid, ctypes.c_void_p), None,
            ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        self._check(error, "hook")
        face = self.probe.face
        face.stop = ctypes.cast(self.lib.uc_emu_stop, ctypes.c_void_p).value
        face.engine = self.handle.value

    def _on_invalid(self, _uc: int, kind: int, address: int, _size: int, _value: int, _user: int) -> bool:
        self.invalid = (kind, address)
        return False

    def _find_registers(self, count: int) -> Any:
        """An array over the general registers inside the engine's own state, so that the probe reads them for free.

        Unicorn has no call for it: distinct values are written through its API and looked for behind the pointers
        of its handle, then checked by changing one. ToolError where this does not work.
        """
        first = self.const.UC_ARM_REG_R0 if self.is_arm else self.const.UC_RISCV_REG_X0
        low, high = (0, 13) if self.is_arm else (1, 32)
        values = [0x5A000000 + i * 0x01357 for i in range(high)]
        for i in range(low, high):
            self.uc.reg_write(first + i, values[i])
        pattern = struct.pack(f"<{high - low}I", *values[low:high])
        start = None
        for found in _search_state(self.handle.value or 0, pattern):
            probe_value = 0x13572468 ^ found & 0xFFFFFFF
            self.uc.reg_write(first + 5, probe_value)
            if ctypes.c_uint32.from_address(found + 4 * (5 - low)).value == probe_value:
                start = found - 4 * low
                break
            self.uc.reg_write(first + 5, values[5])
        if start is None:
            raise ToolError("Unicorn: its register file was not found in memory; use Unicorn 2.1.x")
        registers = (ctypes.c_uint32 * count).from_address(start)
        for i in range(low, high):
            self.uc.reg_write(first + i, 0)
        self.probe.face.registers = start
        return registers

    def map_memory(self, base: int, memory: Memory, size: int, writable: bool) -> None:
        protection = _PROT_READ | _PROT_EXEC | (_PROT_WRITE if writable else 0)
        error = self.lib.uc_mem_map_ptr(
            self.handle, ctypes.c_uint64(base), ctypes.c_size_t(size), protection, ctypes.c_void_p(memory.address)
        )
        self._check(error, f"memory at {base:#x}")

    def map_device(self, base: int, size: int, read: ReadDevice, write: WriteDevice) -> None:
        """Route [base, base+size) to *read* (address, size) and *write* (address, size, value)."""

        def on_read(_uc: int, offset: int, width: int, _user: int) -> int:
            return read(base + offset, width)

        def on_write(_uc: int, offset: int, width: int, value: int, _user: int) -> None:
            write(base + offset, width, value)

        callbacks = (_READ(on_read), _WRITE(on_write))
        self._callbacks += callbacks
        error = self.lib.uc_mmio_map(
            self.handle, ctypes.c_uint64(base), ctypes.c_size_t(size),
            ctypes.cast(callbacks[0], ctypes.c_void_p), None, ctypes.cast(callbacks[1], ctypes.c_void_p), None,
        )  # fmt: skip
        self._check(error, f"device at {base:#x}")

    # -- registers ------------------------------------------------------------------------------------------

    def get(self, register: int) -> int:
        self.lib.uc_reg_read(self.handle, register, self._word_at)
        return self._word.value

    def set(self, register: int, value: int) -> None:
        self._word.value = value & 0xFFFFFFFF
        self.lib.uc_reg_write(self.handle, register, self._word_at)

    def _batch(self, registers: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Arrays of numbers, of values and of pointers to these, for one call on all *registers*."""
        found = self._batches.get(registers)
        if found is None:
            count = len(registers)
            values = (ctypes.c_uint32 * count)()
            start = ctypes.addressof(values)
            pointers = (ctypes.c_void_p * count)(*(start + 4 * i for i in range(count)))
            found = self._batches[registers] = ((ctypes.c_int * count)(*registers), values, pointers)
        return found

    def get_all(self, registers: tuple[int, ...]) -> list[int]:
        """Values of *registers*, in one call."""
        numbers, values, pointers = self._batch(registers)
        self.lib.uc_reg_read_batch(self.handle, numbers, pointers, len(registers))
        return values[:]  # type: ignore[no-any-return]

    def set_all(self, registers: tuple[int, ...], new: tuple[int, ...]) -> None:
        """Write *registers* in this order, in one call."""
        numbers, values, pointers = self._batch(registers)
        values[:] = new
        self.lib.uc_reg_write_batch(self.handle, numbers, pointers, len(registers))

    @property
    def pc(self) -> int:
        return self.get(self.const.UC_ARM_REG_PC if self.is_arm else self.const.UC_RISCV_REG_PC)

    @pc.setter
    def pc(self, value: int) -> None:
        self.set(self.const.UC_ARM_REG_PC if self.is_arm else self.const.UC_RISCV_REG_PC, value | int(self.is_arm))

    # -- running --------------------------------------------------------------------------------------------

    def run(self, pc: int) -> int:
        """Run from *pc* until a hook stops it or it cannot go on; returns Unicorn's error number (0: stopped)."""
        self.probe.face.reason = probe_core.RUNNING
        self.invalid = (0, 0)
        return int(self.lib.uc_emu_start(self.handle, pc | int(self.is_arm), _NOWHERE, 0, 0))

    def close(self) -> None:
        self.uc = None
        self._callbacks.clear()


def _search_state(handle: int, pattern: bytes) -> Iterator[int]:
    """Addresses of *pattern* behind the pointers at the front of Unicorn's handle; stale copies may be among them."""
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        yield from _search_state_directly(handle, pattern)
        return
    try:
        head = os.pread(memory, 4096, handle)
        for (pointer,) in struct.iter_unpack("<Q", head[: len(head) & ~7]):
            if not 0x10000 <= pointer < 1 << 47:
                continue
            try:
                content = os.pread(memory, 0x40000, pointer)
            except OSError:
                continue
            at = content.find(pattern)
            while at >= 0:
                yield pointer + at
                at = content.find(pattern, at + 4)
    finally:
        os.close(memory)


def _search_state_directly(handle: int, pattern: bytes) -> Iterator[int]:
    """As above where a process cannot read itself safely: the CPU object is the pointer at a known place."""
    for offset in (440, 448, 432, 24, 48):
        pointer = ctypes.c_uint64.from_address(handle + offset).value
        if 0x10000 <= pointer < 1 << 47:
            at = ctypes.string_at(pointer, 0x10000).find(pattern)
            if at >= 0:
                yield pointer + at
