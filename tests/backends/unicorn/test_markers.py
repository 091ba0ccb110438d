"""A marker is seen wherever the engine ends a block: its address may be made in one block and stored to in the next."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emulab.backends.unicorn.blocks import BlockTable
from emulab.errors import FirmwareFault
from emulab.model.platform import load_platform

MARKER = 0x2000_074C
CODE = bytes.fromhex(
    "40f24c70"  # movw r0, #0x74c
    "c2f20000"  # movt r0, #0x2000
    "0060"  # str r0, [r0]
    "7047"  # bx lr
)
BASE = 0x5BFC


def table(code: bytes) -> BlockTable:
    def peek(address: int, size: int) -> bytes:
        if not BASE <= address <= address + size <= BASE + len(code):
            raise FirmwareFault(f"nothing at {address:#x}")
        return code[address - BASE : address - BASE + size]

    machine = SimpleNamespace(
        platform=load_platform("nrf52840-dk").platform,
        core=SimpleNamespace(),
        peek=peek,
        space=SimpleNamespace(constant_word=lambda address: None),
        probe=SimpleNamespace(add_block=lambda *given: 0, set_divider=lambda law: None),
    )
    made = BlockTable(machine)  # type: ignore[arg-type]
    made.watch_store(MARKER)
    return made


@pytest.mark.parametrize("cut", [0, 4, 8])
def test_marker_that_a_page_splits(cut: int) -> None:
    blocks = table(CODE)
    if cut:
        blocks.add(BASE, cut)
        assert not blocks.hits(BASE)
    blocks.add(BASE + cut, len(CODE) - cut)
    ((store, before_q8),) = blocks.hits(BASE + cut)
    assert store == MARKER and before_q8 >= 0
    assert (before_q8 == 0) == (cut == 8), "cycles of what runs before the store"


def test_a_block_at_the_start_of_memory_and_other_stores() -> None:
    blocks = table(CODE[4:])  # movt first, and nothing before it
    blocks.add(BASE, len(CODE) - 4)
    assert not blocks.hits(BASE)
    other = table(bytes.fromhex("40f20070") + CODE[4:])
    other.add(BASE + 4, len(CODE) - 4)
    assert not other.hits(BASE + 4)
