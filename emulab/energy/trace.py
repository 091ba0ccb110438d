"""A current trace in bounded memory: min, max and mean per bucket, exact totals, CSV and Parquet out.

Buckets are of equal width. When the trace outgrows its limit, pairs of buckets merge and the width doubles, so that a
year fits the same memory as a second; charge is kept exactly, and min and max stay those of what happened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emulab.errors import InputError, ToolError

if TYPE_CHECKING:
    from emulab.backends.base import CurrentTrace


class BucketTrace:
    """Supply current over time from ``start_s`` on, in at most ``limit`` buckets of ``step_s`` (doubled as needed)."""

    def __init__(self, step_s: float, limit: int = 16384, start_s: float = 0.0) -> None:
        import numpy

        if step_s <= 0 or limit < 2 or limit % 2:
            raise InputError("a trace needs a bucket width above 0 and an even limit of at least 2 buckets")
        self.start_s, self.step_s, self.limit = start_s, step_s, limit
        self.end_s = start_s
        self.marks: list[tuple[str, float]] = []
        self._numpy = numpy
        self._charge = numpy.zeros(limit)
        self._min = numpy.full(limit, numpy.inf)
        self._max = numpy.full(limit, -numpy.inf)

    def add(self, start_s: float, stop_s: float, current_a: float) -> None:
        """The supply draws *current_a* from *start_s* to *stop_s*; segments come in order of time."""
        if stop_s <= start_s:
            return
        while stop_s > self.start_s + self.step_s * self.limit:
            self._halve()
        self.end_s = max(self.end_s, stop_s)
        first = int((start_s - self.start_s) / self.step_s)
        last = min(int((stop_s - self.start_s) / self.step_s), self.limit - 1)
        if first >= last:
            self._put(last, current_a, current_a * (stop_s - start_s))
            return
        head = self.start_s + (first + 1) * self.step_s
        if head > start_s:
            self._put(first, current_a, current_a * (head - start_s))
        tail = self.start_s + last * self.step_s
        if stop_s > tail:
            self._put(last, current_a, current_a * (stop_s - tail))
        if last > first + 1:
            inner = slice(first + 1, last)
            self._charge[inner] += current_a * self.step_s
            self._numpy.minimum(self._min[inner], current_a, out=self._min[inner])
            self._numpy.maximum(self._max[inner], current_a, out=self._max[inner])

    def impulse(self, time_s: float, charge_c: float) -> None:
        """A charge at an instant: counts to mean and total, not to min and max."""
        while time_s > self.start_s + self.step_s * self.limit:
            self._halve()
        self.end_s = max(self.end_s, time_s)
        self._charge[min(int((time_s - self.start_s) / self.step_s), self.limit - 1)] += charge_c

    def spread(self, start_s: float, stop_s: float, charge_c: float, peak_a: float) -> None:
        """More charge over a time that was told already, evenly; with it the current was *peak_a*."""
        if stop_s <= start_s:
            self.impulse(stop_s, charge_c)
            return
        while stop_s > self.start_s + self.step_s * self.limit:
            self._halve()
        self.end_s = max(self.end_s, stop_s)
        first = int((start_s - self.start_s) / self.step_s)
        last = min(int((stop_s - self.start_s) / self.step_s), self.limit - 1)
        inside = slice(first, last + 1)
        edges = self.start_s + self._numpy.arange(first, last + 2) * self.step_s
        edges[0], edges[-1] = start_s, stop_s
        self._charge[inside] += charge_c * self._numpy.diff(edges) / (stop_s - start_s)
        self._numpy.maximum(self._max[inside], peak_a, out=self._max[inside])

    def mark(self, name: str, time_s: float) -> None:
        """Name an instant; at most ``limit`` marks are kept."""
        if len(self.marks) < self.limit:
            self.marks.append((name, time_s))

    def _put(self, index: int, current_a: float, charge_c: float) -> None:
        self._charge[index] += charge_c
        if current_a < self._min[index]:
            self._min[index] = current_a
        if current_a > self._max[index]:
            self._max[index] = current_a

    def _halve(self) -> None:
        numpy, half = self._numpy, self.limit // 2
        self._charge[:half] = self._charge[0::2] + self._charge[1::2]
        self._min[:half] = numpy.minimum(self._min[0::2], self._min[1::2])
        self._max[:half] = numpy.maximum(self._max[0::2], self._max[1::2])
        self._charge[half:], self._min[half:], self._max[half:] = 0.0, numpy.inf, -numpy.inf
        self.step_s *= 2

    @property
    def charge_c(self) -> float:
        """Total charge in coulomb, exact whatever the bucket width."""
        return float(self._charge.sum())

    def arrays(self) -> tuple[Any, Any, Any, Any]:
        """(time, mean, min, max) of the buckets in use: s from 0, A, A, A, each of shape (n,)."""
        import math

        numpy = self._numpy
        used = min(self.limit, max(1, math.ceil((self.end_s - self.start_s) / self.step_s - 1e-9)))
        time = self.start_s + numpy.arange(used) * self.step_s
        width = numpy.minimum(time + self.step_s, self.end_s) - time
        mean = self._charge[:used] / numpy.where(width > 0, width, self.step_s)
        low = numpy.where(numpy.isfinite(self._min[:used]), self._min[:used], mean)
        high = numpy.where(numpy.isfinite(self._max[:used]), self._max[:used], mean)
        return time, mean, low, high

    def current_trace(self, voltage_v: float = 0.0, source: str = "modelled") -> CurrentTrace:
        """The trace as every power meter hands it out."""
        from emulab.backends.base import CurrentTrace

        _, mean, low, high = self.arrays()
        return CurrentTrace(
            start_s=self.start_s,
            step_s=self.step_s,
            mean_a=mean,
            min_a=low,
            max_a=high,
            voltage_v=voltage_v,
            marks=tuple(self.marks),
            source=source,
        )


class SegmentTrace:
    """Every segment of constant current as ``(start_s, stop_s, current_a, phase)``; for one cycle, not a year."""

    def __init__(self, limit: int = 100_000, phase: str = "") -> None:
        self.segments: list[tuple[float, float, float, str]] = []
        self.limit, self._phase = limit, phase

    def add(self, start_s: float, stop_s: float, current_a: float) -> None:
        """A segment; one that continues the last at the same current and phase lengthens it."""
        if stop_s <= start_s:
            return
        last = self.segments[-1] if self.segments else None
        if last and last[1:] == (start_s, current_a, self._phase):
            self.segments[-1] = (last[0], stop_s, current_a, self._phase)
        elif len(self.segments) < self.limit:
            self.segments.append((start_s, stop_s, current_a, self._phase))

    def impulse(self, time_s: float, charge_c: float) -> None:
        """Charge at an instant has no current; only the totals show it."""

    def spread(self, start_s: float, stop_s: float, charge_c: float, peak_a: float) -> None:
        """Charge told after its time; only the totals show it."""

    def mark(self, name: str, time_s: float) -> None:
        """A new phase begins."""
        self._phase = name


class Trace(Protocol):
    """What a ledger tells as time passes."""

    def add(self, start_s: float, stop_s: float, current_a: float) -> None: ...

    def impulse(self, time_s: float, charge_c: float) -> None: ...

    def spread(self, start_s: float, stop_s: float, charge_c: float, peak_a: float) -> None: ...

    def mark(self, name: str, time_s: float) -> None: ...


class Tee:
    """Hands what it is told to several traces."""

    def __init__(self, *traces: Trace) -> None:
        self.traces = traces

    def add(self, start_s: float, stop_s: float, current_a: float) -> None:
        """Pass a segment on."""
        for trace in self.traces:
            trace.add(start_s, stop_s, current_a)

    def impulse(self, time_s: float, charge_c: float) -> None:
        """Pass a charge on."""
        for trace in self.traces:
            trace.impulse(time_s, charge_c)

    def spread(self, start_s: float, stop_s: float, charge_c: float, peak_a: float) -> None:
        """Pass a charge over a time on."""
        for trace in self.traces:
            trace.spread(start_s, stop_s, charge_c, peak_a)

    def mark(self, name: str, time_s: float) -> None:
        """Pass a name on."""
        for trace in self.traces:
            trace.mark(name, time_s)


CSV_HEADER = "Timestamp(ms),Current(uA),Min(uA),Max(uA)"
"""First line of the CSV: time and mean current as the Nordic Power Profiler exports them, then min and max."""


def _columns(trace: CurrentTrace) -> tuple[Any, Any, Any, Any]:
    import numpy

    mean = numpy.asarray(trace.mean_a, dtype=float)
    time = trace.start_s + numpy.arange(len(mean)) * trace.step_s
    low = mean if trace.min_a is None else numpy.asarray(trace.min_a, dtype=float)
    high = mean if trace.max_a is None else numpy.asarray(trace.max_a, dtype=float)
    return time * 1e3, mean * 1e6, low * 1e6, high * 1e6


def write_csv(trace: CurrentTrace, file: Path) -> Path:
    """Write *trace* as CSV in the layout of power-analyser tools: ms and uA, one bucket per line."""
    lines = [CSV_HEADER]
    for time, mean, low, high in zip(*(column.tolist() for column in _columns(trace)), strict=True):
        lines.append(f"{time:.9g},{mean:.9g},{low:.9g},{high:.9g}")
    from emulab.model.record import write_text

    return write_text(file, "\n".join(lines) + "\n")


def write_parquet(trace: CurrentTrace, file: Path) -> Path:
    """Write *trace* as Parquet, in the columns of the CSV (``CSV_HEADER``). Needs pyarrow.

    Raises ToolError with the line that installs pyarrow, or where the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ToolError("Parquet export needs pyarrow; install it with: pip install pyarrow, or export CSV") from None
    from io import BytesIO

    from emulab.model.record import write_bytes

    names = CSV_HEADER.split(",")
    meta = {"voltage_v": repr(trace.voltage_v), "step_s": repr(trace.step_s), "source": trace.source}
    table = pyarrow.table(dict(zip(names, _columns(trace), strict=True))).replace_schema_metadata(meta)
    buffer = BytesIO()
    parquet.write_table(table, buffer)
    return write_bytes(file, buffer.getvalue())
