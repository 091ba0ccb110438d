"""The accesses that Renode's profiler saw, from the file it writes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulab.errors import ToolError
from emulab.probe.profile import RegionCount

_ENTRY = struct.Struct("<qdB")
_PERIPHERAL = struct.Struct("<BQ")
_INSTRUCTIONS, _MEMORY, _PERIPHERALS, _EXCEPTION = range(4)
_WRITES = (1, 3)  # MemoryIOWrite, MemoryWrite
MEMORY = "memory"
"""Region of every access that is not one to a peripheral: Renode does not say to which memory."""


@dataclass(frozen=True, slots=True)
class Access:
    """One access the profiler saw. ``address`` is None for memory."""

    time_s: float
    write: bool
    address: int | None


class Metrics:
    """The file of ``machine EnableProfiler``: header (CPUs, peripherals and their ranges), then entries.

    Source: Renode 1.16, Emulator/Main/Logging/Profiler (ProfilerHeader, ProfilerEntry), little-endian, packed.
    Raises ToolError where the file is not one; an entry cut short at the end is left out.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._data = file.read_bytes()
        except OSError as error:
            raise ToolError(f"{file}: {error.strerror or error}") from None
        self._at = 0
        self.peripherals: dict[str, tuple[int, int]] = {}
        """name -> first and last address"""
        if not self._data:
            return
        try:
            for _ in range(self._int()):
                self._int()
                self._text()
            for _ in range(self._int()):
                name = self._text()
                self.peripherals[name] = struct.unpack_from("<QQ", self._data, self._skip(16))
        except (struct.error, ValueError):
            raise ToolError(f"{file}: not what Renode's profiler writes") from None

    def _skip(self, size: int) -> int:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("cut short")
        return self._at - size

    def _int(self) -> int:
        value = int(struct.unpack_from("<i", self._data, self._skip(4))[0])
        if value < 0:
            raise ValueError("a negative count")
        return value

    def _text(self) -> str:
        size = self._int()
        if size >= 1 << 16:
            raise ValueError("no length of a name")
        start = self._skip(size)
        return self._data[start : start + size].decode("ascii", "replace")

    def accesses(self) -> Iterator[Access]:
        """All accesses in order."""
        sizes = {_INSTRUCTIONS: 12, _MEMORY: 1, _PERIPHERALS: _PERIPHERAL.size, _EXCEPTION: 8}
        at, data = self._at, self._data
        while at + _ENTRY.size <= len(data):
            _, time_ms, kind = _ENTRY.unpack_from(data, at)
            at += _ENTRY.size
            if kind not in sizes:
                raise ToolError(f"Renode's profiler wrote an entry of unknown type {kind}")
            if at + sizes[kind] > len(data):
                return
            if kind == _MEMORY:
                yield Access(time_ms * 1e-3, data[at] in _WRITES, None)
            elif kind == _PERIPHERALS:
                operation, address = _PERIPHERAL.unpack_from(data, at)
                yield Access(time_ms * 1e-3, operation in _WRITES, address)
            at += sizes[kind]

    def name_of(self, address: int) -> str:
        """Peripheral at *address*, without Renode's ``sysbus.``; ``device`` where there is none."""
        for name, (first, last) in self.peripherals.items():
            if first <= address <= last:
                return name.rpartition(".")[2]
        return "device"

    def counts(self) -> dict[str, RegionCount]:
        """Accesses by peripheral, and to memory; Renode does not tell their size, so no bytes."""
        totals: dict[str, list[int]] = {}
        for access in self.accesses():
            name = MEMORY if access.address is None else self.name_of(access.address)
            totals.setdefault(name, [0, 0])[access.write] += 1
        return {name: RegionCount(reads, writes, 0, 0) for name, (reads, writes) in totals.items()}
