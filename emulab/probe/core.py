# ruff: noqa: SIM905
"""The C probe from Python: the structures of ``c/probe.h`` in ctypes, and the calls made on them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from emulab.errors import ToolError
from emulab.probe.build import probe_library

if TYPE_CHECKING:
    from pathlib import Path

    from emulab.probe.recipes import Recipe
    from emulab.timing.base import BlockCost, Divider

ABI = 6
RUNNING, DEADLINE, UNKNOWN_BLOCK, EDGE, REQUEST, UNMASKED, EXCEPTION, GUARDED = range(8)
BLOCK_EDGE, BLOCK_UNMASKS, BLOCK_SLEEPS, BLOCK_STORES = 1, 2, 4, 8
NO_BLOCK = 0xFFFFFFFF
FOREVER = 0xFFFFFFFFFFFFFFFF

_U8, _U32, _U64 = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64


class Op(ctypes.Structure):
    _fields_ = [("op", _U8), ("a", _U8), ("b", _U8), ("to", _U8), ("immediate", ctypes.c_int32)]


class Access(ctypes.Structure):
    _fields_ = [("slot", _U8), ("instruction", _U8), ("size", _U8), ("write", _U8), ("offset", ctypes.c_int32)]


class Divide(ctypes.Structure):
    _fields_ = [(name, _U8) for name in ("dividend", "divisor", "instruction", "is_signed")]


class DividerLaw(ctypes.Structure):
    _fields_ = [(name, _U32) for name in ("zero_q8", "smaller_q8", "base_q8", "bits", "unknown_q8")]


class Guard(ctypes.Structure):
    _fields_ = [(name, _U32) for name in ("start", "last", "access")]


class BlockSpec(ctypes.Structure):
    _fields_ = [
        (name, _U32)
        for name in (
            "address size instructions cycles_q8 taken_q8 entry_q8 branch_kind branch_address flags "
            "behind late1_q8 late2_q8 unresolved operations accesses prefixes divides"
        ).split()
    ]


class RegionCounts(ctypes.Structure):
    _fields_ = [(name, _U64) for name in ("reads", "writes", "bytes_read", "bytes_written")]


class Face(ctypes.Structure):
    """The front of em_probe: what host and probe share."""

    _fields_ = [
        *((n, _U64) for n in ("cycles_q8", "deadline_q8", "block_start_q8")),
        *((n, _U64) for n in ("instructions", "stall_q8", "unresolved", "entered")),
        *((n, _U32) for n in ("reason", "stop_address", "stop_size", "exception", "request", "interrupt")),
        *((n, _U32) for n in ("pass_edge", "blocks", "current", "regions", "has_console_store", "guarded_address")),
        *((n, ctypes.POINTER(_U64)) for n in ("count", "taken", "stalls_q8", "branches_q8")),
        ("region", ctypes.POINTER(RegionCounts)),
        ("registers", ctypes.c_void_p),
        ("read_register", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("engine", ctypes.c_void_p),
        ("memory", ctypes.c_void_p),
    ]


@lru_cache(maxsize=4)
def load_library(path: Path) -> Any:
    """The compiled probe with its prototypes; ToolError when it is of another version."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolError(f"probe library {path} does not load: {error}") from None
    p = ctypes.c_void_p
    prototypes: dict[str, tuple[Any, list[Any]]] = {
        "em_abi": (_U32, []),
        "em_probe_new": (p, []),
        "em_probe_free": (None, [p]),
        "em_probe_plain": (None, [p, ctypes.c_int]),
        "em_probe_add_region": (ctypes.c_int, [p, _U32, _U32, p, _U32, _U32]),
        "em_probe_add_block": (ctypes.c_int, [p, p, p, p, p, p]),
        "em_probe_divider": (None, [p, p]),
        "em_probe_guard": (None, [p, p, _U32]),
        "em_probe_mark": (None, [p, _U32, _U32, _U32]),
        "em_probe_enter": (_U32, [p, _U32, _U32]),
        "em_probe_access": (None, [p, _U32, _U32, _U32, ctypes.c_int]),
        "em_probe_time": (_U64, [p, _U32, ctypes.c_int]),
        "em_probe_pc": (_U32, [p]),
        "em_probe_break": (None, [p, _U32]),
        "em_probe_split": (None, [p, _U32, _U32]),
        "em_probe_repeat": (None, [p, p, p, p, _U64]),
        "em_new": (p, [p, ctypes.c_size_t]),
        "em_free": (None, [p]),
        "em_set": (None, [p, ctypes.c_int, _U32]),
        "em_counters": (ctypes.c_size_t, [p, p, ctypes.c_size_t]),
        "em_counter_name": (ctypes.c_char_p, [p, ctypes.c_size_t]),
    }
    for name, (result, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    if library.em_abi() != ABI:
        raise ToolError(f"probe library {path} is of another version; remove it from the cache")
    return library


class ProbeCore:
    """One probe: a block table with counters, and the simulated memory system.

    ``memory_config`` are the 32-bit words of ``emulab.timing.memory``; empty: memories cost nothing.
    """

    def __init__(self, memory_config: list[int] | None = None) -> None:
        self.library = load_library(probe_library())
        self.handle = self.library.em_probe_new()
        if not self.handle:
            raise ToolError("the probe found no memory")
        self.face = Face.from_address(self.handle)
        self.memory = None
        if memory_config:
            words = (_U32 * len(memory_config))(*memory_config)
            self.memory = self.library.em_new(words, len(memory_config))
            if not self.memory:
                raise ToolError("the memory simulator does not accept its configuration (emulab.timing.memory)")
            self.face.memory = self.memory

    def close(self) -> None:
        if self.handle:
            self.library.em_probe_free(self.handle)
            if self.memory:
                self.library.em_free(self.memory)
            self.handle = None

    def price_plainly(self) -> None:
        """Every block and access the general way from now on; call it before the first block. Results are the same."""
        self.library.em_probe_plain(self.handle, 1)

    def add_region(self, base: int, size: int, host: int | None, counter: int, device: bool = False) -> None:
        """Count accesses to [base, base+size) as region *counter*; both are rounded out to 4 KB."""
        low, high = base & ~0xFFF, (base + size + 0xFFF) & ~0xFFF
        offset = base - low
        host_low = host - offset if host is not None and not offset else None
        if self.library.em_probe_add_region(self.handle, low, high - low, host_low, counter, int(device)):
            raise ToolError("the probe has no room for another memory region (limit 254)")

    def guard(self, forbidden: Sequence[tuple[int, int, bool]]) -> None:
        """Addresses [start, end) whose writes, and reads too where said, stop the engine before the block (GUARDED)."""
        guards = (Guard * max(1, len(forbidden)))(*(Guard(s, e - 1, 3 if reads else 2) for s, e, reads in forbidden))
        self.library.em_probe_guard(self.handle, guards, len(forbidden))

    def set_divider(self, divider: Divider) -> None:
        """How long the divisions of recipes take; blocks then come with :meth:`Divider.least` for each of them."""
        law = DividerLaw(*divider.above_least_q8())
        self.library.em_probe_divider(self.handle, ctypes.byref(law))

    def add_block(self, address: int, size: int, cost: BlockCost, recipe: Recipe, flags: int = 0) -> int:
        """Add a block; returns its index in the tables."""
        flags |= (BLOCK_UNMASKS if recipe.unmasks else 0) | (BLOCK_SLEEPS if recipe.sleeps else 0)
        flags |= BLOCK_STORES if recipe.stores else 0
        last = address + cost.offsets[-1] if cost.offsets else address
        operations = (Op * max(1, len(recipe.operations)))(*(Op(*o) for o in recipe.operations))
        accesses = (Access * max(1, len(recipe.accesses)))(*(Access(*a) for a in recipe.accesses))
        prefixes = (_U32 * max(1, len(cost.prefix_q8)))(*cost.prefix_q8)
        divides = (Divide * max(1, len(recipe.divides)))(*(Divide(*d) for d in recipe.divides))
        spec = BlockSpec(
            address, size, cost.instructions, cost.cycles_q8, cost.taken_q8, cost.entry_q8, cost.branch_kind, last,
            flags, cost.behind, *cost.late_q8, recipe.unresolved,
            len(recipe.operations), len(recipe.accesses), len(cost.prefix_q8), len(recipe.divides),
        )  # fmt: skip
        index = self.library.em_probe_add_block(
            self.handle, ctypes.byref(spec), operations, accesses, prefixes, divides
        )
        if index < 0:
            raise ToolError("the probe has no memory for another block")
        return int(index)

    def mark(self, index: int, set_flags: int = 0, clear_flags: int = 0) -> None:
        self.library.em_probe_mark(self.handle, index, set_flags, clear_flags)

    def set_memory_parameter(self, parameter: int, value: int) -> None:
        if self.memory:
            self.library.em_set(self.memory, parameter, value)

    def memory_counters(self) -> dict[str, int]:
        """Cumulative counters of the memory simulator by name."""
        if not self.memory:
            return {}
        number = self.library.em_counters(self.memory, None, 0)
        values = (_U64 * number)()
        self.library.em_counters(self.memory, values, number)
        return {self.library.em_counter_name(self.memory, i).decode(): values[i] for i in range(number)}
