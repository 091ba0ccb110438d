"""What a listening device heard: lines for the terminal, detections over time and power over the recording as plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.model.record import Result, RunRecord

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 8
"""Times told in a line; further ones are counted."""


def told(result: Result) -> dict[str, Any]:
    """What the record says of a stream; empty where the result is of none."""
    found = result.details.get("stream", {})
    return found if isinstance(found, dict) else {}


def lines(result: Result) -> list[str]:
    """One line per recording and one for the device."""
    stream = told(result)
    found = []
    for one in stream.get("recordings", []):
        where = f"{one['name']}, {one['length_s']:.1f} s"
        if "reason" in one:
            found.append(f"{where}: {one['reason']}")
            continue
        text = f"{where}: {_times('detected', one['detections_s'])}"
        words = len(one["wake_words_s"])
        if words:
            text += f"; {one['hits']} of {words} wake words"
            text += f" ({_times('missed', one['misses_s'])})" if one["misses_s"] else ""
            text += f", {_times('falsely', one['false_accepts_s'])}" if one["false_accepts_s"] else ", none falsely"
        found.append(text)
    device = stream.get("device")
    if device:
        missed = f"{device['missed_steps']} missed" if device["missed_steps"] else "none missed"
        text = f"the device listened for {device['length_s']:.1f} s: {device['steps']} steps, {missed}; "
        text += _times("detected", device["detections_s"])
        if "scores_compared" in device:
            apart = device["most_apart_steps"]
            text += f"; {device['scores_compared']} scores " + (
                f"at most {apart} of 256 steps from the host's" if apart else "equal to the host's"
            )
        found.append(text)
    return found


def _times(what: str, seconds: list[float]) -> str:
    if not seconds:
        return f"nothing {what}"
    more = f" and {len(seconds) - SHOWN} more" if len(seconds) > SHOWN else ""
    return f"{what} at {', '.join(f'{t:.2f}' for t in seconds[:SHOWN])} s{more}"


def record_lines(record: RunRecord) -> list[str]:
    """:func:`lines` of every result that listened, each with whose it is."""
    return [f"{result.label}: {line}" for result in record.results for line in lines(result)]


def print_lines(record: RunRecord, console: Console) -> None:
    """Print :func:`record_lines`."""
    from rich.markup import escape

    for line in record_lines(record):
        console.print(escape(line))


def figures(record: RunRecord, folder: Path) -> list[dict[str, Any]]:
    """Plotly figures: per recording the score with words and detections, and the supply's power while listening."""
    found = []
    seen = set()
    for result in record.results:
        stream = told(result)
        for index, one in enumerate(stream.get("recordings", [])):
            # the host's scores are the same for every platform
            key = (result.variant, one["name"])
            if "score" in one and key not in seen:
                seen.add(key)
                found.append(_score_figure(stream, one, stream.get("device") if index == 0 else None))
        power = _power_figure(result, folder)
        if power is not None:
            found.append(power)
    return found


def _score_figure(stream: dict[str, Any], one: dict[str, Any], device: dict[str, Any] | None) -> dict[str, Any]:
    step = one["score_step_s"]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "none",
            "fill": "toself",
            "name": "wake word",
            "x": [x for start, stop in one["wake_words_s"] for x in (start, start, stop, stop, None)],
            "y": [y for _ in one["wake_words_s"] for y in (0, 1, 1, 0, None)],
            "opacity": 0.3,
        },
        {
            "type": "scattergl",
            "mode": "lines",
            "name": "score",
            "x": [round((i + 1) * step, 4) for i in range(len(one["score"]))],
            "y": one["score"],
        },
        _marks("detected (host)", one["detections_s"], 1.04, "triangle-down"),
        _marks("false accept", one["false_accepts_s"], 1.04, "x"),
        _marks("missed", one["misses_s"], 0.5, "circle-open"),
    ]
    if device is not None:
        data.append(_marks("detected (device)", device["detections_s"], 1.1, "diamond"))
    threshold = stream["threshold"]
    return {
        "title": f"Detections over time: {one['name']}",
        "note": f"score of the wake word; a detection needs more than {threshold:g}",
        "data": [trace for trace in data if trace["x"]],
        "layout": {
            "xaxis": {"title": {"text": "s"}},
            "yaxis": {"title": {"text": "score"}, "range": [-0.02, 1.16]},
            "shapes": [
                {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold,
                 "line": {"dash": "dot", "width": 1, "color": "gray"}}
            ],
        },
    }  # fmt: skip


def _marks(name: str, seconds: list[float], height: float, symbol: str) -> dict[str, Any]:
    marker = {"symbol": symbol, "size": 10}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": seconds,
        "y": [height] * len(seconds),
        "marker": marker,
    }


def _power_figure(result: Result, folder: Path) -> dict[str, Any] | None:
    from emulab.report.html import read_trace

    device = told(result).get("device")
    artifact = result.artifacts.get("stream_trace", "")
    mean = result.metrics.get("mean_power_w")
    if not device or not artifact or mean is None or mean.value is None or not (folder / artifact).is_file():
        return None
    time, current, _, high = read_trace(folder / artifact)
    volts = device["supply_v"]
    return {
        "title": f"Power over the recording: {result.label}",
        "note": f"mean {1e3 * mean.value:.3g} mW at {volts:g} V, the microphone not counted; drag to zoom",
        "data": [
            {"type": "scattergl", "mode": "lines", "name": name, "x": time, "y": [volts * v for v in values],
             "line": {"shape": "hv", "width": width}}
            for name, values, width in (("highest", high, 0.5), ("mean", current, 1.5))
        ],
        "layout": {
            "xaxis": {"title": {"text": "s"}},
            "yaxis": {"title": {"text": "W"}, "rangemode": "tozero", "exponentformat": "SI"},
        },
    }  # fmt: skip
