"""Windows of a run: where they begin and end, and what the probe counted in between.

Edges are taken inside the machine: before the block that a symbol names, at the store of a console line's first byte,
at a pin's edge, at a marker's store.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.probe.profile import BlockCount, Profile, RegionCount, WindowProfile

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.scenario import Window


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at one instant of virtual time; ``arrays`` are count, taken, stalls_q8, branches_q8 per block."""

    time_s: float
    cycles_q8: int
    idle_q8: int
    instructions: int
    stall_q8: int
    interrupts: int
    arrays: tuple[Any, ...]
    regions: tuple[tuple[int, int, int, int], ...]
    misses: dict[str, int]
    charge_c: dict[str, float]


def take_snapshot(machine: Machine, at_q8: int | None = None) -> Snapshot:
    """Counters now; *at_q8* says when exactly on the cycle time line."""
    import ctypes

    import numpy as np

    face = machine.face
    if at_q8 is None:
        at_q8 = machine.access_q8 if machine.access_q8 is not None else face.cycles_q8
    size = 8 * face.blocks
    arrays = tuple(
        np.frombuffer(ctypes.string_at(a, size), np.uint64).astype(np.int64)
        for a in (face.count, face.taken, face.stalls_q8, face.branches_q8)
    )
    regions = tuple(
        (r.reads, r.writes, r.bytes_read, r.bytes_written) for r in (face.region[i] for i in range(face.regions))
    )
    time_s = machine.time_of(at_q8)
    charge = {k: v for source in machine.charge_sources for k, v in source(time_s).items()}
    return Snapshot(
        time_s, at_q8, machine.idle_q8, face.instructions, face.stall_q8, machine.interrupts, arrays, regions,
        machine.probe.memory_counters(), charge,
    )  # fmt: skip


def profile_between(machine: Machine, start: Snapshot, stop: Snapshot) -> Profile:
    """What happened between two snapshots."""
    import numpy as np

    table = machine.table
    size = len(stop.arrays[0])
    old = [np.pad(a, (0, size - len(a))) for a in start.arrays]
    count, taken, stalls, branches = (b - a for a, b in zip(old, stop.arrays, strict=True))
    blocks = []
    for i in np.nonzero(count)[0].tolist():
        cycles_q8 = int(count[i]) * table.cycles_q8[i] + int(stalls[i]) + int(branches[i])
        blocks.append(
            BlockCount(
                table.addresses[i], table.sizes[i], table.instructions[i], int(count[i]), int(taken[i]),
                cycles_q8 >> 8, int(stalls[i]) >> 8,
            )
        )  # fmt: skip
    regions = {}
    for i, name in enumerate(machine.space.region_names[: len(stop.regions)]):
        before = start.regions[i] if i < len(start.regions) else (0, 0, 0, 0)
        difference = [b - a for a, b in zip(before, stop.regions[i], strict=True)]
        if any(difference):
            regions[name] = RegionCount(*difference)
    misses = {k: v - start.misses.get(k, 0) for k, v in stop.misses.items() if v != start.misses.get(k, 0)}
    idle = (stop.idle_q8 - start.idle_q8) >> 8
    return Profile(
        tuple(blocks), regions, misses, stop.instructions - start.instructions,
        ((stop.cycles_q8 - start.cycles_q8) >> 8) - idle, (stop.stall_q8 - start.stall_q8) >> 8, idle,
        stop.interrupts - start.interrupts,
    )  # fmt: skip


