"""What consoles through a debug probe share: how they are opened and closed, and how they wait for bytes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from emulab.errors import ToolError
from emulab.lab.console import STALL_S
from emulab.lab.consoles import ProbeOptions
from emulab.lab.debug_probe import choose_probe, probe_errors

POLL_S = 0.001


class ProbeConsole:
    """A console behind a probe. A kind of it says how it begins (``_begin``) and what has come (``_take``).

    Raises ToolError when the probe is lost. ``stalls`` are seconds that this process stood still while it listened.
    """

    baud = 0
    stall_note = ""
    """What a reader must know of a stall, beyond its length."""

    def __init__(self, options: ProbeOptions, settings: Mapping[str, Any]) -> None:
        self.url = options.url
        self.stalls: list[float] = []
        self.notes: list[str] = []
        self._what = options.place
        self._session: Any = choose_probe(self._what, options.chip, options.probe, settings)
        try:
            with probe_errors(self._what):
                self._session.open()
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Make the open probe a console."""
        raise NotImplementedError

    def _take(self, deadline: float) -> bytes:
        """What has come, at once; whatever it does for that, no longer than to *deadline* (monotonic)."""
        raise NotImplementedError

    def read(self, timeout_s: float) -> bytes:
        """What has come, at least one byte; empty after *timeout_s* of silence."""
        deadline = time.monotonic() + timeout_s
        while True:
            begin = time.monotonic()
            if found := self._take(deadline):
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return b""
            time.sleep(min(POLL_S, left))
            late = time.monotonic() - begin - POLL_S
            if late > STALL_S:
                self.stalls.append(late)
                self.notes += [self.stall_note] if self.stall_note else []

    def close(self) -> None:
        """Let go of the probe; the core goes on."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(ToolError), probe_errors(self._what):
                session.close()
