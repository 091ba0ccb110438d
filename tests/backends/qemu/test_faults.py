"""What goes wrong: a clear line, in time, and nothing left behind."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.qemu import install
from emulab.dut.client import DutClient
from emulab.errors import BackendUnavailable, DutTimeout, FirmwareFault, ToolError
from emulab.firmware.image import load_image
from emulab.model.platform import Platform


def gone(pid: int, limit_s: float = 60.0) -> bool:
    """Whether process *pid* ends within the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def script(folder: Path, text: str) -> None:
    for name in install.PROGRAMS.values():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)


def test_missing_emulator(monkeypatch: pytest.MonkeyPatch, mps2: Platform, behaviours: Any) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("EMULAB_QEMU", raising=False)
    found = load_backend("qemu").available()
    assert not found.available
    assert "qemu-system-arm" in found.reason
    assert found.how_to_install
    with pytest.raises(BackendUnavailable, match="is not on the PATH") as error:
        load_backend("qemu").open(mps2, behaviours, SessionOptions())
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo QEMU emulator version 4.2.1", "QEMU 4.2.1; emulab needs 6.0 or newer"),
        ("echo hello", "--version failed: hello"),
        ("echo broken >&2; exit 1", "--version failed: broken"),
    ],
)
def test_wrong_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mps2: Platform, behaviours: Any, text: str, message: str
) -> None:
    script(tmp_path, text)
    monkeypatch.setenv("EMULAB_QEMU", str(tmp_path))
    with pytest.raises(BackendUnavailable, match=message):
        load_backend("qemu").open(mps2, behaviours, SessionOptions())


def test_emulator_that_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qemu: Any, mps2: Platform, behaviours: Any
) -> None:
    script(
        tmp_path,
        'case "$*" in --version) echo QEMU emulator version 7.2.0;; "-machine help") echo Supported; echo mps2-an386;; '
        "*) echo no such machine >&2; exit 1;; esac",
    )
    monkeypatch.setenv("EMULAB_QEMU", str(tmp_path))
    with pytest.raises(ToolError, match="QEMU did not start: no such machine"):
        qemu.open(mps2, behaviours, SessionOptions())


def test_machine_that_this_qemu_lacks(tmp_path: Path, qemu: Any, mps2: Platform, behaviours: Any) -> None:
    script(tmp_path, 'case "$1" in --version) echo QEMU emulator version 7.2.0;; *) echo Supported; echo virt;; esac')
    with pytest.raises(BackendUnavailable, match=r"QEMU 7\.2\.0 has no machine 'mps2-an386'; .* --qemu DIR"):
        qemu.open(mps2, behaviours, SessionOptions(extra={"qemu": str(tmp_path)}))


def test_another_qemu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "echo QEMU emulator version 9.1.0")
    backend = load_backend("qemu")
    assert backend.available_at(str(tmp_path)).version == "9.1.0 (arm), 9.1.0 (riscv)"
    assert "--qemu: /nonexistent/qemu-system-arm does not exist" in backend.available_at("/nonexistent").reason
    monkeypatch.setenv("EMULAB_QEMU", str(tmp_path))
    assert backend.available().version == "9.1.0 (arm), 9.1.0 (riscv), $EMULAB_QEMU"


def test_compiler_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qemu: Any, mps2: Platform, behaviours: Any
) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    monkeypatch.setenv("EMULAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolError, match="/nonexistent/cc"):
        qemu.open(mps2, behaviours, SessionOptions())


def test_killed_in_mid_run(open_session: Any) -> None:
    session = open_session()
    os.kill(session.process.pid, signal.SIGKILL)
    with pytest.raises(FirmwareFault, match="QEMU ended with signal 9"):
        session.console.read(120.0)
    with pytest.raises(ToolError):
        session.console.write(b"w")


def test_hanging_firmware(open_session: Any) -> None:
    session = open_session()
    session.console.write(b"h")
    start = time.monotonic()
    assert session.console.read(0.3) == b""
    assert time.monotonic() - start < 120.0
    assert "main_loop" in session.describe_state()
    assert "running" in session.describe_state()


def test_firmware_that_waits_for_input(open_session: Any) -> None:
    session = open_session()
    assert session.console.read(0.2) == b""
    assert "PC 0x" in session.describe_state()


def test_firmware_that_faults(open_session: Any) -> None:
    session = open_session()
    session.console.write(b"u")
    with pytest.raises(FirmwareFault, match=r"entered its HardFault handler .*; last console line: 'm-ready'"):
        session.console.read(120.0)


def test_firmware_that_locks_the_core_up(open_session: Any) -> None:
    session = open_session()
    session.console.write(b"l")
    with pytest.raises(FirmwareFault, match=r"locked up the core|entered its HardFault handler"):
        session.console.read(120.0)


def test_silent_firmware(qemu: Any, mps2: Platform, tmp_path: Path) -> None:
    """An image that writes nothing: the limit ends the wait, and the message says where the firmware is."""
    code = struct.pack("<II", 0x20010000, 0x41).ljust(0x40, b"\0") + b"\xfe\xe7"  # vector table; a branch to itself
    image = load_image(tmp_path_with(tmp_path / "silent.bin", code), base=0)
    with qemu.open(mps2, image, SessionOptions()) as session:
        start = time.monotonic()
        with pytest.raises(DutTimeout):
            DutClient(session.console, session.clock, limit_s=0.5).sync()
        assert time.monotonic() - start < 120.0
        assert "PC 0x00000040" in session.describe_state()


def tmp_path_with(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_flooded_console(open_session: Any) -> None:
    session = open_session()
    session.console.write(b"f")
    lines = [session.console.read(60.0) for _ in range(500)]
    assert set(lines) == {b"flood flood flood flood flood flood flood\r\n"}
    start = time.monotonic()
    session.close()
    assert time.monotonic() - start < 120.0


def test_two_sessions_at_once(open_session: Any, until: Any) -> None:
    first, second = open_session(), open_session()
    first.console.write(b"w")
    second.console.write(b"ac%")
    assert until(second, b"m-ready") == b"acm-ready\r\n"
    until(first, b"m-ready")
    assert len(first.profiler.windows()) == 2
    assert second.profiler.windows() == []


def test_close_ends_the_process_and_can_be_repeated(open_session: Any) -> None:
    session = open_session()
    pid = session.process.pid
    session.close()
    session.close()
    assert gone(pid)


HOST = """
import sys, time
from emulab.backends.base import SessionOptions, load_backend
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform
with load_backend("qemu").open(load_platform("mps2-an386").platform, load_image(sys.argv[1]), SessionOptions()) as s:
    s.console.read(120.0)
    s.console.write(b"h")
    print(s.process.pid, flush=True)
    while True:
        s.console.read(1.0)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_when_the_host_ends(qemu: Any, behaviours: Any, tmp_path: Path, how: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST), str(behaviours.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        host.send_signal(how)
        host.wait(10.0)
        assert gone(pid)
        if how == signal.SIGINT:
            assert not list(tmp_path.iterdir())
    finally:
        host.kill()
        host.wait(10.0)
