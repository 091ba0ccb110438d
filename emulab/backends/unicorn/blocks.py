"""Describe basic blocks to the probe as the core first meets them: static cost, address program, marks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emulab.errors import FirmwareFault
from emulab.probe import core as probe_core
from emulab.probe.recipes import Recipe
from emulab.probe.riscv_recipes import riscv_recipe
from emulab.probe.thumb_recipes import arm_recipe
from emulab.timing import load_timing
from emulab.timing.base import Q8

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.timing.base import BlockCost

_BEGINS = ("movw", "movt", "lui")
_CONTINUES = ("movt", "str", "str.w", "sw", "c.sw")
"""Instructions of a marker (``runtime/emulab.h``) that make its address, and those that come after the first."""


class BlockTable:
    """What is known of each block beyond the probe's own table, by index."""

    def __init__(self, machine: Machine) -> None:
        import capstone

        self.machine = machine
        self.timing = load_timing(machine.platform)
        if self.timing.divider is not None:
            machine.probe.set_divider(self.timing.divider)
        self.edges: set[int] = set()
        self._stores: set[int] = set()
        self._hits: dict[int, list[tuple[int, int]]] = {}
        self.addresses: list[int] = []
        self.sizes: list[int] = []
        self.instructions: list[int] = []
        self.cycles_q8: list[int] = []
        self.offsets: list[tuple[int, ...]] = []
        self.flags: list[int] = []
        self.classes: list[dict[str, int]] = []
        """Instructions of each block per class, where the timing model counts any."""
        self.inside_it: set[int] = set()
        """Blocks that end inside an IT block: no interrupt is taken after them."""
        isa = machine.platform.core.isa
        if isa.startswith("arm"):
            mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
            if isa.startswith("armv8"):
                mode |= capstone.CS_MODE_V8
            self._decoder: Any = capstone.Cs(capstone.CS_ARCH_ARM, mode)
            self._recipe = arm_recipe
        else:
            self._decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
            self._recipe = riscv_recipe

    def mark(self, address: int) -> None:
        """Stop before the block that holds the instruction at *address*. Call it before that block was met."""
        self.edges.add(address)

    def watch_store(self, address: int) -> None:
        """Stop before a block that stores to the fixed *address* (a marker). Call it before that block was met."""
        self._stores.add(address)

    def hits(self, block_address: int) -> list[tuple[int, int]]:
        """Marks in the block at *block_address*: (mark, static cost in 1/256 cycle of what runs before it)."""
        return self._hits.get(block_address, [])

    def describe(self, address: int, size: int) -> None:
        """Learn the block of *size* bytes at *address*, which the engine is about to run."""
        intercept = getattr(self.machine.core, "intercept", None)
        if intercept is None or not intercept(address, self.machine.peek(address, size)):
            self.add(address, size)

    def add(self, address: int, size: int) -> int:
        """Add the block to the probe's table; returns its index."""
        code = self.machine.peek(address, size)
        cost = self.timing.block(address, code)
        instructions = list(self._decoder.disasm_lite(code, address))
        covered = sum(i[1] for i in instructions)
        recipe = self._recipe(address, instructions, self._constant) if covered == size else Recipe(stores=True)
        cost = self._least(cost, recipe)
        hits = [
            (address + o, p) for o, p in zip(cost.offsets, cost.prefix_q8, strict=False) if address + o in self.edges
        ]
        for store, number in [*recipe.fixed_stores, *self._split_stores(address, instructions)]:
            if store in self._stores:
                hits.append((store, cost.prefix_q8[number] if number < len(cost.prefix_q8) else 0))
        flags = 0
        if hits:
            self._hits[address] = hits
            flags = probe_core.BLOCK_EDGE
        index = self.machine.probe.add_block(address, size, cost, recipe, flags)
        if recipe.open_predicate:
            self.inside_it.add(index)
        self.addresses.append(address)
        self.sizes.append(size)
        self.instructions.append(cost.instructions)
        self.cycles_q8.append(cost.cycles_q8)
        self.offsets.append(cost.offsets)
        self.classes.append(cost.classes)
        self.flags.append(flags | (probe_core.BLOCK_SLEEPS if recipe.sleeps else 0))
        if recipe.stores:
            self.flags[-1] |= probe_core.BLOCK_STORES
        return index

    def _least(self, cost: BlockCost, recipe: Recipe) -> BlockCost:
        """*cost* with the least a division can take where the probe sees the operands and adds the rest."""
        divider = self.timing.divider
        if divider is None or not recipe.divides:
            recipe.divides.clear()
            return cost
        less_q8 = round((divider.unknown - divider.least) * Q8)
        numbers = [d[2] for d in recipe.divides]
        prefixes = tuple(p - less_q8 * sum(n < i for n in numbers) for i, p in enumerate(cost.prefix_q8))
        return replace(cost, cycles_q8=cost.cycles_q8 - less_q8 * len(numbers), prefix_q8=prefixes)

    def _split_stores(self, address: int, instructions: list[Any]) -> list[tuple[int, int]]:
        """Stores whose fixed address the block before has begun to make: (address, number of the instruction).

        The engine ends a block with its page (1 KB on a Cortex-M), wherever that falls in a marker.
        """
        if not self._stores or not instructions or instructions[0][2] not in _CONTINUES:
            return []
        for back in (8, 4):
            try:
                before = list(self._decoder.disasm_lite(self.machine.peek(address - back, back), address - back))
            except FirmwareFault:  # the start of a memory
                continue
            if sum(i[1] for i in before) == back and all(i[2] in _BEGINS for i in before):
                recipe = self._recipe(address - back, [*before, *instructions], self._constant)
                return [(store, at - len(before)) for store, at in recipe.fixed_stores if at >= len(before)]
        return []

    def _constant(self, address: int) -> int | None:
        """Word at *address* if the firmware cannot change it: a literal in flash."""
        return self.machine.space.constant_word(address)
