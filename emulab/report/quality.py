"""Quality of a record's models: interval, per class, confusion, per group, each model once."""

from __future__ import annotations

from typing import Any

from emulab.model.record import RunRecord
from emulab.report.memory import Table

MAX_CLASSES = 20
"""A confusion matrix of more classes is left to run.json."""


def figures_of(record: RunRecord) -> dict[str, dict[str, Any]]:
    """What evaluated each model (file on the host, or DUT) -> its figures, each once however many boards ran it."""
    found: dict[str, dict[str, Any]] = {}
    for result in record.results:
        for name in ("accuracy_top1", "accuracy_top1_golden", "auc", "auc_golden"):
            item = result.details.get(f"quality_{name}")
            if isinstance(item, dict) and "interval" in item:
                found.setdefault(f"{item['source']}, {item['dataset']}", item)
    return found


def lines(record: RunRecord) -> list[str]:
    """One line per model: the figure, its 95 % interval, the samples, and the target where it is not reached."""
    said = []
    workload = record.scenario.get("workload")
    target = (workload.get("quality") or {}) if isinstance(workload, dict) else {}
    for item in figures_of(record).values():
        name, interval = item["source"].split(" on the host")[0], item["interval"]
        line = (
            f"{name}: {_figure(item, item['value'])}, 95 % interval {_figure(item, interval['low'])} to "
            f"{_figure(item, interval['high'])}, of {item['samples']} samples of {item['dataset']}"
        )
        least = target.get("min")
        if target.get("metric") == item["metric"] and least is not None and item["value"] < least:
            sure = "; so few samples cannot tell" if interval["high"] >= least else ""
            line += f"; below the target of {_figure(item, least)}{sure}"
        said.append(line)
    return said


def tables(record: RunRecord) -> list[Table]:
    """Per model: figures by class, confusion, figures by group."""
    made = []
    for item in figures_of(record).values():
        name = item["source"].split(" on the host")[0]
        classes = item["per_class"]
        if classes:
            rows = [(c["name"], str(c["samples"]), _percent(c["recall"]), _percent(c["precision"])) for c in classes]
            heads = ("class", "samples", "found (recall)", "right when said (precision)")
            made.append(Table(f"{name}: by class", heads, tuple(rows)))
        confusion = item["confusion"]
        if 0 < len(confusion) <= MAX_CLASSES:
            names = [c["name"] for c in classes]
            counts = [(n, *(str(v) if v else "" for v in row)) for n, row in zip(names, confusion, strict=True)]
            made.append(Table(f"{name}: what is (down) and what it said (across)", ("", *names), tuple(counts)))
        groups = item["by_group"]
        if len(groups) > 1:
            rows_by = tuple((group, _percent(value)) for group, value in groups.items())
            made.append(Table(f"{name}: by group", ("group", "accuracy"), rows_by))
    return made


def _figure(item: dict[str, Any], value: float) -> str:
    return f"{value:.3f}" if item["metric"] == "auc" else f"{value * 100:.1f} %"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"
