"""A console over SEGGER RTT, through pyOCD: ``--serial rtt:[PROBE][,address=A][,size=N][,channel=K]``.

The firmware keeps a control block in RAM with ring buffers up (to the host) and down; the probe reads and writes them
while the core runs, so that the console costs the firmware a copy and no waiting.
"""

from __future__ import annotations

import time
from typing import Any

from emulab.errors import ToolError
from emulab.lab.consoles import ProbeOptions
from emulab.lab.debug_probe import probe_errors
from emulab.lab.probe_console import ProbeConsole

FIND_S = 10.0
"""How long the firmware has, from its start, to set up its control block."""
WRITE_S = 5.0


class RttConsole(ProbeConsole):
    """Bytes to and from firmware that prints over RTT. Raises ToolError when the probe or the control block is lost."""

    stall_note = "what the firmware printed meanwhile fits its RTT buffer, or is lost"

    def __init__(self, options: ProbeOptions, address: int | None = None) -> None:
        options.check(("address", "size", "channel"))
        given = options.number("address")
        self._address = address if given is None else given
        self._size = options.number("size")
        self._channel = options.number("channel") or 0
        self._up: Any = None
        self._down: Any = None
        super().__init__(options, {"connect_mode": "attach", "resume_on_disconnect": True})

    def _begin(self) -> None:
        with probe_errors(self._what):
            self._session.target.resume()
        self._find(FIND_S)

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

    def _take(self, deadline: float) -> bytes:
        from pyocd.core.exceptions import RTTError

        try:
            with probe_errors(self._what, passing=(RTTError,)):
                return bytes(self._up.read())
        except RTTError:
            # Offsets out of range: the firmware was reset and has not set up its buffers again.
            self._find(FIND_S)
            return b""
