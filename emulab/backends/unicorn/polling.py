"""Skip what a polling loop does until the next event: same registers, same stack, same value read, same period.

A loop that reads up to a few device registers, changes nothing and finds the same values each time will go on doing so until
the next event on the clock. Its iterations up to there are added at once, to time and to the counts, which leaves
every number as if they had been executed.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from emulab.errors import FirmwareFault
from emulab.probe import core as probe_core

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

_REPEATS = 3
_READS_IN_LOOP = 4
_STACK_BELOW, _STACK_ABOVE = 64, 64


class PollSkipper:
    """Watches device reads for a polling loop."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.is_arm = machine.engine.is_arm
        self._size = (15 if self.is_arm else 32) * 4
        self._stack = 13 if self.is_arm else 2
        self._key: tuple[int, int, int] = (-1, 0, 0)
        self._state: tuple[bytes, bytes] = (b"", b"")
        self._at, self._repeats = 0, 0
        self._others: tuple[tuple[int, int, int], ...] = ()
        self._pattern: tuple[tuple[tuple[int, int, int], ...], int] | None = None
        self._counts: tuple[bytes, bytes, bytes] | None = None
        self._refused: set[tuple[int, int]] = set()
        self.endless = False
        """The loop in which the CPU is was skipped up to the deadline."""

    def forget(self) -> None:
        """The CPU goes on after a pause: what happened in it may end the loop."""
        self._key, self._others, self._pattern = (-1, 0, 0), (), None
        self.endless = False
        self._repeats = 0

    saw_write = forget

    def saw_read(self, address: int, value: int, at_q8: int) -> None:
        face = self.machine.face
        key = (address, value, face.current)
        if key != self._key:
            self._others += (key,)
            if len(self._others) > _READS_IN_LOOP:
                self._key, self._at, self._others, self._pattern = key, at_q8, (), None
                self._counts = None
                self.endless = False
            return
        pattern = (self._others, at_q8 - self._at)
        self._others, self._at = (), at_q8
        if pattern != self._pattern:
            self._pattern, self._repeats, self._counts = pattern, 0, None
            return
        self._repeats += 1
        if self._repeats < _REPEATS or (address, face.current) in self._refused:
            return
        state = self._snapshot()
        if state != self._state:
            self._state, self._counts = state, None
            return
        if self._counts is None:
            self._counts = self._copy()
            return
        self._skip(address, pattern[1])

    @property
    def repeating(self) -> bool:
        """The last reads were the same ones again and again, with the same values, whether that could be skipped or not."""
        return self.endless or self._repeats >= _REPEATS

    def _snapshot(self) -> tuple[bytes, bytes]:
        registers = self.machine.engine.registers
        stack = registers[self._stack]
        try:
            words = self.machine.peek(stack - _STACK_BELOW, _STACK_BELOW + _STACK_ABOVE)
        except FirmwareFault:
            words = b""
        return ctypes.string_at(ctypes.addressof(registers), self._size), words

    def _copy(self) -> tuple[bytes, bytes, bytes]:
        face = self.machine.face
        size = 8 * face.blocks
        return (
            ctypes.string_at(face.count, size),
            ctypes.string_at(face.taken, size),
            ctypes.string_at(face.stalls_q8, size),
        )

    def _skip(self, address: int, period: int) -> None:
        face, table = self.machine.face, self.machine.table
        before = self._counts
        assert before is not None
        if len(before[0]) != 8 * face.blocks:
            self._counts = None
            return
        now = ctypes.string_at(face.count, 8 * face.blocks)
        if now == before[0] or period <= 0:
            self._counts = None
            return
        import numpy as np

        changed = np.nonzero(np.frombuffer(now, np.uint64) != np.frombuffer(before[0], np.uint64))[0]
        if any(table.flags[i] & probe_core.BLOCK_STORES for i in changed.tolist()):
            self._refused.add((address, face.current))
            return
        times = (face.deadline_q8 - self._at) // period - 1
        if times > 0:
            buffers = [ctypes.create_string_buffer(b, len(b)) for b in before]
            self.machine.probe.library.em_probe_repeat(self.machine.probe.handle, *buffers, times)
            face.cycles_q8 += times * period
            face.block_start_q8 += times * period
            self._at += times * period
        self._counts = None
        self.endless = True

    def description(self) -> str:
        """The register being polled, and the value it keeps having."""
        address, value, _ = self._key
        found = self.machine.device_at(address)
        if found is None:
            return f"polls {address:#010x}, which stays {value:#x} since no peripheral is there"
        peripheral, offset = found
        name = peripheral.register_name(offset) or f"+{offset:#x}"
        return f"polls {peripheral.name}.{name} ({address:#010x}), which stays {value:#010x}"
