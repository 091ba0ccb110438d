"""The one table of console kinds: what ``--serial`` may name, and how each is opened.

``rtt:`` and ``semihosting:`` go through a debug probe; everything else is a serial port by URL.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emulab.errors import BackendUnavailable, InputError, ToolError
from emulab.lab.spec import split_spec

FORMS = {
    "PORT": "A serial port: /dev/ttyACM0, COM3, socket://HOST:PORT, rfc2217://HOST:PORT",
    "rtt:[PROBE][,address=A][,size=N][,channel=K]": "SEGGER RTT through a debug probe (pyOCD)",
    "semihosting:[PROBE]": "Arm semihosting through a debug probe (pyOCD)",
}
"""What ``--serial`` takes."""


class LabConsole(Protocol):
    """A console of a real board, opened. ``stalls`` are seconds that this process stood still while it listened."""

    url: str
    baud: int
    stalls: list[float]
    notes: list[str]

    def write(self, data: bytes) -> None: ...

    def read(self, timeout_s: float) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class ProbeOptions:
    """What a console behind a debug probe is opened with: ``rtt:PROBE,key=value``."""

    url: str
    probe: str
    chip: str
    """The chip as pyOCD names it (``backends.hardware.options.pyocd_target``)."""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """How errors name it: ``console rtt``, ``console rtt:0123``."""
        return f"console {self.url.rstrip(':')}"

    def number(self, key: str) -> int | None:
        """An option as a whole number, decimal or 0x...; None when not given."""
        if key not in self.extra:
            return None
        try:
            return int(self.extra[key], 0)
        except ValueError:
            raise InputError(f"{self.place}: {key}={self.extra[key]!r} is no whole number") from None

    def check(self, known: tuple[str, ...]) -> None:
        """InputError for an option that is none of *known*."""
        for key in self.extra:
            if key not in known:
                names = ", ".join(known) or "none"
                raise InputError(f"{self.place}: unknown option {key!r}; known: {names}")


def open_console(
    url: str, baud: int, chip: str = "", rtt_address: int | None = None, within_s: float = 0.0
) -> LabConsole:
    """Open what *url* names. ``rtt_address`` is where the firmware's symbols say the RTT control block lies.

    ``within_s`` is how long to try again: a probe that flashed a board, or the board itself, may be gone from the bus
    for a moment. ToolError when it does not come back; wrong options are not tried again.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return _open(url, baud, chip, rtt_address)
        except BackendUnavailable:
            raise
        except ToolError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _open(url: str, baud: int, chip: str, rtt_address: int | None) -> LabConsole:
    kind = url.partition(":")[0]
    if kind not in ("rtt", "semihosting"):
        from emulab.lab.console import SerialConsole

        return SerialConsole(url, baud)
    _, probe, extra = split_spec(url, f"console {url}")
    options = ProbeOptions(url, probe, chip, extra)
    if kind == "rtt":
        from emulab.lab.rtt import RttConsole

        return RttConsole(options, rtt_address)
    from emulab.lab.semihosting import SemihostingConsole

    return SemihostingConsole(options)
