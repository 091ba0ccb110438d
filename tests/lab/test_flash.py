"""Flash loaders: the command each runs, verification asked for and looked for, and failures said in one line."""

from __future__ import annotations

import os
import stat
import struct
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.errors import BackendUnavailable, EmulabError, InputError, ToolError
from emulab.lab.flash import FlashJob, loader_names, open_loader, uf2
from emulab.lab.flash import base as flash_base

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in for tools with shell scripts")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts a program of a name on the path that notes its arguments, prints a text and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def make(name, output, code=0, sleep=0):
        file = folder / name
        script = f'#!/bin/sh\nfor a in "$@"; do echo "$a"; done > {folder}/arguments\n'
        script += f"sleep {sleep}\ncat <<'EOT'\n{output}\nEOT\nexit {code}\n"
        file.write_text(script)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return lambda: (folder / "arguments").read_text().splitlines()

    return make


def job(tmp_path, suffix=".elf", **more):
    image = tmp_path / f"firmware{suffix}"
    image.write_bytes(bytes(104) if suffix == ".bin" else b"\x7fELF" + bytes(100))
    kind = {".elf": "elf", ".bin": "bin", ".hex": "hex"}[suffix]
    return FlashJob(image, kind, **more)


def test_openocd(tool, tmp_path):
    arguments = tool("openocd", "** Programming Finished **\n** Verified OK **")
    options = {"openocd_config": "board/st_nucleo_l4.cfg"}
    said = open_loader("openocd").flash(job(tmp_path, probe="066BFF", options=options))
    assert "verified" in said
    assert arguments()[:2] == ["-f", "board/st_nucleo_l4.cfg"]
    assert any("verify reset exit" in a and "firmware.elf" in a for a in arguments())
    assert "adapter serial 066BFF" in arguments()
    open_loader("openocd").flash(job(tmp_path, ".bin", base=0x08000000, options=options))
    assert arguments()[-1].endswith("exit 0x8000000")


@pytest.mark.parametrize(
    ("name", "program", "good", "options"),
    [
        ("openocd", "openocd", "** Verified OK **", {"openocd_config": "x.cfg"}),
        ("stm32cubeprogrammer", "STM32_Programmer_CLI", "Download verified successfully", {}),
        ("jlink", "JLinkExe", "Verify successful.\nO.K.", {"jlink_device": "nRF52840_xxAA"}),
    ],
)
def test_every_program_must_verify_and_may_fail(tool, tmp_path, name, program, good, options):
    loader = open_loader(name)
    tool(program, good)
    assert "verified" in loader.flash(job(tmp_path, options=options))
    tool(program, "all is well, I think")
    with pytest.raises(ToolError, match="not verified"):
        loader.flash(job(tmp_path, options=options))
    tool(program, "Info : something\nError: no device found\nmore", code=1)
    with pytest.raises(ToolError, match=r"failed \(1\): Error: no device found; run again, or give --flash-retries N"):
        loader.flash(job(tmp_path, options=options))


def test_interrupted_flashing_is_said(tool, tmp_path, monkeypatch):
    tool("openocd", "x", sleep=5)
    monkeypatch.setattr(flash_base, "LIMIT_S", 0.3)
    monkeypatch.setattr(flash_base.run_program, "__defaults__", (0.3, None))
    with pytest.raises(ToolError, match="interrupted, the board's flash is not whole"):
        open_loader("openocd").flash(job(tmp_path, options={"openocd_config": "x.cfg"}))


def test_missing_tools_and_options(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="apt-get install openocd"):
        open_loader("openocd").flash(job(tmp_path, options={"openocd_config": "x"}))
    with pytest.raises(InputError, match=r"backends\.hardware\.options\.openocd_config"):
        open_loader("openocd").flash(job(tmp_path))
    with pytest.raises(InputError, match="did you mean 'openocd'"):
        open_loader("open-ocd")
    with pytest.raises(InputError, match="expected a BIN"):
        open_loader("esptool").flash(job(tmp_path))
    assert set(loader_names()) >= {"pyocd", "openocd", "stm32cubeprogrammer", "jlink", "esptool", "uf2"}


def test_paths_cannot_break_out_of_the_tools_script(tmp_path):
    image = tmp_path / "a} exit; shutdown {.elf"
    image.write_bytes(b"x")
    with pytest.raises(InputError, match="braces"):
        open_loader("openocd").flash(FlashJob(image, "elf", options={"openocd_config": "x"}))


