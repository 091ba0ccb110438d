"""How long a command may take: by the host's clock on a board, by the board's as well where time is virtual."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.backends.base import Clock

GUARD = 20
"""In virtual time a command is given up after so many times its limit on the host, however it goes on."""


class Limit:
    """*limit_s* from now on *clock*.

    On a board that is seconds of the host. An emulated board on a slow or busy host takes longer without being to blame: it
    is late when the limit has passed on both clocks, or when its own stood still for that long, or after GUARD times the
    limit on the host.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self.limit_s = limit_s
        self._clock, self._virtual = clock, clock.kind == "virtual"
        self._begun = self._moved = time.monotonic()
        self._from_s = self._at_s = clock.now_s() if self._virtual else 0.0

    @property
    def spent_s(self) -> float:
        """Seconds of the host since the start."""
        return time.monotonic() - self._begun

    def wait_s(self, longest_s: float) -> float:
        """How long one read may wait: no longer than *longest_s*, nor much past the limit."""
        left = self.limit_s - self.spent_s
        if left <= 0 and self._virtual:
            left = self.limit_s
        return min(max(left, 0.001), longest_s)

    def passed(self) -> bool:
        """Whether the limit is over."""
        now = time.monotonic()
        spent = now - self._begun
        if not self._virtual:
            return spent >= self.limit_s
        at_s = self._clock.now_s()
        if at_s > self._at_s:
            self._at_s, self._moved = at_s, now
        if spent < self.limit_s:
            return False
        still = now - self._moved >= self.limit_s
        return still or at_s - self._from_s >= self.limit_s or spent >= GUARD * self.limit_s

    def note(self) -> str:
        """For a message: in virtual time how far both clocks went."""
        if not self._virtual:
            return ""
        board_s = self._clock.now_s() - self._from_s
        return f"; meanwhile the board's clock went on by {board_s:.3g} s, the host's by {self.spent_s:.3g} s"
