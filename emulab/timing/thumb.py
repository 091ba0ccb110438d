"""Decode Thumb code into what a pipeline model must know: class, registers read and written, address registers.

Capstone prints, this module reads the text: reading Capstone's operand objects from Python costs about ten times
as much, and its register lists miss implicit operands. Registers are bits of an integer: r0-r15, the flags
(:data:`FLAGS`) and s0-s31 (from :data:`FPU_BASE`; a d register is two of them).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

SP, LR, PC = 13, 14, 15
FLAGS = 1 << 16
FPU_BASE = 32


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAMES = {"sp": 13, "lr": 14, "pc": 15, "sb": 9, "sl": 10, "fp": 11, "ip": 12}
_CONDITIONS = _words("eq ne hs cs lo cc mi pl vs vc hi ls ge lt gt le")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    ``kind`` is one of: alu shift simd mul mac mull div load store loadm storem loadd stored branch call return
    indirect table it nop system barrier fpu fpumac fpudiv fpumove fload fstore floadm fstorem mve unknown.
    ``reads`` and ``writes`` are register sets; ``address_reads`` the part of ``reads`` that forms an address;
    ``late_reads`` operands needed late (accumulator of a multiply, data of a store). ``count`` is the number of
    registers transferred. ``target`` is the address a direct branch goes to.
    ``last_register`` is the last register operand of data processing, the one that is shifted or extended, and of a load
    the register that arrives last; ``offset`` what is added to the base of a single load or store, None where a register is.
    """

    kind: str
    size: int
    mnemonic: str
    reads: int = 0
    writes: int = 0
    address_reads: int = 0
    late_reads: int = 0
    last_register: int = 0
    count: int = 1
    conditional: bool = False
    register_offset: bool = False
    writeback: bool = False
    literal: bool = False
    shifted: bool = False
    to_pc: bool = False
    target: int = -1
    offset: int | None = None
    address: int = 0

    @property
    def is_load(self) -> bool:
        return self.kind in ("load", "loadd", "loadm", "fload", "floadm")

    @property
    def is_store(self) -> bool:
        return self.kind in ("store", "stored", "storem", "fstore", "fstorem")

    @property
    def updated_base(self) -> int:
        """The base register a load or store writes back: ready like a sum, not like what was loaded."""
        return self.address_reads & self.writes if self.writeback else 0

    @property
    def is_memory(self) -> bool:
        return self.is_load or self.is_store

    @property
    def ends_block(self) -> bool:
        return self.kind in ("branch", "call", "return", "indirect", "table") or self.to_pc


def register(name: str) -> int:
    """Bit set of a register name, 0 if it is not one."""
    number = _NAMES.get(name)
    if number is not None:
        return 1 << number
    kind, digits = name[:1], name[1:]
    if not digits.isdigit():
        return FLAGS if name == "apsr_nzcv" else 0
    index = int(digits)
    if kind == "r" and index < 16:
        return 1 << index
    if kind == "s" and index < 32:
        return 1 << (FPU_BASE + index)
    if kind == "d" and index < 16:
        return 3 << (FPU_BASE + 2 * index)
    if kind == "q" and index < 8:
        return 15 << (FPU_BASE + 4 * index)
    return 0


def split_operands(text: str) -> list[str]:
    """Split at commas that are outside brackets and braces."""
    parts: list[str] = []
    depth, start = 0, 0
    for index, char in enumerate(text):
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    if text[start:].strip():
        parts.append(text[start:].strip())
    return parts


def _register_list(text: str) -> tuple[int, int]:
    """Registers of ``{r1, r2, s0}`` as a set, and how many words they are."""
    found = 0
    for name in text.strip("{}^! ").split(","):
        found |= register(name.strip())
    return found, found.bit_count()


