"""Profile of a window: executions per basic block, taken edges, memory accesses per region, cache misses."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BlockCount:
    """One basic block: executed *count* times, left by a taken branch *taken* times (where the probe can tell)."""

    address: int
    size_bytes: int
    instructions: int
    count: int
    taken: int = 0
    cycles: int = 0
    stall_cycles: int = 0


@dataclass(frozen=True, slots=True)
class RegionCount:
    """Data accesses to one memory region."""

    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """Exact counts over a window. ``cycles`` are modelled: static cost per block plus dynamic costs."""

    blocks: tuple[BlockCount, ...] = ()
    regions: dict[str, RegionCount] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)
    instructions: int = 0
    cycles: int = 0
    stall_cycles: int = 0
    idle_cycles: int = 0
    interrupts: int = 0


@dataclass(frozen=True, slots=True)
class WindowProfile:
    """One occurrence of a named window, in virtual (or wall) time."""

    name: str
    index: int
    start_s: float
    stop_s: float
    inferences: int
    profile: Profile | None = None
    charge_c: dict[str, float] = field(default_factory=dict)
