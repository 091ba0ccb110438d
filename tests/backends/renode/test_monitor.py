"""The Monitor client, on recorded sessions of Renode 1.16.1 and on what they are made of."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from emulab.backends.renode.mix import PATTERNS, counter_patterns
from emulab.backends.renode.monitor import Monitor, MonitorTimeout, strip_telnet
from emulab.backends.renode.session import State
from emulab.errors import ToolError

RECORDED = re.compile(r"^\s*[\d.]+ (<<|>>) (b['\"].*)$")


def recording(name: str) -> list[tuple[str, bytes]]:
    """(direction, bytes) of a recorded session; skips where the recordings are not there."""
    folder = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent")) / "renode"
    if not (folder / name).is_file():
        pytest.skip("set EMULAB_ASSETS to a folder with renode/ for the recorded sessions")
    lines = (folder / name).read_text().splitlines()
    found = [m for line in lines if (m := RECORDED.match(line))]
    return [(m[1], ast.literal_eval(m[2])) for m in found]


def play(session: list[tuple[str, bytes]], far: socket.socket, fragment: int) -> None:
    """Answer as recorded: wait for each command, then send what followed, in fragments."""
    for direction, data in session:
        if direction == ">>":
            got = b""
            while not got.endswith(b"\n"):
                got += far.recv(4096)
            assert got == data
        else:
            for i in range(0, len(data), fragment):
                far.sendall(data[i : i + fragment])


def quiet_play(session: list[tuple[str, bytes]], far: socket.socket, fragment: int) -> None:
    with contextlib.suppress(OSError):  # the client may hang up first
        play(session, far, fragment)


def connected(session: list[tuple[str, bytes]], fragment: int) -> Monitor:
    near, far = socket.socketpair()
    threading.Thread(target=quiet_play, args=(session, far, fragment), daemon=True).start()
    monitor = Monitor(near)
    monitor.banner = monitor._answer(time.monotonic() + 10, "banner")
    return monitor


@pytest.mark.parametrize(
    "name", ["telnet-plain.txt", "telnet-colour.txt", "dwt-from-string.txt", "cpu-abort-after-start.txt"]
)
@pytest.mark.parametrize("fragment", [1, 3, 20, 4096])
def test_recorded_sessions(name: str, fragment: int) -> None:
    session = recording(name)
    monitor = connected(session, fragment)
    assert "Renode, version 1.16.1" in monitor.banner
    answers: dict[str, str] = {}
    for command in (data.decode().rstrip("\n") for direction, data in session if direction == ">>"):
        if command == "quit":
            break
        try:
            answers[command] = monitor.execute(command, 10.0)
        except ToolError as error:
            answers[command] = f"error: {error}"
    if "telnet" in name:
        assert int(answers["sysbus.cpu ExecutedInstructions"], 0) == 50_000_000
        assert answers["sysbus.cpu IsHalted"] == "False"
        assert answers["sysbus.cpu PC"] == "0x80000a6"
        for wrong in (
            "nosuchcommand",
            "sysbus.nosuch Foo",
            "sysbus.cpu NoSuchMethod",
            'emulation RunFor "bad"',
            "mach",
        ):
            assert answers[wrong].startswith("error: Renode refused"), wrong
        assert answers['emulation RunFor "0.5"'] == ""
        assert "STM32F40x" in answers["machine LoadPlatformDescription @platforms/boards/stm32f4_discovery.repl"]
    if name == "dwt-from-string.txt":
        assert answers["emulation RunFor 0.5"].startswith("error")


def test_a_command_that_never_returns_blocks_the_monitor() -> None:
    session = recording("cpu-abort-hangs-runfor.txt")
    monitor = connected([s for s in session if s[1]], 7)
    with pytest.raises(MonitorTimeout):
        for command in (data.decode().rstrip("\n") for direction, data in session if direction == ">>"):
            monitor.execute(command, 0.3)
    with pytest.raises(MonitorTimeout, match="blocked by a command that never returned"):
        monitor.execute("sysbus.cpu PC", 0.1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xfd\x00\xff\xfb\x01abc", (b"abc", b"")),
        (b"ab\xff", (b"ab", b"\xff")),
        (b"ab\xff\xfb", (b"ab", b"\xff\xfb")),
        (b"a\xff\xffb", (b"a\xffb", b"")),
    ],
)
def test_telnet_commands_are_cut_out(data: bytes, expected: tuple[bytes, bytes]) -> None:
    assert strip_telnet(data) == expected


def test_numbers_and_what_is_none() -> None:
    monitor = connected(
        [
            ("<<", b"(monitor) "),
            (">>", b"x\n"),
            ("<<", b"x\n\r0x10\r\r\n(m) "),
            (">>", b"y\n"),
            ("<<", b"y\n\rhello\r\r\n(m) "),
        ],
        2,
    )
    assert monitor.number("x") == 16
    with pytest.raises(ToolError, match="expected a number"):
        monitor.number("y")


def test_a_command_is_one_line() -> None:
    near, _far = socket.socketpair()
    with pytest.raises(ValueError):
        Monitor(near).execute("a\nquit")


def test_every_class_of_opcode_is_counted_under_its_name() -> None:
    for arch, classes in PATTERNS.items():
        counters = counter_patterns(arch)
        assert list(counters.values()) == [pattern for patterns in classes.values() for pattern in patterns]
        assert {name.rpartition("_")[0] for name in counters} == classes.keys()


def test_state_as_renode_told_it() -> None:
    """Lines of a session with 1.16.1."""
    state = State.parse("@ 0 134245358 11205 0 - 3136,131,10,75 6d2d72656164790d0a")
    assert state == State(False, 0x8006BEE, 11205, 0, (), (3136, 131, 10, 75), b"m-ready\r\n")
    assert State.parse("@ 1 134244570 8700 12 20000104,20000108 - -") == State(
        True, 0x80068DA, 8700, 12, (0x20000104, 0x20000108), (), b""
    )


@pytest.mark.parametrize(
    "text", ["", "@ 0 1 2 3", "@ 0 1 2 3 - 4 0", "? 0 1 2 3 - - -", "@ 0 x 2 3 - - -", "Traceback: no"]
)
def test_no_state(text: str) -> None:
    with pytest.raises(ToolError, match="Renode told no state but"):
        State.parse(text)
