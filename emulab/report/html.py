"""The HTML report of a record: ``report.html`` beside ``plotly.min.js`` in the run folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from emulab.compare.page import si_axis, write_page
from emulab.model.record import Result, RunRecord, WindowRecord
from emulab.report import application, between, golden, memory, quality, robustness, streaming
from emulab.report.metrics import board, expectation_bound, expectation_value, ordered, title
from emulab.report.units import show

MAX_POINTS = 20_000


def write_html(record: RunRecord, folder: Path) -> Path:
    """Write the report of *record* into its run folder and return the path."""
    noise = robustness.of_record(record)
    return write_page(
        folder / "report.html",
        "report.html.j2",
        plots(record, folder),
        title=record.scenario.get("name", ""),
        record=record,
        rows=_rows(record),
        reasons=_reasons(record),
        expectations=[
            {**e.model_dump(), "value": expectation_value(record, e), "bound": expectation_bound(record, e)}
            for e in record.expectations
        ],
        robustness=noise,
        robustness_note="" if noise is None else robustness.short_note(noise),
        evaluated=[*quality.lines(record), *between.lines(record), *golden.lines(record)],
        memory_tables=[
            *quality.tables(record),
            *golden.tables(record),
            *memory.tables(record),
            *application.tables(record),
        ],
        layer_tables=_layer_tables(record),
        notes=[f"{r.label}: {note}" for r in record.results for note in r.notes],
        provenance=_provenance(record),
    )


def _rows(record: RunRecord) -> list[dict[str, Any]]:
    names = ordered({metric for result in record.results for metric in result.metrics})
    rows = [{"title": title(name), "cells": [_cell(name, result) for result in record.results]} for name in names]
    told = [memory.fits(result) for result in record.results]
    if any(told):
        rows.append({"title": "fits", "cells": [{"text": text, "kind": "", "source": ""} for text in told]})
    return rows


def _cell(name: str, result: Result) -> dict[str, str]:
    quantity = result.metrics.get(name)
    if quantity is None:
        return {"text": "", "kind": "", "source": ""}
    if quantity.value is None:
        return {"text": "unavailable", "kind": "", "source": quantity.reason}
    return {"text": show(name, quantity), "kind": quantity.kind, "source": quantity.source}


def _reasons(record: RunRecord) -> list[str]:
    reasons = [f"{r.label}: {r.message}" for r in record.results if r.message]
    for result in record.results:
        for metric, quantity in result.metrics.items():
            if quantity.value is None:
                reasons.append(f"{result.label}: {title(metric)}: {quantity.reason}")
    return list(dict.fromkeys(reasons))


def _layer_window(result: Result) -> WindowRecord | None:
    return next((window for window in result.windows if window.layers), None)


def _layer_tables(record: RunRecord) -> list[dict[str, Any]]:
    tables = []
    for result in record.results:
        window = _layer_window(result)
        if window is None:
            continue
        total = sum(row.cycles or 0 for row in window.layers) or 1
        rows = []
        for row in window.layers:
            cycles = row.cycles or 0
            rows.append(
                [
                    row.symbol.removeprefix("emulab_layer_") or row.name,
                    f"{cycles:,.0f}",
                    f"{cycles / total * 100:.1f} %",
                    f"{row.instructions or 0:,}",
                    f"{row.macs:,}" if row.macs else "",
                    f"{cycles / row.macs:.2f}" if row.macs else "",
                    f"{(row.stall_cycles or 0) / cycles * 100:.1f} %" if cycles else "",
                ]
            )
        tables.append({"title": f"{result.label}: by layer, per inference", "rows": rows})
    return tables


def _provenance(record: RunRecord) -> list[tuple[str, str]]:
    provenance = record.provenance
    items = [("emulab", provenance.emulab), ("python", provenance.python), ("host", provenance.host)]
    items += [("started", provenance.started_at), ("seed", str(provenance.seed))]
    items += [(f"{name} version", value) for name, value in provenance.tools.items()]
    return [*items, *((f"sha256 {name}", value) for name, value in provenance.hashes.items())]


def plots(record: RunRecord, folder: Path) -> list[dict[str, Any]]:
    """Plotly figures as plain data: current over one duty cycle, cycles per layer, memory, energy by component."""
    figures = [_layer_figure(record), _memory_figure(record), *memory.figures(record), *robustness.figures(record)]
    figures += [*streaming.figures(record, folder), _energy_figure(record), *_trace_figures(record, folder)]
    return [figure for figure in figures if figure is not None]


def _layer_figure(record: RunRecord) -> dict[str, Any] | None:
    data = []
    for result in record.results:
        window = _layer_window(result)
        if window is not None:
            data.append(
                {
                    "type": "bar",
                    "name": f"{result.label}",
                    "x": [row.symbol.removeprefix("emulab_layer_") or row.name for row in window.layers],
                    "y": [row.cycles or 0 for row in window.layers],
                }
            )
    if not data:
        return None
    return {
        "title": "Cycles per layer",
        "note": "per inference",
        "data": data,
        "layout": {"barmode": "group", "xaxis": {"automargin": True}, "yaxis": {"title": {"text": "cycles"}}},
    }


def _memory_figure(record: RunRecord) -> dict[str, Any] | None:
    data = []
    for name in ("flash_bytes", "ram_bytes", "arena_bytes", "stack_bytes"):
        points = [(board(r), r.metrics[name].value) for r in record.results if name in r.metrics]
        points = [(platform, value) for platform, value in points if value is not None]
        if points:
            data.append({"type": "bar", "name": title(name), "x": [p for p, _ in points], "y": [v for _, v in points]})
    if not data:
        return None
    return {
        "title": "Memory",
        "note": "",
        "data": data,
        "layout": {"barmode": "group", "yaxis": {"title": {"text": "bytes"}}},
    }


def _energy_figure(record: RunRecord) -> dict[str, Any] | None:
    data = []
    for result in record.results:
        parts = result.details.get("energy_by_component_j")
        if isinstance(parts, dict) and parts:
            data.append(
                {
                    "type": "bar",
                    "name": f"{result.label}",
                    "x": [str(key) for key in parts],
                    "y": [float(value) for value in parts.values()],
                }
            )
    if not data:
        return None
    return {
        "title": "Energy of one duty cycle, by component",
        "note": "",
        "data": data,
        "layout": {"barmode": "group", "yaxis": {**si_axis("J", logarithmic=True), "dtick": 1}},
    }


def read_trace(file: Path) -> tuple[list[float], list[float], list[float], list[float]]:
    """Read a trace CSV (ms and uA, as :func:`emulab.energy.trace.write_csv` writes it) as seconds and ampere."""
    time, mean, low, high = [], [], [], []
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            time.append(float(row["Timestamp(ms)"]) / 1e3)
            mean.append(float(row["Current(uA)"]) / 1e6)
            low.append(float(row["Min(uA)"]) / 1e6)
            high.append(float(row["Max(uA)"]) / 1e6)
    return time, mean, low, high


def thinned(trace: tuple[list[float], ...], points: int) -> tuple[list[float], ...]:
    """A trace of at most about *points* buckets, several as one: mean of the means, least and most of the rest.

    Every fourth bucket alone would lose pulses that are shorter than four.
    """
    time, mean, low, high = trace
    step = -(-len(time) // points)
    if step <= 1:
        return trace
    places = [slice(first, first + step) for first in range(0, len(time), step)]
    means = [sum(mean[place]) / len(mean[place]) for place in places]
    return time[::step], means, [min(low[place]) for place in places], [max(high[place]) for place in places]


def _trace_figures(record: RunRecord, folder: Path) -> list[dict[str, Any]]:
    figures = []
    for result in record.results:
        artifact = result.artifacts.get("current_trace", "")
        file = folder / artifact
        if not artifact or not file.is_file():
            continue
        time, mean, low, high = thinned(read_trace(file), MAX_POINTS)
        figures.append(
            {
                "title": f"Current over one duty cycle: {board(result)}",
                "note": "mean, with the range of each bucket; drag to zoom, double-click to go back",
                "data": [
                    {
                        "type": "scattergl",
                        "mode": "lines",
                        "name": "max",
                        "x": time,
                        "y": high,
                        "line": {"width": 0, "shape": "hv"},
                        "showlegend": False,
                    },
                    {
                        "type": "scattergl",
                        "mode": "lines",
                        "name": "range",
                        "x": time,
                        "y": low,
                        "line": {"width": 0, "shape": "hv"},
                        "fill": "tonexty",
                    },
                    {
                        "type": "scattergl",
                        "mode": "lines",
                        "name": "mean",
                        "x": time,
                        "y": mean,
                        "line": {"shape": "hv"},
                    },
                ],
                "layout": {
                    "xaxis": {"title": {"text": "s"}, "zeroline": False},
                    "yaxis": _current_axis(low, high),
                },
            }
        )
    return figures


def _current_axis(low: list[float], high: list[float]) -> dict[str, Any]:
    """A logarithmic axis that is not crowded: a label per decade, and between them where there are few."""
    axis = si_axis("A", "current", logarithmic=True)
    positive = [value for value in low if value > 0]
    if positive and max(high) > 50 * min(positive):
        axis["dtick"] = 1
    return axis
