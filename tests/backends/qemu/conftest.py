"""Firmware of the QEMU tests, and the skips where QEMU or a compiler is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.firmware.image import Image, load_image
from emulab.model.platform import Platform, load_platform
from emulab.model.scenario import Window

SCRIPT = """
SECTIONS {
  . = 0; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  . = 0x20000000; .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.ARM.*) *(.comment) }
}
"""


def compile_behaviours(folder: Path) -> Image:
    """The test firmware, compiled with zig for a Cortex-M4."""
    (folder / "link.ld").write_text(SCRIPT)
    source = Path(__file__).with_name("behaviours.c")
    flags = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-O2", "-ffreestanding", "-fno-builtin"]
    flags += ["-nostdlib", "-fno-vectorize", "-fno-unroll-loops", "-fno-sanitize=undefined", "-fno-unwind-tables"]
    flags += ["-fno-asynchronous-unwind-tables", "-T", str(folder / "link.ld"), "-Wl,--entry=0", str(source)]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", str(folder / "behaviours.elf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return load_image(folder / "behaviours.elf")


@pytest.fixture(scope="session")
def behaviours(tmp_path_factory: pytest.TempPathFactory) -> Image:
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    return compile_behaviours(tmp_path_factory.mktemp("behaviours"))


@pytest.fixture(scope="session")
def mps2() -> Platform:
    return load_platform("mps2-an386").platform


@pytest.fixture(scope="session")
def qemu() -> Any:
    backend = load_backend("qemu")
    found = backend.available()
    if not found.available:
        pytest.skip(f"qemu: {found.reason}; {found.how_to_install}")
    return backend


WINDOWS = (
    Window(name="symbols", start="window_start", stop="window_stop"),
    Window(name="console", start="console:m-lap-us-1", stop="console:m-lap-us-2", inferences=2),
)


@pytest.fixture
def open_session(qemu: Any, mps2: Platform, behaviours: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a session that has booted. Its temporary files lie in ``tmp_path / 'tmp'``."""
    import tempfile

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    opened: list[Any] = []

    def start(windows: tuple[Window, ...] = WINDOWS, **options: Any) -> Any:
        session = qemu.open(mps2, behaviours, SessionOptions(windows=windows, **options))
        opened.append(session)
        assert read_until(session, b"m-ready\r\n")
        return session

    yield start
    for session in opened:
        session.close()
    assert not list((tmp_path / "tmp").iterdir()), "a session left temporary files"


def read_until(session: Any, text: bytes, limit_s: float = 120.0) -> bytes:
    """What the console said up to and with *text*."""
    import time

    said, deadline = b"", time.monotonic() + limit_s
    while text not in said:
        assert time.monotonic() < deadline, f"no {text!r} in {said!r}; {session.describe_state()}"
        said += session.console.read(1.0)
    return said


ReadUntil = Callable[..., bytes]


@pytest.fixture
def until() -> ReadUntil:
    return read_until
