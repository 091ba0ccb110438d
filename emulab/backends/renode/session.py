"""A Renode session: the machine runs while the host waits for a line, and stands still in between.

Renode pauses by itself at the end of every console line and at the window addresses awaited (hooks); there its count of
executed instructions is exact. A console edge is therefore known at the end of its line.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.backends.emulator import EmulatorSession
from emulab.backends.marker_sites import marker_sites
from emulab.backends.renode.metrics import Metrics
from emulab.backends.renode.mix import Mix
from emulab.backends.renode.monitor import MonitorTimeout
from emulab.backends.renode.process import RenodeProcess
from emulab.errors import FirmwareFault, ToolError
from emulab.probe.profile import Profile, WindowProfile

if TYPE_CHECKING:
    from emulab.backends.windows import WindowTracker
    from emulab.firmware.image import Image

_STEP_S = 1.0
"""How long the Monitor waits for a pause before it is asked again, so that crashes are noticed."""
_ANSWER_LIMIT_S = 30.0
_PUT_BYTES = 256
_RESOLUTION_NS = 2000
"""Renode's time passes in whole microseconds."""


@dataclass(frozen=True, slots=True)
class State:
    """What ``emulab_state`` tells."""

    runs: bool
    pc: int
    instructions: int
    elapsed_ns: int
    marks: tuple[int, ...]
    counters: tuple[int, ...]
    said: bytes

    @classmethod
    def parse(cls, text: str) -> State:
        """ToolError where *text* is none."""
        words = text.split()
        try:
            mark, runs, pc, instructions, elapsed_ns, marks, counters, said = words
            if mark != "@":
                raise ValueError(mark)
            counts = () if counters == "-" else tuple(map(int, counters.split(",")))
            numbers = int(pc), int(instructions), int(elapsed_ns)
            marked = () if marks == "-" else tuple(int(mark, 16) for mark in marks.split(","))
            return cls(runs == "1", *numbers, marked, counts, b"" if said == "-" else bytes.fromhex(said))
        except ValueError:
            raise ToolError(f"Renode told no state but {text[:120]!r}") from None


@dataclass(frozen=True, slots=True)
class Instant:
    """Counts at a pause."""

    instructions: int
    classes: tuple[tuple[str, int], ...]
    cycles: int
    """of executed instructions"""
    asleep_ns: int = 0

    def time_s(self, clock_hz: float) -> float:
        return self.cycles / clock_hz + self.asleep_ns * 1e-9


