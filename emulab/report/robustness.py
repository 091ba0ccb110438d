"""Accuracy under noise, from the curves a run left: rows of a table, Markdown, CSV, plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulab.model.record import RunRecord
from emulab.quality.disturbances import DISTURBANCES

if TYPE_CHECKING:
    from rich.console import Console

CSV_COLUMNS = (
    "model",
    "dataset",
    "samples",
    "seed",
    "disturbed",
    "metric",
    "kind",
    "level",
    "unit",
    "value",
    "low95",
    "high95",
)


SHORT = "↓"


@dataclass(frozen=True, slots=True)
class Cell:
    """Quality of one model at one level, with its 95 % interval; ``short``: below what the task asks for, marked ↓."""

    value: float
    low: float
    high: float
    short: bool
    false_accepts_per_s: float | None = None

    def __str__(self) -> str:
        text = f"{self.value * 100:.1f} % ({self.low * 100:.0f}–{self.high * 100:.0f})"
        if self.false_accepts_per_s is not None:
            text += f", {self.false_accepts_per_s * 3600:.4g} false / h"
        return f"{SHORT} {text}" if self.short else text


@dataclass(frozen=True)
class Robustness:
    """Curves of every model of a record: models across, disturbances down."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    caption: str
    target: float | None


def level_text(kind: str, level: float) -> str:
    """``snr_db, 10`` -> ``SNR 10 dB``."""
    found = DISTURBANCES.get(kind)  # type: ignore[call-overload]  # a record may hold kinds of a later version
    return f"{kind} {level:g}" if found is None else found.text(level)


def reports(record: RunRecord) -> dict[str, dict[str, Any]]:
    """File name of the model -> its curves, each model once however many boards ran it."""
    found: dict[str, dict[str, Any]] = {}
    for result in record.results:
        for report in result.details.get("robustness", {}).values():
            found.setdefault(str(report["file"]), report)
    return found


def table(curves: Mapping[str, dict[str, Any]], target: float | None = None) -> Robustness | None:
    """The table of *curves* by model; None without any."""
    if not curves:
        return None

    def cell(point: dict[str, Any] | None) -> Cell | None:
        if point is None:
            return None
        value, interval = point["quality"], point["interval"]
        short = target is not None and value < target
        return Cell(value, interval["low"], interval["high"], short, point.get("false_accepts_per_s"))

    points: dict[tuple[str, float], dict[str, Any]] = {}
    for model, report in curves.items():
        for curve in report["curves"]:
            for point in curve["points"]:
                points.setdefault((curve["kind"], point["level"]), {})[model] = point
    rows = [("clean", tuple(cell(report["clean"]) for report in curves.values()))]
    for (kind, level), by_model in points.items():
        rows.append((level_text(kind, level), tuple(cell(by_model.get(model)) for model in curves)))
    first = next(iter(curves.values()))
    place = "the sensor's signal disturbed, before the front end"
    if first["where"] != "signal":
        place = "the model's input disturbed"
    what = {"auc": "AUC", "wake_words_found": "found"}.get(first["metric"], "accuracy")
    counted = "wake words" if first["metric"] == "wake_words_found" else "samples"
    caption = f"{what} of {first['samples']} {counted} of {first['dataset']} with {place}, "
    caption += f"seed {first['seed']}; in brackets the 95 % interval"
    return Robustness(tuple(curves), tuple(rows), caption, target)


def of_record(record: RunRecord) -> Robustness | None:
    """The table of a record, against the quality its workload asks for."""
    quality = record.scenario.get("workload", {}).get("quality") or {}
    return table(reports(record), quality.get("min"))


def print_table(found: Robustness, console: Console) -> None:
    """Print the table; what falls short of the task's target is red."""
    from rich.markup import escape
    from rich.table import Table

    screen = Table(title="accuracy under noise", title_justify="left")
    screen.add_column("disturbance")
    for model in found.models:
        screen.add_column(escape(model), justify="right")
    for name, cells in found.rows:
        screen.add_row(name, *("" if c is None else f"[red]{c}[/]" if c.short else str(c) for c in cells))
    console.print(screen)
    console.print(escape(found.caption + short_note(found)), style="dim")


