"""The esptool loader: esptool itself, unmodified, writes to a simulated boot loader; interruptions and wrong bytes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from esp_rom import EspRom

from emulab.errors import ToolError
from emulab.lab.flash import FlashJob, flash_with_retries, open_loader
from emulab.lab.flash import base as flash_base

pytest.importorskip("esptool", reason="esptool is not installed: pip install 'emulab[hardware]'")
IMAGE = bytes(random.Random(6).randbytes(40_000)) + bytes(20_000)


@pytest.fixture
def rom() -> Iterator[EspRom]:
    rom = EspRom()
    yield rom
    rom.close()


@pytest.fixture
def job(rom: EspRom, tmp_path: Path) -> FlashJob:
    (tmp_path / "app.bin").write_bytes(IMAGE)
    return FlashJob(tmp_path / "app.bin", "bin", 0x10000, rom.port)


def test_written_and_verified(rom: EspRom, job: FlashJob) -> None:
    assert flash_with_retries(open_loader("esptool"), job, "esptool", 3)[-1] == (
        "flashed and verified app.bin with esptool at 0x10000"
    )
    assert rom.flash[0x10000 : 0x10000 + len(IMAGE)] == IMAGE
    assert rom.flash[:0x10000].count(0xFF) == 0x10000


def test_a_wrong_byte_is_found(rom: EspRom, job: FlashJob) -> None:
    rom.spoil = 0x10010
    for _ in range(4):
        with pytest.raises(
            ToolError, match=r"--flash esptool: failed \(\d+\): .*run again, or give --flash-retr"
        ) as said:
            open_loader("esptool").flash(job)
        if "MD5" in str(said.value):
            break
    assert "MD5" in str(said.value)


def test_interrupted_then_whole(rom: EspRom, job: FlashJob) -> None:
    """The line goes dead within the write; the second attempt finds it alive."""

    class Loader:
        def flash(self, job: FlashJob) -> str:
            rom.silent_after = 1 if rom.attempts == 0 else None
            return open_loader("esptool").flash(job)

    # esptool waits as long as it thinks right, whatever the host is busy with: it may need a further attempt.
    said = flash_with_retries(Loader(), job, "esptool", 4)
    assert len(said) >= 2 and said[0].startswith("flashed again, attempt 2 of 5: --flash esptool: failed")
    assert said[-1].startswith("flashed and verified")
    assert rom.flash[0x10000 : 0x10000 + len(IMAGE)] == IMAGE


def test_retries_end(job: FlashJob, monkeypatch: pytest.MonkeyPatch) -> None:
    class Never:
        tried = 0

        def flash(self, job: FlashJob) -> str:
            self.tried += 1
            raise ToolError("--flash x: no")

    loader = Never()
    with pytest.raises(ToolError, match=r"--flash x: no \(tried 3 times\)"):
        flash_with_retries(loader, job, "x", 2)
    assert loader.tried == 3

    class Impatient:
        def flash(self, job: FlashJob) -> str:
            raise KeyboardInterrupt

    with pytest.raises(ToolError, match="interrupted; the board's flash is not whole: run again"):
        flash_with_retries(Impatient(), job, "x", 2)


def test_a_loader_that_is_killed() -> None:
    with pytest.raises(ToolError, match="ended by signal 9; flashing was interrupted, the board's flash is not whole"):
        flash_base.run_program([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "x")
