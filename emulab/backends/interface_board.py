"""The MLPerf interface board between host and DUT (energy mode): commands pass through it, answers carry a prefix.

``dut CMD%`` is answered by ``m-dut-passthrough(CMD)`` and ``m-ready`` of the interface board, then by the DUT's own
lines with ``[dut]: `` before them. Source: mlcommons/tiny, benchmark/runner/io_manager.py and the interface board's
firmware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.backends.base import Console

PREFIX = b"[dut]: "
PASSTHROUGH = b"m-dut-passthrough("


class InterfaceBoardConsole:
    """Looks like the DUT's own console to the client; lines of the interface board itself are dropped.

    ``chunk_bytes`` is what fits its command buffer beside the ``dut `` prefix, as the runner sends it.
    """

    chunk_bytes = 26

    def __init__(self, console: Console) -> None:
        self._console = console
        self._command = bytearray()
        self._rest = bytearray()
        self._own_ready = 0
        self.own_lines: list[str] = []

    def write(self, data: bytes) -> None:
        """Pass whole commands on, each as ``dut CMD%``."""
        for byte in data:
            self._command.append(byte)
            if byte == ord("%"):
                self._console.write(b"dut " + bytes(self._command))
                self._command.clear()

    def read(self, timeout_s: float) -> bytes:
        """What the DUT said; empty when only the interface board did."""
        self._rest += self._console.read(timeout_s)
        out = bytearray()
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:end]).strip()
            del self._rest[: end + 1]
            if line.startswith(PREFIX.strip()):
                out += line.removeprefix(PREFIX.strip()).strip() + b"\r\n"
            elif line:
                self.own_lines.append(line.decode("ascii", "backslashreplace"))
        return bytes(out)
