"""What Capstone does not know of Armv8.1-M: Helium (MVE) instructions by pipe, and those of low-overhead loops.

Encodings: Armv8.1-M Architecture Reference Manual (DDI 0553), C2.4. Only what a pipeline model needs is read: which of
the core's vector pipes an instruction occupies, the vector registers it reads and writes, and how a loop ends.
Instructions that Helium shares with Neon are recognised here too, so that all of them are priced alike.
"""

from __future__ import annotations

from emulab.timing.thumb import FLAGS, FPU_BASE, PC, Instruction

LOAD, STORE, INTEGER, MULTIPLY, CONTROL = "mve.load", "mve.store", "mve.int", "mve.mul", "mve.control"
GATHER = "mve.gather"
LOOP_START, LOOP_END = "mve.loop", "mve.le"


def _q(number: int) -> int:
    """The four single-precision registers that are vector register *number*."""
    return 15 << (FPU_BASE + 4 * (number & 7))


def vector_instruction(first: int, second: int, address: int) -> Instruction | None:
    """The instruction of halfwords *first*, *second* at *address*, or None where it is not one of these."""
    if first & 0xFF80 == 0xF000 and second & 0xF001 in (0xC001, 0xE001):
        return _loop(first, second, address)
    if first & 0xFFF0 == 0xEA50 and (second & 0x8000 or second & 0x000D == 0x000D):
        # CSEL and its kin, and shifts of two registers: ORRS with operands it may not have
        reads = 1 << (first & 15) | 1 << (second & 15) | FLAGS
        return Instruction("alu", 4, "csel", reads=reads & ~(1 << PC), writes=1 << (second >> 8 & 15), address=address)
    if first & 0xEE00 == 0xEC00 and second & 0x0E00 == 0x0E00:
        return _transfer(first, second, address)
    if first & 0xEF00 == 0xEF00:
        # Shared with Neon; of doublewords (bit 6 clear) there are none on M-profile.
        return _shared(first, second, address) if second & 0x0040 else None
    if first & 0xEF00 == 0xEE00 and second & 0x0E00 == 0x0E00:
        return _data(first, second, address)
    if first & 0xFF80 == 0xEE80 and second & 0x0F10 == 0x0B10:  # VDUP
        return Instruction("mve", 4, INTEGER, reads=1 << (second >> 12), writes=_q(first >> 1), address=address)
    return None


def _loop(first: int, second: int, address: int) -> Instruction:
    if second & 0xF001 == 0xE001:  # DLS, DLSTP, LCTP; VCTP
        kind = CONTROL if second & 0x0800 else LOOP_START
        return Instruction("mve" if kind == CONTROL else "alu", 4, kind, reads=1 << (first & 15), address=address)
    offset = (second & 0x07FE) << 1 | (second & 0x0800) >> 10
    if first & 0x0F == 0x0F or first & 0xFFEF == 0xF00F:  # LE, LETP: backwards
        target = address + 4 - offset
        return Instruction("branch", 4, LOOP_END, conditional=True, target=target, address=address)
    return Instruction("branch", 4, LOOP_START, 1 << (first & 15), conditional=True, target=address + 4 + offset)


def _transfer(first: int, second: int, address: int) -> Instruction:
    """Loads, stores, and moves of two words between core and vector registers."""
    load = bool(first & 0x0010)
    vector, base = _q(second >> 13), 1 << (first & 15)
    if first & 0xFFA0 == 0xEC00:
        core = base | 1 << (second & 15)
        if load:  # to lanes: the others stay
            return Instruction("mve", 4, INTEGER, reads=core | vector, writes=vector, address=address)
        return Instruction("mve", 4, MULTIPLY, reads=vector, writes=core, address=address)
    offsets = first & 0x0120 == 0 or (first & 0xF100 == 0xF100 and second & 0x1000)
    four = first & 0x0120 in (0x0000, 0x0020) and first & 0xF000 == 0xF000 and second & 0x1000  # VLD2, VLD4
    name = (LOAD if load else STORE) if four or not offsets else GATHER
    elements = 4 if first & 0xF100 == 0xF100 else (16, 8, 4, 2)[second >> 7 & 3]
    return Instruction(
        "mve",
        4,
        name,
        reads=base | (0 if load else vector),
        writes=vector if load else 0,
        address_reads=base,
        count=elements if name == GATHER else 4,
        address=address,
    )


def _operands(first: int, second: int) -> tuple[int, int]:
    """(read, written) of the usual three-register form."""
    return _q(first >> 1) | _q(second >> 1), _q(second >> 13)


def _shared(first: int, second: int, address: int) -> Instruction:
    reads, writes = _operands(first, second)
    operation = second >> 8 & 15
    if first & 0x0080:  # shifts by a constant, conversions, constants
        constant = not first & 0x0038
        reads = 0 if constant else _q(second >> 1)
        multiply = operation >= 12 or constant
    else:
        multiply = operation == 9 or operation == 11 or operation >= 12
    return Instruction("mve", 4, MULTIPLY if multiply else INTEGER, reads=reads, writes=writes, address=address)


def _data(first: int, second: int, address: int) -> Instruction:
    """Data processing that only Helium has."""
    reads, writes = _operands(first, second)
    if first & 0xFFBF == 0xFE31 and second & 0x1FFF == 0x0F4D:  # VPST
        return Instruction("mve", 4, CONTROL, address=address)
    if first & 0x0080:
        if first & 0x00A0 == 0x00A0 and first & 0x0040 == 0 and second & 0x0140 == 0x0140:  # VMOVL, VSHLL
            return Instruction("mve", 4, INTEGER, reads=_q(second >> 1), writes=writes, address=address)
        if first & 0x00F0 == 0x00E0:  # VMAXV, VMINV
            core = 1 << (second >> 12)
            return Instruction("mve", 4, INTEGER, reads=_q(second >> 1), writes=core, address=address)
        # VMLADAV, VMLALDAV, VADDV: summed into a core register, which is needed late
        core = 1 << (second >> 12 & 14)
        return Instruction("mve", 4, MULTIPLY, reads=reads | core, late_reads=core, writes=core, address=address)
    if first & 0x0030 == 0x0030:  # narrowing moves, shifts by a register, VADC, VPSEL
        return Instruction("mve", 4, INTEGER, reads=reads | writes, writes=writes, address=address)
    compare = first & 0xF000 == 0xF000 and second & 0x1F00 == 0x1F00
    name = INTEGER if second & 0x0100 and not compare else MULTIPLY
    return Instruction("mve", 4, name, reads=reads, writes=writes, address=address)
