"""What sessions on an emulator in another process have in common: one object is console, clock and profiler, and the
console is handed out line by line, each with its time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from emulab.backends.base import GpioEdge
    from emulab.backends.windows import WindowTracker
    from emulab.firmware.image import Image


class EmulatorProcess(Protocol):
    """The process behind a session. ``close`` ends it and removes what it used; it may be called twice."""

    def close(self) -> None: ...


ProcessT = TypeVar("ProcessT", bound=EmulatorProcess)
MarkT = TypeVar("MarkT")


class EmulatorSession(Generic[ProcessT, MarkT]):
    """Base of the QEMU and Renode sessions. ``_lines`` holds console output not read yet, each with its virtual time;
    ``_ended`` says why nothing more can come."""

    kind: Literal["virtual"] = "virtual"
    timestamps_modelled = False
    """The DUT's own timestamps are the emulator's time, one instruction per tick: latency is that of the windows."""

    def __init__(self, process: ProcessT, image: Image, tracker: WindowTracker[MarkT], notes: list[str]) -> None:
        self.process, self.image, self._tracker, self._notes = process, image, tracker, notes
        self._lines: deque[tuple[bytes, float]] = deque()
        self._now_s = 0.0
        self._ended: str | None = None

    @property
    def console(self) -> Self:
        return self

    @property
    def clock(self) -> Self:
        return self

    @property
    def profiler(self) -> Self:
        return self

    @property
    def power_meter(self) -> None:
        return None

    def now_s(self) -> float:
        """Modelled time at the end of what was last read from the console."""
        return self._now_s

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        """Pins are not watched."""
        del pin
        return []

    def notes(self) -> list[str]:
        return list(self._notes)

    def details(self) -> dict[str, Any]:
        return {}

    def _next_line(self) -> bytes:
        """The oldest line not read yet; the clock is at its end then."""
        data, self._now_s = self._lines.popleft()
        return data

    def close(self) -> None:
        self.process.close()
        self._ended = self._ended or "the session is closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
