# ruff: noqa: SIM905
"""Address programs: how the addresses of a block's loads and stores follow from the registers at its entry.

The probe evaluates them when a block is entered, which costs far less than a hook on every memory access. A
program is a list of (operation, a, b, to, immediate) over slots: 0 to 31 are the registers, further ones are
computed; only what an address needs is kept. Accesses that no program can give (under an IT condition that
fails, through a value the block computes in an unknown way) are counted as unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

(CONST, ADD, SUB, MUL, AND, OR, XOR, BIC, SHL, SHR, SAR, SHLI, SHRI, SARI, SEXT8, SEXT16,
 LOAD8, LOAD16, LOAD32, LOADS8, LOADS16) = range(21)  # fmt: skip
_SLOTS = 192
_REGISTERS = 32

Value = tuple[int, int] | None
"""slot + constant; None: unknown. Slot -1 means a pure constant."""

ReadConstant = Callable[[int], int | None]
"""Word at an address that cannot change (a literal in flash), or None."""


@dataclass
class Recipe:
    """What the probe needs to know of a block beyond its cost.

    ``operations``: (op, a, b, to, immediate); ``accesses``: (slot, instruction, size, write, offset);
    ``unresolved``: accesses without address; ``stores``: stores other than relative to the stack pointer.
    """

    operations: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    accesses: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    unresolved: int = 0
    stores: bool = False
    unmasks: bool = False
    sleeps: bool = False
    open_predicate: bool = False
    """The block ends inside an IT block."""
    fixed_stores: list[tuple[int, int]] = field(default_factory=list)
    """Stores to addresses known beforehand: (address, instruction)."""


def _signed(value: int) -> int:
    return (value & 0xFFFFFFFF) - ((value & 0x80000000) << 1)


class Tracer:
    """Follows register values through a block symbolically; common to both instruction sets."""

    def __init__(self, stack_register: int, constant: ReadConstant | None = None) -> None:
        self.constant = constant
        self.value: dict[int, Value] = {r: (r, 0) for r in range(_REGISTERS)}
        self.recipe = Recipe()
        self.all_operations: list[tuple[int, int, int, int, int]] = []
        self.next_slot = _REGISTERS
        self.memory: dict[tuple[int, int], Value] = {}
        self.stored: list[tuple[int, int, int]] = []
        self.stack_register = stack_register

    def operate(self, op: int, a: Value, b: Value = (-1, 0), immediate: int = 0) -> Value:
        """A new slot computed from *a* and *b*; None when it cannot be."""
        slot_a, slot_b = self.materialize(a), self.materialize(b) if b != (-1, 0) else 0
        if slot_a is None or slot_b is None or self.next_slot >= _SLOTS:
            return None
        self.all_operations.append((op, slot_a, slot_b, self.next_slot, _signed(immediate)))
        self.next_slot += 1
        return (self.next_slot - 1, 0)

    def materialize(self, value: Value) -> int | None:
        """Slot that holds *value* itself."""
        if value is None or self.next_slot >= _SLOTS:
            return None
        slot, offset = value
        if slot >= 0 and offset == 0:
            return slot
        constant = self.next_slot
        self.all_operations.append((CONST, 0, 0, constant, _signed(offset)))
        self.next_slot += 1
        if slot < 0:
            return constant
        if self.next_slot >= _SLOTS:
            return None
        self.all_operations.append((ADD, slot, constant, self.next_slot, 0))
        self.next_slot += 1
        return self.next_slot - 1

    def add(self, a: Value, b: Value) -> Value:
        if a is None or b is None:
            return None
        if b[0] < 0:
            return (a[0], _signed(a[1] + b[1]))
        if a[0] < 0:
            return (b[0], _signed(a[1] + b[1]))
        total = self.operate(ADD, (a[0], 0), (b[0], 0))
        return None if total is None else (total[0], _signed(a[1] + b[1]))

    def shifted(self, value: Value, kind: str, amount: int) -> Value:
        if value is None or amount == 0:
            return value
        if value[0] < 0 and kind == "lsl":
            return (-1, _signed(value[1] << amount))
        if kind == "ror":
            high, low = self.operate(SHLI, value, (-1, 0), 32 - amount), self.operate(SHRI, value, (-1, 0), amount)
            return self.operate(OR, high, low)
        op = {"lsl": SHLI, "lsr": SHRI, "asr": SARI}.get(kind)
        return None if op is None else self.operate(op, value, (-1, 0), amount)

    def access(self, instruction: int, address: Value, size: int, write: bool, conditional: bool = False) -> None:
        if address is None or conditional:
            self.recipe.unresolved += 1
            if write:
                self.recipe.stores = True
                self.memory.clear()
            return
        if write and address[0] != self.stack_register:
            self.recipe.stores = True
            if address[0] < 0:
                self.recipe.fixed_stores.append((address[1] & 0xFFFFFFFF, instruction))
        self.recipe.accesses.append((address[0], min(instruction, 255), size, int(write), address[1]))

    def store(self, instruction: int, address: Value, size: int, value: Value, conditional: bool = False) -> None:
        self.access(instruction, address, size, True, conditional)
        if address is not None and not conditional:
            self.memory = {k: v for k, v in self.memory.items() if k[0] != address[0] or abs(k[1] - address[1]) >= 4}
            self.stored.append((*address, size))
            if size == 4:
                self.memory[address] = value

    def load(
        self, instruction: int, address: Value, size: int, signed: bool = False, conditional: bool = False
    ) -> Value:
        self.access(instruction, address, size, False, conditional)
        if address is None or conditional:
            return None
        if size == 4 and address in self.memory:
            return self.memory[address]
        if any(address[0] == s and address[1] < o + n and o < address[1] + size for s, o, n in self.stored):
            return None  # what the block stored there in other pieces is not put together
        op = {(1, False): LOAD8, (2, False): LOAD16, (4, False): LOAD32, (1, True): LOADS8, (2, True): LOADS16}.get(
            (size, signed)
        )
        if op is None or self.next_slot >= _SLOTS:
            return None
        if address[0] < 0 and size == 4 and self.constant is not None:
            literal = self.constant(address[1] & 0xFFFFFFFF)
            if literal is not None:
                return (-1, _signed(literal))
        if address[0] < 0:
            slot, offset = self.materialize(address), 0
        else:
            slot, offset = address
        if slot is None or self.next_slot >= _SLOTS:
            return None
        self.all_operations.append((op, slot, 0, self.next_slot, offset))
        self.next_slot += 1
        return (self.next_slot - 1, 0)

    def finish(self) -> Recipe:
        """Keep the operations that addresses need; constants become slots of their own."""
        fixed: list[tuple[int, int, int, int, int]] = []
        for slot, instruction, size, write, offset in self.recipe.accesses:
            if slot < 0:
                constant = self.materialize((-1, offset))
                if constant is None:
                    self.recipe.unresolved += 1
                    continue
                slot, offset = constant, 0
            fixed.append((slot, instruction, size, write, offset))
        self.recipe.accesses = fixed
        needed = {a[0] for a in fixed}
        kept: list[tuple[int, int, int, int, int]] = []
        for operation in reversed(self.all_operations):
            op, a, b, to, _ = operation
            if to in needed:
                kept.append(operation)
                if op != CONST:
                    needed.add(a)
                    if op in (ADD, SUB, MUL, AND, OR, XOR, BIC, SHL, SHR, SAR):
                        needed.add(b)
        self.recipe.operations = kept[::-1]
        return self.recipe


_ARM_REGISTERS = {f"r{i}": i for i in range(16)} | {
    "sp": 13, "lr": 14, "pc": 15, "sb": 9, "sl": 10, "fp": 11, "ip": 12,
}  # fmt: skip
_ARM_SIZE = {"b": 1, "sb": 1, "h": 2, "sh": 2, "": 4, "d": 8, "ex": 4, "exb": 1, "exh": 2, "a": 4, "l": 4}
_MEMORY = re.compile(r"^(ldr|str)(sb|sh|b|h|d|exb|exh|ex)?(t)?$")
_SPLIT = re.compile(r",\s*(?![^\[{]*[\]}])")
_CONDITION = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_CONDITIONAL = re.compile(rf"^(\w+?)({_CONDITION})(\.w|\.n|\.f32|\.32|\.f64|\.64)?$")
_BASE_NAMES = frozenset(
    "mov movs mvn mvns movw movt add adds adc adcs sub subs sbc sbcs rsb rsbs and ands orr orrs eor eors bic bics orn "
    "lsl lsls lsr lsrs asr asrs ror rors mul muls mla mls ldr ldrb ldrh ldrsb ldrsh ldrd str strb strh strd ldm stm "
    "push pop uxtb uxth sxtb sxth ubfx sbfx bfi bfc cmp cmn tst teq vldr vstr vpush vpop vldmia vstmia vmov vadd vmul "
    "vsub vcmp vcmpe vmrs vdiv vmax vmin ssat usat smlabb smlad smuad b bl bx blx svc nop udf sdiv udiv".split()
)


def _arm_operand(tracer: Tracer, text: str) -> Value:
    if text.startswith("#"):
        return (-1, _signed(int(text[1:], 0)))
    register = _ARM_REGISTERS.get(text)
    return tracer.value.get(register) if register is not None else None


def _arm_flexible(tracer: Tracer, operands: list[str]) -> Value:
    """Second operand: register or constant, perhaps shifted (``r2, lsl #2``)."""
    value = _arm_operand(tracer, operands[0])
    if len(operands) > 1:
        kind, _, amount = operands[1].partition(" ")
        if not amount.startswith("#"):
            return None
        return tracer.shifted(value, kind, int(amount[1:], 0))
    return value


def _arm_list(text: str) -> list[str]:
    names: list[str] = []
    for part in text.strip("{}").split(","):
        first, _, last = part.strip().partition("-")
        if last:
            prefix = re.sub(r"\d", "", first)
            names += [f"{prefix}{i}" for i in range(int(first[len(prefix) :]), int(last[len(prefix) :]) + 1)]
        else:
            names.append(first)
    return names


def _arm_address(tracer: Tracer, operands: list[str], position: int, pc: int) -> tuple[Value, int | None, Value]:
    """Address of a memory operand, base register to update (or None) and its new value."""
    text = operands[position]
    inner = _SPLIT_INNER.split(text.strip("[]!"))
    base_name = inner[0].strip()
    base_register = _ARM_REGISTERS.get(base_name)
    base: Value = (-1, (pc + 4) & ~3) if base_name == "pc" else tracer.value.get(base_register or 0)
    if base_register is None:
        return None, None, None
    offset: Value = (-1, 0)
    if len(inner) > 1:
        first = inner[1].strip()
        if first.startswith("-r"):
            offset = None
        else:
            offset = _arm_flexible(tracer, [p.strip() for p in inner[1:]])
    address = tracer.add(base, offset)
    if text.endswith("!"):
        return address, base_register, address
    if len(operands) > position + 1:  # post-indexed
        return base, base_register, tracer.add(base, _arm_operand(tracer, operands[position + 1]))
    return address, None, None


_SPLIT_INNER = re.compile(r",\s*")


def arm_recipe(
    address: int, instructions: list[tuple[int, int, str, str]], constant: ReadConstant | None = None
) -> Recipe:
    """Recipe of a Thumb block; *instructions* are (address, size, mnemonic, operands) as Capstone prints them."""
    tracer = Tracer(13, constant)
    predicated = 0
    for number, (pc, _size, mnemonic, text) in enumerate(instructions):
        conditional = predicated > 0
        if predicated:
            predicated -= 1
        name = mnemonic.split(".")[0]
        if name.startswith("it") and len(name) <= 4 and set(name[2:]) <= {"t", "e"}:
            predicated = len(name) - 1
            continue
        if conditional and name not in _BASE_NAMES:
            found = _CONDITIONAL.match(name)
            if found and found[1] in _BASE_NAMES:
                name = found[1]
        _arm_step(
            tracer,
            number,
            pc,
            name,
            [o.strip() for o in _SPLIT.split(text)] if text else [],
            conditional,
        )
    tracer.recipe.open_predicate = predicated > 0
    return tracer.finish()


def _arm_step(tracer: Tracer, number: int, pc: int, name: str, operands: list[str], conditional: bool) -> None:
    if name in ("wfi", "wfe"):
        tracer.recipe.sleeps = True
        return
    if name in ("cpsie", "cpsid", "msr"):
        tracer.recipe.unmasks = True
        return
    if name in ("push", "pop"):
        return _arm_multiple(
            tracer, number, name == "pop", 13, name == "push", True, _arm_list(operands[0]), conditional
        )
    if name in ("vpush", "vpop"):
        registers = _arm_list(operands[0])
        return _arm_multiple(tracer, number, name == "vpop", 13, name == "vpush", True, registers, conditional)
    if name.startswith(("ldm", "stm", "vldm", "vstm")) and len(operands) == 2:
        base = _ARM_REGISTERS.get(operands[0].rstrip("!"))
        if base is not None:
            load, down = name.lstrip("v").startswith("ldm"), name.endswith("db")
            update = operands[0].endswith("!")
            return _arm_multiple(tracer, number, load, base, down, update, _arm_list(operands[1]), conditional)
    memory = _MEMORY.match(name)
    if memory and "[" in "".join(operands):
        return _arm_memory(tracer, number, pc, memory, operands, conditional)
    if name in ("vldr", "vstr") and len(operands) > 1 and operands[1].startswith("["):
        address, _, _ = _arm_address(tracer, operands, 1, pc)
        size = 8 if operands[0].startswith("d") else 4
        tracer.access(number, address, size, name == "vstr", conditional)
        return None
    if name in ("tbb", "tbh") and operands:
        inner = operands[0].strip("[]").split(",")
        base_value: Value = (-1, pc + 4) if inner[0] == "pc" else _arm_operand(tracer, inner[0])
        index = tracer.shifted(_arm_operand(tracer, inner[1].strip()), "lsl", 1 if name == "tbh" else 0)
        tracer.access(number, tracer.add(base_value, index), 2 if name == "tbh" else 1, False, conditional)
        return None
    _arm_alu(tracer, name, operands, conditional, pc)
    return None


def _arm_multiple(
    tracer: Tracer, number: int, load: bool, base: int, down: bool, update: bool, names: list[str], conditional: bool
) -> None:
    size = 8 if names[0].startswith("d") else 4
    start = tracer.value.get(base)
    low = tracer.add(start, (-1, -size * len(names))) if down else start
    for i, name in enumerate(names):
        at = tracer.add(low, (-1, size * i))
        register = _ARM_REGISTERS.get(name)
        for part in range(0, size, 4):
            word = tracer.add(at, (-1, part))
            if load:
                value = tracer.load(number, word, 4, False, conditional)
                if register is not None and register != 15:
                    tracer.value[register] = value
            else:
                tracer.store(number, word, 4, tracer.value.get(register) if register is not None else None, conditional)
    if update and not (load and base in [_ARM_REGISTERS.get(n) for n in names]):
        end = low if down else tracer.add(start, (-1, size * len(names)))
        tracer.value[base] = None if conditional else end


def _arm_memory(
    tracer: Tracer, number: int, pc: int, memory: re.Match[str], operands: list[str], conditional: bool
) -> None:
    load, suffix = memory[1] == "ldr", memory[2] or ""
    position = next(i for i, o in enumerate(operands) if o.startswith("["))
    address, base, updated = _arm_address(tracer, operands, position, pc)
    registers = [_ARM_REGISTERS.get(o) for o in operands[:position]]
    if suffix == "d":
        for i, register in enumerate(registers[:2]):
            word = tracer.add(address, (-1, 4 * i))
            if load:
                value = tracer.load(number, word, 4, False, conditional)
                if register is not None:
                    tracer.value[register] = value
            else:
                tracer.store(number, word, 4, tracer.value.get(register) if register is not None else None, conditional)
    elif load:
        value = tracer.load(number, address, _ARM_SIZE[suffix], suffix in ("sb", "sh"), conditional)
        if registers[0] is not None and registers[0] != 15:
            tracer.value[registers[0]] = value
    else:
        if suffix.startswith("ex") and registers[0] is not None:
            tracer.value[registers[0]] = None
        stored = registers[-1]
        value = tracer.value.get(stored) if stored is not None else None
        tracer.store(number, address, _ARM_SIZE[suffix], value, conditional)
    if base is not None and not (load and base in registers):
        tracer.value[base] = None if conditional else updated


_ALU = {"add": ADD, "sub": SUB, "and": AND, "orr": OR, "eor": XOR, "bic": BIC, "mul": MUL}
_SHIFT = {"lsl": (SHLI, SHL), "lsr": (SHRI, SHR), "asr": (SARI, SAR)}
_NO_RESULT = frozenset(
    "cmp cmn tst teq b bl bx blx cbz cbnz nop dsb isb dmb svc bkpt udf yield sev vcmp vcmpe vmsr pld it".split()
)


def _arm_alu(tracer: Tracer, name: str, operands: list[str], conditional: bool, pc: int) -> None:
    plain = name[:-1] if name.endswith("s") and name[:-1] in _BASE_NAMES else name
    target = _ARM_REGISTERS.get(operands[0]) if operands else None
    if plain in _NO_RESULT or (plain.startswith("b") and plain not in ("bic", "bfi", "bfc")):
        return
    if target is None:  # vector and system instructions: whatever core registers they name are lost
        if plain.startswith("v") and plain not in ("vmov", "vmrs"):
            return
        _lose(tracer, operands)
        return
    if target == 15:
        return
    result = _arm_result(tracer, plain, operands, pc)
    if plain in ("umull", "smull", "umlal", "smlal", "umaal", "smlald", "ldrexd", "vmov"):
        _lose(tracer, operands[:2])
        return
    tracer.value[target] = None if conditional else result


def _lose(tracer: Tracer, operands: list[str]) -> None:
    for operand in operands:
        register = _ARM_REGISTERS.get(operand)
        if register is not None:
            tracer.value[register] = None


def _arm_result(tracer: Tracer, name: str, operands: list[str], pc: int) -> Value:
    """Value that a data-processing instruction leaves in its first operand; None where it is not followed."""
    first, rest = operands[0], operands[1:]
    if name in ("mov", "movw") and rest:
        return _arm_flexible(tracer, rest)
    if name == "movt" and rest:
        low = tracer.value.get(_ARM_REGISTERS[first])
        if low is None or low[0] >= 0:
            return None
        return (-1, _signed((low[1] & 0xFFFF) | (int(rest[0][1:], 0) << 16)))
    if name in ("adr",) and rest:
        return (-1, ((pc + 4) & ~3) + int(rest[0][1:], 0))
    if name in ("addw", "subw"):
        name = name[:3]
    if len(rest) == 1 or (len(rest) == 2 and rest[1].split(" ")[0] in ("lsl", "lsr", "asr", "ror")):
        rest = [first, *rest] if name in _ALU or name in _SHIFT else rest
    if name in _ALU and len(rest) >= 2:
        left: Value = (-1, (pc + 4) & ~3) if rest[0] == "pc" else _arm_operand(tracer, rest[0])
        right = _arm_flexible(tracer, rest[1:])
        if left is None or right is None:
            return None
        if name == "add":
            return tracer.add(left, right)
        if name == "sub" and right[0] < 0:
            return tracer.add(left, (-1, -right[1]))
        return tracer.operate(_ALU[name], left, right if right != (-1, 0) else _zero(tracer))
    if name in _SHIFT and len(rest) >= 2:
        value = _arm_operand(tracer, rest[0])
        if rest[1].startswith("#"):
            return tracer.shifted(value, name, int(rest[1][1:], 0))
        amount = _arm_operand(tracer, rest[1])
        return None if value is None or amount is None else tracer.operate(_SHIFT[name][1], value, amount)
    if name == "rsb" and len(rest) == 2:
        left, right = _arm_operand(tracer, rest[0]), _arm_flexible(tracer, rest[1:])
        if left is None or right is None:
            return None
        return tracer.operate(SUB, right if right != (-1, 0) else _zero(tracer), left)
    if name in ("mla", "mls") and len(rest) == 3:
        a, b, c = (_arm_operand(tracer, o) for o in rest)
        product = tracer.operate(MUL, a, b) if a is not None and b is not None else None
        return tracer.add(c, product) if name == "mla" else (tracer.operate(SUB, c, product) if c and product else None)
    if name in ("uxtb", "uxth", "sxtb", "sxth") and len(rest) == 1:
        value = _arm_operand(tracer, rest[0])
        if value is None:
            return None
        if name[0] == "s":
            return tracer.operate(SEXT8 if name[-1] == "b" else SEXT16, value)
        return tracer.operate(AND, value, (-1, 0xFF if name[-1] == "b" else 0xFFFF))
    if name in ("ubfx", "sbfx") and len(rest) == 3:
        lowest, width = int(rest[1][1:], 0), int(rest[2][1:], 0)
        value = tracer.shifted(_arm_operand(tracer, rest[0]), "lsl", 32 - lowest - width)
        return tracer.shifted(value, "lsr" if name[0] == "u" else "asr", 32 - width)
    return None


def _zero(tracer: Tracer) -> Value:
    """A slot that holds 0 (the constant itself stands for "no operand")."""
    if tracer.next_slot >= _SLOTS:
        return None
    tracer.all_operations.append((CONST, 0, 0, tracer.next_slot, 0))
    tracer.next_slot += 1
    return (tracer.next_slot - 1, 0)


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


def _riscv_step(tracer: Tracer, number: int, pc: int, name: str, operands: list[str]) -> None:
    name = {"lwsp": "lw", "swsp": "sw"}.get(name, name)
    if name == "wfi":
        tracer.recipe.sleeps = True
        return
    if name.startswith("csr") or name == "mret":
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
        return tracer.value.get(register) if register is not None else (-1, _signed(int(text, 0)))

    if name == "lui":
        return (-1, _signed(int(rest[0], 0) << 12))
    if name == "auipc":
        return (-1, _signed(pc + (int(rest[0], 0) << 12)))
    if name in ("li", "mv"):
        return value(rest[0])
    if name in ("addi16sp", "addi4spn"):
        name = "addi"
        rest = ["sp", rest[-1]]
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
        return tracer.operate(_RISCV_ALU[plain], left, right if right != (-1, 0) else _zero(tracer))
    return None
