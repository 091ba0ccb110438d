"""The one time of a simulated bench: it runs with the wall clock, and waits where the emulated board is not that far
yet."""

from __future__ import annotations

import threading
import time


class World:
    """World seconds: ``speed`` per wall second, held back at what the board has computed so far.

    A board that computes slower than real time therefore slows the whole bench down, monitor included, instead of
    being late in it.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._lock = threading.Lock()
        self._time_s = 0.0
        self._wall = time.monotonic()
        self._horizon: float | None = None

    def now_s(self) -> float:
        """World time now."""
        with self._lock:
            return self._advance()

    def _advance(self) -> float:
        wall = time.monotonic()
        self._time_s += (wall - self._wall) * self._speed
        self._wall = wall
        if self._horizon is not None:
            self._time_s = min(self._time_s, self._horizon)
        return self._time_s

    def hold(self, at_s: float) -> None:
        """Let time run to *at_s* and no further."""
        with self._lock:
            self._advance()
            self._horizon = max(at_s, self._time_s)

    def release(self) -> None:
        """Let time run freely."""
        with self._lock:
            self._advance()
            self._horizon = None

    def wait_until(self, when_s: float, stop: threading.Event) -> bool:
        """Sleep until world time *when_s*; False when *stop* was set meanwhile."""
        while True:
            left = when_s - self.now_s()
            if left <= 0:
                return not stop.is_set()
            if stop.wait(min(max(left / self._speed, 0.0005), 0.05)):
                return False
