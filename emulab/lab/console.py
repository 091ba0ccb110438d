"""The console of a real board: a serial port by URL, with what can happen to a cable said in one line."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from emulab.errors import ToolError
from emulab.lab.ports import LINE_ERRORS, open_port

STALL_S = 1.0
"""A read that returns this much later than asked means that this process, not the board, stood still."""


class SerialConsole:
    """Bytes to and from a board. Raises ToolError when the line is gone.

    ``stalls`` counts how often and for how long this process was stopped (SIGSTOP, suspend) between two reads.
    """

    def __init__(self, url: str, baud: int) -> None:
        self.url, self.baud = url, baud
        self._port: Any = open_port(url, baud, "console", timeout_s=0.05)
        self.stalls: list[float] = []
        self.notes: list[str] = []
        self._last_read = time.monotonic()

    def write(self, data: bytes) -> None:
        """Send *data*; ToolError when the port is gone or takes nothing within five seconds."""
        try:
            self._port.write(data)
        except LINE_ERRORS as error:
            raise self._lost(error) from None

    def read(self, timeout_s: float) -> bytes:
        """What has come, at least one byte; empty after *timeout_s* of silence."""
        try:
            self._port.timeout = max(timeout_s, 0.001)
            begin = time.monotonic()
            first: bytes = self._port.read(1)
            late = time.monotonic() - begin - timeout_s
            if late > STALL_S:
                self.stalls.append(late)
            waiting = self._port.in_waiting if first else 0
            return first + self._port.read(waiting) if waiting else first
        except LINE_ERRORS as error:
            raise self._lost(error) from None

    def discard(self) -> None:
        """Drop what came before."""
        try:
            self._port.reset_input_buffer()
        except LINE_ERRORS as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """Free the port."""
        with contextlib.suppress(*LINE_ERRORS):
            self._port.close()

    def _lost(self, error: Exception) -> ToolError:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "timeout" in text.lower():
            return ToolError(f"console {self.url}: takes no more data; is the board powered and not held in reset?")
        return ToolError(f"console {self.url}: the line is gone ({text}); was the cable pulled or the board unpowered?")
