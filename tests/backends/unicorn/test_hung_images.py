"""Images that never answer, or are none: one clear line each, well within the limit, whatever is wrong with them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from intelhex import IntelHex

from emulab.backends.base import SessionOptions
from emulab.backends.unicorn.session import UnicornSession
from emulab.cli import main
from emulab.dut import DutClient
from emulab.errors import DutTimeout, EmulabError, FirmwareFault, InputError
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform

BASE, CODE = 0x08000000, 0x08000200
LPUART1 = 0x40008000
FOREVER = 0xE7FE  # b .


def load(register: int, value: int) -> list[int]:
    """movw and movt."""
    halves = []
    for opcode, v in ((0xF240, value & 0xFFFF), (0xF2C0, value >> 16)):
        halves += [opcode | (v >> 11 & 1) << 10 | v >> 12, (v >> 8 & 7) << 12 | register << 8 | v & 0xFF]
    return halves


def write_image(
    path: Path, code: list[int] | bytes, handlers: int = 0, stack: int = 0x20010000, entry: int = CODE | 1
) -> Path:
    vectors = [stack, entry] + [handlers] * 126
    body = code if isinstance(code, bytes) else struct.pack(f"<{len(code)}H", *code)
    hexfile = IntelHex()
    hexfile.frombytes(struct.pack("<128I", *vectors) + body, BASE)
    hexfile.write_hex_file(str(path))
    return path


def boot(path: Path, limit_s: float = 20.0) -> None:
    """Wait for the DUT's m-ready, which never comes."""
    with UnicornSession(load_platform("nucleo-l4r5zi").platform, load_image(path), SessionOptions()) as session:
        DutClient(session.console, session.clock, limit_s=limit_s).sync()


