"""What a sweep shows: a summary on the terminal, and ``report.html`` with front, sensitivity and heat map."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.compare.page import write_page
from emulab.model.quantity import Quantity
from emulab.report.metrics import title
from emulab.report.units import show
from emulab.sweep.pareto import better

if TYPE_CHECKING:
    from rich.console import Console

    from emulab.sweep.engine import SweepResult

OBJECTIVES = (
    "battery_life_s",
    "energy_per_inference_j",
    "latency_s",
    "accuracy_top1",
    "auc",
    "ram_bytes",
    "flash_bytes",
)
SHOWN = 20


def metric_names(result: SweepResult) -> list[str]:
    """Metrics that have at least two different values; those of the front first."""
    present = [m for m in (*result.pareto, *OBJECTIVES) if any(row.get(m) is not None for row in result.rows)]
    return list(dict.fromkeys(present))


def sensitivity(result: SweepResult, metric: str) -> list[tuple[str, float]]:
    """Share of *metric*'s variance that each varied key explains alone (first-order, by group means), largest first."""
    import numpy as np

    rows = [row for row in result.rows if isinstance(row.get(metric), int | float)]
    if len(rows) < 2:
        return []
    values = np.array([float(row[metric]) for row in rows])
    total = float(values.var())
    if total <= (1e-9 * float(abs(values).max())) ** 2:
        return []  # a constant, up to rounding
    shares = []
    for key in result.keys:
        groups: dict[str, list[float]] = {}
        for row, value in zip(rows, values, strict=True):
            groups.setdefault(str(row.get(key)), []).append(float(value))
        between = sum(len(g) * (sum(g) / len(g) - float(values.mean())) ** 2 for g in groups.values()) / len(values)
        shares.append((key, between / total))
    return sorted(shares, key=lambda item: -item[1])


def print_sweep(result: SweepResult, console: Console) -> None:
    """Print counts, the front (or the best variants), violations and sensitivity."""
    from rich.markup import escape
    from rich.table import Table

    heading, headings, rows = _chosen(result)
    table = Table(title=escape(heading), title_justify="left")
    for index, name in enumerate(headings):
        table.add_column(escape(name.rpartition(".")[2]), no_wrap=index < len(result.keys), overflow="fold")
    for cells in rows[:SHOWN]:
        table.add_row(*map(escape, cells))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN} more in table.csv", style="dim")
    console.print(_counts(result))
    for row in result.violations[:5]:
        varied = ", ".join(f"{k}={_short(row.get(k))}" for k in result.keys)
        console.print(
            f"violates {escape(str(row['violates']))}: {escape(varied)} on {escape(str(row.get('platform')))}"
        )
    for row in result.errors[:3]:
        varied = ", ".join(f"{k}={_short(row.get(k))}" for k in result.keys)
        console.print(f"not run: {escape(varied)}: {escape(str(row.get('message')))}", style="yellow")
    for metric in metric_names(result)[:2]:
        shares = [f"{key} {share:.0%}" for key, share in sensitivity(result, metric)[:4] if share >= 0.005]
        if shares:
            console.print(f"{title(metric)} depends on: {escape(', '.join(shares))}")
    console.print(f"table.csv, report.html in {escape(str(result.folder))}", style="dim")


def _chosen(result: SweepResult) -> tuple[str, list[str], list[list[str]]]:
    """What a reader asks first, as (title, headings, rows): the front, else the best of one metric."""
    metrics = metric_names(result)[:6]
    heading = "Pareto front" if result.front else f"best by {title(metrics[0])}" if metrics else "variants"
    keys = [*result.keys, *(k for k in ("platform", "backend") if k not in result.keys)]
    rows = []
    for index in result.front or _best(result, metrics[:1]):
        row = result.rows[index]
        cells = [_short(row.get(k)) for k in keys] + [_shown(m, row.get(m)) for m in metrics]
        rows.append([*cells, str(row.get("violates", ""))])
    return heading, [*keys, *map(title, metrics), "violates"], rows


def _counts(result: SweepResult) -> str:
    return f"{len(result.rows)} rows, {len(result.violations)} violate a limit, {len(result.errors)} could not be run"


def _shown(metric: str, value: Any) -> str:
    """A metric in the unit that its name carries."""
    if not isinstance(value, int | float):
        return ""
    unit = next((u for suffix, u in _UNITS.items() if metric.endswith(suffix)), "1")
    return show(metric, Quantity(value=value, unit=unit))


_UNITS = {"_s": "s", "_j": "J", "_w": "W", "_a": "A", "_bytes": "B", "cycles": "cycle", "instructions": "instruction"}


