"""A QMP client of one socket: greeting, commands, events, each within a limit.

(The ``qemu.qmp`` package needs an event loop of its own; a session reads its pipes without one.)
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from emulab.errors import ToolError


class Qmp:
    """QEMU Machine Protocol over a connected socket (QEMU docs/interop/qmp-spec)."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pending = b""
        self.events: list[dict[str, Any]] = []
        self.version = ""

    def connect(self, limit_s: float) -> None:
        """Read the greeting and leave negotiation mode."""
        greeting = self._message(time.monotonic() + limit_s)
        if "QMP" not in greeting:
            raise ToolError(f"QEMU's control socket did not greet: {str(greeting)[:80]}")
        numbers = greeting["QMP"]["version"]["qemu"]
        self.version = f"{numbers['major']}.{numbers['minor']}.{numbers['micro']}"
        self.execute("qmp_capabilities", limit_s)

    def execute(self, command: str, limit_s: float, **arguments: Any) -> Any:
        """Run *command*; its result. ToolError on an error, a closed socket or no answer within *limit_s*."""
        deadline = time.monotonic() + limit_s
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError as error:
            raise ToolError(f"QEMU's control socket is closed: {error.strerror or error}") from None
        while True:
            message = self._message(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise ToolError(f"QEMU refused {command}: {message['error'].get('desc', message['error'])}")
            elif "return" in message:
                return message["return"]

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ToolError("QEMU's control socket did not answer in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise ToolError(f"QEMU's control socket is closed: {error.strerror or error}") from None
            if not data:
                raise ToolError("QEMU closed its control socket")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ToolError(f"QEMU's control socket sent what is not QMP: {line[:80]!r}")
        return message
