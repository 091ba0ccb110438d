"""What the machine's tests share: platforms in small, images from machine code, the folder of vendor firmware."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from intelhex import IntelHex

from emulab.backends.base import SessionOptions
from emulab.backends.unicorn.session import UnicornSession
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform

BASE = 0x08000000
CODE = BASE + 0x200


@pytest.fixture(scope="session")
def firmware_folder() -> Path:
    """Folder of third-party images named as in the index; the test skips without it."""
    folder = os.environ.get("EMULAB_FIRMWARE", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs EMULAB_FIRMWARE, a folder with the DUT images of mlcommons/tiny_results_v1.1 to v1.3")
    return Path(folder)


@pytest.fixture
def thumb(tmp_path: Path) -> Callable[..., UnicornSession]:
    """Open a session on Thumb machine code: halfwords at ``CODE``, and a vector table with handlers by number."""
    sessions: list[UnicornSession] = []

    def start(
        code: list[int], handlers: dict[int, int] | None = None, platform: str = "nucleo-l4r5zi", base: int = BASE
    ) -> UnicornSession:
        vectors = [0x20010000, base + CODE - BASE | 1] + [0] * 126
        for number, address in (handlers or {}).items():
            vectors[number] = address | 1
        image = struct.pack(f"<{len(vectors)}I", *vectors) + struct.pack(f"<{len(code)}H", *code)
        hexfile = IntelHex()
        hexfile.frombytes(image, base)
        path = tmp_path / f"image{len(sessions)}.hex"
        hexfile.write_hex_file(str(path))
        session = UnicornSession(load_platform(platform).platform, load_image(path), SessionOptions())
        sessions.append(session)
        return session

    yield start  # type: ignore[misc]
    for session in sessions:
        session.close()
