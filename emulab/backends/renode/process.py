"""The Renode process: started on a free port, watched through its log, ended as a group."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emulab.backends.renode.monitor import Monitor
from emulab.errors import ToolError

# Stands between us and Renode: when our end of its standard input closes, however we ended, it takes its process group along.
_GUARD = """
import os, signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
status = child.wait()
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""
_START_LIMIT_S = 60.0
_ATTEMPTS = 3


def free_port() -> int:
    """A TCP port of this machine nobody listens on (another process may still come first: starting is tried again)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RenodeProcess:
    """One Renode: started, then, once ``connect()`` has waited for it, spoken to by ``monitor``.

    ``close()`` ends it, whatever state it is in, and removes its folder.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emulab-renode-"))
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self.monitor: Monitor
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def connect(self, limit_s: float = _START_LIMIT_S) -> None:
        """Wait for the Monitor's prompt. ToolError says what Renode complained of."""
        for attempt in range(_ATTEMPTS):
            try:
                self.monitor = Monitor.connect(self._port, limit_s, alive=lambda: self.status() is None)
                self.monitor.hopeless = lambda: self.status() is not None or bool(self.cpu_abort())
                return
            except ToolError:
                ended, log = self.status(), self.log_text()
                self._end()
                busy = "AddressAlreadyInUse" in log or "address already in use" in log.lower()
                if not busy or attempt == _ATTEMPTS - 1:
                    why = first_problem(log) or (f"exit status {ended}" if ended is not None else "no prompt came")
                    raise ToolError(f"Renode did not start: {why}") from None
                self._start()

    def _start(self) -> None:
        self._port = free_port()
        with open(self.folder / "renode.log", "wb") as log:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-IS",
                        "-c",
                        _GUARD,
                        *self._command,
                        "--plain",
                        "--disable-gui",
                        "-P",
                        str(self._port),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self.folder,
                    # Renode keeps files of its own where temporary ones go, and is never asked to end
                    env={**os.environ, **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(self.folder))},
                )
            except OSError as error:
                raise ToolError(f"{self._command[0]} does not start: {error.strerror or error}") from None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def status(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll() if self._process else None

    def log_text(self) -> str:
        """Renode's log so far (it goes to standard output, never to the Monitor)."""
        with contextlib.suppress(OSError):
            return (self.folder / "renode.log").read_bytes()[-(1 << 20) :].decode(errors="replace")
        return ""

    def cpu_abort(self) -> str:
        """The line of a CPU abort, empty where there was none."""
        match = re.search(r"CPU abort \[PC=(0x[0-9A-Fa-f]+)\]: (.*)", self.log_text())
        return f"CPU abort at {match[1]}: {match[2].strip()}" if match else ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
        if process.stdin is not None:
            process.stdin.close()

    def close(self) -> None:
        if hasattr(self, "monitor"):
            self.monitor.close()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)


def first_problem(log: str) -> str:
    """The first line of a log or stack trace that says what went wrong."""
    for line in log.splitlines():
        if re.search(r"\[ERROR\](?!.*download)|Exception|[Ee]rror:|fatal", line):
            return re.sub(r"^\S+ (?=\[)", "", line).strip()[:300]
    return ""
