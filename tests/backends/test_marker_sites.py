"""Places of marker stores, against what an assembler makes of them and what our own firmware holds."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.backends.marker_sites import marker_sites
from emulab.firmware.build import BuildOptions, build
from emulab.firmware.image import load_image
from emulab.model.platform import data_folder, load_platform

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
BASE = 0x08000000


def decoded(arch: str, code: bytes, base: int) -> list[str]:
    import capstone

    modes = {
        "thumb": (capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS),
        "riscv": (capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC),
    }
    return [f"{i.mnemonic} {i.op_str}" for i in capstone.Cs(*modes[arch]).disasm(code, base)]


@given(st.integers(0, 2**30 - 1).map(lambda word: word * 4), st.integers(0, 14).filter(lambda r: r != 13))
def test_thumb_is_what_the_disassembler_reads(address: int, register: int) -> None:
    from emulab.backends.marker_sites import _thumb

    code, store = _thumb(register, address)
    name = {14: "lr", 9: "sb", 10: "sl", 11: "fp", 12: "ip"}.get(register, f"r{register}")
    low, high, last = decoded("thumb", code, BASE)
    assert (low.split(", #")[0], int(low.split("#")[1], 0)) == (f"movw {name}", address & 0xFFFF)
    assert (high.split(", #")[0], int(high.split("#")[1], 0)) == (f"movt {name}", address >> 16)
    assert last.replace(".w", "") == f"str {name}, [{name}]" and store == 8


@given(st.integers(0, 2**30 - 1).map(lambda word: word * 4), st.integers(1, 31))
def test_rv32_stores_to_the_address(address: int, register: int) -> None:
    from emulab.backends.marker_sites import _rv32

    code, store = _rv32(register, address)
    upper, lower = decoded("riscv", code, BASE)
    high = int(upper.rsplit(", ", 1)[1], 0) << 12
    offset = int(lower.split(", ")[1].split("(")[0], 0)
    assert (high + offset) % 2**32 == address and store == 4
    assert upper.startswith("lui") and lower.startswith("sw")


def test_each_place_is_found_and_no_other(tmp_path) -> None:
    from emulab.backends.marker_sites import _thumb

    one, other = 0x20000740, 0x20000744
    code = struct.pack("<2I", 0x20010000, BASE + 9)
    for register, address in ((3, one), (0, other), (10, one)):
        code += struct.pack("<H", 0xBF00) + _thumb(register, address)[0]
    file = tmp_path / "markers.bin"
    file.write_bytes(code)
    image = load_image(file, BASE)
    assert marker_sites(image, one) == (BASE + 8 + 2 + 8, BASE + 8 + 12 + 12 + 2 + 8)
    assert marker_sites(image, other) == (BASE + 8 + 12 + 2 + 8,)
    assert marker_sites(image, 0x20000748) == ()


@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "generic-rv32"])
def test_of_our_own_firmware(board: str) -> None:
    """Both ends of an inference stand once in the firmware; the code there is a store."""
    image = build(HAR, load_platform(board).platform, options=BuildOptions(model_id="har")).image
    for end in ("begin", "end"):
        (site,) = marker_sites(image, image.symbols[f"emulab_marker_inference.{end}"].address)
        arch = "riscv" if board == "generic-rv32" else "thumb"
        assert decoded(arch, image.read(site, 4), site)[0].split()[0] in ("str", "str.w", "sw")
