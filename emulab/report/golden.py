"""Quantised against float: how often they agree, on which samples they part, and which layer adds the error."""

from __future__ import annotations

from typing import Any

from emulab.model.record import RunRecord
from emulab.report.memory import Table

LAYERS_SHOWN = 40


def agreements(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Quantised model's file name -> its agreement, each once however many boards ran it."""
    found: dict[str, dict[str, Any]] = {}
    for result in record.results:
        item = result.details.get("agreement")
        if isinstance(item, dict) and "samples" in item:
            found.setdefault(str(item["quantised"]), item)
    return found


def summary(item: dict[str, Any]) -> str:
    """One line: quality of both, how often they say the same, where they part."""
    said = f"{item['quantised']} against {item['float']} on {item['samples']} samples: "
    if item["agreement"] is None:
        said += f"scores differ by {item['score_rms']:.3g} (root mean square)"
    else:
        said += f"same answer on {item['agreement'] * 100:.2f} %, {item['apart']} apart"
    layer = _parts_at(item)
    if layer is not None:
        said += f"; most error is added by layer {layer['index']} {layer['op']}"
    elif item.get("layers_reason"):
        said += f"; no layers beside each other: {item['layers_reason']}"
    return said


def tables(record: RunRecord) -> list[Table]:
    """Per model: where the two answer differently, and the error after every layer."""
    made = []
    labels = record.scenario.get("workload", {}).get("labels") or []

    def name(index: int) -> str:
        return str(labels[index]) if 0 <= index < len(labels) else str(index)

    for item in agreements(record).values():
        apart = tuple(
            (
                d["name"],
                name(d["label"]),
                name(d["float_answer"]),
                name(d["quantised_answer"]),
                f"{d['margin']:.3f}",
            )
            for d in item["disagreements"]
        )
        if apart:
            more = item["apart"] - len(apart)
            note = f"and {more} more; " if more > 0 else ""
            note += "lead: by how much the float model preferred its answer"
            heads = ("sample", "is", "float says", "quantised says", "lead")
            made.append(Table(f"{item['quantised']}: where it parts from float", heads, apart, note))
        worst = _parts_at(item)
        layers = tuple(
            (
                f"{layer['index']} {layer['op']}" + (" <- parts here" if layer is worst else ""),
                f"{layer['error'] * 100:.2f} %",
                f"{layer['added'] * 100:.2f} %",
                f"{layer['floor'] * 100:.2f} %",
            )
            for layer in item["layers"][:LAYERS_SHOWN]
        )
        if layers:
            which = "that part" if item["apart"] else "seen first"
            note = (
                f"of {item['layer_samples']} samples {which}; error: root mean square of the difference over that of "
            )
            note += "the float output; rounding: what rounding the float output to this layer's steps costs by itself"
            columns = ("layer", "error after it", "added by it", "rounding")
            made.append(Table(f"{item['quantised']}: error by layer", columns, layers, note))
    return made


def lines(record: RunRecord) -> list[str]:
    """The summary of every model."""
    return [summary(item) for item in agreements(record).values()]


def _parts_at(item: dict[str, Any]) -> dict[str, Any] | None:
    return next((layer for layer in item["layers"] if layer["index"] == item["parts_at"]), None)