_MAC = _words(
    "mla mls smlad smladx smlsd smlsdx smlabb smlabt smlatb smlatt smlawb smlawt smmla smmlar smmls smmlsr usada8"
)
_MULL = _words("umull smull")
_MACL = _words("umlal smlal umaal smlald smlaldx smlsld smlsldx smlalbb smlalbt smlaltb smlaltt")
_MUL = _words("mul muls smulbb smulbt smultb smultt smulwb smulwt smuad smuadx smusd smusdx smmul smmulr usad8")
_COMPARE = _words("cmp cmn tst teq")
_SHIFT = _words("lsl lsls lsr lsrs asr asrs ror rors rrx rrxs")
_EXTEND = _words("sxtb sxth uxtb uxth sxtab sxtah uxtab uxtah bfi bfc ubfx sbfx")
_SIMD = _words(
    "sxtb16 uxtb16 sxtab16 uxtab16 pkhbt pkhtb ssat usat ssat16 usat16 qadd qsub qdadd qdsub sel "
    "rev rev16 revsh rbit clz"
) | {
    prefix + operation
    for prefix in ("s", "q", "sh", "u", "uq", "uh")
    for operation in ("add16", "asx", "sax", "sub16", "add8", "sub8")
}
_FRESH = _EXTEND | _SIMD | {"mov", "movs", "mvn", "mvns", "movw", "adr"}
_BARRIER = _words("dmb dsb isb")
_SYSTEM = _words("mrs msr cpsid cpsie svc bkpt wfi wfe sev yield udf clrex sg bxns blxns tt")


def _memory(base: str, operands: list[str], size: int, store: bool) -> Instruction:
    """A load or store of one or two registers: operands are registers, then ``[base...]`` and an update."""
    brackets = next((i for i, o in enumerate(operands) if o.startswith("[")), len(operands))
    transferred = 0
    for operand in operands[:brackets]:
        transferred |= register(operand)
    inside = operands[brackets].rstrip("!").strip("[]") if brackets < len(operands) else ""
    parts = [p.strip() for p in inside.split(",")]
    address = 0
    for part in parts:
        address |= register(part)
    base_register = register(parts[0]) if parts else 0
    writeback = bool(brackets < len(operands) and (operands[brackets].endswith("!") or len(operands) > brackets + 1))
    register_offset = len(parts) > 1 and register(parts[1]) != 0
    offset = int(parts[1][1:], 0) if len(parts) > 1 and parts[1][:1] == "#" else None if register_offset else 0
    fpu = base.startswith("v")
    double = base in ("ldrd", "strd", "ldrexd", "strexd")
    if store:
        kind = "fstore" if fpu else "stored" if double else "store"
        status = register(operands[0]) if base.startswith(("strex", "stlex")) else 0
        data = transferred & ~status
        return Instruction(
            kind,
            size,
            base,
            reads=data | address,
            late_reads=data,
            address_reads=address,
            writes=status | (base_register if writeback else 0),
            count=data.bit_count() or 1,
            register_offset=register_offset,
            writeback=writeback,
            offset=offset,
        )
    kind = "fload" if fpu else "loadd" if double else "load"
    if base == "pld":
        kind, transferred = "nop", 0
    return Instruction(
        kind,
        size,
        base,
        reads=address,
        address_reads=address,
        writes=transferred | (base_register if writeback else 0),
        count=transferred.bit_count() or 1,
        last_register=register(operands[brackets - 1]) if brackets else 0,
        register_offset=register_offset,
        writeback=writeback,
        literal=base_register == 1 << PC,
        to_pc=bool(transferred & (1 << PC)),
        offset=offset,
    )


def _multiple(base: str, operands: list[str], size: int) -> Instruction:
    """LDM, STM, PUSH, POP and their VFP forms."""
    fpu = base.startswith("v")
    store = base.startswith(("st", "vst")) or base in ("push", "vpush")
    if base in ("push", "pop", "vpush", "vpop"):
        base_register, writeback, names = 1 << SP, True, ", ".join(operands)
    else:
        base_register, writeback, names = register(operands[0].rstrip("!")), operands[0].endswith("!"), operands[-1]
    registers, words = _register_list(names)
    if store:
        return Instruction(
            "fstorem" if fpu else "storem",
            size,
            base,
            reads=registers | base_register,
            late_reads=registers,
            address_reads=base_register,
            writes=base_register if writeback else 0,
            count=words,
            writeback=writeback,
        )
    return Instruction(
        "floadm" if fpu else "loadm",
        size,
        base,
        reads=base_register,
        last_register=1 << (registers.bit_length() - 1) if registers else 0,
        address_reads=base_register,
        writes=registers | (base_register if writeback else 0),
        count=words,
        writeback=writeback,
        to_pc=bool(registers & (1 << PC)),
    )


