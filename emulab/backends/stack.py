"""How deep the stack went: the region it may use, painted before the run, looked at after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.firmware.image import Image

PAINT = b"\xa5\x5a\xc3\x3c"
"""A word of paint in memory; emulab's own start-up code paints with the same (``firmware.board.STACK_PATTERN``)."""


@dataclass(frozen=True, slots=True)
class StackRegion:
    """[low, high), word-aligned; the stack grows down from ``high``."""

    low: int
    high: int
    painted_by_firmware: bool = False

    def paint(self) -> bytes:
        return PAINT * ((self.high - self.low) // 4)

    def used_bytes(self, content: bytes) -> int:
        """Bytes from ``high`` down to the lowest word that is not paint; *content* is the region after the run."""
        for offset in range(0, len(content) & ~3, 4):
            if content[offset : offset + 4] != PAINT:
                return self.high - self.low - offset
        return 0


_RISCV_NAMES = ("__stack_top", "_stack_top", "__StackTop", "_estack", "_sp")


def riscv_initial_sp(image: Image) -> int:
    """Top of a RISC-V image's stack by the names that linker scripts give it; 0 where it has none of them."""
    return next((image.symbols[name].address for name in _RISCV_NAMES if name in image.symbols), 0)


def stack_region(
    image: Image, initial_sp: int, memory_of: Callable[[int], tuple[int, int] | None]
) -> StackRegion | None:
    """Where *image* may have its stack, None where that cannot be told (no ELF, something of the program within).

    *initial_sp* is what the core starts with (0 if firmware sets it); *memory_of* gives (first address, end) of the memory
    that holds an address. The stack lies between the program's data and the initial stack pointer; emulab's own firmware
    says where by symbols.
    """
    low, high = (image.symbols.get(f"emulab_stack_{end}") for end in ("low", "high"))
    if low is not None and high is not None and high.address > low.address:
        return StackRegion(low.address, high.address, painted_by_firmware=True)
    if image.format != "elf" or not initial_sp:
        return None
    below = [address + size for address, size in image.footprint if address < initial_sp]
    memory = memory_of(initial_sp - 4)
    if memory is None or not below:
        return None
    bottom = max([memory[0], *(end for end in below if end <= initial_sp)])
    bottom = (bottom + 3) & ~3
    if initial_sp - bottom < 16 or any(a < initial_sp and a + n > bottom for a, n in image.footprint):
        return None
    return StackRegion(bottom, bottom + ((initial_sp - bottom) & ~3))
