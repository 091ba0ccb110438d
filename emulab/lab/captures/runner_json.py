"""``results.json`` of the MLPerf Tiny v1.3 runner: trials with ``power.samples`` (J per 1 ms) and ``power.timestamps``.

A timestamp is [event id, sample index]; the last two bracket the window.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulab.errors import InputError
from emulab.lab.capture import Capture, concatenate
from emulab.lab.captures.results_txt import beside
from emulab.lab.captures.session import RecordedSession, RecordedWindow, number

STEP_S = 1e-3


def _numbers(values: Any, file: Path, place: str) -> list[float]:
    if not isinstance(values, list) or not all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in values
    ):
        raise InputError.at(file, place, "expected a list of finite numbers")
    return [float(x) for x in values]


def trial(data: Any, file: Path, index: int, voltage_v: float) -> tuple[Capture | None, RecordedWindow]:
    """One trial: its capture (None in performance mode) and window. InputError names what is missing."""
    import numpy as np

    place = f"trial {index}"
    if not isinstance(data, dict) or not isinstance(data.get("infer"), dict):
        raise InputError.at(file, place, "expected an object with `infer`")
    infer = data["infer"]
    count = infer.get("iterations")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError.at(file, f"{place}.infer.iterations", f"expected a positive whole number, found {count!r}")
    results = tuple(_numbers(infer.get("results", []), file, f"{place}.infer.results"))
    power = data.get("power")
    if power is None:
        start, stop = infer.get("start_time"), infer.get("end_time")
        if not isinstance(start, int) or not isinstance(stop, int) or stop <= start:
            raise InputError.at(file, f"{place}.infer", "expected start_time and end_time, or `power`")
        return None, RecordedWindow(start * 1e-6, stop * 1e-6, count, results)
    if not isinstance(power, dict):
        raise InputError.at(file, f"{place}.power", "expected an object")
    samples = np.asarray(_numbers(power.get("samples"), file, f"{place}.power.samples"), dtype=np.float64)
    if (samples < 0).any():
        raise InputError.at(file, f"{place}.power.samples", "negative energy; expected joules per millisecond")
    stamps = power.get("timestamps")
    if not isinstance(stamps, list) or len(stamps) < 2:
        raise InputError.at(file, f"{place}.power.timestamps", "expected at least two [id, sample index]")
    edges = []
    for stamp in stamps[-2:]:
        if not isinstance(stamp, list) or len(stamp) != 2 or not isinstance(stamp[1], int):
            raise InputError.at(file, f"{place}.power.timestamps", f"expected [id, sample index], found {stamp!r}")
        edges.append(stamp[1])
    if not 0 <= edges[0] < edges[1] <= len(samples):
        raise InputError.at(
            file, f"{place}.power.timestamps", f"{edges[0]} to {edges[1]} is no window of {len(samples)} samples"
        )
    capture = Capture(0.0, STEP_S, samples / STEP_S, "W", voltage_v, source=file.name)
    return capture, RecordedWindow(edges[0] * STEP_S, edges[1] * STEP_S, count, results)


def read(path: Path, options: Mapping[str, str]) -> RecordedSession:
    """Read all trials onto one clock, one after the other."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError.at(path, "", f"not JSON: {error}") from None
    trials = [item for item in data if isinstance(item, dict) and "infer" in item] if isinstance(data, list) else []
    if not trials:
        raise InputError.at(path, "", "expected the runner's list of trials, each with `infer`")
    voltage = number(path, options, "voltage_v") or 0.0
    found = [trial(item, path, index, voltage) for index, item in enumerate(trials)]
    captures = [capture for capture, _ in found if capture is not None]
    if len(captures) not in (0, len(found)):
        raise InputError.at(path, "", "some trials have power samples and some have none")
    stem = path.name.removesuffix(".json").removesuffix(".results")
    reported = beside(path, stem, options.get("results", ""))
    windows = [window for _, window in found]
    capture = None
    if captures:
        capture, offsets = concatenate(captures)
        windows = [
            replace(w, start_s=w.start_s + o, stop_s=w.stop_s + o) for w, o in zip(windows, offsets, strict=True)
        ]
    return RecordedSession(
        source=path.name,
        capture=capture,
        windows=tuple(windows),
        reported=reported.figures() if reported else {},
        notes=("latency is that of energy mode, from the DUT's edges in the trace",) if captures else (),
    )
