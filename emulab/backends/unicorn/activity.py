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


class ActivityCounter:
    """Cumulative counts of a machine, by name; names that nothing counts are absent."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._known: dict[str, tuple[int, Any, Any]] = {}
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
            elif name in ("load", "store"):
                regions = [face.region[i] for i in range(face.regions)]
                counts[name] = sum(r.reads if name == "load" else r.writes for r in regions)
        self._last = face.instructions, wanted, counts
        return counts

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
