"""Plays a session (any backend's) on a simulated bench: its console in world time, its supply current, its timestamp
pin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from emulab.backends.base import Clock, Console, PowerMeter

PULSE_S = 2e-4
"""The shortest low that a 100 kHz monitor sees even when it loses a few samples in a row; shorter pulses of the firmware
are stretched to it."""
ANSWER_S = 600.0
"""Silence of the firmware, in its own time, after which a command counts as not answered."""


class Playable(Protocol):
    """What of a session is played."""

    @property
    def console(self) -> Console: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def power_meter(self) -> PowerMeter | None: ...

    def gpio_edges(self, pin: str) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Played:
    """Current from ``start_s`` to ``stop_s`` of world time: constant, or a trace on that clock."""

    start_s: float
    stop_s: float
    current_a: float
    values: Any = None
    step_s: float = 0.0


class Player:
    """Answers bytes from the host. A session with a power meter plays its own current, else ``active_a`` while it
    works. Between commands it is ``idle_a``, from the boot on what ``waits_at`` says where that is given. With ``ended``
    set it runs no further.

    The session must answer commands of the DUT protocol (each ends with ``m-ready``).
    """

    def __init__(
        self,
        session: Playable,
        now: Callable[[], float],
        pin: str = "",
        idle_a: float = 0.002,
        active_a: float = 0.012,
        waits_at: Callable[[], float] | None = None,
        ended: threading.Event | None = None,
    ) -> None:
        self._session, self._now, self._pin = session, now, pin
        self._waits_at = waits_at
        self._ended = ended or threading.Event()
        self.idle_a, self.active_a = idle_a, active_a
        self._lock = threading.Lock()
        self._segments: list[Played] = []
        self._lows: list[tuple[float, float]] = []
        self._seen_edges = 0

    def boot(self) -> list[tuple[float, bytes]]:
        """Run the firmware to its first ``m-ready``: (world seconds, bytes) to print."""
        said = self._answer(self.idle_a)
        if self._waits_at is not None:
            self.idle_a = self._waits_at()
        return said

    def feed(self, data: bytes) -> Iterator[list[tuple[float, bytes]]]:
        """Give *data* to the firmware; one answer per command, (world seconds, bytes) to print."""
        for byte in data:
            self._session.console.write(bytes([byte]))
            if byte == ord("%"):
                yield self._answer(self.active_a)

    def _answer(self, active_a: float) -> list[tuple[float, bytes]]:
        """Run a command to its end, then lay it out from the bench's present on.

        However long the emulation takes, the bench sees a board that hesitates and then works in real time: nothing
        stands still for it, and host, board and monitor agree on how long a window lasts.
        """
        meter = self._session.power_meter
        if meter is not None:
            meter.start()
        zero = self._session.clock.now_s()
        limit = zero + ANSWER_S
        said: list[tuple[float, bytes]] = []
        tail, when = b"", zero
        while b"m-ready\r\n" not in tail and b"m-ready\n" not in tail and not self._ended.is_set():
            data = self._session.console.read(0.25)
            when = max(when, self._session.clock.now_s())
            if data:
                limit = when + ANSWER_S
                said.append((when, data))
            elif when > limit:
                break  # it fell silent, as boards do
            tail = (tail + data)[-32:]
        trace = None
        if meter is not None:
            meter.stop()
            trace = meter.capture()
        edges = self._session.gpio_edges(self._pin)[self._seen_edges :] if self._pin else []
        self._seen_edges += len(edges)
        # The present is read under the lock: what a monitor has already sampled is never laid out anew.
        with self._lock:
            offset = self._now() - zero
            self._lows += [(e.time_s + offset, e.time_s + offset + PULSE_S) for e in edges if not e.level]
            if trace is None:
                self._segments.append(Played(zero + offset, when + offset, active_a))
            else:
                start, length = trace.start_s + offset, len(trace.mean_a) * trace.step_s
                self._segments.append(Played(start, start + length, 0.0, trace.mean_a, trace.step_s))
        return [(moment + offset, data) for moment, data in said]

    def current(self, times: Any) -> Any:
        """Supply current in ampere at world *times* (ascending)."""
        import numpy as np

        out = np.full(len(times), self.idle_a)
        with self._lock:
            recent = [s for s in self._segments if s.stop_s > times[0] and s.start_s <= times[-1]]
        for segment in recent:
            inside = (times >= segment.start_s) & (times < segment.stop_s)
            if segment.values is None:
                out[inside] = segment.current_a
            else:
                index = ((times[inside] - segment.start_s) / segment.step_s).astype(int)
                values = np.asarray(segment.values)[np.clip(index, 0, len(segment.values) - 1)]
                out[inside] = np.where(np.isfinite(values), values, self.idle_a)
        return out

    def level(self, times: Any) -> Any:
        """Level of the timestamp pin (idles high) at world *times*."""
        import numpy as np

        out = np.ones(len(times), dtype=np.int64)
        with self._lock:
            recent = [low for low in self._lows if low[1] > times[0] and low[0] <= times[-1]]
        for start, stop in recent:
            out[(times >= start) & (times < stop)] = 0
        return out

    def falling_edges(self) -> list[float]:
        """World times of all falling edges so far."""
        with self._lock:
            return [start for start, _ in self._lows]

    def charge(self, from_s: float, to_s: float) -> float:
        """Coulomb that was played between two world times: what an ideal monitor would measure."""
        import numpy as np

        steps = max(1000, min(2_000_000, round((to_s - from_s) * 1e5)))
        edges = np.linspace(from_s, to_s, steps + 1)
        return float(self.current((edges[:-1] + edges[1:]) / 2).mean() * (to_s - from_s))
