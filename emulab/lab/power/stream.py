"""A background reader that keeps everything a monitor sends, with when it came, and why it ended."""

from __future__ import annotations

import threading
import time
from typing import Any

from emulab.lab import hosttime
from emulab.lab.ports import LINE_ERRORS

STALL_S = 2.0
"""If this thread did not run for this long, the host was stopped; the monitor's own buffer is then long full."""
MAX_BYTES = 2 << 30


class StreamReader:
    """Reads *port* in a thread from construction until :meth:`stop`.

    ``data`` is what came, ``arrivals`` (bytes so far, seconds), ``trouble`` why the stream is not whole (empty: it is).
    """

    def __init__(self, port: Any) -> None:
        self._port = port
        self.data = bytearray()
        self.arrivals: list[tuple[int, float]] = []
        self.trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power-monitor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._port.timeout = 0.05
        last = hosttime.now_s()
        while not self._stop.is_set():
            try:
                chunk = self._port.read(max(1, min(self._port.in_waiting, 65536)))
            except LINE_ERRORS as error:
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.trouble = self.trouble or f"the monitor's line is gone ({text}); was its cable pulled?"
                return
            now = hosttime.now_s()
            if now - last > STALL_S:
                self.trouble = self.trouble or f"this process stood still for {now - last:.1f} s; samples were lost"
            last = now
            if chunk:
                self.data += chunk
                self.arrivals.append((len(self.data), now))
            if len(self.data) > MAX_BYTES:
                self.trouble = "the capture is larger than 2 GiB"
                return

    def wait_for(self, mark: bytes, limit_s: float, after: int = 0) -> bool:
        """Wait until *mark* has come after byte *after*; False when it did not within *limit_s* or the line is gone."""
        deadline = time.monotonic() + limit_s
        while True:
            if self.data.find(mark, after) >= 0:
                return True
            if not self._thread.is_alive() or time.monotonic() > deadline:
                return self.data.find(mark, after) >= 0
            time.sleep(0.002)

    def settle(self, quiet_s: float = 0.3, limit_s: float = 10.0) -> None:
        """Wait until nothing has come for *quiet_s*: a monitor was asked to stop, and what it sent is on its way."""
        deadline = time.monotonic() + limit_s
        seen, since = -1, time.monotonic()
        while self._thread.is_alive() and (now := time.monotonic()) < deadline:
            if len(self.data) != seen:
                seen, since = len(self.data), now
            elif now - since >= quiet_s:
                return
            time.sleep(0.01)

    def stop(self) -> None:
        """End the thread; what came stays."""
        self._stop.set()
        self._thread.join(timeout=60.0)  # it reads for 50 ms at most; its port must not be closed under it
