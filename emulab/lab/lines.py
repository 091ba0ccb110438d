"""Bytes to lines, as a serial console delivers them: split anywhere, with garbage, without end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_LINE_BYTES = 16384


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a console log. ``direction``: ``>`` to the DUT, ``<`` from it, ``#`` a remark of the host."""

    time_s: float
    direction: Literal[">", "<", "#"]
    text: str


class LineSplitter:
    """Feed it bytes, it gives lines. Bytes that are not printable ASCII come out as ``\\xNN``.

    A line longer than ``MAX_LINE_BYTES`` is cut there, so that a board gone wild cannot fill the memory.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self.received = 0
        self.unprintable = 0

    def feed(self, data: bytes) -> list[str]:
        """Lines completed by *data*, without line ends; empty lines are dropped."""
        self.received += len(data)
        self.unprintable += sum(1 for b in data if not (0x20 <= b < 0x7F or b in b"\r\n\t"))
        self._rest += data
        lines = []
        while True:
            end = self._rest.find(b"\n")
            if end < 0 and len(self._rest) <= MAX_LINE_BYTES:
                break
            if end < 0 or end > MAX_LINE_BYTES:
                end = MAX_LINE_BYTES
            text = clean(bytes(self._rest[:end]))
            del self._rest[: end + (self._rest[end : end + 1] == b"\n")]
            if text:
                lines.append(text)
        return lines

    @property
    def partial(self) -> str:
        """What has come of the line that is not complete yet."""
        return clean(bytes(self._rest[:MAX_LINE_BYTES]))

    def clear(self) -> None:
        """Forget the incomplete line."""
        self._rest.clear()

    @property
    def looks_like_wrong_baud(self) -> bool:
        """Mostly bytes that no text holds: the line runs at another speed."""
        return self.received >= 8 and self.unprintable > 0.3 * self.received


def clean(data: bytes) -> str:
    """Line as text: ends stripped, what is not printable ASCII escaped."""
    text = data.strip(b"\r\n\x00 ").decode("ascii", "backslashreplace")
    return "".join(c if " " <= c <= "~" or c == "\t" else f"\\x{ord(c):02x}" for c in text)
