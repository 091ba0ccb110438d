"""The memory protection unit of Armv7-M (ARM B3.5) and Armv8-M (ARM D1, PMSAv8): its registers, and what they forbid.

Reads and writes of privileged code are refused as the regions say; not modelled: unprivileged access, execute-never,
memory attributes. Where two regions of Armv8-M overlap, the one with the higher number counts, as on Armv7-M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

TYPE, CONTROL, NUMBER, BASE, LAST = 0xED90, 0xED94, 0xED98, 0xED9C, 0xEDB8
_ENABLE, _BACKGROUND = 1, 4
_WHOLE = 1 << 32


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Addresses [start, end) that must not be written, nor read where *reads*; *region*: which one says so, -1 none."""

    start: int
    end: int
    reads: bool
    region: int


class Mpu:
    """Registers of the unit; offsets are from 0xE0000000."""

    def __init__(self, regions: int, v8: bool) -> None:
        self.regions, self.v8 = regions, v8
        self.control = self.number = 0
        self.base, self.size = [0] * regions, [0] * regions  # RBAR; RASR or RLAR

    def read(self, offset: int) -> int:
        if offset == TYPE:
            return self.regions << 8
        if offset == CONTROL:
            return self.control
        if offset == NUMBER:
            return self.number
        number = self._region_at(offset)
        if number >= self.regions:
            return 0
        if (offset - BASE) & 4:
            return self.size[number]
        return self.base[number] if self.v8 else self.base[number] & ~0x1F | number & 0xF

    def write(self, offset: int, value: int) -> None:
        if offset == CONTROL:
            self.control = value & 7
        elif offset == NUMBER:
            self.number = value & 0xFF
        elif offset >= BASE:
            if not self.v8 and not (offset - BASE) & 4 and value & 0x10:  # RBAR.VALID: with the number of the region
                self.number = value & 0xF
            number = self._region_at(offset)
            if number < self.regions:
                (self.size if (offset - BASE) & 4 else self.base)[number] = value & 0xFFFFFFFF

    def _region_at(self, offset: int) -> int:
        """Aliases: of one region each on Armv8-M, all of that in MPU_RNR on Armv7-M."""
        alias = (offset - BASE) // 8
        return (self.number & ~3) + alias if self.v8 and alias else self.number

    def _rules(self) -> Iterator[tuple[int, int, bool, bool, int]]:
        """(start, end, readable, writable, region) of what is enabled, the weakest first."""
        if not self.control & _BACKGROUND:
            yield 0, 0xE0000000, False, False, -1
        for number in range(self.regions):
            base, size = self.base[number], self.size[number]
            if not size & 1:
                continue
            if self.v8:
                yield base & ~0x1F, (size | 0x1F) + 1, True, not base >> 2 & 1, number
                continue
            length = 2 << (size >> 1 & 0x1F)
            start, access = base & ~(length - 1) & 0xFFFFFFE0, size >> 24 & 7
            readable, writable = access != 0, access in (1, 2, 3)
            part, off = length // 8, size >> 8 & 0xFF if length >= 256 else 0
            for i in range(8 if off else 1):
                if not off >> i & 1:
                    first = start + i * part
                    yield first, first + part if off else start + length, readable, writable, number

    def forbidden(self) -> list[Forbidden]:
        """What may not be accessed, in order of addresses; empty while the unit is off."""
        if not self.control & _ENABLE:
            return []
        rules = list(self._rules())
        edges = sorted({min(e, _WHOLE) for r in rules for e in r[:2]})
        found: list[Forbidden] = []
        for start, end in pairwise(edges):
            rule = next((r for r in reversed(rules) if r[0] <= start and end <= r[1]), None)
            if rule is None or rule[3]:
                continue
            last = found[-1] if found else None
            if last and last.end == start and (last.reads, last.region) == (not rule[2], rule[4]):
                found[-1] = Forbidden(last.start, end, last.reads, last.region)
            else:
                found.append(Forbidden(start, end, not rule[2], rule[4]))
        return found


class Protection:
    """Keeps the probe informed of what the unit forbids: it stops before a block that would do it."""

    def __init__(self, machine: Machine, unit: Mpu) -> None:
        self.machine, self.unit = machine, unit
        self._guards = False

    def changed(self) -> None:
        """A register was written."""
        forbidden = self.unit.forbidden()
        if forbidden or self._guards:
            self.machine.probe.guard([(f.start, f.end, f.reads) for f in forbidden])
        self._guards = bool(forbidden)

    def refused(self, block: int, instruction: int) -> int:
        """Address of the instruction whose access is refused; what stands before it in its block has not run."""
        offsets = self.machine.table.offsets[self.machine.face.current]
        return block + (offsets[instruction] if instruction < len(offsets) else 0)
