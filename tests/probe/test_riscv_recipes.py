"""Which RV32 instructions the host has to look behind: those that can let an interrupt in."""

from __future__ import annotations

import struct

import pytest

from emulab.probe.riscv_recipes import riscv_recipe

MSTATUS, MIE, MCAUSE, MTVEC, MCYCLE = 0x300, 0x304, 0x342, 0x305, 0xB00
WRITE, SET, CLEAR, WRITE_I, SET_I, CLEAR_I = 1, 2, 3, 5, 6, 7
T0, T1, ZERO = 5, 6, 0


def csr(register: int, kind: int, target: int, source: int) -> bytes:
    return struct.pack("<I", register << 20 | source << 15 | kind << 12 | target << 7 | 0x73)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (csr(MSTATUS, WRITE, ZERO, T0), True),
        (csr(MSTATUS, WRITE, T0, T1), True),
        (csr(MSTATUS, SET, ZERO, T0), True),
        (csr(MSTATUS, SET_I, T0, 8), True),
        (csr(MSTATUS, WRITE_I, ZERO, 8), True),
        (csr(MIE, SET, T0, T1), True),
        (csr(MSTATUS, SET, T0, ZERO), False),  # a read
        (csr(MSTATUS, CLEAR_I, T0, 8), False),
        (csr(MSTATUS, CLEAR, ZERO, T0), False),
        (csr(MCAUSE, SET, T0, ZERO), False),
        (csr(MTVEC, WRITE, ZERO, T0), False),
        (csr(MCYCLE, WRITE, ZERO, T0), False),
        (struct.pack("<I", 0x30200073), True),  # mret
        (struct.pack("<I", 0x10500073), False),  # wfi
    ],
)
def test_what_may_enable_an_interrupt(code: bytes, expected: bool) -> None:
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    (found,) = decoder.disasm(code, 0x1000)
    recipe = riscv_recipe(0x1000, [(found.address, found.size, found.mnemonic, found.op_str)])
    assert recipe.unmasks is expected
