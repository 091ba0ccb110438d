"""The Renode backend against a fake Monitor: a run, and everything that goes wrong."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_elf import write_elf

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.renode import install, repl
from emulab.backends.renode.metrics import Metrics
from emulab.errors import BackendUnavailable, FirmwareFault, ToolError
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform, platform_names
from emulab.model.scenario import Window

INFERENCE = Window(name="inference", start="console:m-lap-us-100", stop="console:m-lap-us-200")


def open_fake(tmp_path: Path, name: str = "firmware.elf", **options: Any) -> Any:
    board = load_platform("nucleo-l4r5zi").platform
    image = load_image(write_elf(tmp_path / name))
    return load_backend("renode").open(board, image, SessionOptions(windows=(INFERENCE,), **options))


def until(session: Any, text: bytes, limit_s: float = 20.0) -> bytes:
    said, deadline = b"", time.monotonic() + limit_s
    while text not in said:
        assert time.monotonic() < deadline, said
        said += session.console.read(1.0)
    return said


def test_a_run(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path) as session:
        assert until(session, b"m-ready").startswith(b"m-timestamp-mode-performance\r\n")
        session.console.write(b"name%")
        assert b"m-name-dut-[fake]" in until(session, b"m-ready")
        before = session.clock.now_s()
        session.console.write(b"infer 1 0%")
        until(session, b"m-ready")
        assert session.clock.now_s() > before
        (window,) = session.profiler.windows()
        assert window.profile.instructions == 5000
        assert window.stop_s > window.start_s
        assert "PC 0x080000c0" in session.describe_state()
        pid = session.process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((tmp_path / "tmp").iterdir())


def test_two_runs_are_equal(fake: str, tmp_path: Path) -> None:
    def run() -> Any:
        with open_fake(tmp_path) as session:
            until(session, b"m-ready")
            session.console.write(b"infer 1 0%")
            until(session, b"m-ready")
            return session.profiler.windows(), session.clock.now_s()

    assert run() == run()


def test_cpu_abort_blocks_the_monitor_and_is_told(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path, "crash.elf") as session:
        original = session._command
        session._command = lambda command, limit_s=30.0: original(command, min(limit_s, 1.0))
        with pytest.raises(FirmwareFault, match="CPU abort at 0x90000000"):
            session.console.read(5.0)
        pid = session.process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_silence_ends_with_the_limit(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path) as session:
        until(session, b"m-ready")
        start = time.monotonic()
        assert session.console.read(0.3) == b""
        assert time.monotonic() - start < 120.0


def test_killed_in_mid_run(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path) as session:
        until(session, b"m-ready")
        os.kill(session.process.pid, signal.SIGKILL)
        with pytest.raises(ToolError, match="Renode"):
            session.console.read(5.0)


HOST = """
import sys
from emulab.backends.base import SessionOptions, load_backend
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform
board = load_platform("nucleo-l4r5zi").platform
with load_backend("renode").open(board, load_image(sys.argv[1]), SessionOptions()) as s:
    print(s.process.pid, flush=True)
    while True:
        s.console.read(1.0)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_when_the_host_ends(fake: str, tmp_path: Path, how: signal.Signals) -> None:
    elf = write_elf(tmp_path / "firmware.elf")
    (tmp_path / "files").mkdir()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(elf)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path / "files")},
    )
    try:
        assert host.stdout is not None
        group = int(host.stdout.readline())
        host.send_signal(how)
        host.wait(10.0)
        assert group_ends(group)
        if how == signal.SIGINT:
            assert not list((tmp_path / "files").iterdir())
    finally:
        host.kill()
        host.wait(10.0)


