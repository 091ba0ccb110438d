"""Keeps a session as a recording: a console that notes every line with its time, and the windows in the trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.lab.align import match_edges
from emulab.lab.capture import Capture
from emulab.lab.captures import recording
from emulab.lab.captures.session import RecordedSession, RecordedWindow
from emulab.lab.lines import LineSplitter

if TYPE_CHECKING:
    from emulab.backends.base import Clock, Console

Line = tuple[float, str, str]


class RecordingConsole:
    """Passes bytes through and keeps lines: (seconds, ``>`` or ``<``, text)."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock
        self._splitter = LineSplitter()
        self._command = bytearray()
        self.lines: list[Line] = []
        if hasattr(console, "chunk_bytes"):
            self.chunk_bytes = console.chunk_bytes

    def write(self, data: bytes) -> None:
        for byte in data:
            self._command.append(byte)
            if byte == ord("%"):
                self.lines.append((self._clock.now_s(), ">", self._command.decode("ascii", "replace")))
                self._command.clear()
        self._console.write(data)

    def read(self, timeout_s: float) -> bytes:
        data = self._console.read(timeout_s)
        when = self._clock.now_s()
        self.lines += [(when, "<", text) for text in self._splitter.feed(data)]
        return data


def recorded_windows(lines: Sequence[Line], capture: Capture | None) -> tuple[RecordedWindow, ...]:
    """Windows of a session: in the trace by the edges the monitor saw, else by when the DUT's lines came.

    With a capture, windows are those that were run while it was taken; accuracy inferences (``infer 1 0``) are none.
    """
    found: list[tuple[float, float, int, tuple[float, ...], tuple[float, float]]] = []
    command, sent, start, stop = "", 0.0, 0.0, 0.0
    runs: list[float] = []
    results: tuple[float, ...] = ()
    laps: list[int] = []
    for when, direction, text in lines:
        if direction == ">":
            command, sent, start, stop, results, laps = text.removesuffix("%"), when, 0.0, 0.0, (), []
        elif not command.startswith("infer "):
            continue
        elif text == "m-ready" and command == "infer 1 0":
            runs.append(sent)
            command = ""
        elif text.startswith("m-infer-start-"):
            start = when
        elif text.startswith("m-lap-us-") and text[9:].isdigit():
            laps.append(int(text[9:]))
        elif text == "m-infer-done":
            stop = start + (laps[1] - laps[0]) * 1e-6 if len(laps) == 2 and laps[1] > laps[0] else when
        elif text.startswith("m-results-["):
            results = tuple(_number(part) for part in text[11:].rstrip("]").split(",") if part.strip())
        elif text == "m-ready":
            words = command.split(" ")
            runs.append(sent)
            if stop > start > 0 and len(words) > 1 and words[1].isdigit():
                found.append((start, stop, int(words[1]), results, (sent, when)))
            command = ""
    if capture is not None:
        found = [w for w in found if w[0] >= capture.start_s and w[1] <= capture.stop_s + 0.5]
        # Windows of another length than the last are trials that found the length.
        found = [w for w in found if w[2] == found[-1][2]] if found else []
        edges = [when for name, when in capture.marks if name == "falling"]
        run = sum(when >= capture.start_s for when in runs)
        pairs = match_edges([(w[0], w[1]) for w in found], edges, [w[4] for w in found], run)
        if pairs is not None:
            found = [(*pair, *window[2:]) for pair, window in zip(pairs, found, strict=True)]
    return tuple(RecordedWindow(*window[:4]) for window in found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def write_recording(
    folder: Path, lines: Sequence[Line], capture: Capture | None, platform: str, firmware_sha256: str, source: str
) -> Path:
    """Write what a session left into *folder*; a capture that is not whole says so in its ``incomplete``."""
    session = RecordedSession(
        source=source,
        capture=capture,
        windows=recorded_windows(lines, capture),
        console=tuple(lines),
        platform=platform,
        firmware_sha256=firmware_sha256,
    )
    return recording.write(folder, session)
