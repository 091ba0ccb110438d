# ruff: noqa: SIM905
"""Address programs of Thumb blocks, from what Capstone prints."""

from __future__ import annotations

import re

from emulab.probe.recipes import (
    ADD,
    AND,
    BIC,
    MUL,
    OR,
    SAR,
    SARI,
    SEXT8,
    SEXT16,
    SHL,
    SHLI,
    SHR,
    SHRI,
    SMULH,
    SUB,
    UMULH,
    XOR,
    ReadConstant,
    Recipe,
    Tracer,
    Value,
    to_signed,
)

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
        return (-1, to_signed(int(text[1:], 0)))
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
    _arm_alu(tracer, number, name, operands, conditional, pc)
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


def _arm_alu(tracer: Tracer, number: int, name: str, operands: list[str], conditional: bool, pc: int) -> None:
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
    if plain in ("udiv", "sdiv"):
        pair = [_arm_operand(tracer, o) for o in (operands if len(operands) == 3 else [operands[0], *operands])[1:]]
        quotient = tracer.divide(number, pair[0], pair[1], plain == "sdiv", conditional)
        tracer.value[target] = None if conditional else quotient
        return
    if plain in ("umull", "smull") and len(operands) == 4 and not conditional:
        left, right = (tracer.zero() if v == (-1, 0) else v for v in (_arm_operand(tracer, o) for o in operands[2:]))
        halves = [tracer.operate(op, left, right) for op in (MUL, UMULH if plain == "umull" else SMULH)]
        for operand, half in zip(operands[:2], halves, strict=True):
            tracer.value[_ARM_REGISTERS[operand]] = half
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
        return (-1, to_signed((low[1] & 0xFFFF) | (int(rest[0][1:], 0) << 16)))
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
        return tracer.operate(_ALU[name], left, right if right != (-1, 0) else tracer.zero())
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
        return tracer.operate(SUB, right if right != (-1, 0) else tracer.zero(), left)
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
