"""Where in an image a marker's store stands, for backends that see what is executed better than what is stored.

``EMULAB_MARKER`` of ``emulab.h`` makes the variable's address beside the store: on Thumb-2 ``movw``, ``movt`` and
``str`` of one register, on RV32 ``lui`` and ``sw``. These bytes hold the whole address, so that finding them is finding
the marker. On cores without such instructions (Armv6-M) the compiler loads the address from memory: nothing is found.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.firmware.image import Image


def marker_sites(image: Image, address: int) -> tuple[int, ...]:
    """Addresses of the instructions that store to the marker variable at *address*; empty where none is told."""
    patterns = [_thumb(register, address) for register in range(15) if register != 13]
    patterns += [_rv32(register, address) for register in range(1, 32)]
    found = set()
    for base, data in image.segments:
        for pattern, store in patterns:
            at = data.find(pattern)
            while at >= 0:
                if (base + at) % 2 == 0:
                    found.add(base + at + store)
                at = data.find(pattern, at + 1)
    return tuple(sorted(found))


def _thumb(register: int, address: int) -> tuple[bytes, int]:
    """(code, offset of the store): MOVW (T3), MOVT (T1), STR (T1, of r8 and up T3) without an offset, Armv7-M ARM A7.7."""
    halves = []
    for opcode, part in ((0xF240, address & 0xFFFF), (0xF2C0, address >> 16)):
        halves.append(opcode | (part >> 11 & 1) << 10 | part >> 12)
        halves.append((part >> 8 & 7) << 12 | register << 8 | part & 0xFF)
    if register < 8:
        halves.append(0x6000 | register << 3 | register)
    else:
        halves += [0xF8C0 | register, register << 12]
    return struct.pack(f"<{len(halves)}H", *halves), 8


def _rv32(register: int, address: int) -> tuple[bytes, int]:
    """(code, offset of the store): LUI and SW; the store's offset is signed, so the upper part is rounded (RV32I 2.4)."""
    low = address & 0xFFF
    high = address + 0x800 & 0xFFFFF000
    store = low >> 5 << 25 | register << 20 | register << 15 | 0b010 << 12 | (low & 0x1F) << 7 | 0x23
    return struct.pack("<2I", high | register << 7 | 0x37, store), 4
