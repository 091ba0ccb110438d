"""Flash by copying a UF2 file to the board's drive: ``--flash uf2:DRIVE``. Format: github.com/microsoft/uf2."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from emulab.errors import InputError, ToolError
from emulab.lab.flash.base import AGAIN, FlashJob

MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
PAYLOAD = 256
FAMILY_PRESENT = 0x2000
GONE_S = 20.0


def encode(segments: Iterable[tuple[int, bytes]], family: int = 0) -> bytes:
    """Segments as UF2 blocks of 256 bytes, aligned to 256; gaps within a block are 0xFF as in erased flash."""
    pages: dict[int, bytearray] = {}
    for address, data in segments:
        for offset, byte in enumerate(data):
            page, place = divmod(address + offset, PAYLOAD)
            pages.setdefault(page, bytearray(b"\xff" * PAYLOAD))[place] = byte
    blocks = []
    flags = FAMILY_PRESENT if family else 0
    for index, page in enumerate(sorted(pages)):
        head = struct.pack("<8I", MAGIC[0], MAGIC[1], flags, page * PAYLOAD, PAYLOAD, index, len(pages), family)
        blocks.append(head + bytes(pages[page]).ljust(476, b"\0") + struct.pack("<I", MAGIC[2]))
    return b"".join(blocks)


def decode(data: bytes) -> list[tuple[int, bytes]]:
    """Blocks of a UF2 file as (address, bytes). InputError when it is not one."""
    if not data or len(data) % 512:
        raise InputError(f"UF2: {len(data)} bytes are no whole number of 512-byte blocks")
    found = []
    for number in range(len(data) // 512):
        block = data[number * 512 : number * 512 + 512]
        start0, start1, _, address, size, index, total, _ = struct.unpack_from("<8I", block)
        if (start0, start1, struct.unpack_from("<I", block, 508)[0]) != MAGIC:
            raise InputError(f"UF2: block {number} does not begin and end with the magic numbers")
        if size > 476 or index != number or total != len(data) // 512:
            raise InputError(f"UF2: block {number} says it is {index} of {total} with {size} bytes")
        found.append((address, block[32 : 32 + size]))
    return found


class Uf2:
    """Copies to the boot loader's drive. The boot loader checks each block and leaves when all came: that is
    verified."""

    def flash(self, job: FlashJob) -> str:
        from emulab.firmware.image import load_image

        drive = Path(job.probe)
        info = drive / "INFO_UF2.TXT"
        if not job.probe or not info.is_file():
            raise ToolError(
                f"--flash uf2: {drive if job.probe else 'no drive named'}: expected the board's UF2 drive with "
                "INFO_UF2.TXT (uf2:/media/you/RPI-RP2); double-press reset to get it"
            )
        if job.image.suffix.lower() == ".uf2":
            data = job.image.read_bytes()
            decode(data)
        else:
            family = int(str(job.options.get("uf2_family", "0")), 0)
            data = encode(load_image(job.image, job.base).segments, family)
        try:
            with open(drive / "FIRMWARE.UF2", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            # Some boot loaders leave before the file is closed: then the drive is gone, which is the proof looked for.
            if info.exists():
                raise ToolError(f"--flash uf2: {drive}: the write failed ({error.strerror}); {AGAIN}") from None
        deadline = time.monotonic() + GONE_S
        while info.exists():
            if time.monotonic() > deadline:
                raise ToolError(
                    f"--flash uf2: {drive}: the boot loader did not accept the image (wrong family or base?)"
                )
            time.sleep(0.1)
        return f"flashed {job.image.name} over UF2; the boot loader accepted {len(data) // 512} blocks"
