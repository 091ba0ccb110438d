"""The QEMU process: its pipes, its end, and what it said when it died."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from emulab.errors import ToolError

_PIPE_BYTES = 1 << 20
_END_LIMIT_S = 5.0


class QemuProcess:
    """Pipes to one QEMU and, once started, the process. ``close()`` ends it and removes everything it used.

    ``events`` (records from the plugin) and ``output`` (console bytes) are for reading, ``commands`` for writing. The
    plugin ends QEMU when ``commands`` closes, so that QEMU does not outlive a host that was killed.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emulab-qemu-"))
        self._open: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.events, self._child_events = self._pipe()
            self._child_commands, self.commands = self._pipe()
            self._qmp, self._child_qmp = socket.socketpair()
            self._clock = [*socket.socketpair(), *socket.socketpair()]
            for name in ("console.in", "console.out", "monitor.in", "monitor.out"):
                os.mkfifo(self.folder / name)
            self.output = os.open(self.folder / "console.out", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._open.append(self.output)
            os.set_blocking(self.events, False)
            self._stderr = open(self.folder / "stderr.txt", "w+b")  # noqa: SIM115 - closed in close()
        except OSError as error:
            self.close()
            raise ToolError(f"cannot open pipes for QEMU: {error.strerror or error}") from None

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        self._open += [read, write]
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return read, write

    def start(self, program: Path, plugin: Path, configuration: str, arguments: list[str]) -> None:
        """Start QEMU with *arguments*, the plugin and the pipes. ToolError where the program cannot be executed."""
        config = self.folder / "probe.txt"
        config.write_text(configuration, encoding="ascii")
        events, commands, qmp = self._child_events, self._child_commands, self._child_qmp.fileno()
        options = f"events={events},commands={commands},config={config}"
        options += f",input={self.folder / 'console.in'},wake={self.folder / 'monitor.in'}"
        options += f",log={self.folder / 'console.log'}"
        # The plugin's clock: it sends packets into one socket, and takes them out of the other (probe/c/qemu_link.h).
        plugin_clock, clock, plugin_sink, sink = (end.fileno() for end in self._clock)
        options += f",clock={plugin_clock},sink={plugin_sink},dump={self.folder / 'clock.pcap'}"
        log = f",logfile={self.folder / 'console.log'},logappend=on"
        command = [
            str(program),
            *arguments,
            *("-display", "none", "-parallel", "none"),
            *("-chardev", f"pipe,id=emulab-monitor,path={self.folder / 'monitor'}", "-mon", "chardev=emulab-monitor"),
            *("-chardev", f"pipe,id=emulab-console,path={self.folder / 'console'}{log}"),
            *("-chardev", f"socket,id=emulab-qmp,fd={qmp}", "-mon", "chardev=emulab-qmp,mode=control"),
            *("-netdev", f"socket,id=emulab-clock,fd={clock}", "-netdev", f"socket,id=emulab-sink,fd={sink}"),
            *("-netdev", "hubport,id=emulab-hub-in,hubid=77,netdev=emulab-clock"),
            *("-netdev", "hubport,id=emulab-hub-out,hubid=77,netdev=emulab-sink"),
            *("-object", f"filter-dump,id=emulab-dump,netdev=emulab-clock,file={self.folder / 'clock.pcap'},maxlen=1"),
            *("-rtc", "base=2024-01-01,clock=vm"),
            *("-plugin", f"{plugin},{options}"),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(events, commands, qmp, plugin_clock, clock, plugin_sink, sink),
                env={**os.environ, "TZ": "UTC0"},
                start_new_session=True,
                cwd=self.folder,
            )
        except OSError as error:
            raise ToolError(f"{program} does not start: {error.strerror or error}") from None
        for descriptor in (events, commands):
            os.close(descriptor)
            self._open.remove(descriptor)
        self._child_qmp.close()
        for end in self._clock:
            end.close()

    @property
    def qmp(self) -> socket.socket:
        return self._qmp

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def status(self, limit_s: float = 1.0) -> int | None:
        """Exit status, negative for a signal; None while QEMU runs (after waiting *limit_s* for it to end)."""
        if self._process is None:
            return None
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """What QEMU printed, without its register dumps and warnings, on one line."""
        text = self.stderr_text()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        dump = re.compile(r"(R\d\d|[A-Z]PSR|x\d+/|\s*pc\s|FPSCR|[sd]\d\d)|\S+: warning: ")
        kept = [line for line in lines if not dump.match(line)]
        return "; ".join(kept[:3])[:400]

    def stderr_text(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self._stderr.flush()
            return (self.folder / "stderr.txt").read_bytes()[:65536].decode(errors="replace")
        return ""

    def close(self) -> None:
        """Kill the process group, close every descriptor, remove the folder. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_LIMIT_S)
        for descriptor in self._open:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._open.clear()
        for name in ("_qmp", "_child_qmp", "_stderr"):
            if hasattr(self, name):
                getattr(self, name).close()
        for end in getattr(self, "_clock", ()):
            end.close()
        shutil.rmtree(self.folder, ignore_errors=True)
