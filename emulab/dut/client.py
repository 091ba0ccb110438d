"""Host client of the MLPerf Tiny DUT protocol, the same for every backend.

It talks through a :class:`~emulab.backends.base.Console`; every wait has a :class:`~emulab.dut.limit.Limit`; what was
said is kept line by line for the record. Source: mlcommons/tiny, benchmark/api and benchmark/runner.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from emulab.dut import messages
from emulab.dut.limit import Limit
from emulab.errors import DutTimeout, InputError, ToolError
from emulab.lab.lines import LineSplitter, LogLine

if TYPE_CHECKING:
    from emulab.backends.base import Clock, Console

T = TypeVar("T")
POLL_S = 0.25
"""Longest single read, so that Ctrl-C and limits are seen."""
GRACE_S = 1.0
"""What may still be read after a limit has passed: a host that was stopped for a while finds its answer waiting."""
LOG_LINES = 200_000
"""Lines kept of a log; older ones are dropped and counted."""


class DutError(ToolError):
    """The DUT answered ``e-[...]``, or not what the protocol says."""


class DutReset(ToolError):
    """The board booted while a command was under way."""


@dataclass(frozen=True, slots=True)
class InferResult:
    """What one ``infer N W`` gave.

    ``start_s`` and ``stop_s`` are the DUT's own timestamps (None in energy mode, where it pulses a pin instead);
    ``seen_start_s`` and ``seen_stop_s`` are the session clock when the surrounding lines arrived, ``span_s`` that when
    the command was sent and when it was done: however late the host was, the window lies between these.
    """

    inferences: int
    warmups: int
    start_s: float | None
    stop_s: float | None
    seen_start_s: float
    seen_stop_s: float
    results: list[float]
    span_s: tuple[float, float]

    @property
    def elapsed_s(self) -> float | None:
        """Seconds between the two DUT timestamps."""
        return None if self.start_s is None or self.stop_s is None else self.stop_s - self.start_s

    @property
    def latency_s(self) -> float | None:
        """Seconds per inference, from the DUT's timestamps."""
        elapsed = self.elapsed_s
        return None if elapsed is None else elapsed / self.inferences


