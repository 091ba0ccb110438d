"""The host's clock of everything on a bench, real or simulated: one place, so that board, monitor and listener agree on
how late it is."""

from __future__ import annotations

import time


def now_s() -> float:
    """Seconds of the host's steady clock, which goes on while this process is stopped."""
    return time.monotonic()