def short_note(found: Robustness) -> str:
    """What the mark of a level that falls short means, or that none does."""
    if found.target is None:
        return ""
    asked = f"below the {found.target * 100:g} % the task asks for"
    short = any(cell.short for _, cells in found.rows for cell in cells if cell is not None)
    return f"; {SHORT} {asked}" if short else f"; none {asked}"


def markdown_lines(found: Robustness) -> list[str]:
    """The table for Markdown; levels that fall short are marked."""
    from emulab.report.markdown import escape

    lines = ["", "#### Accuracy under noise", "", "| disturbance | " + " | ".join(map(escape, found.models)) + " |"]
    lines.append("|---|" + "---:|" * len(found.models))
    for name, cells in found.rows:
        shown = ["" if c is None else str(c) for c in cells]
        lines.append(f"| {escape(name)} | " + " | ".join(shown) + " |")
    return [*lines, "", escape(found.caption + short_note(found))]


def csv_text(curves: Mapping[str, dict[str, Any]]) -> str:
    """Every point of every curve as CSV, the clean figure first."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for model, report in curves.items():
        head = [model, report["dataset"], report["samples"], report["seed"], report["where"], report["metric"]]
        clean = [("clean", "", [report["clean"] | {"level": ""}])]
        for kind, unit, points in [*clean, *((c["kind"], c["unit"], c["points"]) for c in report["curves"])]:
            for point in points:
                interval = point["interval"]
                row = [
                    kind,
                    point["level"],
                    unit,
                    repr(point["quality"]),
                    repr(interval["low"]),
                    repr(interval["high"]),
                ]
                writer.writerow([*head, *row])
    return stream.getvalue()


UNDISTURBED = {"gain": 1.0, "offset": 0.0, "dropout": 0.0}
"""Level at which a disturbance is none: the clean figure belongs into its curve."""


def figures(record: RunRecord) -> list[dict[str, Any]]:
    """One Plotly figure per kind of disturbance: quality over level, with the interval as error bars."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for model, report in reports(record).items():
        for curve in report["curves"]:
            points = list(curve["points"])
            if curve["kind"] in UNDISTURBED:
                points.append({**report["clean"], "level": UNDISTURBED[curve["kind"]]})
                points.sort(key=lambda point: float(point["level"]))
            by_kind.setdefault(curve["kind"], []).append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": model,
                    "x": [p["level"] for p in points],
                    "y": [p["quality"] for p in points],
                    "error_y": {
                        "type": "data",
                        "symmetric": False,
                        "array": [p["interval"]["high"] - p["quality"] for p in points],
                        "arrayminus": [p["quality"] - p["interval"]["low"] for p in points],
                        "thickness": 1,
                    },
                }
            )
    found = of_record(record)
    caption = "" if found is None else found.caption
    quality = {"title": {"text": "quality"}, "range": [0, 1.02], "tickformat": ".0%"}
    made = []
    for kind, data in by_kind.items():
        known = DISTURBANCES.get(kind)  # type: ignore[call-overload]  # as above
        axis: dict[str, Any] = {"title": {"text": kind if known is None else known.axis}}
        if known is not None and known.worse == "down":
            axis["autorange"] = "reversed"  # worse to the right, as everywhere else
        layout: dict[str, Any] = {"xaxis": axis, "yaxis": quality}
        if found is not None and found.target is not None:
            line = {"dash": "dot", "width": 1}
            layout["shapes"] = [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": found.target,
                    "y1": found.target,
                    "line": line,
                }
            ]
        made.append(
            {
                "title": f"Accuracy, disturbed by {kind if known is None else known.name}",
                "note": caption,
                "data": data,
                "layout": layout,
            }
        )
    return made
