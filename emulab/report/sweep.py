"""What a sweep shows: a summary on the terminal, and ``report.html`` with front, sensitivity and heat map."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.compare.embedding import script_json
from emulab.model.quantity import Quantity
from emulab.model.record import write_bytes, write_text
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

    metrics = metric_names(result)[:6]
    chosen = result.front or _best(result, metrics[:1])
    table = Table(title="Pareto front" if result.front else f"best by {title(metrics[0])}" if metrics else "variants")
    for key in [
        *result.keys,
        *(k for k in ("platform", "backend") if k not in result.keys),
        *map(title, metrics),
        "violates",
    ]:
        table.add_column(key.rpartition(".")[2], no_wrap=key in result.keys, overflow="fold")
    for index in chosen[:SHOWN]:
        row = result.rows[index]
        keys = [*result.keys, *(k for k in ("platform", "backend") if k not in result.keys)]
        cells = [escape(_short(row.get(k))) for k in keys] + [_shown(m, row.get(m)) for m in metrics]
        table.add_row(*cells, escape(str(row.get("violates", ""))))
    console.print(table)
    if len(chosen) > SHOWN:
        console.print(f"and {len(chosen) - SHOWN} more in table.csv", style="dim")
    console.print(
        f"{len(result.rows)} rows, {len(result.violations)} violate a limit, {len(result.errors)} could not be run"
    )
    for row in result.violations[:5]:
        varied = ", ".join(f"{k}={_short(row.get(k))}" for k in result.keys)
        console.print(
            f"violates {escape(str(row['violates']))}: {escape(varied)} on {escape(str(row.get('platform')))}"
        )
    for row in result.errors[:3]:
        varied = ", ".join(f"{k}={_short(row.get(k))}" for k in result.keys)
        console.print(f"not run: {escape(varied)}: {escape(str(row.get('message')))}", style="yellow")
    for metric in metrics[:2]:
        shares = [f"{key} {share:.0%}" for key, share in sensitivity(result, metric)[:4] if share >= 0.005]
        if shares:
            console.print(f"{title(metric)} depends on: {escape(', '.join(shares))}")
    console.print(f"table.csv, report.html in {escape(str(result.folder))}", style="dim")


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
    from plotly.offline import get_plotlyjs

    figures = [f for f in (_pareto_figure(result), *_sensitivity_figures(result), _heat_map(result)) if f is not None]
    data = script_json(figures, default=str)
    sections = "".join(
        f"<h2>{html.escape(f['title'])}</h2><div class='plot' id='p{i}'></div>" for i, f in enumerate(figures)
    )
    text = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>sweep – emulab</title>
<style>:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:70rem;padding:1rem}}
.plot{{min-height:380px}}</style><script src="plotly.min.js"></script></head><body>
<h1>Sweep over {html.escape(", ".join(result.keys))}</h1>
<p>{len(result.rows)} rows, {len(result.violations)} violate a limit, {len(result.errors)} could not be run.
The table is in <a href="table.csv">table.csv</a>.</p>{sections}
<script type="application/json" id="data">{data}</script>
<script>JSON.parse(document.getElementById("data").textContent).forEach((f, i) =>
Plotly.newPlot("p" + i, f.data, Object.assign({{margin: {{t: 10}}, paper_bgcolor: "#fff"}}, f.layout),
{{responsive: true, displaylogo: false}}));</script></body></html>
"""
    write_bytes(result.folder / "plotly.min.js", get_plotlyjs().encode())
    return write_text(result.folder / "report.html", text)


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
    layout = {"xaxis": {"title": {"text": title(x)}}, "yaxis": {"title": {"text": title(y)}}}
    return {"title": f"{title(x)} and {title(y)}", "data": traces, "layout": layout}


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
        "data": [{"type": "heatmap", "x": xs, "y": ys, "z": z, "colorbar": {"title": {"text": title(metric)}}}],
        "layout": layout,
    }