class RenodeSession(EmulatorSession[RenodeProcess, Instant]):
    """One machine in one Renode."""

    def __init__(
        self,
        process: RenodeProcess,
        image: Image,
        tracker: WindowTracker[Instant],
        mix: Mix,
        clock_hz: float,
        mips: int,
        counters: list[str],
        notes: list[str],
    ) -> None:
        super().__init__(process, image, tracker, notes)
        self._counters, self._mix, self._clock_hz, self._mips = counters, mix, clock_hz, mips
        self._received = bytearray()
        self._now = Instant(0, (), 0)
        self._hooked: set[int] = set()
        self._stored: set[int] = set()
        """markers stored to since the last pause"""
        self.metrics: Path | None = None
        """what Renode's profiler writes"""
        self._reached: dict[int, list[int]] = {}
        """numbers of the tracker's addresses by where the machine is when they are reached"""
        watched = set()
        for number, (address, _, _) in enumerate(tracker.addresses):
            # Renode's translated code does not report each store to a watched address: rather the store's own place
            places = marker_sites(image, address) if number in tracker.markers else (address & ~1,)
            if not places:
                watched.add(address)
            for place in places:
                self._reached.setdefault(place, []).append(number)
        self._set_hooks()
        for address in sorted(watched):
            self._command(f'emulab_mark "{address:x}"')

    def details(self) -> dict[str, Any]:
        found: dict[str, Any] = {"instructions": self._now.instructions, "opcode_classes": dict(self._now.classes)}
        if self._now.asleep_ns:
            found["idle_s"] = self._now.asleep_ns * 1e-9
        if self.metrics is not None and self.metrics.is_file():
            counts = Metrics(self.metrics).counts()
            found["accesses"] = {name: {"reads": c.reads, "writes": c.writes} for name, c in counts.items()}
        return found

    # -- console -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes go into the UART's receiver at once; the firmware sees them when it runs on."""
        if self._ended:
            raise ToolError(self._ended)
        for start in range(0, len(data), _PUT_BYTES):
            self._command(f'emulab_put "{data[start : start + _PUT_BYTES].hex()}"')

    def read(self, timeout_s: float) -> bytes:
        """Let the machine run until it has printed a line, at most *timeout_s*; then it runs on, until it does."""
        deadline = time.monotonic() + timeout_s
        while not self._lines:
            if self._ended:
                raise FirmwareFault(self._ended)
            left = deadline - time.monotonic()
            if left <= 0:
                return self._partial()
            self._run(min(left, _STEP_S))
        return self._next_line()

    def _partial(self) -> bytes:
        """What was printed since the last line's end, while the machine runs: no instant is known for it."""
        data = bytes(self._received)
        self._received.clear()
        for byte in data:
            self._tracker.printed(byte, self._now if self._tracker.starts_line() else None)
        return data

    def _run(self, limit_s: float) -> None:
        """Run until a hook pauses, at the end of a line or at a window's address, or *limit_s* are over."""
        state = State.parse(self._command(f"emulab_run {max(1, round(limit_s * 1000))}", limit_s + _ANSWER_LIMIT_S))
        self._received += state.said
        self._stored.update(state.marks)  # a pause may be asked for and not be there yet
        if state.runs:
            self._check_alive()
            return
        classes: dict[str, int] = {}
        for name, count in zip(self._counters, state.counters, strict=False):
            kind = name.rpartition("_")[0]
            classes[kind] = classes.get(kind, 0) + count
        cycles = self._mix.cycles(state.instructions, classes)
        self._now = Instant(state.instructions, tuple(sorted(classes.items())), cycles, self._asleep_ns(state))
        if self._tracker.addresses:
            self._at_hook(state.pc & ~1)
        for number in sorted(self._tracker.markers):
            if self._tracker.addresses[number][0] in self._stored:
                self._tracker.at_address(number, self._now)
        self._stored.clear()
        self._take_lines()

    def _asleep_ns(self, state: State) -> int:
        """Renode's time less the instructions executed. Its hook on WFI tells of a sleep when the quantum ends: too late."""
        asleep_ns = state.elapsed_ns - state.instructions * 1000 // self._mips
        return asleep_ns if asleep_ns > self._now.asleep_ns + _RESOLUTION_NS else self._now.asleep_ns

    def _take_lines(self) -> None:
        at_s = self._now.time_s(self._clock_hz)
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[: end + 1])
            del self._received[: end + 1]
            for byte in line:
                self._tracker.printed(byte, self._now if self._tracker.starts_line() else None)
            self._lines.append((line, at_s))

    # -- counts --------------------------------------------------------------------------------------------

    def _set_hooks(self) -> None:
        """A hook wherever an edge is but where the machine stands: it would stop there for ever."""
        places = sorted(self._reached.keys() - self._hooked)
        if places:
            self._hooked.update(places)
            self._command(f'emulab_hook "{" ".join(f"{place:x}" for place in places)}"')

    def _at_hook(self, pc: int) -> None:
        self._set_hooks()
        if pc not in self._hooked:
            return
        for number in self._reached[pc]:
            self._tracker.at_address(number, self._now)
        self._command(f'emulab_unhook "{pc:x}"')
        self._hooked.discard(pc)

    def windows(self) -> list[WindowProfile]:
        """Completed windows; instructions are exact, cycles are those of the opcode mix."""
        self._tracker.search()
        found = []
        for window, index, start, stop in self._tracker.completed():
            idle_cycles = round((stop.asleep_ns - start.asleep_ns) * 1e-9 * self._clock_hz)
            profile = Profile(
                instructions=stop.instructions - start.instructions,
                cycles=stop.cycles - start.cycles + idle_cycles,
                idle_cycles=idle_cycles,
            )
            begin_s, end_s = start.time_s(self._clock_hz), stop.time_s(self._clock_hz)
            found.append(WindowProfile(window.name, index, begin_s, end_s, window.inferences, profile))
        return found

    # -- the Monitor, and what goes wrong ------------------------------------------------------------------

    def _command(self, command: str, limit_s: float = 30.0) -> str:
        try:
            return self.process.monitor.execute(command, limit_s)
        except MonitorTimeout:
            self._check_alive()
            self._ended = self._why()
            raise FirmwareFault(f"{self._ended}; Renode did not come back from {command!r}") from None
        except ToolError:
            if self.process.status() is not None:
                self._ended = self._why()
                raise ToolError(self._ended) from None
            raise

    def _check_alive(self) -> None:
        abort = self.process.cpu_abort()
        if abort or self.process.status() is not None:
            self._ended = self._why()
            raise FirmwareFault(self._ended) if abort else ToolError(self._ended)

    def _why(self) -> str:
        abort = self.process.cpu_abort()
        if abort:
            return f"the firmware crashed: {abort}"
        status = self.process.status()
        if status is not None:
            return f"Renode ended with {'signal ' + str(-status) if status < 0 else 'exit status ' + str(status)}"
        return "Renode's Monitor does not answer"

    def describe_state(self) -> str:
        if self._ended:
            return self._ended
        try:
            pc = self.process.monitor.number("sysbus.cpu PC", 5.0) & ~1
        except ToolError as error:
            return str(error)
        return f"PC 0x{pc:08x} ({self.image.describe(pc)}), {self._now.instructions} instructions executed"
