"""E31 prices against the latencies of the FE310-G002 manual, section 3.4."""

from __future__ import annotations

import pytest

from emulab.timing.base import BRANCH_CONDITIONAL, BRANCH_DIRECT, BRANCH_RETURN, Q8
from emulab.timing.riscv import E31


def cycles(*words: int) -> float:
    code = b"".join(w.to_bytes(4 if w & 3 == 3 else 2, "little") for w in words)
    return E31().block(0x20010000, code).cycles_q8 / Q8


ADD = 0x00B50533  # add a0, a0, a1
LW = 0x0005A503  # lw a0, 0(a1)
LB = 0x00058503  # lb a0, 0(a1)
MUL = 0x02B50533  # mul a0, a0, a1
NOP = 0x00000013


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((NOP, NOP), 2),
        ((ADD, ADD), 2),
        ((LW, ADD), 3),
        ((LW, NOP, ADD), 3),
        ((LB, ADD), 4),
        ((MUL, ADD), 6),
        ((MUL, MUL), 6),
    ],
)
def test_interlocks(words: tuple[int, ...], expected: float) -> None:
    assert cycles(*words) == expected


def test_block_ends() -> None:
    model = E31()
    assert model.block(0, (0x00B50463).to_bytes(4, "little")).branch_kind == BRANCH_CONDITIONAL | BRANCH_DIRECT
    assert model.block(0, (0x8082).to_bytes(2, "little")).branch_kind == BRANCH_RETURN
    assert model.block(0, NOP.to_bytes(4, "little")).branch_kind == 0


def test_compressed_code_counts_by_class() -> None:
    # c.lw a0, 0(a1); c.add a0, a1; c.sw a0, 0(a1); c.jr ra
    code = b"".join(w.to_bytes(2, "little") for w in (0x4188, 0x952E, 0xC188, 0x8082))
    cost = E31().block(0x20010000, code)
    assert cost.classes == {"load": 1, "alu": 1, "store": 1, "branch": 1}
    assert cost.offsets == (0, 2, 4, 6)
