# ruff: noqa: SIM905
"""Address programs of RV32 blocks, from what Capstone prints."""

from __future__ import annotations

import re

from emulab.probe.recipes import (
    ADD,
    AND,
    BIC,
    MUL,
    OR,
    SAR,
    SHL,
    SHR,
    SHRI,
    SUB,
    XOR,
    ReadConstant,
    Recipe,
    Tracer,
    Value,
    to_signed,
)

_RISCV_NAMES = (
    "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split()
)
_RISCV_REGISTERS = {n: i for i, n in enumerate(_RISCV_NAMES)} | {"fp": 8} | {f"x{i}": i for i in range(32)}
_RISCV_LOADS = {"lb": (1, True), "lbu": (1, False), "lh": (2, True), "lhu": (2, False), "lw": (4, False)}
_RISCV_STORES = {"sb": 1, "sh": 2, "sw": 4}
_RISCV_ALU = {"add": ADD, "sub": SUB, "mul": MUL, "and": AND, "or": OR, "xor": XOR, "sll": SHL, "srl": SHR, "sra": SAR}
_RISCV_OFFSET = re.compile(r"^(-?\w+)?\((\w+)\)$")


def riscv_recipe(
    address: int, instructions: list[tuple[int, int, str, str]], constant: ReadConstant | None = None
) -> Recipe:
    """Recipe of an RV32 block; compressed instructions are followed as what they expand to."""
    tracer = Tracer(2, constant)
    tracer.value[0] = (-1, 0)
    for number, (pc, _size, mnemonic, text) in enumerate(instructions):
        name = mnemonic.removeprefix("c.")
        operands = [o.strip() for o in text.split(",")] if text else []
        _riscv_step(tracer, number, pc, name, operands)
        tracer.value[0] = (-1, 0)
    return tracer.finish()


def _may_enable(name: str, operands: list[str]) -> bool:
    """Whether an instruction on a CSR can let an interrupt in: it writes or sets bits of what enables one."""
    if name in ("csrr", "csrc", "csrci", "csrrc", "csrrci"):
        return False
    return operands[1 if name.startswith("csrr") else 0] in ("mstatus", "mie", "mip")


def _riscv_step(tracer: Tracer, number: int, pc: int, name: str, operands: list[str]) -> None:
    name = {"lwsp": "lw", "swsp": "sw"}.get(name, name)
    if name == "wfi":
        tracer.recipe.sleeps = True
        return
    if name == "mret" or (name.startswith("csr") and _may_enable(name, operands)):
        tracer.recipe.unmasks = True
    if (name in _RISCV_LOADS or name in _RISCV_STORES) and len(operands) == 2:
        found = _RISCV_OFFSET.match(operands[1])
        base = tracer.value.get(_RISCV_REGISTERS.get(found[2], -1)) if found else None
        at = tracer.add(base, (-1, int(found[1] or "0", 0))) if found else None
        register = _RISCV_REGISTERS.get(operands[0], 0)
        if name in _RISCV_LOADS:
            tracer.value[register] = tracer.load(number, at, *_RISCV_LOADS[name])
        else:
            tracer.store(number, at, _RISCV_STORES[name], tracer.value.get(register))
        return
    if name.startswith(("amo", "lr.", "sc.")):
        found = _RISCV_OFFSET.match(operands[-1])
        base = tracer.value.get(_RISCV_REGISTERS.get(found[2], -1)) if found else None
        if not name.startswith("sc."):
            tracer.access(number, base, 4, False)
        if not name.startswith("lr."):
            tracer.access(number, base, 4, True)
        tracer.memory.clear()
        tracer.value[_RISCV_REGISTERS.get(operands[0], 0)] = None
        return
    if name.startswith("b") or name in ("j", "jr", "ret", "ecall", "ebreak", "nop", "fence", "fence.i", "mret"):
        return
    target = _RISCV_REGISTERS.get(operands[0]) if operands else None
    if target is None:
        return
    if name in ("jal", "jalr"):
        if len(operands) > 1 or name == "jal":
            tracer.value[1 if len(operands) == 1 else target] = None
        return
    tracer.value[target] = _riscv_result(tracer, name, operands, pc)


def _riscv_result(tracer: Tracer, name: str, operands: list[str], pc: int) -> Value:
    rest = operands[1:]

    def value(text: str) -> Value:
        register = _RISCV_REGISTERS.get(text)
        return tracer.value.get(register) if register is not None else (-1, to_signed(int(text, 0)))

    if name == "lui":
        return (-1, to_signed(int(rest[0], 0) << 12))
    if name == "auipc":
        return (-1, to_signed(pc + (int(rest[0], 0) << 12)))
    if name in ("li", "mv"):
        return value(rest[0])
    if name in ("addi16sp", "addi4spn"):
        name = "addi"
        rest = ["sp", rest[-1]]
    if name in ("neg", "not", "seqz", "snez", "sltz", "sgtz"):
        one = value(rest[0])
        if name == "neg":
            return tracer.operate(SUB, tracer.zero(), one)
        if name == "not":
            return tracer.operate(XOR, one, (-1, -1))
        if name in ("seqz", "snez"):
            some = tracer.operate(SHRI, tracer.operate(OR, one, tracer.operate(SUB, tracer.zero(), one)), (-1, 0), 31)
            return some if name == "snez" else tracer.operate(XOR, some, (-1, 1))
        zero = tracer.zero()
        return _less(tracer, *((one, zero) if name == "sltz" else (zero, one)), signed=True)
    if name in ("slt", "sltu", "slti", "sltiu"):
        right = value(rest[1])
        return _less(tracer, value(rest[0]), tracer.zero() if right == (-1, 0) else right, not name.endswith("u"))
    immediate = name.endswith("i") and name != "li"
    plain = name[:-1] if immediate else name
    if plain in _RISCV_ALU:
        if len(rest) == 1:
            rest = [operands[0], rest[0]]
        left, right = value(rest[0]), value(rest[1])
        if left is None or right is None:
            return None
        if plain == "add":
            return tracer.add(left, right)
        if immediate and plain in ("sll", "srl", "sra"):
            return tracer.shifted(left, {"sll": "lsl", "srl": "lsr", "sra": "asr"}[plain], right[1] & 31)
        if plain == "sub" and right[0] < 0:
            return tracer.add(left, (-1, -right[1]))
        return tracer.operate(_RISCV_ALU[plain], left, right if right != (-1, 0) else tracer.zero())
    return None


def _less(tracer: Tracer, left: Value, right: Value, signed: bool) -> Value:
    """1 where *left* is less than *right*, else 0: the borrow of the difference, signs the other way round if signed."""
    borrow = tracer.operate(BIC, left, right) if signed else tracer.operate(BIC, right, left)
    alike = tracer.operate(BIC, tracer.operate(SUB, left, right), tracer.operate(XOR, left, right))
    return tracer.operate(SHRI, tracer.operate(OR, borrow, alike), (-1, 0), 31)
