"""The one time of a simulated bench: the host's clock, at a chosen speed."""

from __future__ import annotations

import threading

from emulab.lab import hosttime


class World:
    """World seconds since the bench was set up: ``speed`` per wall second."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._zero = hosttime.now_s()

    def now_s(self) -> float:
        """World time now."""
        return (hosttime.now_s() - self._zero) * self._speed

    def wait_until(self, when_s: float, stop: threading.Event) -> bool:
        """Sleep until world time *when_s*; False when *stop* was set meanwhile."""
        while (left := when_s - self.now_s()) > 0:
            if stop.wait(min(max(left / self._speed, 0.0005), 0.05)):
                return False
        return not stop.is_set()