class _Tracked:
    """One declared window: waits for its start, then for its stop, then again."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.started: Snapshot | None = None
        self.count = 0
        self.seen = ""

    @property
    def waits_for(self) -> str:
        return self.window.start if self.started is None else self.window.stop


class WindowTracker:
    """Follows the declared windows and keeps every occurrence."""

    def __init__(self, machine: Machine, windows: tuple[Window, ...], profile: bool = True) -> None:
        self.machine, self.profile = machine, profile
        self.tracked = [_Tracked(w) for w in windows]
        self.finished: list[WindowProfile] = []
        self._line_start: Snapshot | None = None
        self._addresses: dict[str, int] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        ends = [end for w in windows for end in (w.start, w.stop)]
        for end in ends:
            self._declare(end)
        machine.on_edge = self._at_address
        if self._patterns:
            machine.console.on_line_start = self._line_started
            machine.console.on_line = self._line
        if any(end.startswith("gpio:") for end in ends):
            machine.pin_listeners.append(self._pin)

    def _declare(self, end: str) -> None:
        kind, _, rest = end.partition(":")
        if kind == "console" and rest:
            try:
                self._patterns[end] = re.compile(rest)
            except re.error as error:
                raise InputError(f"window end {end!r} is not a regular expression: {error}") from None
        elif kind == "gpio" and rest:
            pin, _, direction = rest.partition(":")
            if not pin or direction not in ("rising", "falling"):
                raise InputError(f"window end {end!r} should read gpio:PIN:rising or gpio:PIN:falling")
        elif kind == "marker" and rest:
            image = self.machine.image
            names = [f"emulab_marker_{rest}", f"emulab_marker_{rest.replace('.', '_')}"]
            found = next((n for n in names if n in image.symbols), None)
            if found is None:
                raise InputError(f"{image.path}: no marker {rest!r} (symbol {names[0]}) in the image")
            self._addresses[end] = image.resolve(found)
            self.machine.table.watch_store(self._addresses[end])
        else:
            self._addresses[end] = self.machine.image.resolve(end) & ~1
            self.machine.table.mark(self._addresses[end])

    def _edge(self, tracked: _Tracked, snapshot: Snapshot) -> None:
        tracked.seen = ""
        if tracked.started is None:
            tracked.started = snapshot
            return
        start, tracked.started = tracked.started, None
        window = tracked.window
        self.finished.append(
            WindowProfile(
                window.name, tracked.count, start.time_s, snapshot.time_s, window.inferences,
                profile_between(self.machine, start, snapshot) if self.profile else None,
                {k: v - start.charge_c.get(k, 0.0) for k, v in snapshot.charge_c.items()},
            )
        )  # fmt: skip
        tracked.count += 1

    def _fire(self, matches: Callable[[str], bool], snapshot: Callable[[], Snapshot]) -> None:
        taken: Snapshot | None = None
        for tracked in self.tracked:
            # a window may end where the next one begins: stops before starts
            if tracked.started is not None and matches(tracked.window.stop):
                taken = taken or snapshot()
                self._edge(tracked, taken)
                tracked.seen = "\0"
        for tracked in self.tracked:
            just_ended = tracked.seen == "\0"
            tracked.seen = "" if just_ended else tracked.seen
            if just_ended and tracked.window.stop == tracked.window.start:
                continue
            if tracked.started is None and matches(tracked.window.start):
                taken = taken or snapshot()
                self._edge(tracked, taken)

    def _at_address(self, block: int) -> None:
        hits = self.machine.table.hits(block)
        for address, prefix_q8 in hits:
            at_q8 = self.machine.face.cycles_q8 + prefix_q8
            self._fire(
                lambda end, a=address: self._addresses.get(end) == a,  # type: ignore[misc]
                lambda q=at_q8: take_snapshot(self.machine, q),  # type: ignore[misc]
            )

    def _pin(self, pin: str, time_s: float, level: bool) -> None:
        name = f"{pin}:{'rising' if level else 'falling'}".lower()
        self._fire(lambda end: end.lower() == f"gpio:{name}", lambda: take_snapshot(self.machine))

    def _line_started(self, _time_s: float) -> None:
        if any(t.waits_for in self._patterns for t in self.tracked):
            self._line_start = take_snapshot(self.machine)

    def _line(self, text: str, _time_s: float) -> None:
        start = self._line_start
        if start is None:
            return
        for tracked in self.tracked:
            pattern = self._patterns.get(tracked.waits_for)
            if pattern is None:
                continue
            tracked.seen += text + "\n"
            if pattern.search(tracked.seen):
                self._edge(tracked, start)
            elif len(tracked.seen) > 65536:
                tracked.seen = tracked.seen[-32768:]
