"""Ends of a simulated bench's cables: a pseudo-terminal or a TCP socket that a real client opens by its name."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import Protocol

from emulab.errors import InputError, ToolError

BUFFER_BYTES = 8 << 20
"""What a line holds that nobody reads, 20 s of the fastest monitor: a busy host is not a lossy cable, and losses are
put in on purpose. What comes on top is lost."""


class Line(Protocol):
    """One end of a cable."""

    @property
    def url(self) -> str: ...

    def read(self, timeout_s: float) -> bytes: ...

    def write(self, data: bytes) -> bool:
        """Queue *data* whole, or lose it whole (False) when nobody has read for long."""

    def close(self) -> None: ...


class _Outbox:
    """Bytes on their way to a reader who may be slow: sent as fast as they are taken, in order."""

    def __init__(self) -> None:
        self._queue = bytearray()

    @property
    def _open(self) -> bool:
        """Whether somebody can be sent to."""
        raise NotImplementedError

    def _send(self, data: bytes) -> int:
        """Send what is taken of *data* at once. OSError when nothing is."""
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        """Queue *data* whole, or lose it whole (False)."""
        self._push()
        if not self._open or len(self._queue) > BUFFER_BYTES:
            return False
        self._queue += data
        self._push()
        return True

    def _push(self) -> None:
        while self._queue and self._open:
            try:
                sent = self._send(bytes(self._queue[:16384]))
            except OSError:
                return
            del self._queue[:sent]


class PtyLine(_Outbox):
    """A pseudo-terminal; its other end is a device path such as /dev/pts/4."""

    def __init__(self) -> None:
        super().__init__()
        try:
            import pty
            import tty
        except ImportError:
            raise ToolError("bench-sim: this system has no pseudo-terminals; use a socket (tcp:PORT)") from None
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(self._slave)

    @property
    def _open(self) -> bool:
        return self._master >= 0

    def _send(self, data: bytes) -> int:
        return os.write(self._master, data)

    def read(self, timeout_s: float) -> bytes:
        """What the client sent; meanwhile what waits to be sent is pushed on as fast as it is taken."""
        deadline = time.monotonic() + timeout_s
        while self._master >= 0:
            self._push()
            left = max(deadline - time.monotonic(), 0.0)
            sending = [self._master] if self._queue else []
            ready, _, _ = select.select([self._master], sending, [], left)
            if ready:
                with contextlib.suppress(OSError):
                    return os.read(self._master, 4096)
            if left <= 0:
                break
        return b""

    def close(self) -> None:
        """Pull the cable: the client's next read fails."""
        for handle in (self._master, self._slave):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self._master = self._slave = -1


class TcpLine(_Outbox):
    """A listening socket on the loopback; one client at a time (``socket://127.0.0.1:PORT``)."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        try:
            self._server = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise ToolError(f"bench-sim: port {port}: {error.strerror or error}; choose another") from None
        self._server.setblocking(False)
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._client: socket.socket | None = None
        self.connections = 0
        """Clients that have connected so far."""

    @property
    def _open(self) -> bool:
        return self._client is not None

    def _send(self, data: bytes) -> int:
        assert self._client is not None, "it is open"
        return self._client.send(data)

    def read(self, timeout_s: float) -> bytes:
        self._push()
        sources = [self._server] if self._client is None else [self._client, self._server]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._server in ready:
            with contextlib.suppress(OSError):
                client, _ = self._server.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._client is not None:
                    self._client.close()
                self._client = client
                self._queue.clear()
                self.connections += 1
        if self._client is not None and self._client in ready:
            with contextlib.suppress(OSError):
                data = self._client.recv(4096)
                if data:
                    return data
                self._client.close()
                self._client = None
        return b""

    def close(self) -> None:
        for one in (self._client, self._server):
            if one is not None:
                one.close()


def open_line(spec: str) -> PtyLine | TcpLine:
    """``pty`` or ``tcp[:PORT]``."""
    kind, _, port = spec.partition(":")
    if kind == "pty" and not port:
        return PtyLine()
    if kind == "tcp" and (not port or port.isdigit()):
        return TcpLine(int(port or 0))
    raise InputError(f"bench-sim: {spec!r} is no line; expected pty, tcp or tcp:PORT")
