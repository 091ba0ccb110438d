"""Images: the three formats, and one clear line for each way a file can be broken."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.firmware.image import Image, load_image

SOURCE = """
    .section .text.start, "ax", %progbits
    .globl start
    .type start, %function
    .thumb_func
start: nop
    nop
    b start
    .size start, . - start
    .type inner, %function
    .thumb_func
inner: nop
    .size inner, . - inner
    .data
    .globl counter
    .type counter, %object
counter: .word 0x12345678
    .size counter, 4
    .bss
    .globl buffer
    .type buffer, %object
buffer: .space 64
    .size buffer, 64
"""
SCRIPT = """
ENTRY(start)
MEMORY { flash (rx) : ORIGIN = 0x08000000, LENGTH = 64K  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 16K }
SECTIONS {
  .text : { KEEP(*(.text*)) } > flash
  .data : { *(.data*) } > ram AT> flash
  .bss (NOLOAD) : { *(.bss*) } > ram
}
"""


@pytest.fixture(scope="session")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    (folder / "a.s").write_text(SOURCE)
    (folder / "a.ld").write_text(SCRIPT)
    import sys

    common = [sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4"]
    subprocess.run(
        [*common, "-nostdlib", "-Wl,-e,start", "-T", "a.ld", "a.s", "-o", "a.elf"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / "a.elf"


def platform(isa: str = "armv7e-m", flash_bytes: int = 65536) -> Any:
    memories = {
        "flash": SimpleNamespace(base=0x08000000, size_bytes=flash_bytes, aliases=[0]),
        "sram1": SimpleNamespace(base=0x20000000, size_bytes=32, aliases=[]),
        "sram2": SimpleNamespace(base=0x20000020, size_bytes=4096, aliases=[]),
    }
    soc = SimpleNamespace(memories=memories, aliases=[])
    return SimpleNamespace(name="board", core=SimpleNamespace(isa=isa, name="core"), soc=soc)


def test_elf(elf: Path) -> None:
    image = load_image(elf)
    assert (image.format, image.arch, image.entry) == ("elf", "arm", 0x08000000)
    assert image.symbols["start"].address == 0x08000000  # Thumb bit removed
    assert image.symbols["counter"].kind == "object"
    assert image.resolve("start+0x2") == 0x08000002
    assert image.resolve("0x20000004") == 0x20000004
    assert image.resolve("counter - 4") == image.symbols["counter"].address - 4
    assert image.describe(0x08000004) == "start+0x4"
    inner = image.symbols["inner"]
    found = image.symbol_at(inner.address)
    assert found is not None and found.name == "inner"
    assert image.symbol_at(0x07FFFFFF) is None
    kinds = {s.name: s.kind for s in image.sections}
    assert (kinds[".text"], kinds[".data"], kinds[".bss"]) == ("text", "data", "bss")
    data = next(s for s in image.sections if s.name == ".data")
    assert data.address == 0x20000000 and 0x08000000 <= data.load_address < 0x08010000
    assert image.word(data.load_address) == 0x12345678
    assert any(address == 0x20000000 for address, _ in image.footprint)
    image.check_fits(platform())


def test_unknown_symbol_names_the_closest(elf: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'counter'"):
        load_image(elf).resolve("countr+4")


def test_wrong_architecture_and_too_small_memory(elf: Path) -> None:
    image = load_image(elf)
    with pytest.raises(InputError, match="image is for arm"):
        image.check_fits(platform("rv32imac"))
    with pytest.raises(InputError, match=r"outside the memories of board \(flash 0x08000000"):
        image.check_fits(platform(flash_bytes=8))


def test_hex_and_bin_hold_the_same_bytes(elf: Path, tmp_path: Path) -> None:
    from intelhex import IntelHex

    image = load_image(elf)
    book = IntelHex()
    for address, data in image.segments:
        book.puts(address, data)
    book.start_addr = {"EIP": 0x08000000}
    book.write_hex_file(str(tmp_path / "a.hex"))
    again = load_image(tmp_path / "a.hex")
    assert again.format == "hex" and again.entry == 0x08000000
    assert again.read(0x08000000, 6) == image.read(0x08000000, 6)
    (tmp_path / "a.bin").write_bytes(image.segments[0][1])
    flat = load_image(tmp_path / "a.bin", base=0x08000000)
    assert flat.segments == (image.segments[0],) and flat.arch is None


def one_line(path: Path, match: str, base: int | None = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_image(path, base)
    message = str(caught.value)
    assert "\n" not in message and path.name in message and caught.value.exit_code == 2


def test_broken_files(elf: Path, tmp_path: Path) -> None:
    one_line(tmp_path / "none.elf", "no such file")
    file = tmp_path / "file"
    file.write_bytes(b"")
    one_line(file, "empty")
    file.write_bytes(b"\x00\x20\x00\x20")
    one_line(file, "needs its load address")
    one_line(file, "below 4 GiB", base=0xFFFFFFFE)
    content = elf.read_bytes()
    for size in (4, 20, 52, 300, len(content) // 2, len(content) - 40):
        file.write_bytes(content[:size])
        one_line(file, "ELF")
    one_line(elf, "for BIN images only", base=0)
    file.write_text(":0400000001020304F3\n:00000001FF\n")
    one_line(file, "line 1.*checksum")
    file.write_text(":0400000001020304F2\n")
    one_line(file, "end record")
    file.write_text(":0400000001020304F2\n:0400020001020304F0\n:00000001FF\n")
    one_line(file, "line 2.*overlap")
    file.write_text(":00000001FF\n")
    one_line(file, "without any data")


def test_host_program_is_refused() -> None:
    host = shutil.which("true")
    if host is None or not Path(host).read_bytes().startswith(b"\x7fELF"):
        pytest.skip("needs an ELF host")
    one_line(Path(host), "expected (Arm or RISC-V|a 32-bit)")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_elf_never_gives_more_than_one_line(elf: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(elf.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.elf"
    file.write_bytes(content)
    try:
        image = load_image(file)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(image, Image)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=":0123456789ABCDEF\r\n ", max_size=120))
def test_random_hex_never_gives_more_than_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "random.hex"
    file.write_text(text or ":")
    try:
        load_image(file)
    except InputError as error:
        assert "\n" not in str(error)
