"""Layering of platform files and their errors."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.model.platform import deep_merge, load_platform, platform_names
from emulab.model.quantity import PhysicalNumber

CORE = """
core:
  name: c
  isa: armv7e-m
  timing: {model: cortex-m4, parameters: {refill: {value: 2, unit: cycle, source: TRM}}}
"""
SOC = """
extends: cores/c
soc:
  name: s
  memories:
    flash: {base: 0x08000000, size_bytes: 1024, kind: flash}
    ram: {base: 0x20000000, size_bytes: 256, kind: ram}
"""
BOARD = """
extends: [socs/s]
board: {name: b, clock_hz: 1000000, console: {peripheral: usart1}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"cores/c": CORE, "socs/s": SOC, "boards/b": BOARD}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_layers_merge_and_are_listed(folder: Path) -> None:
    loaded = load_platform("b", [folder])
    assert loaded.platform.name == "b"
    assert loaded.platform.flash_bytes == 1024
    assert loaded.platform.ram_bytes == 256
    assert list(loaded.hashes()) == ["cores/c.yaml", "socs/s.yaml", "boards/b.yaml"]


def test_board_overrides_soc_and_overlay_overrides_board(folder: Path) -> None:
    (folder / "boards" / "b.yaml").write_text(BOARD + "soc: {memories: {ram: {size_bytes: 512}}}\n")
    assert load_platform("b", [folder]).platform.ram_bytes == 512
    overlay = folder / "overlay.yaml"
    overlay.write_text("board: {clock_hz: 2000000}\n")
    assert load_platform("b", [folder], [overlay]).platform.board.clock_hz == 2e6


def test_unknown_key_names_file_key_and_closest(folder: Path) -> None:
    (folder / "boards" / "b.yaml").write_text(BOARD.replace("clock_hz", "clok_hz"))
    with pytest.raises(InputError, match=r"b\.yaml: board\.clok_hz: unknown key 'clok_hz'; did you mean 'clock_hz'"):
        load_platform("b", [folder])


def test_unknown_board_suggests(folder: Path) -> None:
    with pytest.raises(InputError, match="is unknown; did you mean 'nucleo-l4r5zi'"):
        load_platform("nucleo-l4r5z", [folder])


def test_cycle_in_extends_is_said(folder: Path) -> None:
    (folder / "cores" / "c.yaml").write_text("extends: socs/s\n")
    with pytest.raises(InputError, match="extends itself"):
        load_platform("b", [folder])


def test_missing_layer(folder: Path) -> None:
    (folder / "boards" / "b.yaml").write_text("extends: socs/absent\n")
    with pytest.raises(InputError, match="no platform file 'socs/absent'"):
        load_platform("b", [folder])


def test_a_number_needs_a_source() -> None:
    with pytest.raises(ValueError, match="needs `source:`"):
        PhysicalNumber(value=1.0, unit="A")
    with pytest.raises(ValueError, match="unknown unit 'mA'"):
        PhysicalNumber(value=1.0, unit="mA", assumed=True)


@pytest.mark.parametrize("name", platform_names())
def test_shipped_platforms_load(name: str) -> None:
    platform = load_platform(name).platform
    assert platform.name == name
    assert platform.board.console.peripheral in platform.soc.peripherals
    regions = sorted((m.base, m.base + m.size_bytes) for m in platform.soc.memories.values())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(regions)), "memories overlap"


trees = st.recursive(
    st.integers(), lambda children: st.dictionaries(st.sampled_from("abc"), children, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@given(trees, trees, trees)
def test_merge_is_associative_and_idempotent(a: dict, b: dict, c: dict) -> None:
    assert deep_merge(a, a) == a
    assert deep_merge({}, a) == a == deep_merge(a, {})
    if all(not isinstance(v, dict) for tree in (a, b, c) for v in tree.values()):
        assert deep_merge(deep_merge(a, b), c) == deep_merge(a, deep_merge(b, c))


def test_unknown_board_says_how_to_describe_one() -> None:
    with pytest.raises(InputError, match=r"--platform FILE\.yaml, see platforms/README\.md"):
        load_platform("nucleo-l552ze-q")


def test_accuracy_of_cycle_counts_is_inherited_from_the_core_unless_the_soc_says_otherwise() -> None:
    from emulab.timing import accuracy_text

    assert "STM32U575" in accuracy_text(load_platform("nucleo-u575zi-q").platform)
    assert "within 5.0% (assumed)" in accuracy_text(load_platform("nucleo-u3c5zi-q").platform)
    assert "not compared with silicon" in accuracy_text(load_platform("hifive1-revb").platform)
