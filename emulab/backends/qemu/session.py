"""A QEMU session: runs the firmware, hands out console, clock and windows."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from emulab.backends.emulator import EmulatorSession
from emulab.backends.qemu import stream
from emulab.backends.qemu.counts import Counts, Snapshot
from emulab.backends.qemu.process import QemuProcess
from emulab.backends.qemu.qmp import Qmp
from emulab.errors import FirmwareFault, ToolError
from emulab.probe.profile import WindowProfile

if TYPE_CHECKING:
    from emulab.backends.stack import StackRegion
    from emulab.backends.windows import WindowTracker
    from emulab.firmware.image import Image

FAULT_EDGE = 0x10000
"""Edges with this number and above are fault handlers, not windows."""
_START_LIMIT_S = 20.0
_WRITE_LIMIT_S = 10.0
_FAULT_GRACE_S = 0.5
_QMP_LIMIT_S = 5.0
_BYTE_LIMIT_S = 3.0


class QemuSession(EmulatorSession[QemuProcess, Snapshot]):
    """One running QEMU: console, clock and profiler look at the same stream of records.

    The plugin reports every byte stored to the console as an edge, with the counts up to there. ``read``
    hands out one line at a time, so that ``now_s`` is that line's time in every run, however the bytes were cut on
    their way. (A UART that sends later than it is stored to has its bytes come through a pipe, in the same order.)
    """

    def __init__(
        self,
        process: QemuProcess,
        image: Image,
        counts: Counts,
        tracker: WindowTracker[Snapshot],
        fault_handlers: dict[int, str],
        notes: list[str],
        delayed: bool,
        stack: StackRegion | None = None,
    ) -> None:
        super().__init__(process, image, tracker, notes)
        self.counts, self._fault_handlers = counts, fault_handlers
        self._delayed = delayed
        self._stack, self._stack_bytes = stack, 0
        self._stream = stream.RecordStream()
        self._events: deque[stream.Record] = deque()
        self._bytes = bytearray()
        self._line = bytearray()
        self._waiting = False
        self._chunks = 0
        self._stuck_since = 0.0
        self._silent_stores = 0
        self._state: stream.SignalRecord | None = None
        self._fault: tuple[str, float] | None = None
        self._free_run = False
        self._qmp = Qmp(process.qmp)

    # -- facts for the record --------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        late = self.counts.late_chunks
        extra = [f"{late} console inputs reached firmware that never polled: their instant may vary"] if late else []
        if self._silent_stores:
            extra.append(f"{self._silent_stores} stores to the console printed nothing: was its transmitter off?")
        return [*self._notes, *extra]

    def details(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "qemu_version": self._qmp.version,
            "instructions": self.counts.instructions,
        }
        if self._measure_stack():
            found["stack_bytes"] = self._stack_bytes
        if self.counts.idle_s:
            found["idle_s"] = self.counts.idle_s
        return found

    def _measure_stack(self) -> int:
        """Deepest use of the stack so far, in bytes; 0 where that is not known."""
        if self._stack is None or self._ended is not None:
            return self._stack_bytes
        file, size = self.process.folder / "stack.bin", self._stack.high - self._stack.low
        with contextlib.suppress(ToolError, OSError):
            self._qmp.execute("memsave", _QMP_LIMIT_S, val=self._stack.low, size=size, filename=str(file))
            self._stack_bytes = self._stack.used_bytes(file.read_bytes())
        return self._stack_bytes

    def windows(self) -> list[WindowProfile]:
        """Completed windows in the order in which they ended."""
        if self._ended is None:
            self._pump(0.0)
        self._tracker.search()
        return [
            WindowProfile(
                window.name,
                index,
                self.counts.time_of(start),
                self.counts.time_of(stop),
                window.inferences,
                self.counts.profile(start, stop),
            )
            for window, index, start, stop in self._tracker.completed()
        ]

    # -- console -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Wait until QEMU runs. ToolError says what QEMU complained about."""
        try:
            self._qmp.connect(_START_LIMIT_S)
        except ToolError as error:
            status = self.process.status()
            said = self.process.said()
            why = said or (f"exit status {status}" if status is not None else str(error))
            self.close()
            raise ToolError(f"QEMU did not start: {why}") from None

    def write(self, data: bytes) -> None:
        """Send *data*; the firmware gets it when it looks for input."""
        if self._ended is not None:
            raise ToolError(self._ended)
        self._waiting = False
        self._chunks += 1
        self._command(stream.data_command(data))

    def read(self, timeout_s: float) -> bytes:
        """The next line, or what there is of it when the firmware waits or *timeout_s* has passed."""
        deadline = time.monotonic() + timeout_s
        try:
            while not self._lines:
                left = deadline - time.monotonic()
                if self._waiting or self._ended is not None or left <= 0:
                    self._pump(0.0)
                    if self._lines:
                        break
                    if self._line:
                        self._hand_over_line(self.counts.now_s())
                        break
                    if self._ended is not None:
                        raise FirmwareFault(self._ended)
                    if left <= 0:
                        return b""
                    # The firmware looks for input that nobody sends: let its time go on.
                    self._run_free(True)
                self._check_fault()
                self._pump(min(left, 0.2))
        finally:
            self._run_free(False)
        return self._next_line()

    def _run_free(self, on: bool) -> None:
        if on != self._free_run and self._ended is None:
            self._free_run = on
            if on:
                self._waiting = False
            self._command(stream.RUN if on else stream.HOLD)

    def _hand_over_line(self, at_s: float) -> None:
        self._lines.append((bytes(self._line), at_s))
        self._line.clear()

    def _check_fault(self) -> None:
        if self._fault is not None and time.monotonic() - self._fault[1] > _FAULT_GRACE_S:
            raise FirmwareFault(f"the firmware entered {self._fault[0]}; last console line: {self._last_line()}")

    def _last_line(self) -> str:
        text = bytes(self._tracker.text_tail(200)).decode(errors="replace").strip().splitlines()
        return repr(text[-1]) if text else "none"

    # -- records -------------------------------------------------------------------------------------------

    def _pump(self, limit_s: float) -> None:
        """Take in what QEMU has sent, waiting up to *limit_s* for something."""
        deadline = time.monotonic() + limit_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self.process.events, self.process.output], [], [], left)
            if self.process.output in ready:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self.process.output, 1 << 16)
                    if self._delayed:
                        self._bytes += data
            if self.process.events in ready:
                self._receive()
            progressed = self._digest()
            if progressed or not ready or self._ended is not None or left == 0.0:
                return

    def _receive(self) -> None:
        try:
            data = os.read(self.process.events, 1 << 18)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        try:
            for record in self._stream.feed(data):
                if isinstance(record, stream.BlockRecord):
                    self._command(stream.price_command(record.index, self.counts.price(record)))
                else:
                    self._events.append(record)
        except ValueError as error:
            self._ended = f"the probe in QEMU sent what cannot be read ({error}); remove the cache folder and run again"

    def _digest(self) -> bool:
        """Process records in order, each console edge with its byte. True where the caller may have something to do."""
        progressed = False
        while self._events:
            record = self._events[0]
            if isinstance(record, stream.EdgeRecord):
                if record.id == stream.UART_EDGE and not self._print(record):
                    break
                if record.id < stream.PLAIN_EDGE:
                    self.counts.apply(record)
                    self._reach(record.id)
                elif record.id == stream.PLAIN_EDGE or record.last:
                    self.counts.apply(record)
            elif isinstance(record, stream.SignalRecord):
                if record.kind == "state":
                    self._state = record
                else:
                    if record.kind == "await" and record.value == self._chunks:
                        self._waiting = True
            self._events.popleft()
            progressed = True
        return progressed

    def _reach(self, number: int) -> None:
        if number >= FAULT_EDGE:
            self._fault = self._fault or (self._fault_handlers.get(number, "a fault handler"), time.monotonic())
        else:
            self._tracker.at_address(number, self.counts.snapshot())

    def _print(self, edge: stream.EdgeRecord) -> bool:
        """A byte was stored to the console; False while the byte itself has not come through the pipe."""
        byte = edge.byte
        if byte is None:
            if not self._bytes:
                return self._gave_up_on(edge)
            byte = self._bytes.pop(0)
            self._stuck_since = 0.0
        self.counts.apply(edge)
        mark = self.counts.snapshot() if self._tracker.starts_line() else None
        self._tracker.printed(byte, mark)
        self._line.append(byte)
        if byte == 0x0A:
            self._hand_over_line(self.counts.now_s())
        return True

    def _gave_up_on(self, edge: stream.EdgeRecord) -> bool:
        """A UART that sends later has not sent yet; after a while this store is taken for one that sends nothing."""
        now = time.monotonic()
        self._stuck_since = self._stuck_since or now
        if now - self._stuck_since < _BYTE_LIMIT_S:
            return False
        self._silent_stores += 1
        self._stuck_since = 0.0
        self.counts.apply(edge)
        return True

    def _end(self) -> None:
        """QEMU has closed its end of the pipe: it is gone, or on its way."""
        status = self.process.status(2.0)
        self._digest()
        text = self.process.stderr_text()
        lockup = re.search(r"Lockup: (.*)", text)
        if lockup:
            pc = re.search(r"R15=([0-9a-fA-F]{8})", text)
            place = f" at {self.image.describe(int(pc[1], 16))}" if pc else ""
            self._ended = f"the firmware locked up the core{place}: {lockup[1].strip()}"
        elif status is not None and status >= 0 and not self.process.said():
            self._ended = f"the firmware ended the emulation with status {status}"
        else:
            how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
            said = self.process.said()
            self._ended = f"QEMU ended with {how}" + (f": {said}" if said else " in the middle of the run")

    def _command(self, data: bytes) -> None:
        """Write to the plugin; what it sends meanwhile is taken in, so that neither end waits for the other."""
        view = memoryview(data)
        deadline = time.monotonic() + _WRITE_LIMIT_S
        os.set_blocking(self.process.commands, False)
        while view:
            try:
                view = view[os.write(self.process.commands, view) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ToolError(f"QEMU took no console input for {_WRITE_LIMIT_S:.0f} s") from None
                select.select([], [self.process.commands], [], 0.1)
            except OSError:
                if self._ended is None:
                    self._end()
                return

    # -- diagnosis and end ---------------------------------------------------------------------------------

    def describe_state(self) -> str:
        """PC, symbol, and what the firmware does."""
        if self._ended is not None:
            return self._ended
        self._state = None
        with contextlib.suppress(ToolError, ValueError, OSError):
            self._command(stream.QUERY)
            deadline = time.monotonic() + 1.0
            while self._state is None and self._ended is None and time.monotonic() < deadline:
                self._pump(0.1)
        return self._describe()

    def _describe(self) -> str:
        if self._ended is not None:
            return self._ended
        if self._state is None:
            return "QEMU does not answer"
        doing = "asleep" if self._state.value else "waiting for console input" if self._waiting else "running"
        place = self.image.describe(self._state.pc)
        return f"PC 0x{self._state.pc:08x} ({place}), {doing}, {self.counts.instructions} instructions executed"
