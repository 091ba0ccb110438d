"""Counts of a run as they arrive, snapshots of them, and the profile between two snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.probe.profile import BlockCount, Profile, RegionCount
from emulab.timing.base import Q8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulab.backends.qemu.stream import BlockRecord, EdgeRecord
    from emulab.timing.base import BlockCost, TimingModel


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All totals at an edge. ``blocks`` holds (executed, taken, stalls_q8, branches_q8) per block index."""

    cycles_q8: int
    instructions: int
    stall_q8: int
    idle_ns: int
    idles: int
    regions: tuple[tuple[int, int, int, int], ...]
    counters: tuple[int, ...]
    blocks: tuple[tuple[int, int, int, int], ...]


class Counts:
    """Adds up what the plugin sends. ``clock_hz`` turns cycles into time."""

    def __init__(self, timing: TimingModel, clock_hz: float, regions: Sequence[str], counters: Sequence[str]) -> None:
        self.timing, self.clock_hz = timing, clock_hz
        self.region_names, self.counter_names = list(regions), list(counters)
        self.blocks: list[tuple[BlockRecord, BlockCost]] = []
        self.late_chunks = 0
        self._executed: list[tuple[int, int, int, int]] = []
        self._last: EdgeRecord | None = None

    def price(self, block: BlockRecord) -> BlockCost:
        """Enter *block* into the table; returns what it costs."""
        cost = self.timing.block(block.address, block.code)
        if block.index != len(self.blocks):
            raise ValueError(f"block {block.index} came as number {len(self.blocks)}")
        self.blocks.append((block, cost))
        self._executed.append((0, 0, 0, 0))
        return cost

    def apply(self, edge: EdgeRecord) -> None:
        """Add an edge's counts."""
        for index, count, taken, stalls_q8, branches_q8 in edge.blocks:
            c, t, s, b = self._executed[index]
            self._executed[index] = (c + count, t + taken, s + stalls_q8, b + branches_q8)
        self._last = edge
        self.late_chunks = edge.late_chunks

    def snapshot(self) -> Snapshot:
        last = self._last
        if last is None:
            return Snapshot(0, 0, 0, 0, 0, (), (), ())
        return Snapshot(
            last.cycles_q8,
            last.instructions,
            last.stall_q8,
            last.idle_ns,
            last.idles,
            last.regions,
            last.counters,
            tuple(self._executed),
        )

    @property
    def instructions(self) -> int:
        return self._last.instructions if self._last else 0

    @property
    def idle_s(self) -> float:
        return self._last.idle_ns * 1e-9 if self._last else 0.0

    def now_s(self) -> float:
        """Modelled time: cycles of what was executed, and the time slept."""
        return self.time_of(self.snapshot()) if self._last else 0.0

    def time_of(self, snapshot: Snapshot) -> float:
        return snapshot.cycles_q8 / Q8 / self.clock_hz + snapshot.idle_ns * 1e-9

    def profile(self, start: Snapshot, stop: Snapshot) -> Profile:
        """What happened between two snapshots; block counts add up to ``instructions``."""
        blocks = []
        for index, (count, taken, stalls_q8, branches_q8) in enumerate(stop.blocks):
            if index < len(start.blocks):
                before = start.blocks[index]
                count, taken = count - before[0], taken - before[1]
                stalls_q8, branches_q8 = stalls_q8 - before[2], branches_q8 - before[3]
            if not count and not taken:
                continue
            block, cost = self.blocks[index]
            cycles_q8 = count * cost.cycles_q8 + stalls_q8 + branches_q8
            blocks.append(
                BlockCount(
                    block.address,
                    len(block.code),
                    block.instructions,
                    count,
                    taken,
                    round(cycles_q8 / Q8),
                    round(stalls_q8 / Q8),
                )
            )
        idle_cycles = round((stop.idle_ns - start.idle_ns) * 1e-9 * self.clock_hz)
        return Profile(
            blocks=tuple(sorted(blocks, key=lambda b: (b.address, b.size_bytes))),
            regions=self._regions(start, stop),
            misses={
                name: value - (start.counters[i] if i < len(start.counters) else 0)
                for i, (name, value) in enumerate(zip(self.counter_names, stop.counters, strict=False))
            },
            instructions=stop.instructions - start.instructions,
            cycles=round((stop.cycles_q8 - start.cycles_q8) / Q8) + idle_cycles,
            stall_cycles=round((stop.stall_q8 - start.stall_q8) / Q8),
            idle_cycles=idle_cycles,
        )

    def _regions(self, start: Snapshot, stop: Snapshot) -> dict[str, RegionCount]:
        found = {}
        for index, name in enumerate(self.region_names[: len(stop.regions)]):
            before = start.regions[index] if index < len(start.regions) else (0, 0, 0, 0)
            values = [a - b for a, b in zip(stop.regions[index], before, strict=True)]
            if any(values):
                found[name] = RegionCount(*values)
        return found