WAITS = "the firmware can never answer: it "
IMAGES = {
    "every fault handler is the fault": ([0xDE00], CODE | 1, "meets an undefined instruction at PC 0x08000200"),
    "sleeps": ([0xBF30, 0xE7FD], 0, WAITS + "sleeps with no wake-up source due"),
    "sleeps for an event": ([0xBF20, 0xE7FD], 0, WAITS + "sleeps with no wake-up source due"),
    "sends itself an event and sleeps": ([0xBF40, 0xBF20, 0xBF20, FOREVER], 0, WAITS + "sleeps with no wake-up"),
    "sleeps with interrupts masked": ([0xB672, 0xBF30, 0xE7FD], 0, WAITS + "sleeps with no wake-up source due"),
    "ends": ([FOREVER], 0, WAITS + "loops on itself with interrupts masked or none enabled"),
    "polls a bit that never sets": (
        [*load(0, 0x40021000), 0x6801, 0x0009, 0xD5FC, 0xE7FB], 0, r"polls rcc\.CR \(0x40021000\), which stays 0x0"
    ),
    "recurses until the stack has run out": (
        [0xB5FF, 0xF7FF, 0xFFFD], 0, r"the stack pointer is there \(0x2.*\): the stack has run out"
    ),
    "jumps into a peripheral": ([*load(0, 0x40021001), 0x4700], 0, "jumps to 0x40021000, where there is no code"),
    "jumps to an even address": ([*load(0, 0x08000300), 0x4700], 0, "at PC 0x08000300"),
    "writes flash": ([*load(0, BASE), 0x6000, FOREVER], 0, "writes 0x08000000, which is read-only memory"),
    "returns from no exception": ([*load(0, 0xFFFFFFF9), 0x4700], 0, "exception return 0xfffffff9 without an active"),
    "calls a supervisor that is not there": ([0xDF00, FOREVER], 0, "exception SVC has vector 0x00000000"),
    "resets itself": (
        [*load(0, 0xE000ED0C), *load(1, 0x05FA0004), 0x6001, FOREVER], 0, "resets the system"
    ),
    "rewrites its own code in RAM, then ends": (
        # bx lr to RAM, called, overwritten by udf, called again
        [*load(0, 0x20001000), *load(1, 0x00004770), 0x6001, 0x1C42, 0x4790, *load(1, 0xDE00), 0x6001, 0x4790, FOREVER],
        0, "meets an undefined instruction at PC 0x20001000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", IMAGES)
def test_firmware_that_never_answers_is_told_in_a_line(what: str, tmp_path: Path) -> None:
    code, handlers, message = IMAGES[what]
    with pytest.raises(FirmwareFault, match=message) as caught:
        boot(write_image(tmp_path / "image.hex", code, handlers))
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_garbage_without_a_line_end_does_not_hold_the_host(tmp_path: Path) -> None:
    # LPUART1: BRR, TE and UE; then every byte as soon as the last one is gone
    code = [*load(0, LPUART1), *load(1, 0x8000), 0x60C1, 0x2109, 0x6001, 0x2141, 0x69C2, 0x0612, 0xD5FC, 0x6281, 0xE7FA]
    with pytest.raises(DutTimeout, match=r"no m-ready within 0.5 s .*AAAAAAAA") as caught:
        boot(write_image(tmp_path / "image.hex", code), 0.5)
    assert caught.value.exit_code == 3 and len(str(caught.value)) < 400


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes_behind_good_vectors_end_in_an_error(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed).randbytes(4096)
    with pytest.raises(EmulabError) as caught:
        boot(write_image(tmp_path / "image.hex", drawn, CODE + 64 | 1), 1.0)
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stack", "entry", "message"),
    [
        (0x20010000, 0x90000001, "reset vector 0x90000001, which is no Thumb code in the memories"),
        (0x20010000, CODE, "reset vector 0x08000200, which is no Thumb code"),
        (0x20010000, 0xFFFFFFFF, "reset vector 0xffffffff"),
        (0x60000000, CODE | 1, "stack pointer 0x60000000, which is not in the RAM"),
    ],
)
def test_vectors_that_cannot_be_are_refused(stack: int, entry: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        boot(write_image(tmp_path / "image.hex", [FOREVER], stack=stack, entry=entry))
    assert caught.value.exit_code == 2


def elf(path: Path, segments: list[tuple[int, bytes, int | None]]) -> Path:
    """An ELF for Arm without sections: (address, bytes, size in memory and, if above the bytes, in the file)."""
    head = struct.pack(
        "<16sHHIIIIIHHHHHH",
        b"\x7fELF\1\1\1" + bytes(9),
        2,
        40,
        1,
        CODE | 1,
        52,
        0,
        0x5000400,
        52,
        32,
        len(segments),
        40,
        0,
        0,
    )
    table, body, offset = b"", b"", 52 + 32 * len(segments)
    for address, data, size in segments:
        size = len(data) if size is None else size
        table += struct.pack("<8I", 1, offset + len(body), address, address, size, size, 7, 4)
        body += data
    path.write_bytes(head + table + body)
    return path


TABLE = struct.pack("<2I", 0x20010000, CODE | 1) + bytes(0x1F8) + struct.pack("<H", FOREVER)


def test_an_elf_without_sections_runs(tmp_path: Path) -> None:
    with pytest.raises(FirmwareFault, match="loops on itself"):
        boot(elf(tmp_path / "plain.elf", [(BASE, TABLE, None)]))


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([(BASE, TABLE, None), (BASE + 0x100, bytes(512), None)], "loaded twice"),
        ([(BASE, TABLE, 0x7FFFFFFF)], "a segment ends at byte 2147483"),
        ([], "no loadable segment"),
        ([(0xFFFFFFF0, TABLE, None)], "0xfffffff0"),
    ],
)
def test_impossible_elfs_are_refused(
    segments: list[tuple[int, bytes, int | None]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        boot(elf(tmp_path / "bad.elf", segments))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("base", [0x60000000, 0xFFFFFFF0])
def test_hex_records_outside_the_memories_are_refused(base: int, tmp_path: Path) -> None:
    hexfile = IntelHex()
    hexfile.puts(base, bytes(8))
    hexfile.write_hex_file(str(tmp_path / "far.hex"))
    with pytest.raises(InputError, match=f"8 bytes at {base:#x} are outside the memories of nucleo-l4r5zi"):
        boot(tmp_path / "far.hex")


@pytest.mark.parametrize(
    ("write", "code", "said"),
    [
        (lambda p: write_image(p, [0xBF30, 0xE7FD]), 3, "sleeps with no wake-up source due"),
        (lambda p: write_image(p, [FOREVER], stack=0), 2, "stack pointer 0x00000000"),
    ],
)
def test_the_command_line_says_it_in_a_line(
    write: Callable[[Path], Path], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write(tmp_path / "image.hex")
    command = ["run", "har-wearable", "--platform", "nucleo-l4r5zi", "--backend", "unicorn", "--firmware", str(image)]
    assert main([*command, "--output", str(tmp_path / "run")]) == code
    captured = capsys.readouterr()
    assert said in captured.err + captured.out and "Traceback" not in captured.err + captured.out
