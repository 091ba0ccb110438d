"""What the core has done since reset, under the names that power states price: ``mac``, ``branch``, ``instruction``, ...

Counts of instructions come from the probe's block table: executions of each block times what the timing model found in it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

BY_CLASS = frozenset({"mac", "branch"})
_FLASH = frozenset({"flash", "external", "rom"})
_ACCESSES = {
    "load": ("reads", None),
    "store": ("writes", None),
    "flash_read": ("reads", True),
    "flash_write": ("writes", True),
    "ram_read": ("reads", False),
    "ram_write": ("writes", False),
}
"""Name -> what of a region is counted, and whether of flash, of anything else, or of both (None)."""


class ActivityCounter:
    """Cumulative counts of a machine, by name; names that nothing counts are absent."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._known: dict[str, tuple[int, Any, Any]] = {}
        self._arrays: list[int] | None = None
        self._values: Any = None
        self._last: tuple[int, tuple[str, ...], dict[str, int]] = (-1, (), {})

    def __call__(self, names: Sequence[str]) -> dict[str, int]:
        """Counts up to the last block that was executed; the same object while nothing was."""
        machine = self._machine
        face, wanted = machine.face, tuple(names)
        if self._last[:2] == (face.instructions, wanted):
            return self._last[2]
        counts: dict[str, int] = {}
        for name in wanted:
            if name in BY_CLASS:
                counts[name] = self._of_class(name)
            elif name == "instruction":
                counts[name] = face.instructions
            elif name == "cycle":
                counts[name] = (face.cycles_q8 - machine.idle_q8) >> 8
            elif name == "stall_cycle":
                counts[name] = face.stall_q8 >> 8
            elif name in _ACCESSES:
                counts[name] = self._accesses(*_ACCESSES[name])
            elif name == "flash_array_read" and machine.probe.memory:
                counts[name] = self._array_reads()
        self._last = face.instructions, wanted, counts
        return counts

    def _accesses(self, what: str, of_flash: bool | None) -> int:
        """Data accesses of the core since reset, of the memories of that kind; what is no memory is in neither kind."""
        machine = self._machine
        memories, face = machine.platform.soc.memories, machine.face
        total = 0
        for i in range(face.regions):
            name = machine.space.region_names[i]
            if of_flash is None or (name in memories and (memories[name].kind in _FLASH) is of_flash):
                total += getattr(face.region[i], what)
        return int(total)

    def _array_reads(self) -> int:
        """Reads of the flash arrays; this is asked at each change of state, so that the names are looked up once."""
        probe = self._machine.probe
        if self._arrays is None:
            names = list(probe.memory_counters())
            self._arrays = [i for i, name in enumerate(names) if name.endswith("_reads")]
            self._values = (ctypes.c_uint64 * len(names))()
        probe.library.em_counters(probe.memory, self._values, len(self._values))
        return sum(self._values[i] for i in self._arrays)

    def _of_class(self, name: str) -> int:
        """Executed instructions of class *name*: over the blocks that have any, executions times how many."""
        import numpy as np

        machine = self._machine
        classes = machine.table.classes
        blocks, indices, each = self._known.get(name, (0, None, None))
        if indices is None or blocks != len(classes):
            found = [(i, own[name]) for i, own in enumerate(classes) if own.get(name)]
            indices = np.array([i for i, _ in found], np.int64)
            each = np.array([n for _, n in found], np.int64)
            self._known[name] = len(classes), indices, each
        if not len(indices):
            return 0
        first = ctypes.addressof(machine.face.count.contents)
        executed: Any = np.ctypeslib.as_array((ctypes.c_int64 * len(classes)).from_address(first))
        return int(executed[indices] @ each)
