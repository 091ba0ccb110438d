"""A console over Arm semihosting, through pyOCD: ``--serial semihosting:[PROBE]``.

The firmware stops at ``BKPT 0xAB`` for every request and goes on when the host has served it. Only its console is
served (SYS_WRITEC, SYS_WRITE0, SYS_READC, and SYS_WRITE and SYS_READ on ``:tt``); files of the host are refused.
"""

from __future__ import annotations

import time
from typing import Any

from emulab.errors import ToolError
from emulab.lab.consoles import ProbeOptions
from emulab.lab.debug_probe import probe_errors
from emulab.lab.probe_console import ProbeConsole

SYS_READ, SYS_READC = 0x06, 0x07
STOPS = (
    "console over semihosting: the core stands still while the host serves each of its requests, so what lies between "
    "two of the board's timestamps is only its own time where nothing is printed there"
)


class SemihostingConsole(ProbeConsole):
    """Bytes to and from firmware that prints over semihosting. ToolError when the probe or the core is lost.

    Opening resets the board: firmware that meets ``BKPT`` with no debugger attached has crashed long before.
    """

    def __init__(self, options: ProbeOptions) -> None:
        options.check(())
        self._said = bytearray()
        self._input = bytearray()
        super().__init__(options, {"connect_mode": "halt", "resume_on_disconnect": True})
        self.notes.append(STOPS)

    def _begin(self) -> None:
        with probe_errors(self._what):
            self._target: Any = self._session.target
            self._agent = agent(self._target.get_target_context(), self._said, self._input)
            self._target.reset()

    def write(self, data: bytes) -> None:
        """Keep *data* for when the firmware reads."""
        self._input += data

    def _take(self, deadline: float) -> bytes:
        while self._serve() and not self._said:
            if time.monotonic() > deadline:
                break
        found = bytes(self._said)
        self._said.clear()
        return found

    def _serve(self) -> bool:
        """Serve one request if the core waits for one that can be served. ToolError when it halted for another
        reason."""
        from pyocd.core.target import Target

        with probe_errors(self._what):
            state = self._target.get_state()
            if state == Target.State.LOCKUP:
                raise ToolError(f"{self._what}: the core is locked up; was it a fault within a fault?")
            if state != Target.State.HALTED:
                return False
            if not self._input and self._target.read_core_register("r0") in (SYS_READ, SYS_READC):
                return False  # it waits for input, and there is none yet
            if not self._agent.check_and_handle_semihost_request():
                pc = self._target.read_core_register("pc")
                raise ToolError(
                    f"{self._what}: the core halted at {pc:#x}, and not for semihosting; a breakpoint of its own?"
                )
            self._target.resume()
        return True


def agent(context: Any, said: bytearray, given: bytearray) -> Any:
    """pyOCD's agent on *context* that appends output to *said*, takes input from *given*, and refuses files."""
    from pyocd.debug.semihost import SemihostAgent, SemihostIOHandler

    class ConsoleOnly(SemihostIOHandler):  # type: ignore[misc,unused-ignore]
        """The firmware's console; every other file is refused by what this does not implement."""

        def open(self, fnptr: int, fnlen: int, mode: str) -> int:
            number, _ = self._std_open(fnptr, fnlen, mode)
            return number if isinstance(number, int) else -1

        def close(self, fd: int) -> int:
            return 0

        def istty(self, fd: int) -> int:
            return int(fd in (0, 1, 2))

        def write(self, fd: int, ptr: int, length: int) -> int:
            if fd not in (1, 2):
                return length  # nothing of it was written
            said.extend(self.agent.get_data(ptr, length))
            return 0

        def read(self, fd: int, ptr: int, length: int) -> int:
            taken = bytes(given[:length]) if fd == 0 else b""
            del given[: len(taken)]
            self.agent.context.write_memory_block8(ptr, taken)
            return length - len(taken)

        def readc(self) -> int:
            value = given[0]
            del given[:1]
            return value

    return SemihostAgent(context, io_handler=ConsoleOnly())
