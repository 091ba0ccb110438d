"""A simulated MLPerf interface board between the host's port and the board: ``dut CMD%`` passes through it.

Source: mlcommons/tiny, benchmark/runner/io_manager.py and the interface board's firmware.
"""

from __future__ import annotations

from emulab.lab.bench.line import Line

PREFIX = b"[dut]: "
COMMANDS = ("name", "setbaud", "timestamp", "version")


class InterfaceLine:
    """The board's end of a line whose other end the host holds, with the interface board in the middle.

    What the board says before the host first speaks to it (its boot) stays on the interface board.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self.url = line.url
        self._command = bytearray()
        self._rest = bytearray()
        self._passing = False

    def read(self, timeout_s: float) -> bytes:
        """Bytes for the board: what followed ``dut`` in whole commands. The interface board answers its own."""
        passed = bytearray()
        for byte in self._line.read(timeout_s):
            self._command.append(byte)
            if byte == ord("%"):
                passed += self._taken(bytes(self._command[:-1]).strip())
                self._command.clear()
        return bytes(passed)

    def _taken(self, command: bytes) -> bytes:
        word, _, rest = command.partition(b" ")
        if word == b"dut" and rest:
            self._passing = True
            self._line.write(b"m-dut-passthrough(" + rest + b")\r\nm-ready\r\n")
            return rest + b"%"
        known = word.decode("ascii", "replace") in COMMANDS
        own = b"m-name-interface-[simulated]\r\n" if word == b"name" else b""
        self._line.write((own if known else b"e-[Unknown command: " + command + b"]\r\n") + b"m-ready\r\n")
        return b""

    def write(self, data: bytes) -> bool:
        """Whole lines of the board, each with the prefix."""
        self._rest += data
        sent = True
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[: end + 1])
            del self._rest[: end + 1]
            if self._passing:
                sent = self._line.write(PREFIX + line) and sent
        return sent

    def close(self) -> None:
        """Pull the cable."""
        self._line.close()
