"""RISC-V pipelines: SiFive E31, and a generic in-order RV32 where the core is not known.

E31: five stages, single issue, interlocks on operands that are not ready (FE310-G002 Manual v1p5, sections 3.2 to
3.4); branch prediction is simulated at run time (BTB, counters, return stack: header of ``probe/c/memsim.c``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from emulab.timing.base import (
    BRANCH_CALL,
    BRANCH_CONDITIONAL,
    BRANCH_DIRECT,
    BRANCH_INDIRECT,
    BRANCH_RETURN,
    BlockCost,
    Divider,
)
from emulab.timing.pipeline import Parameter, Priced, block_cost, check_parameters

_ABI_NAMES = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6"
_REGISTERS = {name: index for index, name in enumerate(_ABI_NAMES.split())}
_LOADS = {"lw": 4, "lh": 2, "lhu": 2, "lb": 1, "lbu": 1, "lwsp": 4, "lr": 4}
_STORES = frozenset({"sw", "sh", "sb", "swsp"})
_BRANCHES = frozenset(
    {
        "beq",
        "bne",
        "blt",
        "bge",
        "bltu",
        "bgeu",
        "beqz",
        "bnez",
        "blez",
        "bgez",
        "bltz",
        "bgtz",
        "bgt",
        "ble",
        "bgtu",
        "bleu",
    }
)


@dataclass(frozen=True, slots=True)
class RiscvInstruction:
    """One decoded instruction; registers are bits 1 to 31 (x0 never counts)."""

    kind: str
    size: int
    mnemonic: str
    reads: int
    writes: int
    address: int
    literal: bool = False
    width: int = 4


def _register(text: str) -> int:
    index = _REGISTERS.get(text.strip())
    return 1 << index if index else 0


def understand(mnemonic: str, operands: str, size: int, address: int) -> RiscvInstruction:
    """Class and registers of one printed instruction."""
    name = mnemonic.removeprefix("c.")
    head = name.split(".")[0]
    parts = [p.strip() for p in operands.split(",")] if operands else []
    registers = [_register(p.split("(")[-1].rstrip(")")) for p in parts]
    reads = writes = 0
    for r in registers[1:]:
        reads |= r
    first = registers[0] if registers else 0
    width = 4
    if head in _LOADS:
        kind, writes, width = "load", first, _LOADS[head]
        if name.endswith("sp"):
            reads |= 1 << 2
    elif head in _STORES:
        kind, reads = "store", reads | first | (1 << 2 if name.endswith("sp") else 0)
    elif head in _BRANCHES:
        kind, reads = "branch", reads | first
    elif head in ("j", "jal"):
        link = first if len(parts) == 2 else (1 << 1 if head == "jal" else 0)
        kind, writes = ("call" if link else "jump"), link
    elif head in ("jr", "jalr", "ret"):
        link = first if head == "jalr" and len(parts) > 1 else (1 << 1 if head == "jalr" else 0)
        source = reads if head == "jalr" and len(parts) > 1 else first
        if head == "ret" or (not link and source == 1 << 1):
            kind, reads = "return", 1 << 1
        else:
            kind, reads, writes = ("indirect_call" if link else "indirect"), source, link
    elif head in ("mul", "mulh", "mulhu", "mulhsu"):
        kind, writes = "mul", first
    elif head in ("div", "divu", "rem", "remu"):
        kind, writes = "div", first
    elif head.startswith("csr") or head in ("rdcycle", "rdcycleh", "rdinstret", "rdtime"):
        kind, writes = "system", first
    elif head.startswith("amo") or head == "sc":
        kind, writes = "load", first
    elif head in ("fence", "ecall", "ebreak", "mret", "wfi", "unimp"):
        kind, reads = "system", 0
    else:
        kind, writes = "alu", first
        if mnemonic.startswith("c.") and head not in ("li", "lui", "mv"):
            reads |= first
    return RiscvInstruction(kind, size, head, reads, writes, address, width=width)


class RiscvDecoder:
    """Decodes RV32IMAC(F) blocks; holds the Capstone handle."""

    def __init__(self) -> None:
        import capstone

        self._capstone: Any = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
        self._cache: dict[tuple[str, str, int], RiscvInstruction] = {}

    def decode(self, address: int, code: bytes) -> list[RiscvInstruction]:
        """Instructions of *code*; what cannot be decoded is `unknown`."""
        result: list[RiscvInstruction] = []
        position = 0
        while position < len(code):
            for at, size, mnemonic, operands in self._capstone.disasm_lite(code[position:], address + position):
                result.append(understand(mnemonic, operands, size, at))
                position = at + size - address
            if position < len(code):
                size = min(4 if code[position] & 3 == 3 else 2, len(code) - position)
                result.append(RiscvInstruction("unknown", size, "unknown", 0, 0, address + position))
                position += size
        return result


_KINDS = {
    "branch": BRANCH_CONDITIONAL | BRANCH_DIRECT,
    "jump": BRANCH_DIRECT,
    "call": BRANCH_DIRECT | BRANCH_CALL,
    "return": BRANCH_RETURN,
    "indirect": BRANCH_INDIRECT,
    "indirect_call": BRANCH_INDIRECT | BRANCH_CALL,
}
_CLASSES = {"jump": "branch", "call": "branch", "return": "branch", "indirect": "branch", "indirect_call": "branch"}


class InOrderRv32:
    """A single-issue, in-order RV32 core: one instruction a cycle, latencies that interlock."""

    name: ClassVar[str] = "rv32"
    divider: Divider | None = None
    unaligned: ClassVar[str] = "none"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "load_latency": Parameter(2, "LW to use", 1, 8, free=True),
        "narrow_load_latency": Parameter(2, "LB, LH and their unsigned forms to use", 1, 8, free=True),
        "multiply_latency": Parameter(2, "MUL, MULH to use", 1, 34, free=True),
        "divide_latency": Parameter(34, "DIV, REM to use; blocks", 1, 66, free=True),
        "system": Parameter(3, "CSR access, FENCE", 1, 16),
        "taken": Parameter(2, "more for a taken branch or jump, where it is not predicted", 0, 8, free=True),
        "jump": Parameter(1, "more for a direct jump, where it is not predicted", 0, 8, free=True),
        "data_step": Parameter(2, "mean time between data accesses of a block, for what overlaps with them", 1, 8),
    }

    def __init__(self, parameters: Mapping[str, float] | None = None) -> None:
        self.p = check_parameters(self.name, self.PARAMETERS, parameters or {})
        self._decoder = RiscvDecoder()

    def price(self, instructions: list[RiscvInstruction]) -> Priced:
        """Cycles of each instruction: one, and the wait for operands."""
        p = self.p
        ready: dict[int, float] = {}
        cycles: list[float] = []
        now = 0.0
        for i in instructions:
            start = now
            for bit, at in ready.items():
                if i.reads & bit and at > start:
                    start = at
            latency = 1.0
            if i.kind == "load":
                latency = p["load_latency"] if i.width == 4 else p["narrow_load_latency"]
            elif i.kind == "mul":
                latency = p["multiply_latency"]
            elif i.kind == "div":
                latency = p["divide_latency"]
            end = start + 1
            if i.kind == "div":
                end = start + latency
            elif i.kind == "system":
                end = start + p["system"]
            if i.writes:
                ready[i.writes] = start + latency
            cycles.append(end - now)
            now = end
        last = instructions[-1].kind if instructions else ""
        taken = 0.0
        if last in ("jump", "call"):
            taken = p["jump"]
        elif last in _KINDS:
            taken = p["taken"]
        return Priced(cycles, taken)

    def block(self, address: int, code: bytes) -> BlockCost:
        """See :class:`emulab.timing.base.TimingModel`."""
        instructions = self._decoder.decode(address, code)
        classes = [_CLASSES.get(i.kind, i.kind) for i in instructions]
        kind = _KINDS.get(instructions[-1].kind, 0) if instructions else 0
        return block_cost(instructions, classes, self.price(instructions), kind)


class E31(InOrderRv32):
    """SiFive E31 as in the FE310-G002."""

    name = "e31"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        **InOrderRv32.PARAMETERS,
        "load_latency": Parameter(2, "LW to use", 1, 8),
        "narrow_load_latency": Parameter(3, "LB, LH and their unsigned forms to use", 1, 8),
        "multiply_latency": Parameter(5, "MUL, MULH to use", 1, 34),
        "divide_latency": Parameter(17, "DIV, REM: 2 to 33 by operand values: the mean", 2, 33, free=True),
        "taken": Parameter(0, "more for a taken branch: nothing, it is predicted", 0, 8),
        "jump": Parameter(0, "more for a direct jump: nothing, it is predicted", 0, 8),
        "mispredict": Parameter(3, "wrong prediction", 0, 16),
        "btb_miss": Parameter(3, "taken branch that is not in the BTB", 0, 16),
        "btb_entries": Parameter(32, "branch target buffer: 28 entries, rounded to a power of two", 0, 1024),
        "branch_counters": Parameter(512, "branch history table", 0, 4096),
        "branch_history": Parameter(0, "bits of global history in its index", 0, 12),
        "return_stack": Parameter(6, "return address stack", 0, 16),
    }
