"""Match the edges of a run to the windows that were asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from emulab.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emulab.model.scenario import Window

MarkT = TypeVar("MarkT")


@dataclass
class _End:
    """One end of a window: an address (``edge`` is its number) or a pattern on the console."""

    edge: int | None = None
    pattern: re.Pattern[bytes] | None = None


@dataclass
class _Tracked(Generic[MarkT]):
    window: Window
    start: _End
    stop: _End
    open_at: MarkT | None = None
    printed_from: int = 0
    found: list[tuple[MarkT, MarkT]] = field(default_factory=list)

    @property
    def awaited(self) -> _End:
        return self.start if self.open_at is None else self.stop


class WindowTracker(Generic[MarkT]):
    """Turns edges into completed windows. A mark is whatever the caller snapshots at an edge.

    ``addresses`` are the addresses whose execution is an edge, in the order of their numbers: (address, number of the
    window's other end or -1, armed from the start). *mark* says the kinds of ends this backend knows.
    """

    def __init__(self, windows: Iterable[Window], resolve: Callable[[str], int], backend: str) -> None:
        self.addresses: list[tuple[int, int, bool]] = []
        self.markers: set[int] = set()
        """numbers of addresses that are markers: the edge is a store to them"""
        self._tracked: list[_Tracked[MarkT]] = []
        self._completed: list[tuple[Window, int, MarkT, MarkT]] = []
        self._text = bytearray()
        self._dropped = 0
        self._lines: list[tuple[int, MarkT]] = []
        for window in windows:
            start = self._end(window, window.start, "from", resolve, backend)
            stop = self._end(window, window.stop, "to", resolve, backend)
            both = start.edge is not None and stop.edge is not None
            for end, other, first in ((start, stop, True), (stop, start, False)):
                if end.edge is not None:
                    address = self.addresses[end.edge][0]
                    partner = other.edge if both and other.edge is not None else -1
                    self.addresses[end.edge] = (address, partner, first or not both)
            self._tracked.append(_Tracked(window, start, stop))

    def _end(self, window: Window, text: str, key: str, resolve: Callable[[str], int], backend: str) -> _End:
        kind, separator, rest = text.partition(":")
        if separator and kind == "console":
            try:
                return _End(pattern=re.compile(rest.encode(), re.MULTILINE))
            except re.error as error:
                raise InputError(
                    f"window {window.name!r}: {key}: {rest!r} is not a regular expression: {error}"
                ) from None
        if separator and kind == "gpio":
            raise InputError(
                f"window {window.name!r}: {key}: the {backend} backend does not see pins; use a symbol or console:REGEX"
            )
        name = f"emulab_marker_{rest}" if separator and kind == "marker" else text
        self.addresses.append((resolve(name), -1, True))
        if name != text:
            self.markers.add(len(self.addresses) - 1)
        return _End(edge=len(self.addresses) - 1)

    @property
    def uses_console(self) -> bool:
        return any(end.pattern is not None for t in self._tracked for end in (t.start, t.stop))

    def at_address(self, number: int, mark: MarkT) -> None:
        """Execution reached address *number* of ``addresses``."""
        for tracked in self._tracked:
            if tracked.awaited.edge == number:
                self._reach(tracked, mark, len(self._text) + self._dropped)
                return

    def text_tail(self, size: int) -> bytes:
        """The last bytes printed."""
        return bytes(self._text[-size:])

    def starts_line(self) -> bool:
        """Whether the next byte printed is the first of a line."""
        return not self._text or self._text.endswith(b"\n")

    def printed(self, byte: int, mark: MarkT | None) -> None:
        """A byte was stored to the console; *mark* is needed where ``starts_line()``."""
        if mark is not None:
            self._lines.append((len(self._text) + self._dropped, mark))
        self._text.append(byte)
        if byte == 0x0A:
            self.search()

    def search(self) -> None:
        """Look for the awaited patterns in what was printed."""
        for tracked in self._tracked:
            while tracked.awaited.pattern is not None:
                match = tracked.awaited.pattern.search(self._text, tracked.printed_from - self._dropped)
                if match is None:
                    break
                at = max(match.end() - 1, match.start()) + self._dropped
                mark = next((m for p, m in reversed(self._lines) if p <= at), None)
                if mark is None:
                    break
                self._reach(tracked, mark, max(match.end(), match.start() + 1) + self._dropped)
        self._forget()

    def _reach(self, tracked: _Tracked[MarkT], mark: MarkT, printed: int) -> None:
        tracked.printed_from = printed
        if tracked.open_at is None:
            tracked.open_at = mark
            return
        index = sum(1 for window, *_ in self._completed if window is tracked.window)
        self._completed.append((tracked.window, index, tracked.open_at, mark))
        tracked.open_at = None

    def _forget(self) -> None:
        """Drop text that no pattern can match any more, but for the last 64 KB."""
        waiting = [t.printed_from for t in self._tracked if t.awaited.pattern is not None]
        keep_from = max(min(waiting, default=1 << 62), len(self._text) + self._dropped - 65536)
        keep_from = min(keep_from, len(self._text) + self._dropped - 1)
        drop = keep_from - self._dropped
        if drop > 65536 or len(self._lines) > 64:
            drop = max(drop, 0)
            del self._text[:drop]
            self._dropped += drop
            kept = [i for i, (p, _) in enumerate(self._lines) if p <= self._dropped]
            del self._lines[: kept[-1] if kept else 0]

    def completed(self) -> list[tuple[Any, int, MarkT, MarkT]]:
        """(window, index, mark at start, mark at stop), in the order in which they ended."""
        return list(self._completed)