def group_ends(group: int, limit_s: float = 60.0) -> bool:
    """Whether the last process of *group* ends within the limit (one that nobody has waited for yet has ended too)."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=False).stdout
        states = [line.split()[1] for line in listed.splitlines() if line.split()[0] == str(group)]
        if all(state.startswith("Z") for state in states):
            return True
        time.sleep(0.05)
    return False


def test_port_taken(fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_RENODE", "busy")
    with pytest.raises(ToolError, match=r"Renode did not start: .*Address already in use"):
        open_fake(tmp_path)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    ("version", "message"), [("1.14.0", "emulab needs 1.15 or newer"), ("none", "did not tell a version")]
)
def test_wrong_version(fake: str, monkeypatch: pytest.MonkeyPatch, version: str, message: str) -> None:
    monkeypatch.setenv("FAKE_RENODE_VERSION", version)
    found = load_backend("renode").available()
    assert not found.available
    assert message in found.reason


def test_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("RENODE", raising=False)
    found = load_backend("renode").available()
    assert not found.available and found.how_to_install == install.HOW_TO_INSTALL
    with pytest.raises(BackendUnavailable, match="neither renode nor renode-run"):
        open_fake(tmp_path)
    with pytest.raises(ToolError, match="no such program"):
        install.find("/no/such/renode")


def test_keep_resc(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path, extra={"keep_resc": tmp_path / "kept" / "run.resc"}):
        pass
    script = (tmp_path / "kept" / "run.resc").read_text()
    assert 'mach create "emulab"' in script
    assert str(tmp_path / "kept" / "run.repl") in script
    assert "CPU.CortexM" in (tmp_path / "kept" / "run.repl").read_text()


def test_keep_resc_in_the_run_folder(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path, output=tmp_path / "run", extra={"keep_resc": True}):
        pass
    assert "start" in (tmp_path / "run" / "nucleo-l4r5zi.resc").read_text()


def test_renode_named_on_the_command_line(
    fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``run --renode PATH`` with no other Renode anywhere: it is started, and the firmware is talked to."""
    from emulab.cli import main

    monkeypatch.delenv("RENODE")
    elf = write_elf(tmp_path / "firmware.elf")
    arguments = ["run", "har-wearable", "--platform", "nucleo-l4r5zi", "--backend", "renode", "--no-html"]
    arguments += ["--firmware", str(elf), "--keep-resc", "--set", "measure.timeout_s=2"]
    assert main([*arguments, "--output", str(tmp_path / "a"), "--renode", "/no/such/renode"]) == 3
    told = capsys.readouterr()
    assert "/no/such/renode: no such program" in told.out + told.err
    main([*arguments, "--output", str(tmp_path / "b"), "--renode", fake])
    (log,) = (tmp_path / "b").rglob("console.log")
    assert "m-name-dut-[fake]" in log.read_text()
    assert list((tmp_path / "b").rglob("nucleo-l4r5zi.resc"))


def test_time_asleep_and_accesses(fake: str, tmp_path: Path) -> None:
    with open_fake(tmp_path, extra={"renode_metrics": True}) as session:
        until(session, b"m-ready")
        details = session.details()
    assert details["idle_s"] == pytest.approx(0.004)
    assert details["accesses"] == {"memory": {"reads": 2, "writes": 1}, "usart2": {"reads": 0, "writes": 1}}


def test_metrics_of_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"\xff" * 40)
    with pytest.raises(ToolError, match="not what Renode's profiler writes"):
        Metrics(tmp_path / "m.bin").counts()
    (tmp_path / "m.bin").write_bytes(struct.pack("<ii", 0, 0) + struct.pack("<qdBB", 1, 2.0, 9, 0))
    with pytest.raises(ToolError, match="unknown type 9"):
        Metrics(tmp_path / "m.bin").counts()
    (tmp_path / "m.bin").write_bytes(struct.pack("<ii", 0, 0) + struct.pack("<qdBB", 1, 2.0, 1, 3) + b"cut")
    assert Metrics(tmp_path / "m.bin").counts()["memory"].writes == 1


# Constructor arguments and interrupts of Renode 1.16's models: what a description of ours may name.
MODELS: dict[str, set[str]] = {
    "CPU.CortexM": {"cpuType", "nvic"},
    "CPU.RiscV32": {"cpuType", "timeProvider"},
    "IRQControllers.NVIC": {"systickFrequency", "priorityMask", "IRQ"},
    "IRQControllers.CoreLevelInterruptor": {"frequency", "[0, 1]"},
    "IRQControllers.PlatformLevelInterruptController": {"numberOfSources", "numberOfContexts", "0"},
    "Miscellaneous.DWT": {"frequency"},
    "Memory.MappedMemory": {"size"},
    "UART.STM32F7_USART": {"frequency", "IRQ"},
    "UART.STM32_UART": {"IRQ"},
    "UART.SiFive_UART": {"IRQ"},
    "UART.NS16550": {"IRQ"},
    "UART.NRF52840_UART": {"easyDMA", "IRQ"},
    "UART.OpenTitan_UART": {"RxWatermarkIRQ"},
    "UART.CMSDK_APB_UART": {"RxInterrupt"},
    "GPIOPort.STM32_GPIOPort": set(),
    "GPIOPort.SiFive_GPIO": set(),
    "Miscellaneous.NRF_CLOCK": set(),
    "Python.PythonPeripheral": {"size", "initable", "script"},
}


