"""An ELF of a few words, where a test needs an image that nobody executes."""

from __future__ import annotations

import struct
from pathlib import Path


def write_elf(path: Path, base: int = 0x08000000) -> Path:
    """A minimal Arm ELF: one segment with a vector table and a branch to itself."""
    code = struct.pack("<II", 0x20001000, base + 0xC1).ljust(0xC0, b"\0") + b"\xfe\xe7"
    identity = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head = struct.pack("<16sHHIIIIIHHHHHH", identity, 2, 40, 1, base + 0xC1, 52, 0, 0x5000200, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0x1000, base, base, len(code), len(code), 5, 0x1000)
    path.write_bytes((head + segment).ljust(0x1000, b"\0") + code)
    return path