class FakeOcd:
    """Enough of pyOCD: a flash that can be told to keep a wrong byte."""

    def __init__(self, spoil=None, probe=True):
        self.memory = {}
        self.spoil, self.probe, self.was_reset = spoil, probe, False

    def modules(self):
        ocd = self

        class Error(Exception):
            pass

        class Session:
            def __enter__(self):
                return self

            def __exit__(self, *exception):
                return None

            @property
            def target(self):
                region = types.SimpleNamespace(is_flash=True)
                return types.SimpleNamespace(
                    memory_map=types.SimpleNamespace(get_region_for_address=lambda a: region),
                    read_memory_block8=lambda a, n: [ocd.memory[a + i] for i in range(n)],
                    reset=lambda: setattr(ocd, "was_reset", True),
                )

        class FileProgrammer:
            def __init__(self, session, progress):
                pass

            def program(self, path, file_format=None, base_address=0):
                data = Path(path).read_bytes()
                ocd.memory = {base_address + i: b for i, b in enumerate(data)}
                if ocd.spoil is not None:
                    ocd.memory[ocd.spoil] ^= 1

        helper = types.SimpleNamespace(session_with_chosen_probe=lambda **k: Session() if ocd.probe else None)
        return {
            "pyocd": types.ModuleType("pyocd"),
            "pyocd.core": types.ModuleType("pyocd.core"),
            "pyocd.core.exceptions": types.SimpleNamespace(Error=Error),
            "pyocd.core.helpers": types.SimpleNamespace(ConnectHelper=helper),
            "pyocd.flash": types.ModuleType("pyocd.flash"),
            "pyocd.flash.file_programmer": types.SimpleNamespace(FileProgrammer=FileProgrammer),
        }


def test_pyocd_reads_back_what_it_wrote(tmp_path, monkeypatch):
    given = job(tmp_path, ".bin", base=0x08000000, options={"pyocd_target": "stm32l4r5zi"})
    good = FakeOcd()
    for name, module in good.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    assert "verified" in open_loader("pyocd").flash(given)
    assert good.was_reset
    for name, module in FakeOcd(spoil=0x08000010).modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ToolError, match="differs from the image at 0x8000010"):
        open_loader("pyocd").flash(given)
    for name, module in FakeOcd(probe=False).modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ToolError, match="no debug probe found"):
        open_loader("pyocd").flash(given)


def test_uf2_round_trip_and_copy(tmp_path):
    data = uf2.encode([(0x10000000, bytes(range(256)) * 2), (0x10000400, b"abc")], family=0xE48BFF56)
    blocks = uf2.decode(data)
    assert [a for a, _ in blocks] == [0x10000000, 0x10000100, 0x10000400]
    assert blocks[2][1] == b"abc".ljust(256, b"\xff")
    assert struct.unpack_from("<I", data, 28)[0] == 0xE48BFF56
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader\n")

    def boot_loader():
        for _ in range(6000):
            if (drive / "FIRMWARE.UF2").exists() and (drive / "FIRMWARE.UF2").stat().st_size >= 512:
                (drive / "INFO_UF2.TXT").unlink()
                return
            time.sleep(0.01)

    threading.Thread(target=boot_loader, daemon=True).start()
    said = open_loader("uf2").flash(job(tmp_path, ".bin", base=0x10000000, probe=str(drive)))
    assert "accepted 1 blocks" in said
    with pytest.raises(ToolError, match="INFO_UF2"):
        open_loader("uf2").flash(job(tmp_path, ".bin", base=0, probe=str(tmp_path)))


def test_uf2_that_the_boot_loader_refuses(tmp_path, monkeypatch):
    (tmp_path / "INFO_UF2.TXT").write_text("x")
    monkeypatch.setattr(uf2, "GONE_S", 0.2)
    with pytest.raises(ToolError, match="did not accept"):
        open_loader("uf2").flash(job(tmp_path, ".bin", base=0, probe=str(tmp_path)))


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(0, 1023))
def test_mutated_uf2(noise, position):
    data = bytearray(uf2.encode([(0x1000, bytes(300))]))
    data[position : position + len(noise)] = noise
    try:
        blocks = uf2.decode(bytes(data))
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert all(len(payload) <= 476 for _, payload in blocks)