def _best(result: SweepResult, metrics: list[str]) -> list[int]:
    if not metrics:
        return list(range(min(SHOWN, len(result.rows))))
    metric = metrics[0]
    usable = [i for i, row in enumerate(result.rows) if isinstance(row.get(metric), int | float)]
    return sorted(usable, key=lambda i: -better(metric) * float(result.rows[i][metric]))[:SHOWN]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else str(value)
    return Path(text).name if "/" in text else text


def write_html(result: SweepResult) -> Path:
    """Write ``report.html`` (with ``plotly.min.js`` beside it) into the sweep's folder."""
    figures = [f for f in (_pareto_figure(result), *_sensitivity_figures(result), _heat_map(result)) if f is not None]
    heading, headings, rows = _chosen(result)
    return write_page(
        result.folder / "report.html",
        "sweep.html.j2",
        figures,
        title="sweep",
        keys=result.keys,
        counts=_counts(result),
        table_title=heading,
        headings=headings,
        rows=rows[:SHOWN],
        more=max(0, len(rows) - SHOWN),
    )


def _label(result: SweepResult, row: dict[str, Any]) -> str:
    return html.escape(", ".join(f"{k}={_short(row.get(k))}" for k in dict.fromkeys([*result.keys, "platform"])))


def _pareto_figure(result: SweepResult) -> dict[str, Any] | None:
    if len(result.pareto) < 2:
        return None
    x, y = result.pareto[:2]
    usable = [
        i for i, r in enumerate(result.rows) if isinstance(r.get(x), int | float) and isinstance(r.get(y), int | float)
    ]
    chosen = set(result.front)
    traces = []
    for name, indices in (
        ("variants", [i for i in usable if i not in chosen]),
        ("front", sorted(chosen & set(usable), key=lambda i: float(result.rows[i][x]))),
    ):
        traces.append(
            {
                "type": "scattergl",
                "name": name,
                "mode": "markers" if name == "variants" else "lines+markers",
                "x": [result.rows[i][x] for i in indices],
                "y": [result.rows[i][y] for i in indices],
                "text": [_label(result, result.rows[i]) for i in indices],
            }
        )
    layout = {"xaxis": {"title": {"text": _axis(x)}}, "yaxis": {"title": {"text": _axis(y)}}}
    return {"title": f"{title(x)} and {title(y)}", "data": traces, "layout": layout}


def _axis(metric: str) -> str:
    """A metric with its unit, as axes say it."""
    unit = next((u for suffix, u in _UNITS.items() if metric.endswith(suffix)), "")
    return f"{title(metric)}, {unit}" if unit and unit not in ("cycle", "instruction") else title(metric)


def _sensitivity_figures(result: SweepResult) -> list[dict[str, Any]]:
    figures = []
    for metric in metric_names(result)[:3]:
        shares = sensitivity(result, metric)
        if any(share > 0 for _, share in shares):
            data = [{"type": "bar", "x": [k for k, _ in shares], "y": [s for _, s in shares]}]
            layout = {"yaxis": {"title": {"text": "share of variance"}, "range": [0, 1]}}
            figures.append({"title": f"What {title(metric)} depends on", "data": data, "layout": layout})
    return figures


def _heat_map(result: SweepResult) -> dict[str, Any] | None:
    """Mean of the first metric over the two keys that move it most."""
    metrics = metric_names(result)
    if len(result.keys) < 2 or not metrics:
        return None
    metric = metrics[0]
    ranked = [key for key, _ in sensitivity(result, metric)][:2]
    if len(ranked) < 2:
        return None
    across, down = ranked
    xs = list(dict.fromkeys(_short(r.get(across)) for r in result.rows))
    ys = list(dict.fromkeys(_short(r.get(down)) for r in result.rows))
    cells: dict[tuple[str, str], list[float]] = {}
    for row in result.rows:
        if isinstance(row.get(metric), int | float):
            cells.setdefault((_short(row.get(across)), _short(row.get(down))), []).append(float(row[metric]))
    z = [[sum(cells[x, y]) / len(cells[x, y]) if (x, y) in cells else None for x in xs] for y in ys]
    layout = {
        "xaxis": {"title": {"text": across}, "type": "category"},
        "yaxis": {"title": {"text": down}, "type": "category"},
    }
    return {
        "title": f"{title(metric)} over {across} and {down}",
        "data": [{"type": "heatmap", "x": xs, "y": ys, "z": z, "colorbar": {"title": {"text": _axis(metric)}}}],
        "layout": layout,
    }
