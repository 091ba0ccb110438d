"""A console over SEGGER RTT, through pyOCD: ``--serial rtt:[PROBE][,address=A][,size=N][,channel=K]``.

The firmware keeps a control block in RAM with ring buffers up (to the host) and down; the probe reads and writes them
while the core runs, so that the console costs the firmware a copy and no waiting.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from emulab.errors import ToolError
from emulab.lab.console import STALL_S
from emulab.lab.consoles import ProbeOptions
from emulab.lab.debug_probe import choose_probe, probe_errors

FIND_S = 10.0
"""How long the firmware has, from its start, to set up its control block."""
WRITE_S = 5.0
POLL_S = 0.001


class RttConsole:
    """Bytes to and from firmware that prints over RTT. Raises ToolError when the probe or the control block is lost."""

    baud = 0

    def __init__(self, options: ProbeOptions, address: int | None = None) -> None:
        options.check(("address", "size", "channel"))
        self.url = options.url
        self.stalls: list[float] = []
        self.notes: list[str] = []
        self._what = options.place
        given = options.number("address")
        self._address = address if given is None else given
        self._size = options.number("size")
        self._channel = options.number("channel") or 0
        self._session: Any = choose_probe(
            self._what, options.chip, options.probe, {"connect_mode": "attach", "resume_on_disconnect": True}
        )
        self._up: Any = None
        self._down: Any = None
        try:
            with probe_errors(self._what):
                self._session.open()
                self._session.target.resume()
            self._find(FIND_S)
        except BaseException:
            self.close()
            raise

    def _find(self, within_s: float) -> None:
        """Find the control block, which firmware may not have set up yet."""
        from pyocd.core.exceptions import RTTError
        from pyocd.debug.rtt import RTTControlBlock

        deadline = time.monotonic() + within_s
        while True:
            try:
                with probe_errors(self._what, passing=(RTTError,)):
                    block = RTTControlBlock.from_target(self._session.target, self._address, self._size)
                    block.start()
                break
            except RTTError:
                if time.monotonic() > deadline:
                    where = "in RAM" if self._address is None else f"at {self._address:#x}"
                    raise ToolError(
                        f"{self._what}: no RTT control block {where}; does the firmware print over RTT? "
                        "(address=A,size=N say where to look)"
                    ) from None
                time.sleep(0.05)
        count = min(len(block.up_channels), len(block.down_channels))
        if self._channel >= count:
            raise ToolError(
                f"{self._what}: channel {self._channel} is not there; the firmware has {len(block.up_channels)} up "
                f"and {len(block.down_channels)} down"
            )
        self._up, self._down = block.up_channels[self._channel], block.down_channels[self._channel]

    def write(self, data: bytes) -> None:
        """Send *data*; ToolError when the firmware takes nothing within five seconds."""
        deadline = time.monotonic() + WRITE_S
        while data:
            with probe_errors(self._what):
                data = data[self._down.write(data) :]
            if data and time.monotonic() > deadline:
                raise ToolError(f"{self._what}: takes no more data; does the firmware read its RTT down channel?")

    def read(self, timeout_s: float) -> bytes:
        """What has come, at least one byte; empty after *timeout_s* of silence."""
        deadline = time.monotonic() + timeout_s
        while True:
            begin = time.monotonic()
            found = self._take()
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return b""
            time.sleep(min(POLL_S, left))
            late = time.monotonic() - begin - POLL_S
            if late > STALL_S:
                self.stalls.append(late)
                self.notes.append("what the firmware printed meanwhile fits its RTT buffer, or is lost")

    def _take(self) -> bytes:
        from pyocd.core.exceptions import RTTError

        try:
            with probe_errors(self._what, passing=(RTTError,)):
                return bytes(self._up.read())
        except RTTError:
            # Offsets out of range: the firmware was reset and has not set up its buffers again.
            self._find(FIND_S)
            return b""

    def close(self) -> None:
        """Let go of the probe; the core goes on."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(ToolError), probe_errors(self._what):
                session.close()
