"""The console: serial ports of the machine on one side, the host's byte stream on the other.

The board names the port; an image that talks on another one (an energy-mode build, for example) is followed there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

_KEPT_LINES = 4


class Port(Protocol):
    """A serial port of the machine."""

    name: str

    def receive(self, data: bytes) -> None:
        """Bytes arrive on the line, paced at its baud rate."""


class Console:
    """Bytes both ways, and the lines they form with the time of their first byte's store."""

    def __init__(self, machine: Machine, port: str) -> None:
        self.machine = machine
        self.port_name = port
        self.output = bytearray()
        self._line = bytearray()
        self._stored = bytearray()
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.on_line_start: Callable[[float], None] | None = None
        self.on_line: Callable[[str, float], None] | None = None
        """Called with a whole line as soon as its last byte is stored, and the time its first byte was."""
        self._line_started = 0.0
        machine.last_lines = self.last_lines

    def stored(self, port: str, byte: int) -> None:
        """The firmware stored *byte* to the data register of *port*, now."""
        if port != self.port_name:
            if not any(p == port for p in self.machine.serial_ports):
                return
            self.machine.note(
                f"the firmware talks on {port}, not on the board's console {self.port_name}; followed there"
            )
            self.port_name = port
        if not self._stored:
            self._line_started = self.machine.now()
            if self.on_line_start is not None:
                self.on_line_start(self._line_started)
        if byte == 0x0A:
            if self.on_line is not None:
                self.on_line(self._stored.decode("latin-1").rstrip("\r"), self._line_started)
            self._stored.clear()
        else:
            self._stored.append(byte)

    def sent(self, port: str, byte: int) -> None:
        """The last bit of *byte* left *port*."""
        if port != self.port_name:
            return
        self.output.append(byte)
        if byte == 0x0A:
            self.lines.append(self._line.decode("latin-1").rstrip("\r"))
            self._line.clear()
        else:
            self._line.append(byte)

    def write(self, data: bytes) -> None:
        """The host sends *data*."""
        port = self.machine.serial_ports.get(self.port_name)
        if port is not None:
            port.receive(data)
        self.machine.wake()

    def last_lines(self) -> list[str]:
        rest = self._line.decode("latin-1")
        return [*self.lines, *([rest] if rest else [])]
