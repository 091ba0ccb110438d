"""The comparison as HTML: the table, and both current traces aligned on the start of the inference window."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from emulab.compare.modelled import AFTER, Trace, modelled_trace
from emulab.compare.page import si_axis, write_page
from emulab.compare.records import Comparison, comparison_rows
from emulab.lab.capture import Capture
from emulab.lab.captures import csv_table
from emulab.model.record import Result
from emulab.run.expectations import PHYSICAL_BACKENDS

MAX_POINTS = 4000
TRACE_ARTIFACT = "energy_trace"
"""On the clock of the windows, unlike the trace of a duty cycle."""
BEFORE = 2
"""What is drawn, in inferences before the start of the first window."""


def write_comparison(
    comparison: Comparison, folder: Path, emulated_folder: Path | None = None, physical_folder: Path | None = None
) -> Path:
    """Write ``compare.html`` (and ``plotly.min.js``) into *folder*; traces are read from the two run folders."""
    notes = list(comparison.notes)
    plots = []
    for pair in comparison.pairs:
        traces = []
        for label, result, place in (
            (comparison.sides[0], pair.emulated, emulated_folder),
            (comparison.sides[1], pair.physical, physical_folder or emulated_folder),
        ):
            if result is None:
                continue
            trace, name = aligned_trace(result, place), f"{label} ({result.backend})"
            if trace is None and result.backend not in PHYSICAL_BACKENDS:
                trace, how = modelled_trace(result)
                name = f"{name}, {how}"
            if trace is None:
                notes.append(f"{result.platform}/{result.backend}: no current trace in this run")
            else:
                traces.append((name, trace))
        if traces:
            plots.append(_figure(pair.place, traces))
    rows = comparison_rows(comparison)
    for row in rows:
        if row["verdict"] == "no tolerance":
            row |= {"verdict": "-", "reason": ""}
    return write_page(
        folder / "compare.html",
        "compare.html.j2",
        plots,
        title=comparison.title,
        sides=comparison.sides,
        tables=[
            ("", [r for r in rows if "@" not in r["metric"]]),
            ("Under noise", [r for r in rows if "@" in r["metric"]]),
        ],
        notes=notes,
    )


def aligned_trace(result: Result, folder: Path | None) -> Trace | None:
    """(seconds from the start of the first window, ampere, seconds per inference) of a result's trace; None without."""
    name = result.artifacts.get(TRACE_ARTIFACT, "")
    if folder is None or not name or not (folder / name).is_file():
        return None
    zero, stop, inferences = 0.0, math.inf, 1
    if result.windows:
        first = result.windows[0]
        zero, stop, inferences = first.start_s, first.stop_s, first.inferences
    period = (stop - zero) / inferences if math.isfinite(stop) else math.inf
    low, high = zero - BEFORE * period, zero + AFTER * period
    capture = read_trace(folder / name)
    begin = max(0, math.ceil((low - capture.start_s) / capture.step_s))
    last = len(capture.values)
    if math.isfinite(high):
        last = min(last, math.floor((high - capture.start_s) / capture.step_s) + 1)
    times: list[float] = []
    values: list[float | None] = []
    for index in range(begin, max(begin, last)):
        value = float(capture.values[index])
        if math.isfinite(value):
            times.append(capture.start_s + index * capture.step_s - zero)
            values.append(value)
    return (times, values, period) if times else None


def read_trace(file: Path) -> Capture:
    """A trace that a run left behind. InputError when it is damaged."""
    return csv_table.parse(file.read_text(encoding="utf-8", errors="replace"), file)


def _figure(platform: str, traces: list[tuple[str, Trace]]) -> dict[str, Any]:
    data = []
    for name, (times, values, _) in traces:
        step = max(1, len(times) // MAX_POINTS)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": times[::step],
                "y": values[::step],
                "line": {"shape": "hv"},
            }
        )
    return {
        "title": f"Supply current: {platform}",
        "note": "aligned on the start of the first inference window, at 0 s",
        "data": data,
        "layout": {
            "xaxis": {"title": {"text": "s from the start of the window"}},
            "yaxis": {**si_axis("A", "current"), "rangemode": "tozero"},
            "shapes": [{"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "line": {"dash": "dot"}}],
        },
    }