class DutClient:
    """Speaks to one DUT.

    ``limit_s`` bounds how long one command may take; :class:`~emulab.dut.limit.Limit` says on which clock.
    Raises DutTimeout (silence), DutError (``e-[...]`` or an answer out of protocol) and DutReset (boot banner in the
    middle of a command).
    """

    def __init__(
        self,
        console: Console,
        clock: Clock,
        limit_s: float = 120.0,
        on_line: Callable[[LogLine], None] | None = None,
    ) -> None:
        self.console, self.clock, self.limit_s = console, clock, limit_s
        self.log: list[LogLine] = []
        self.dropped_log_lines = 0
        self.mode: Literal["performance", "energy", ""] = ""
        self.windows_run = 0
        """Windows (``infer``) that this client has seen through, trial windows among them."""
        self._on_line = on_line
        self._splitter = LineSplitter()
        self._pending: list[tuple[float, str]] = []

    # -- session ------------------------------------------------------------------------------------------

    def sync(self, boot_s: float | None = None) -> None:
        """Wait until the DUT is ready: for the ``m-ready`` of its boot, else ask its name until it answers.

        ``boot_s`` is how long to wait for the boot before asking (default: the limit where time is virtual, since a
        boot is then certain to come; one second on a board, which may have booted long ago).
        """
        if boot_s is None:
            boot_s = self.limit_s if self.clock.kind == "virtual" else 1.0
        try:
            self._until_ready("boot", boot_s, booting=True)
            return
        except DutTimeout:
            if self.clock.kind == "virtual" and boot_s >= self.limit_s:
                raise
        deadline, asked = time.monotonic() + self.limit_s, 0
        while True:
            self._splitter.clear()
            self._send("name")
            asked += 1
            try:
                # A boot that ends meanwhile has an m-ready of its own: only the name is an answer
                limit = min(2.0, max(deadline - time.monotonic(), 0.1))
                while messages.name(self._until_ready("name", limit, booting=True)) is None:
                    pass
                break
            except DutTimeout:
                if time.monotonic() >= deadline:
                    raise self._timeout("the start (boot or `name`)", self.limit_s) from None
        if asked > 1:
            # A board that was slow to answer, not deaf, has more names to tell: they are no answers to what comes next.
            self._send("profile")
            while messages.profile(self._until_ready("profile", self.limit_s, booting=True)) is None:
                pass
        if not self.mode:
            # The boot, which says the mode, was missed: in energy mode a timestamp is a pulse and no line.
            self.mode = "energy" if self.timestamp() is None else "performance"

    def command(self, text: str, limit_s: float | None = None) -> list[str]:
        """Send ``text%`` and give the lines that came before ``m-ready``.

        Raises DutError for an ``e-[...]`` answer, DutTimeout and DutReset.
        """
        self._drain()
        self._send(text)
        lines = self._until_ready(text, self.limit_s if limit_s is None else limit_s)
        for line in lines:
            error = messages.error_text(line)
            if error is not None:
                raise DutError(f"DUT: {short(text)!r} was answered by the error {error!r}")
        return lines

    # -- commands -----------------------------------------------------------------------------------------

    def name(self) -> str:
        """Vendor string of the firmware."""
        return self._expect(messages.name, "name", "m-name-dut-[...]")

    def profile(self) -> tuple[str, str]:
        """(firmware profile, model id such as ``kws01``)."""
        return self._expect(messages.profile, "profile", "m-profile-[...] and m-model-[...]")

    def timestamp(self) -> float | None:
        """The DUT's clock in seconds; None in energy mode, where a pin pulses instead."""
        laps = [lap for line in self.command("timestamp") if (lap := messages.lap_us(line)) is not None]
        return laps[0] / 1e6 if laps else None

    def load(self, data: bytes, retries: int = 1) -> None:
        """Send an input to the DUT's buffer, 31 bytes per command.

        A load that the DUT does not confirm (bytes lost on the line) is sent again up to *retries* times. Raises
        InputError when *data* is empty or larger than the buffer, DutError when it is never confirmed.
        """
        if not 0 < len(data) <= messages.MAX_INPUT_BYTES:
            raise InputError(
                f"DUT: an input of {len(data)} bytes cannot be loaded; the buffer takes 1 to {messages.MAX_INPUT_BYTES}"
            )
        for attempt in range(retries + 1):
            try:
                self._load_once(data)
                return
            except DutError as error:
                if attempt == retries:
                    raise
                self._keep("#", f"load repeated: {error}")

    def _load_once(self, data: bytes) -> None:
        answer = self.command(f"db load {len(data)}")
        expecting = messages.expected_bytes(answer)
        if expecting != len(data):
            raise DutError(
                f"DUT: 'db load {len(data)}' was answered by {quote(answer)}, expected m-[Expecting {len(data)} bytes]"
            )
        size = int(getattr(self.console, "chunk_bytes", messages.LOAD_CHUNK_BYTES))
        for offset in range(0, len(data), size):
            answer = self.command(f"db {data[offset : offset + size].hex()}")
            done = messages.LOAD_DONE in answer
            last = offset + size >= len(data)
            if done != last:
                raise DutError(
                    f"DUT: {'no ' if last else ''}m-load-done after {min(offset + size, len(data))} "
                    f"of {len(data)} bytes; were bytes lost on the line?"
                )

    def infer(self, inferences: int, warmups: int = 0, limit_s: float | None = None) -> InferResult:
        """Run ``infer N W`` on what was loaded. Raises DutError when a part of the answer is missing.

        A recorded session (``console.recorded``) plays windows of the length it has: the result says how many
        inferences that is, and its ``results`` may be empty.
        """
        if inferences < 1 or warmups < 0:
            raise InputError(
                f"DUT: infer {inferences} {warmups}: expected at least one inference, no negative warm-ups"
            )
        self._drain()
        text = f"infer {inferences} {warmups}"
        sent = self.clock.now_s()
        self._send(text)
        timed = self._until_ready_timed(text, self.limit_s if limit_s is None else limit_s)
        recorded = bool(getattr(self.console, "recorded", False))
        count = inferences
        laps: list[int] = []
        values: list[float] | None = None
        begun = seen_start = seen_stop = None
        for when, line in timed:
            error = messages.error_text(line)
            if error is not None:
                raise DutError(f"DUT: {text!r} was answered by the error {error!r}")
            if line.startswith(messages.INFER_START):
                begun = seen_start = when
                count = messages.infer_count(line) or count
            elif line == messages.INFER_DONE:
                seen_stop = when
            elif begun is not None and seen_stop is None and (lap := messages.lap_us(line)) is not None:
                laps.append(lap)
            values = messages.results(line) or values
        lines = [line for _, line in timed]
        if seen_start is None or seen_stop is None:
            raise DutError(f"DUT: {text!r} was answered by {quote(lines)}, expected m-infer-start and m-infer-done")
        if count != inferences and not recorded:
            raise DutError(f"DUT: {text!r} was asked for, the DUT says it runs {count} inferences")
        if values is None and not recorded:
            raise DutError(f"DUT: {text!r} gave no m-results-[...], only {quote(lines)}")
        if len(laps) not in (0, 2):
            raise DutError(f"DUT: {text!r} gave {len(laps)} timestamps, expected two (or none, in energy mode)")
        start = laps[0] / 1e6 if laps else None
        stop = (laps[0] + messages.elapsed_us(laps[0], laps[1])) / 1e6 if laps else None
        self.windows_run += 1
        span = (sent, self.clock.now_s())
        return InferResult(count, warmups, start, stop, seen_start, seen_stop, values or [], span)

    def results(self) -> list[float]:
        """The result vector of the last inference."""
        for line in self.command("results"):
            values = messages.results(line)
            if values is not None:
                return values
        raise DutError("DUT: 'results' was not answered by m-results-[...]")

    def db_print(self) -> bytes:
        """The DUT's input buffer."""
        return messages.buffer(self.command("db print"))

    # -- below the commands -------------------------------------------------------------------------------

    def _expect(self, parse: Callable[[list[str]], T | None], command: str, expected: str) -> T:
        lines = self.command(command)
        found = parse(lines)
        if found is None:
            raise DutError(f"DUT: {command!r} was answered by {quote(lines)}, expected {expected}")
        return found

    def _send(self, text: str) -> None:
        self._keep(">", f"{text}%")
        self.console.write(f"{text}%".encode("ascii"))

    def _keep(self, direction: Literal[">", "<", "#"], text: str, when: float | None = None) -> None:
        line = LogLine(self.clock.now_s() if when is None else when, direction, text)
        self.log.append(line)
        if len(self.log) > LOG_LINES:
            del self.log[: LOG_LINES // 10]
            self.dropped_log_lines += LOG_LINES // 10
        if self._on_line:
            self._on_line(line)

    def _drain(self) -> None:
        """Lines that came unasked belong to nobody; they stay in the log. A boot among them is a reset."""
        pending, self._pending = [line for _, line in self._pending], []
        if any(messages.is_boot_banner(line) for line in pending):
            raise DutReset(f"DUT: the board was reset between two commands; it printed {quote(pending)}")

    def _read_line(self, limit: Limit) -> tuple[float, str] | None:
        """Next line with the session clock of its arrival; None when *limit* passed in silence.

        One read is always tried, so that a host that was stopped past the limit still sees what came meanwhile; a board
        that goes on and on without ending a line is left after GRACE_S more.
        """
        late: float | None = None
        while not self._pending:
            data = self.console.read(limit.wait_s(POLL_S))
            when = self.clock.now_s()
            for text in self._splitter.feed(data):
                self._keep("<", text, when)
                self._pending.append((when, text))
                if text.startswith(messages.BOOT_MODE):
                    self.mode = "energy" if "energy" in text else "performance"
            if limit.passed():
                now = time.monotonic()
                late = now if late is None else late
                if not self._pending and (not data or now - late > GRACE_S):
                    return None
        return self._pending.pop(0)

    def _until_ready(self, what: str, limit_s: float, booting: bool = False) -> list[str]:
        return [line for _, line in self._until_ready_timed(what, limit_s, booting)]

    def _until_ready_timed(self, what: str, limit_s: float, booting: bool = False) -> list[tuple[float, str]]:
        limit = Limit(self.clock, limit_s)
        late: float | None = None
        lines: list[tuple[float, str]] = []
        while True:
            entry = self._read_line(limit)
            now = time.monotonic()
            if late is None and limit.passed():
                late = now
            if entry is None or (late is not None and now - late > GRACE_S):
                raise self._timeout(short(what), limit_s, limit.note())
            if entry[1] == messages.READY:
                return lines
            if not booting and messages.is_boot_banner(entry[1]):
                raise DutReset(
                    f"DUT: the board was reset during {short(what)!r} (it printed {entry[1]!r}); "
                    f"before that: {quote([line for _, line in lines])}"
                )
            lines.append(entry)

    def _timeout(self, what: str, limit_s: float, note: str = "") -> DutTimeout:
        last = [line.text for line in self.log if line.direction == "<"][-4:]
        partial = self._splitter.partial
        if partial:
            last.append(partial[:80] + " (no line end)")
        said = f"last lines: {quote(last)}" if last else "it has said nothing at all"
        hint = ""
        if self._splitter.looks_like_wrong_baud:
            hint = "; most of it is not text: is the baud rate right?"
        return DutTimeout(f"DUT: no m-ready within {limit_s:g} s of {what!r}; {said}{hint}{note}")


def short(text: str, limit: int = 40) -> str:
    """*text*, cut for a message."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def quote(lines: list[str], last: int = 4) -> str:
    """The last few lines on one line, for a message."""
    shown = " | ".join(short(line, 80) for line in lines[-last:])
    return repr(shown) if shown else "nothing"
