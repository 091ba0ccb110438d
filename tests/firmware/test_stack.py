"""Static stack: never below what is measured, exact on code whose frames are known, silent where it cannot know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from emulab.dut import DutClient
from emulab.firmware.build import BuildOptions, build
from emulab.firmware.image import Image, load_image
from emulab.firmware.stack import StackUnknown, static_stack
from emulab.firmware.toolchain import CompileJob, compile_all, compile_target, load_toolchain
from emulab.model.platform import data_folder, load_platform

sys.path.insert(0, str(Path(__file__).parent))
from qemu_board import QemuBoard, missing

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"

SOURCE = """
#define KEEP __attribute__((noinline, used))
#define USE(array) __asm__ volatile("" ::"r"(array) : "memory")
volatile int sink;
KEEP void leaf(void) { char big[400]; USE(big); }
KEEP void small(void) { char some[40]; USE(some); }
KEEP void middle(void) { char own[200]; USE(own); small(); leaf(); USE(own); }
KEEP void handler(void) { char own[100]; USE(own); small(); USE(own); }
KEEP int recursive(int n) { int own[4]; USE(own); return n ? recursive(n - 1) + own[0] : 0; }
void (*volatile pointer)(void);
KEEP void indirect(void) { pointer(); sink++; }
KEEP void variable(int n) { char own[n]; USE(own); sink = own[n - 1]; }
KEEP int table(int n)
{
    switch (n) {
    case 0: return sink;
    case 1: sink = 4; leaf(); return 7;
    case 2: return sink / 3;
    case 3: small(); return 9;
    case 4: return sink * 7;
    case 5: sink ^= 3; return 1;
    default: return n;
    }
}
void emulab_reset(void) { middle(); handler(); recursive(sink); indirect(); variable(sink); table(sink); }
"""
SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0x20000000, LENGTH = 64K  RAM (rwx) : ORIGIN = 0x80000000, LENGTH = 16K }
SECTIONS { .text : { *(.text .text.* .rodata .rodata.*) } > FLASH  .bss (NOLOAD) : { *(.*bss .*bss.* COMMON) } > RAM
  /DISCARD/ : { *(.ARM.* .comment .eh_frame) } }
"""


@pytest.fixture(
    scope="module",
    params=[("nucleo-l4r5zi", "zig"), ("generic-rv32", "zig"), ("nucleo-l4r5zi", "gnu"), ("generic-rv32", "gnu")],
)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    board, name = request.param
    folder = tmp_path_factory.mktemp("stack")
    target, toolchain = compile_target(load_platform(board).platform.core), load_toolchain(name)
    status = toolchain.status(target)
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    (folder / "a.c").write_text(SOURCE)
    (folder / "a.ld").write_text(SCRIPT)
    objects = compile_all(toolchain, target, [CompileJob(folder / "a.c", folder / "a.o")])
    toolchain.link(target, objects, folder / "a.ld", folder / "a.elf")
    return load_image(folder / "a.elf")


def test_known_frames(image: Image) -> None:
    def depth(name: str) -> int:
        return static_stack(image, roots=[name])

    # a frame is its array, rounded up, and saved registers
    assert 400 <= depth("leaf") <= 432
    assert 40 <= depth("small") <= 64
    assert 200 + depth("leaf") <= depth("middle") <= 200 + depth("leaf") + 48
    assert depth("leaf") <= depth("table") <= depth("leaf") + 48


def test_an_interrupt_comes_on_top(image: Image) -> None:
    alone = static_stack(image, roots=["middle"])
    handler = static_stack(image, roots=["handler"])
    both = static_stack(image, roots=["middle"], interrupts=["handler"], fpu=True)
    assert both - alone - handler == (108 if image.arch == "arm" else 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("recursive", "recursive is recursive"),
        ("indirect", "indirect: a call through a pointer"),
        ("variable", "variable: stack of variable size"),
        ("emulab_reset", "recursive|pointer|variable"),
        ("nothing", "there is no function nothing"),
    ],
)
def test_what_cannot_be_known(image: Image, name: str, reason: str) -> None:
    with pytest.raises(StackUnknown, match=reason):
        static_stack(image, roots=[name])


def test_firmware_used_no_more_than_the_bound() -> None:
    pytest.importorskip("unicorn")
    from emulab.backends.base import SessionOptions, load_backend

    platform = load_platform("nucleo-l4r5zi").platform
    built = build(HAR, platform, options=BuildOptions(model_id="har01"))
    with load_backend("unicorn").open(platform, built.image, SessionOptions()) as session:
        dut = DutClient(session.console, session.clock, limit_s=60)
        dut.sync()
        dut.load(bytes(built.input_bytes))
        dut.infer(1, 0)
        measured = session.details()["stack_bytes"]
    assert built.static_stack_bytes is not None
    assert 0.6 * built.static_stack_bytes < measured <= built.static_stack_bytes < built.stack_bytes


@pytest.mark.parametrize("board", ["mps2-an386", "generic-rv32"])
def test_bound_is_there_for_every_kind_of_core(board: str) -> None:
    if missing(board):
        pytest.skip(missing(board))
    platform = load_platform(board).platform
    bound = build(HAR, platform, options=BuildOptions(model_id="har01")).static_stack_bytes
    assert bound is not None
    tight = build(HAR, platform, options=BuildOptions(model_id="har01", stack_bytes=(bound + 15) // 16 * 16))
    with QemuBoard(board, tight.elf) as running:  # and it runs with a stack of just that size
        dut = DutClient(running, running.clock, limit_s=60)
        dut.sync()
        dut.load(bytes(tight.input_bytes))
        assert len(dut.infer(1, 0).results) == 7
