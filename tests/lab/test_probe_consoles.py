"""Consoles behind a debug probe: pyOCD's own RTT and semihosting code on the memory and registers of emulated cores.

The probe is where the double begins: pyOCD knows no probe that is an emulator, so its session is replaced by one whose
target is an emulated machine.
"""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from emulab.dut import DutClient
from emulab.errors import InputError, ToolError
from emulab.lab import debug_probe, rtt, semihosting
from emulab.lab.consoles import open_console

pytest.importorskip("pyocd", reason="pyOCD is not installed: pip install 'emulab[hardware]'")
pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
from pyocd.core import exceptions
from pyocd.core.target import Target

SCRIPT = """
SECTIONS {
  . = 0x08000000; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  . = 0x20000400; .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.ARM.*) *(.comment) }
}
"""
FLAGS = [
    *("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-O1", "-ffreestanding", "-fno-builtin", "-nostdlib"),
    *("-fno-sanitize=undefined", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-Wl,--entry=reset"),
]


def compiled(folder: Path, name: str) -> Any:
    from emulab.firmware.image import load_image

    (folder / "link.ld").write_text(SCRIPT)
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-T", str(folder / "link.ld")]
    command += [str(Path(__file__).with_name(f"{name}.c")), "-o", str(folder / f"{name}.elf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return load_image(folder / f"{name}.elf")


class MachineTarget:
    """pyOCD's target interface over an emulated machine, which runs a little with every access, as a board would."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.unplugged = machine, False
        self.writes: list[tuple[int, int]] = []

    def _run(self) -> None:
        if self.unplugged:
            raise exceptions.ProbeDisconnected("probe was unplugged")
        for _ in range(20):
            self.machine.env.step()

    def get_memory_map(self) -> Any:
        region = types.SimpleNamespace(start=0x20000000, length=0x1000)
        return types.SimpleNamespace(get_default_region_of_type=lambda kind: region)

    def read_memory_block8(self, address: int, size: int) -> list[int]:
        self._run()
        return list(self.machine.peek(address, size))

    def read_memory_block32(self, address: int, words: int) -> list[int]:
        data = bytes(self.read_memory_block8(address, 4 * words))
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(words)]

    def read32(self, address: int) -> int:
        return self.read_memory_block32(address, 1)[0]

    def write_memory_block8(self, address: int, data: Any) -> None:
        self._run()
        if data:
            self.machine.poke(address, bytes(data))

    def write32(self, address: int, value: int) -> None:
        self.write_memory_block8(address, value.to_bytes(4, "little"))

    def resume(self) -> None:
        self._run()


class Session:
    def __init__(self, target: Any) -> None:
        self.target, self.opened, self.closed = target, False, False

    def open(self) -> None:
        self.opened = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the one probe there is lead to the given target; what it was asked for is kept."""
    from pyocd.core.helpers import ConnectHelper

    asked: dict[str, Any] = {}

    def make(target: Any) -> dict[str, Any]:
        asked["session"] = Session(target)

        def choose(**options: Any) -> Any:
            asked.update(options)
            return None if target is None else asked["session"]

        monkeypatch.setattr(ConnectHelper, "session_with_chosen_probe", choose)
        return asked

    return make


class Wall:
    kind = "wall"

    def now_s(self) -> float:
        import time

        return time.monotonic()


@pytest.fixture(scope="module")
def rtt_image(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(tmp_path_factory.mktemp("rtt"), "rtt")


@pytest.fixture
def machine(rtt_image: Any) -> Any:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.platform import load_platform

    machine = Machine(load_platform("nucleo-l4r5zi").platform, rtt_image)
    yield machine
    machine.close()


def test_a_dut_over_rtt(machine: Any, rtt_image: Any, probe: Any) -> None:
    """The whole client over rings of 23 and 11 bytes: both wrap several times."""
    asked = probe(MachineTarget(machine))
    console = open_console("rtt:0123", 115200, "stm32l4r5zi")
    client = DutClient(console, Wall(), 20.0)
    client.sync()
    assert client.mode == "performance"
    assert client.name() == "over RTT"
    assert client.profile() == ("ULPMark", "kws01")
    with pytest.raises(ToolError, match="Unknown command"):
        client.command("timestamp")
    console.close()
    assert (asked["unique_id"], asked["target_override"]) == ("0123", "stm32l4r5zi")
    assert asked["options"]["connect_mode"] == "attach"
    assert asked["session"].closed


def test_the_hardware_backend_over_rtt(machine: Any, rtt_image: Any, probe: Any) -> None:
    from emulab.backends.base import SessionOptions
    from emulab.backends.hardware import HardwareBackend
    from emulab.model.platform import load_platform

    asked = probe(MachineTarget(machine))
    platform = load_platform("nucleo-l4r5zi").platform
    with HardwareBackend().open(platform, rtt_image, SessionOptions(extra={"serial": "rtt:"})) as session:
        client = DutClient(session.console, session.clock, 20.0)
        client.sync()
        assert client.name() == "over RTT"
        assert session.details()["serial"] == "rtt:"
    assert asked["target_override"] == "stm32l4r5zitx"


def test_rtt_block_by_symbol_and_by_option(machine: Any, rtt_image: Any, probe: Any) -> None:
    from emulab.backends.hardware import rtt_block

    address = rtt_block(rtt_image)
    assert address is not None
    for url, known in ((f"rtt:,address={address:#x}", None), ("rtt:", address)):
        probe(MachineTarget(machine))
        console = open_console(url, 0, "chip", known)
        console.write(b"name%")
        heard = b""
        while b"m-name-dut-[over RTT]\r\nm-ready" not in heard:
            found = console.read(5.0)
            assert found, heard
            heard += found
        console.close()


def test_rtt_that_is_not_there_or_goes_away(machine: Any, probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtt, "FIND_S", 0.2)
    probe(MachineTarget(machine))
    with pytest.raises(ToolError, match=r"no RTT control block at 0x20010000; does the firmware print over RTT\?"):
        open_console("rtt:,address=0x20010000", 0, "chip")
    monkeypatch.setattr(rtt, "FIND_S", 20.0)
    with pytest.raises(ToolError, match="channel 3 is not there; the firmware has 1 up and 1 down"):
        open_console("rtt:,channel=3", 0, "chip")
    console = open_console("rtt:", 0, "chip")
    target = console._session.target  # type: ignore[attr-defined]
    monkeypatch.setattr(rtt, "WRITE_S", 0.1)
    monkeypatch.setattr(target, "_run", lambda: None)  # the core stands still: nobody empties the ring
    with pytest.raises(ToolError, match="takes no more data; does the firmware read"):
        console.write(bytes(100))
    monkeypatch.undo()
    target.unplugged = True
    with pytest.raises(ToolError, match=r"console rtt: .*is the board powered"):
        console.read(0.1)
    console.close()


def test_wrong_options_and_no_probe(probe: Any) -> None:
    probe(None)
    with pytest.raises(ToolError, match="no debug probe found"):
        open_console("rtt:", 0, "chip")
    with pytest.raises(InputError, match=r"backends\.hardware\.options\.pyocd_target"):
        open_console("semihosting:", 0)
    with pytest.raises(InputError, match="unknown option 'adress'; known: address"):
        open_console("rtt:,adress=1", 0, "chip")
    with pytest.raises(InputError, match="'x' is no whole number"):
        open_console("rtt:,channel=x", 0, "chip")
    with pytest.raises(InputError, match="'here' is no key=value"):
        open_console("rtt:,here", 0, "chip")
    with pytest.raises(InputError, match="unknown option 'size'; known: none"):
        open_console("semihosting:,size=1", 0, "chip")


class BareCore:
    """A Cortex-M core that halts at BKPT, with what pyOCD's agent asks of target and context."""

    def __init__(self, image: Any) -> None:
        import unicorn as uc
        from unicorn import arm_const as arm

        self._uc, self._arm = uc, arm
        self._core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._core.mem_map(0x08000000, 0x10000)
        self._core.mem_map(0x20000000, 0x20000)
        for address, data in image.segments:
            self._core.mem_write(address, bytes(data))
        self._start = int.from_bytes(self._core.mem_read(0x08000004, 4), "little")
        self._core.hook_add(uc.UC_HOOK_INTR, lambda core, number, data: core.emu_stop())
        self.halted, self.core = False, self
        self.session = types.SimpleNamespace(log_tracebacks=False)

    def _register(self, name: str) -> Any:
        return getattr(self._arm, f"UC_ARM_REG_{name.upper()}")

    def reset(self) -> None:
        self._core.reg_write(self._arm.UC_ARM_REG_SP, 0x20010000)
        self._core.reg_write(self._arm.UC_ARM_REG_PC, self._start)
        self.resume()

    def resume(self) -> None:
        """Run to the next BKPT."""
        pc = self._core.reg_read(self._arm.UC_ARM_REG_PC)
        self._core.emu_start(pc | 1, 0, timeout=2_000_000)
        self.halted = True

    def get_state(self) -> Any:
        return Target.State.HALTED if self.halted else Target.State.RUNNING

    def get_target_context(self) -> BareCore:
        return self

    def find_breakpoint(self, address: int) -> None:
        return None

    def read_core_register(self, name: str) -> int:
        return int(self._core.reg_read(self._register(name)))

    def write_core_register(self, name: str, value: int) -> None:
        self._core.reg_write(self._register(name), value & 0xFFFFFFFF)

    def read_memory_block8(self, address: int, size: int) -> list[int]:
        return list(self._core.mem_read(address, size))

    def read_memory_block32(self, address: int, words: int) -> list[int]:
        data = bytes(self._core.mem_read(address, 4 * words))
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(words)]

    def write_memory_block8(self, address: int, data: Any) -> None:
        self._core.mem_write(address, bytes(data))

    def read16(self, address: int) -> int:
        return int.from_bytes(self._core.mem_read(address, 2), "little")

    def read32(self, address: int) -> int:
        # DFSR: halted by a breakpoint
        return 2 if address == 0xE000ED30 else self.read_memory_block32(address, 1)[0]


@pytest.fixture(scope="module")
def semihosting_image(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(tmp_path_factory.mktemp("semihosting"), "semihosting")


def test_a_dut_over_semihosting(semihosting_image: Any, probe: Any) -> None:
    asked = probe(BareCore(semihosting_image))
    console = open_console("semihosting:", 115200, "stm32l4r5zi")
    client = DutClient(console, Wall(), 10.0)
    client.sync()
    assert client.mode == "performance"
    assert client.name() == "n over semihosting"
    said = [line.text for line in client.log]
    assert "m-init-done" in said and not any(text.startswith("e-") for text in said)
    assert console.notes == [semihosting.STOPS]
    console.write(b"xyz%")
    with pytest.raises(ToolError, match=r"the core halted at 0x8000[0-9a-f]+, and not for semihosting"):
        while console.read(1.0):
            pass
    console.close()
    assert asked["session"].closed


def test_no_input_is_waited_for_and_not_invented(semihosting_image: Any, probe: Any) -> None:
    probe(BareCore(semihosting_image))
    console = open_console("semihosting:", 0, "chip")
    heard = b""
    while not heard.endswith(b"m-ready\r\n"):
        heard += console.read(1.0)
    assert console.read(0.05) == b"" == console.read(0.05)
    console.write(b"a%")
    assert console.read(1.0).startswith(b"m-name-dut-[")


def test_what_pyocd_says_is_one_line() -> None:
    with pytest.raises(ToolError) as caught, debug_probe.probe_errors("console rtt"):
        raise exceptions.TransferFaultError("memory\nmore", fault_address=0x20000000)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("console rtt: ")