def _branch(base: str, operands: list[str], size: int, conditional: bool) -> Instruction:
    target = -1
    if operands and operands[-1].startswith("#"):
        target = int(operands[-1][1:], 16)
    if base == "bl":
        return Instruction("call", size, base, writes=1 << LR, target=target, conditional=conditional)
    if base in ("blx", "blxns"):
        return Instruction("indirect", size, base, reads=register(operands[0]), writes=1 << LR, conditional=conditional)
    if base in ("bx", "bxns"):
        source = register(operands[0])
        kind = "return" if source == 1 << LR else "indirect"
        return Instruction(kind, size, base, reads=source, conditional=conditional)
    if base in ("cbz", "cbnz"):
        return Instruction("branch", size, base, reads=register(operands[0]), conditional=True, target=target)
    return Instruction("branch", size, base, reads=FLAGS if conditional else 0, conditional=conditional, target=target)


def _fpu(base: str, suffix: str, operands: list[str], size: int) -> Instruction:
    """VFP data processing and moves."""
    registers = [register(o) for o in operands]
    if base == "vmrs":
        return Instruction("fpumove", size, base, writes=registers[0])
    if base == "vmsr":
        return Instruction("fpumove", size, base, reads=registers[-1])
    if base in ("vcmp", "vcmpe"):
        return Instruction("fpu", size, base, reads=sum(set(registers)))
    if base == "vmov" and not suffix:
        half = 2 if len(operands) > 2 else 1
        if len(operands) == 3 and registers[0] >= 1 << FPU_BASE:
            half = 1  # vmov d0, r0, r1
        reads = writes = 0
        for r in registers[:half]:
            writes |= r
        for r in registers[half:]:
            reads |= r
        return Instruction("fpumove", size, base, reads=reads, writes=writes, count=max(len(operands) - 1, 1) // 2 + 1)
    reads = 0
    for r in registers[1:]:
        reads |= r
    kind, late = "fpu", 0
    if base in ("vmla", "vmls", "vfma", "vfms", "vnmla", "vnmls", "vfnma", "vfnms"):
        kind, late = "fpumac", registers[0]
        reads |= registers[0]
    elif base in ("vdiv", "vsqrt"):
        kind = "fpudiv"
    return Instruction(kind, size, base, reads=reads, late_reads=late, writes=registers[0] if registers else 0)


def _data(base: str, operands: list[str], size: int) -> Instruction:
    """Integer data processing."""
    registers = [register(o) for o in operands]
    reads = 0
    if base in _COMPARE:
        for r in registers:
            reads |= r
        last = next((r for r in reversed(registers) if r), 0)
        shifted = len(operands) > 2
        return Instruction("alu", size, base, reads=reads, writes=FLAGS, shifted=shifted, last_register=last)
    long = base in _MULL or base in _MACL
    destinations = 2 if long else 1
    writes = 0
    for r in registers[:destinations]:
        writes |= r
    for r in registers[destinations:]:
        reads |= r
    one_source = len([r for r in registers if r]) <= destinations or len(operands) == 2
    if one_source and base not in _FRESH:
        # two-operand form: the destination is also a source (adds r0, #1; muls r0, r1)
        reads |= registers[0] if registers else 0
    if base in ("movt", "bfi", "bfc"):
        reads |= registers[0]
    if base.endswith("s") and base != "mls":
        writes |= FLAGS
    if base in ("adc", "adcs", "sbc", "sbcs", "sel"):
        reads |= FLAGS
    shifted = len(operands) > 2 and operands[-1].startswith(("lsl", "lsr", "asr", "ror", "rrx"))
    kind, late = "alu", 0
    if base in _MAC:
        kind, late = "mac", registers[3] if len(registers) > 3 else 0
    elif base in _MULL or base in _MACL:
        kind = "mull"
        if base in _MACL:
            reads |= writes & ~FLAGS
            late = writes & ~FLAGS
    elif base in _MUL:
        kind = "mul"
    elif base in ("udiv", "sdiv"):
        kind = "div"
    elif base in _SIMD:
        kind = "simd"
    elif base in _SHIFT or base in _EXTEND:
        kind = "shift"
    return Instruction(
        kind,
        size,
        base,
        reads=reads,
        writes=writes,
        late_reads=late,
        last_register=next((r for r in reversed(registers) if r), 0),
        shifted=shifted,
        to_pc=bool(writes & (1 << PC)),
    )


@lru_cache(maxsize=65536)
def parse(mnemonic: str, text: str, size: int, in_it: bool) -> Instruction:
    """Understand one printed instruction; ``in_it`` says that the mnemonic carries an IT condition."""
    head, _, suffix = mnemonic.partition(".")
    if suffix in ("w", "n"):
        suffix = ""
    conditional = in_it
    if in_it and len(head) > 2 and head[-2:] in _CONDITIONS:
        head = head[:-2]
    operands = split_operands(text)
    if head in ("b", "bl", "blx", "bx", "bxns", "blxns", "cbz", "cbnz") or (
        head[:1] == "b" and len(head) == 3 and head[1:] in _CONDITIONS
    ):
        if len(head) == 3 and head[1:] in _CONDITIONS:
            head, conditional = "b", True
        return _branch(head, operands, size, conditional)
    result: Instruction
    if head in ("tbb", "tbh"):
        used = 0
        for part in text.strip("[]").split(","):
            used |= register(part.strip())
        result = Instruction("table", size, head, reads=used, address_reads=used)
    elif head.startswith("it") and set(head[1:]) <= set("te"):
        result = Instruction("it", size, head, reads=FLAGS)
    elif head.startswith(("ldm", "stm", "vldm", "vstm")) or head in ("push", "pop", "vpush", "vpop"):
        result = _multiple(head, operands, size)
    elif head.startswith(("ldr", "lda", "pld", "vldr")):
        result = _memory(head, operands, size, store=False)
    elif head.startswith(("str", "stl", "vstr")):
        result = _memory(head, operands, size, store=True)
    elif head == "nop":
        result = Instruction("nop", size, head)
    elif head in _BARRIER:
        result = Instruction("barrier", size, head)
    elif head in _SYSTEM:
        written = register(operands[0]) if head == "mrs" else 0
        used = register(operands[-1]) if head == "msr" else 0
        result = Instruction("system", size, head, reads=used, writes=written)
    elif head.startswith("v"):
        result = _fpu(head, suffix, operands, size)
    else:
        result = _data(head, operands, size)
    return replace(result, conditional=True, reads=result.reads | FLAGS) if conditional else result


class ThumbDecoder:
    """Decodes blocks of Thumb code of one architecture; holds the Capstone handle."""

    def __init__(self, v8: bool = False, helium: bool = False) -> None:
        import capstone

        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | (capstone.CS_MODE_V8 if v8 else 0)
        self._capstone: Any = capstone.Cs(capstone.CS_ARCH_ARM, mode)
        self._helium = helium

    def decode(self, address: int, code: bytes) -> list[Instruction]:
        """Instructions of *code* in order; what cannot be decoded is `unknown`, of two or four bytes."""
        if not self._helium:
            return self._plain(address, code)
        from emulab.timing.mve import vector_instruction

        result: list[Instruction] = []
        start = position = 0
        while position + 2 <= len(code):
            first = code[position] | code[position + 1] << 8
            if first < 0xE800 or position + 4 > len(code):
                position += 2
                continue
            second = code[position + 2] | code[position + 3] << 8
            vector = vector_instruction(first, second, address + position)
            position += 4
            if vector is not None:
                result += self._plain(address + start, code[start : position - 4])
                result.append(vector)
                start = position
        return result + self._plain(address + start, code[start:])

    def _plain(self, address: int, code: bytes) -> list[Instruction]:
        result: list[Instruction] = []
        position, pending_it = 0, 0
        while position < len(code):
            for at, size, mnemonic, operands in self._capstone.disasm_lite(code[position:], address + position):
                instruction = parse(mnemonic, operands, size, pending_it > 0)
                pending_it = max(pending_it - 1, 0)
                if instruction.kind == "it":
                    pending_it = len(instruction.mnemonic) - 1
                result.append(replace(instruction, address=at))
                position = at + size - address
            if position < len(code):
                wide = len(code) - position >= 4 and code[position + 1] & 0xF8 in (0xE8, 0xF0, 0xF8)
                size = min(4 if wide else 2, len(code) - position)
                result.append(Instruction("unknown", size, "unknown", address=address + position))
                position += size
        return result
