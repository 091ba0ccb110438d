"""Renode's Monitor over TCP: a telnet stream of echoes, values and prompts, cut into answers.

As it behaves in 1.16: telnet negotiation and a banner come first; what is sent is echoed, ended by LF CR; values end
CR CR LF; errors are plain lines without a mark; ``(monitor) `` or ``(machine) `` ends every answer. Bytes arrive in
fragments, and a command may never return: every wait has a limit.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Final

from emulab.errors import ToolError

_PROMPT = re.compile(rb"(?:^|[\r\n])\(([\w.-]+)\) $")
_COLOUR = re.compile(rb"\x1b\[[;\d]*m")
_ERRORS: Final = re.compile(
    r"No such command or device|There was an error executing command|^Bad parameters for command|does not provide a "
    r"field|Parameters did not match|Could not |^Error |Unhandled exception|Tried to |No such file|not found",
    re.MULTILINE,
)
_LOOK_S = 0.5


def strip_telnet(data: bytes) -> tuple[bytes, bytes]:
    """*data* without telnet commands (RFC 854), and what may be the beginning of one."""
    kept, position = bytearray(), 0
    while position < len(data):
        byte = data[position]
        if byte != 0xFF:
            kept.append(byte)
            position += 1
            continue
        length = 3 if position + 1 < len(data) and 0xFB <= data[position + 1] <= 0xFE else 2
        if position + length > len(data):
            return bytes(kept), data[position:]
        if data[position + 1] == 0xFF:
            kept.append(0xFF)
        position += length
    return bytes(kept), b""


class MonitorTimeout(ToolError):
    """The Monitor did not come back with a prompt in time."""


class Monitor:
    """One connection. Commands are answered as text; what Renode reports as an error is raised as ToolError."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._raw = b""
        self._text = bytearray()
        self.banner = ""
        self.blocked = False
        self.hopeless: Callable[[], bool] = lambda: False
        """Asked while an answer is waited for: whether it can never come (a CPU that aborts blocks the Monitor)."""

    @classmethod
    def connect(
        cls, port: int, limit_s: float, host: str = "127.0.0.1", alive: Callable[[], bool] = lambda: True
    ) -> Monitor:
        """Connect, trying while *alive* says that somebody will listen, and read up to the first prompt."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                connection = socket.create_connection((host, port), timeout=max(0.1, deadline - time.monotonic()))
                break
            except OSError as error:
                if time.monotonic() >= deadline or not alive():
                    raise ToolError(f"Renode's Monitor does not answer on port {port}: {error}") from None
                time.sleep(0.05)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        monitor = cls(connection)
        monitor.banner = monitor._answer(deadline, "its banner").strip()
        return monitor

    def execute(self, command: str, limit_s: float = 10.0) -> str:
        """Run *command*; what it printed. ToolError for an error, MonitorTimeout when no prompt comes in time."""
        if self.blocked:
            raise MonitorTimeout("Renode's Monitor is blocked by a command that never returned")
        if "\n" in command or "\r" in command:
            raise ValueError("a Monitor command is one line")
        try:
            self._socket.settimeout(limit_s)
            self._socket.sendall(command.encode() + b"\n")
        except OSError as error:
            raise ToolError(f"Renode's Monitor is gone: {error}") from None
        answer = self._answer(time.monotonic() + limit_s, command)
        answer = answer.lstrip("\r\n")
        if answer.startswith(command):
            answer = answer[len(command) :]
        answer = "\n".join(line.strip() for line in re.split(r"[\r\n]+", answer) if line.strip())
        if _ERRORS.search(answer):
            lines = [line for line in answer.splitlines() if _ERRORS.search(line)]
            raise ToolError(f"Renode refused {command!r}: {' '.join(lines)[:300]}")
        return answer

    def number(self, command: str, limit_s: float = 10.0) -> int:
        """Run *command*, which answers with a number: hexadecimal unless numbersMode was changed."""
        answer = self.execute(command, limit_s)
        match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)", answer.strip())
        if not match:
            raise ToolError(f"Renode answered {command!r} by {answer[:80]!r}, expected a number")
        return int(match[1], 0)

    def truth(self, command: str, limit_s: float = 10.0) -> bool:
        """Run *command*, which answers True or False."""
        answer = self.execute(command, limit_s).strip()
        if answer not in ("True", "False"):
            raise ToolError(f"Renode answered {command!r} by {answer[:80]!r}, expected True or False")
        return answer == "True"

    def _answer(self, deadline: float, what: str) -> str:
        waited = False
        while True:
            match = _PROMPT.search(self._text)
            if match:
                answer = bytes(self._text[: match.start()])
                self._text.clear()
                return answer.decode(errors="replace")
            left = deadline - time.monotonic()
            if left <= 0 or (waited and self.hopeless()):
                self.blocked = True
                raise MonitorTimeout(f"Renode did not come back from {what!r} in time")
            self._socket.settimeout(min(left, _LOOK_S))
            try:
                data = self._socket.recv(4096)
            except TimeoutError:
                waited = True
                continue
            except OSError as error:
                raise ToolError(f"Renode's Monitor is gone: {error}") from None
            if not data:
                raise ToolError(f"Renode closed its Monitor at {what!r}")
            clean, self._raw = strip_telnet(self._raw + data)
            self._text += clean
            # a colour sequence may be cut in two: only whole ones are removed, and a prompt needs them gone
            self._text[:] = _COLOUR.sub(b"", bytes(self._text))

    def close(self) -> None:
        self._socket.close()
