"""The memories of a machine: mapped with their aliases, loaded from an image, read and written by address."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulab.backends.unicorn.engine import Engine, Memory
from emulab.errors import FirmwareFault, InputError

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.probe.core import ProbeCore


class AddressSpace:
    """Every memory of *platform* at its base and aliases, known to engine and probe. ``region_names`` are the regions
    that the probe counts by number; *fault* makes the error of an access to where no memory is."""

    def __init__(
        self, platform: Platform, engine: Engine, probe: ProbeCore, fault: Callable[[str], FirmwareFault]
    ) -> None:
        self._platform, self._fault = platform, fault
        self.region_names: list[str] = []
        self._ranges: list[tuple[int, int, Memory]] = []  # base, size, memory
        for name, memory in platform.soc.memories.items():
            size = (memory.size_bytes + 0xFFF) & ~0xFFF
            content = Memory(size, memory.fill, memory.kind in ("flash", "rom"))
            for offset, word in memory.data.items():
                content.view[offset : offset + 4] = (word & 0xFFFFFFFF).to_bytes(4, "little")
            counter = self.region(name)
            bases = [memory.base, *memory.aliases]
            for alias in platform.soc.aliases:
                offset = memory.base - alias["target"]
                if 0 <= offset < alias["size_bytes"]:
                    bases.append(alias["base"] + offset)
            for base in dict.fromkeys(bases):
                engine.map_memory(base, content, size, memory.kind not in ("flash", "rom"))
                probe.add_region(base, size, content.address, counter)
                self._ranges.append((base, size, content))
        self._ranges.sort(key=lambda found: found[0])
        self._bases = [base for base, _, _ in self._ranges]

    def region(self, name: str) -> int:
        """Number under which the probe counts accesses to *name*."""
        if name not in self.region_names:
            self.region_names.append(name)
        return self.region_names.index(name)

    def load(self, image: Image) -> None:
        """Put *image* where it belongs. InputError for a segment that no memory holds."""
        for address, data in image.segments:
            found = self.at(address, len(data))
            if found is None:
                names = ", ".join(
                    f"{n} {m.base:#x}..{m.base + m.size_bytes - 1:#x}" for n, m in self._platform.soc.memories.items()
                )
                raise InputError(
                    f"{image.path}: {len(data)} bytes at {address:#x} are outside the memories of "
                    f"{self._platform.name} ({names}); is the image for another board?"
                )
            memory, offset = found
            memory.view[offset : offset + len(data)] = data

    def _below(self, address: int) -> int:
        """Index of the last memory that begins at or before *address*, -1 where none does."""
        return bisect.bisect_right(self._bases, address) - 1

    def at(self, address: int, size: int) -> tuple[Memory, int] | None:
        """The one memory that holds all of [address, address + size), and the offset in it."""
        index = self._below(address)
        if index < 0:
            return None
        base, length, memory = self._ranges[index]
        return (memory, address - base) if address + size <= base + length else None

    def joined(self, address: int) -> tuple[int, int] | None:
        """(base, end) of the memory that holds *address*, adjacent ones that firmware can write joined."""
        ranges: list[list[int]] = []
        joins = False
        for base, size, memory in self._ranges:
            if ranges and base <= ranges[-1][1] and joins and not memory.constant:
                ranges[-1][1] = max(ranges[-1][1], base + size)
            else:
                ranges.append([base, base + size])
            joins = not memory.constant
        return next(((a, b) for a, b in ranges if a <= address < b), None)

    def constant_word(self, address: int) -> int | None:
        """Word in flash or ROM at *address*; None elsewhere."""
        found = self.at(address, 4)
        if found is None or not found[0].constant:
            return None
        return int.from_bytes(found[0].view[found[1] : found[1] + 4], "little")

    def peek(self, address: int, size: int) -> bytes:
        """Bytes of memory at *address*; FirmwareFault where there is none (a bad stack pointer, for example)."""
        found = self.at(address, size)
        if found is not None:
            return found[0].view[found[1] : found[1] + size].tobytes()
        return b"".join(bytes(part) for part in self._views(address, size))

    def poke(self, address: int, data: bytes) -> None:
        """Write *data* to memory at *address*, as DMA and exception entry do."""
        found = self.at(address, len(data))
        if found is not None:
            found[0].view[found[1] : found[1] + len(data)] = data
            return
        done = 0
        for part in self._views(address, len(data)):
            part[:] = data[done : done + len(part)]
            done += len(part)

    def _views(self, address: int, size: int) -> list[memoryview]:
        """What holds [address, address + size): more than one part where adjacent memories meet."""
        parts: list[memoryview] = []
        left = size
        while left or not parts:
            index = self._below(address)
            offset = address - self._ranges[index][0] if index >= 0 else 0
            here = min(left, self._ranges[index][1] - offset) if index >= 0 else -1
            if here < 0 or (left and not here):
                raise self._fault(f"access to {address:#010x}, where there is no memory")
            parts.append(memoryview(self._ranges[index][2].view)[offset : offset + here])
            address, left = address + here, left - here
        return parts