@pytest.mark.parametrize("name", platform_names())
def test_descriptions_name_what_the_models_have(name: str) -> None:
    platform = load_platform(name).platform
    if not platform.core.cpu.get("renode"):
        pytest.skip(f"{platform.core.name} has no name in Renode")
    text = re.sub(r"'''.*?'''", '""', repl.compose(platform), flags=re.DOTALL)
    objects = re.findall(r"^(\w+): ([\w.]+) @ .*\n((?:    .*\n)*)", text, re.MULTILINE)
    names = {name for name, _, _ in objects}
    for name, model, body in objects:
        assert model in MODELS, name
        for line in body.splitlines():
            found = re.match(r"\s+(.+?)(?::| ->)\s*(.*)", line)
            assert found and found[1] in MODELS[model], f"{name}: {line}"
            if "->" in line:
                assert found[2].partition("@")[0] in names, f"{name}: {line}"


KNOWN_KEYS = {"offset", "reset", "writable", "self_clearing", "clear_on_one", "ones", "follows", "mirrors"}


@pytest.mark.parametrize("name", platform_names())
def test_the_register_script_knows_every_behaviour_in_use(name: str) -> None:
    for peripheral in load_platform(name).platform.soc.peripherals.values():
        if peripheral.type == "registers":
            for register, given in peripheral.parameters.get("registers", {}).items():
                assert isinstance(given, int) or given.keys() <= KNOWN_KEYS, register


def test_riscv_cores_have_their_control_registers() -> None:
    assert 'cpuType: "rv32imac_zicsr_zifencei"' in repl.compose(load_platform("hifive1-revb").platform)


@pytest.mark.parametrize("name", platform_names())
def test_every_platform_composes(name: str) -> None:
    platform = load_platform(name).platform
    if not platform.core.cpu.get("renode"):
        pytest.skip(f"{platform.core.name} has no name in Renode")
    text = repl.compose(platform)
    for memory in platform.soc.memories:
        assert f"{memory}: Memory.MappedMemory" in text
    assert f"{platform.board.console.peripheral}: UART." in text


@pytest.mark.parametrize("capitals", [False, True], ids=["1.15", "1.16"])
def test_register_script_behaves(capitals: bool) -> None:
    """Run what Renode would run: reset values, ready bits, write-one-to-clear, self-clearing bits."""
    script = repl.register_script(
        {
            "CR": {"offset": 0, "reset": 1, "follows": {17: 16, "3:2": "1:0"}},
            "SR": {"offset": 4, "clear_on_one": 2, "reset": 3},
            "CSR": {"offset": 8, "writable": 0x100, "mirrors": {20: "CR[16]", "5:4": "CR[1:0]"}},
        }
    )

    def request(**given: Any) -> Any:
        fields = {"isInit": False, "isRead": False, "isWrite": False, "offset": 0, "value": 0, **given}
        if capitals:
            fields = {name[0].upper() + name[1:]: value for name, value in fields.items()}
        return SimpleNamespace(**fields)

    scope: dict[str, Any] = {}

    def access(kind: str, offset: int, value: int = 0) -> int:
        scope["request"] = request(**{kind: True, "offset": offset, "value": value})
        exec(script, scope)  # our own text
        return int(scope["request"].Value if capitals else scope["request"].value)

    access("isInit", 0)
    assert access("isRead", 0) == 1 | 1 << 2
    access("isWrite", 0, 1 << 16 | 2)
    assert access("isRead", 0) == 1 << 16 | 1 << 17 | 2 | 2 << 2
    assert access("isRead", 8) == 1 << 20 | 2 << 4
    access("isWrite", 4, 3)
    assert access("isRead", 4) == 1
    assert access("isRead", 0x40) == 0
