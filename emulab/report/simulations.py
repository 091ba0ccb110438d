"""Several simulated duty cycles side by side: one table, one plot of their cycles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulab.compare.page import si_axis, write_page
from emulab.compare.records import human
from emulab.errors import InputError
from emulab.report.units import duration

MAX_POINTS = 8000
NOTE = "the most likely cycle; of each step the highest current, so that short pulses show; drag to zoom, double-click for the whole cycle"
SLEEP_POINTS = 1000


@dataclass(frozen=True)
class SimulationRecord:
    """One simulation of a ``simulation.json``, and the file of its cycle's current, where there is one."""

    label: str
    data: dict[str, Any]
    trace: Path | None


def is_simulation(path: Path) -> bool:
    """Whether *path* is what ``emulab simulate`` left (its folder or its ``simulation.json``)."""
    return (path / "simulation.json").is_file() or path.name == "simulation.json"


def read_simulations(paths: list[Path]) -> list[SimulationRecord]:
    """All simulations of the given folders; labels are told apart by the folder's name where they repeat."""
    found: list[tuple[Path, dict[str, Any]]] = []
    for path in paths:
        file = path / "simulation.json" if path.is_dir() else path
        try:
            items = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError.at(file, "", f"not a simulation: {error}") from None
        if not isinstance(items, list) or not all(isinstance(i, dict) and "mean_current_a" in i for i in items):
            raise InputError.at(file, "", "not a simulation: expected what `emulab simulate` writes")
        if any(item.get("schema_version") != 1 for item in items):
            raise InputError.at(file, "schema_version", "is newer than this emulab reads (1); upgrade emulab")
        found += [(file.parent, item) for item in items]
    labels = [str(item["label"]) for _, item in found]
    records = []
    for (folder, item), label in zip(found, labels, strict=True):
        trace = folder / f"{label}.cycle.csv"
        shown = f"{folder.name}: {label}" if labels.count(label) > 1 else label
        records.append(SimulationRecord(shown, item, trace if trace.is_file() else None))
    return records


def simulation_rows(records: list[SimulationRecord]) -> list[dict[str, str]]:
    """Rows of the table: what a reader asks first, then energy per day and its share by component."""

    def row(title: str, cells: list[str]) -> dict[str, str]:
        return {"": title, **{r.label: cell for r, cell in zip(records, cells, strict=True)}}

    def per_day(record: SimulationRecord, energy_j: float) -> str:
        total = record.data["energy_j"]
        share = f" ({energy_j / total:.1%})" if total else ""
        return human(energy_j / record.data["duration_s"] * 86400, "J", 4) + share

    rows = [
        row("cycle", [_known(r.data.get("period_s"), lambda value: f"every {duration(value)}") for r in records]),
        row("battery", [_known(r.data.get("battery"), str) for r in records]),
        row("battery life", [_life(r.data) for r in records]),
        row("mean current", [human(r.data["mean_current_a"], "A", 4) for r in records]),
        row("peak current", [human(r.data["peak_current_a"], "A", 4) for r in records]),
        row("energy per day", [human(r.data["energy_j"] / r.data["duration_s"] * 86400, "J", 4) for r in records]),
    ]
    for kind, title in (("energy_by_component_j", "component"), ("energy_by_phase_j", "phase")):
        names = dict.fromkeys(name for r in records for name in r.data.get(kind, {}))
        rows += [
            row(f"{title} {name}", [per_day(r, r.data.get(kind, {}).get(name, 0.0)) for r in records]) for name in names
        ]
    return rows


def _known(value: Any, shown: Callable[[Any], str]) -> str:
    return "-" if value is None else shown(value)


def _life(data: dict[str, Any]) -> str:
    """Battery life, with the interval of its draws where there are some; ``-`` without a battery."""
    life = data.get("battery_life_s")
    if life is None:
        return "does not end" if data.get("battery_end") else "-"
    drawn = data.get("monte_carlo", {}).get("life_s")
    if not drawn:
        return duration(life)
    low, high = (_known(drawn[key], duration) for key in ("p05", "p95"))
    return f"{duration(life)} ({low} to {high}, 90 %)"


def _awake_s(trace: tuple[list[float], ...]) -> float:
    """When the current is last above one and a half times that of the sleep at the end."""
    time, _, _, high = trace
    return next((t for t, value in zip(reversed(time), reversed(high), strict=True) if value > 1.5 * high[-1]), 0.0)


def write_simulation_comparison(records: list[SimulationRecord], folder: Path) -> Path:
    """Write ``compare.html`` with the table and the currents of one cycle each, on one axis."""
    from emulab.report.html import read_trace, thinned

    read = [(record, read_trace(record.trace)) for record in records if record.trace is not None]
    shown_s = 1.2 * max((_awake_s(trace) for _, trace in read), default=0.0)
    traces = []
    for record, trace in read:
        split = sum(time < shown_s for time in trace[0])
        awake = thinned(tuple(column[:split] for column in trace), MAX_POINTS)
        asleep = thinned(tuple(column[split:] for column in trace), SLEEP_POINTS)
        time, high = (awake[place] + asleep[place] for place in (0, 3))
        line = {"type": "scattergl", "mode": "lines", "name": record.label, "line": {"shape": "hv"}}
        traces.append({**line, "x": time, "y": high})
    whole_s = max((trace[0][-1] for _, trace in read), default=0.0)
    zoom = {"range": [0.0, shown_s]} if 0 < shown_s < 0.7 * whole_s else {}
    layout = {
        "xaxis": {"title": {"text": "s"}, **zoom},
        "yaxis": {**si_axis("A", "current", logarithmic=True), "dtick": 1},
    }
    figures = [{"title": "Current over one cycle", "note": NOTE, "data": traces, "layout": layout}] if traces else []
    rows = simulation_rows(records)
    return write_page(folder / "compare.html", "simulations.html.j2", figures, title="duty cycles", rows=rows)
