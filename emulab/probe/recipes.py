"""Address programs: how the addresses of a block's loads and stores follow from the registers at its entry.

The probe evaluates them when a block is entered, which costs far less than a hook on every memory access. A
program is a list of (operation, a, b, to, immediate) over slots: 0 to 31 are the registers, further ones are
computed; only what an address needs is kept. Accesses that no program can give (under an IT condition that
fails, through a value the block computes in an unknown way) are counted as unresolved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

(CONST, ADD, SUB, MUL, AND, OR, XOR, BIC, SHL, SHR, SAR, UDIV, SDIV, UMULH, SMULH, SHLI, SHRI, SARI, SEXT8, SEXT16,
 LOAD8, LOAD16, LOAD32, LOADS8, LOADS16) = range(25)  # fmt: skip
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
    divides: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Divisions whose operands are followed: (slot of the dividend, of the divisor, instruction, signed)."""
    fixed_stores: list[tuple[int, int]] = field(default_factory=list)
    """Stores to addresses known beforehand: (address, instruction)."""


def to_signed(value: int) -> int:
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
        self.all_operations.append((op, slot_a, slot_b, self.next_slot, to_signed(immediate)))
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
        self.all_operations.append((CONST, 0, 0, constant, to_signed(offset)))
        self.next_slot += 1
        if slot < 0:
            return constant
        if self.next_slot >= _SLOTS:
            return None
        self.all_operations.append((ADD, slot, constant, self.next_slot, 0))
        self.next_slot += 1
        return self.next_slot - 1

    def zero(self) -> Value:
        """A slot that holds 0 (the constant itself stands for "no operand")."""
        if self.next_slot >= _SLOTS:
            return None
        self.all_operations.append((CONST, 0, 0, self.next_slot, 0))
        self.next_slot += 1
        return (self.next_slot - 1, 0)

    def add(self, a: Value, b: Value) -> Value:
        if a is None or b is None:
            return None
        if b[0] < 0:
            return (a[0], to_signed(a[1] + b[1]))
        if a[0] < 0:
            return (b[0], to_signed(a[1] + b[1]))
        total = self.operate(ADD, (a[0], 0), (b[0], 0))
        return None if total is None else (total[0], to_signed(a[1] + b[1]))

    def shifted(self, value: Value, kind: str, amount: int) -> Value:
        if value is None or amount == 0:
            return value
        if value[0] < 0 and kind == "lsl":
            return (-1, to_signed(value[1] << amount))
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

    def divide(self, instruction: int, dividend: Value, divisor: Value, signed: bool, conditional: bool) -> Value:
        """The quotient. The operands are kept for the price, unless the division may be skipped."""
        above, below = self.materialize(dividend), self.materialize(divisor)
        if above is None or below is None or conditional:
            return None
        self.recipe.divides.append((above, below, min(instruction, 255), int(signed)))
        return self.operate(SDIV if signed else UDIV, (above, 0), (below, 0))

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
                return (-1, to_signed(literal))
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
        needed = {a[0] for a in fixed} | {slot for d in self.recipe.divides for slot in d[:2]}
        kept: list[tuple[int, int, int, int, int]] = []
        for operation in reversed(self.all_operations):
            op, a, b, to, _ = operation
            if to in needed:
                kept.append(operation)
                if op != CONST:
                    needed.add(a)
                    if op < SHLI:
                        needed.add(b)
        self.recipe.operations = kept[::-1]
        return self.recipe
