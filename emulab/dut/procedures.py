"""Measurement procedures of MLPerf Tiny over a DUT client: performance, accuracy.

Rules (mlcommons/tiny, benchmark/runner): five windows, each of at least 10 s and 10 iterations on a board, each
after a download; the median counts. In emulation numbers repeat exactly and a window may be short. The energy
procedure is in :mod:`emulab.dut.energy_mode`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from emulab.dut.client import DutClient, InferResult
from emulab.errors import InputError, ToolError

MIN_WINDOW_S = 10.0
MIN_ITERATIONS = 10
LOOPS = 5
WINDOW_MARGIN = 1.05
"""A window is planned this much longer than it must be, since latency moves between loops."""


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """One window: ``inferences`` between ``start_s`` and ``stop_s``.

    ``clock`` says whose seconds these are: ``dut`` (its timestamps), ``gpio`` (edges on its pin, session clock) or
    ``host`` (arrival of its lines, session clock: late by the line's latency).
    """

    index: int
    start_s: float
    stop_s: float
    inferences: int
    warmups: int
    clock: str
    results: list[float]

    @property
    def elapsed_s(self) -> float:
        return self.stop_s - self.start_s

    @property
    def latency_s(self) -> float:
        return self.elapsed_s / self.inferences


def spread(values: Sequence[float]) -> float:
    """Standard deviation over windows; 0 where numbers repeat exactly or there is one window."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class TimedWindows:
    """Windows and what every mode tells of them: the median counts."""

    windows: list[MeasuredWindow]

    @property
    def latencies_s(self) -> list[float]:
        """Seconds per inference, window by window."""
        return [window.latency_s for window in self.windows]

    @property
    def latency_s(self) -> float:
        """Median over windows, seconds per inference (energy mode differs a little from performance mode)."""
        return statistics.median(self.latencies_s)

    @property
    def latency_uncertainty_s(self) -> float:
        """Standard deviation over windows."""
        return spread(self.latencies_s)


@dataclass(frozen=True, slots=True)
class PerformanceResult(TimedWindows):
    """Windows, their median latency, and the submission rules they break (empty: valid)."""

    violations: list[str] = field(default_factory=list)

    @property
    def throughput_hz(self) -> float:
        """Inferences per second, the median over windows."""
        return statistics.median(window.inferences / window.elapsed_s for window in self.windows)


def inferences_for(client: DutClient, window_s: float, trial: int = 1, warmups: int = 1) -> int:
    """Inferences that fill a window of *window_s*, from trial windows that grow until they can be timed."""
    while True:
        enough_s = 0.05
        result = client.infer(trial, warmups)
        elapsed = result.elapsed_s
        if elapsed is None:
            elapsed = result.seen_stop_s - result.seen_start_s
            if client.clock.kind == "wall":
                enough_s = 1.0  # lines come tens of milliseconds late on a busy host
        if elapsed >= min(enough_s, window_s):
            return max(MIN_ITERATIONS, math.ceil(window_s * WINDOW_MARGIN * trial / elapsed))
        if trial > 1_000_000:
            raise ToolError(f"DUT: {trial} inferences took {elapsed:g} s; is the DUT's timer running?")
        trial *= 4
        warmups = 0


def performance(
    client: DutClient,
    inputs: Sequence[bytes],
    loops: int = LOOPS,
    inferences: int | None = None,
    warmups: int = 10,
    window_s: float | None = None,
    on_window: Callable[[MeasuredWindow], None] | None = None,
) -> PerformanceResult:
    """Performance mode: *loops* times download one of *inputs* (in turn) and run a window.

    ``inferences`` is the window's length; None finds one that lasts ``window_s`` (default 10 s). Where both are given
    the larger counts. Raises InputError without inputs, ToolError when timestamps do not advance.
    """
    if not inputs or loops < 1:
        raise InputError(f"performance: needs at least one input and one loop, got {len(inputs)} and {loops}")
    windows: list[MeasuredWindow] = []
    count = inferences
    for index in range(loops):
        client.load(inputs[index % len(inputs)])
        if index == 0 and (inferences is None or window_s is not None):
            found = inferences_for(client, MIN_WINDOW_S if window_s is None else window_s)
            count = found if inferences is None else max(inferences, found)
        assert count is not None
        window = measured(index, client.infer(count, warmups, limit_s=_limit(client, window_s)))
        windows.append(window)
        if on_window:
            on_window(window)
    return PerformanceResult(windows, violations(windows))


def measured(index: int, result: InferResult) -> MeasuredWindow:
    """The window of an infer result, in the DUT's own time where it gave timestamps."""
    if result.start_s is not None and result.stop_s is not None:
        clock, start, stop = "dut", result.start_s, result.stop_s
    else:
        clock, start, stop = "host", result.seen_start_s, result.seen_stop_s
    if stop <= start:
        raise ToolError(
            f"DUT: window {index} lasts {stop - start:g} s for {result.inferences} inferences; "
            "is the DUT's timer running?"
        )
    return MeasuredWindow(index, start, stop, result.inferences, result.warmups, clock, result.results)


def violations(windows: Sequence[MeasuredWindow], what: str = "performance") -> list[str]:
    """Rules of a submission that these windows break, one line each."""
    broken = []
    if len(windows) != LOOPS:
        broken.append(f"{what}: {len(windows)} windows, a submission needs exactly {LOOPS}")
    for window in windows:
        if window.elapsed_s < MIN_WINDOW_S:
            broken.append(f"{what}: window {window.index} lasts {window.elapsed_s:.3f} s, the rules ask for 10 s")
        if window.inferences < MIN_ITERATIONS:
            broken.append(f"{what}: window {window.index} has {window.inferences} iterations, the rules ask for 10")
    return broken


def _limit(client: DutClient, window_s: float | None) -> float:
    """A window on a board takes its time on top of the limit of a command."""
    return client.limit_s + (0.0 if window_s is None or client.clock.kind == "virtual" else 3 * window_s)


def sliding_windows(data: bytes, size: int, stride: int) -> Iterator[bytes]:
    """Windows of *size* bytes every *stride* bytes, as ad01 is fed (2560 and 512). InputError when none fits."""
    if size < 1 or stride < 1:
        raise InputError(f"sliding windows: size {size} and stride {stride} must be positive")
    if len(data) < size:
        raise InputError(f"sliding windows: an input of {len(data)} bytes holds no window of {size}")
    for start in range(0, len(data) - size + 1, stride):
        yield data[start : start + size]


@dataclass(frozen=True, slots=True)
class AccuracySample:
    """One evaluation input. ``size`` and ``stride`` (bytes) where a file is fed in sliding windows."""

    name: str
    data: bytes
    size: int | None = None
    stride: int | None = None


@dataclass(frozen=True, slots=True)
class AccuracyOutput:
    """What the DUT said of one sample: the result vector; of several windows, their mean, element by element.

    ``windows`` holds the single vectors, ``latencies_s`` the time of each inference (accuracy-mode latency is
    0.2 to 2 ms above performance mode on published boards).
    """

    name: str
    results: list[float]
    windows: list[list[float]]
    latencies_s: list[float]


def accuracy(
    client: DutClient,
    samples: Iterable[AccuracySample],
    on_sample: Callable[[AccuracyOutput], None] | None = None,
) -> list[AccuracyOutput]:
    """Accuracy mode: every sample once, ``infer 1 0``. Raises DutError when result vectors differ in length."""
    outputs: list[AccuracyOutput] = []
    for sample in samples:
        pieces: Iterable[bytes] = [sample.data]
        if sample.size is not None:
            pieces = sliding_windows(sample.data, sample.size, sample.stride or sample.size)
        vectors: list[list[float]] = []
        latencies: list[float] = []
        for piece in pieces:
            client.load(piece)
            result = client.infer(1, 0)
            vectors.append(result.results)
            if result.latency_s is not None:
                latencies.append(result.latency_s)
        expected = len(outputs[0].results) if outputs else len(vectors[0])
        if any(len(vector) != expected for vector in vectors):
            found = sorted({len(vector) for vector in vectors} - {expected})
            raise ToolError(f"DUT: {sample.name}: {found[0]} results, expected {expected} as before")
        mean = [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]
        output = AccuracyOutput(sample.name, mean, vectors, latencies)
        outputs.append(output)
        if on_sample:
            on_sample(output)
    return outputs
