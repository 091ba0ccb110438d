"""The current of a run without a power meter, from its record: layer by layer where they were counted, else the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.model.record import Result, WindowRecord
from emulab.run.windows import INFERENCE_WINDOW

if TYPE_CHECKING:
    from emulab.model.platform import Platform

Trace = tuple[list[float], list[float | None], float]
"""Seconds from the start of the first window, ampere (None: a gap), seconds per inference."""
AFTER = 6
"""What is drawn, in inferences after the start of the first window."""
MEAN, BY_LAYER = "mean of each window", "modelled layer by layer"

Step = tuple[float, float]
"""A part of an inference: share of its time, ampere."""


def modelled_trace(result: Result) -> tuple[Trace | None, str]:
    """Modelled supply current of the windows, and how it was had; nothing is known between windows.

    Each inference is drawn by its layers, in their order, where the first window has them; their mean is the run's modelled
    power. None where the run has no power, or the platform no supply.
    """
    from emulab.model.platform import load_platform

    windows = [w for w in result.windows if w.name == INFERENCE_WINDOW]
    power = result.metrics.get("power_w")
    if not windows or power is None or power.value is None:
        return None, MEAN
    try:
        platform = load_platform(result.platform).platform
    except InputError:
        return None, MEAN
    if platform.power is None or platform.power.supply_v.value <= 0:
        return None, MEAN
    mean_a = power.value / platform.power.supply_v.value
    steps = layer_steps(platform, windows[0], mean_a)
    zero, period = windows[0].start_s, (windows[0].stop_s - windows[0].start_s) / windows[0].inferences
    times: list[float] = []
    values: list[float | None] = []
    for window in windows:
        begin, end = window.start_s - zero, min(window.stop_s - zero, AFTER * period)
        if begin >= end:
            break
        if not steps:
            times += [begin, end]
            values += [mean_a, mean_a]
        for index in range(round((end - begin) / period) if steps else 0):
            at = begin + index * period
            for share, current_a in steps:
                times += [at, at + share * period]
                values += [current_a, current_a]
                at += share * period
        times.append(end)
        values.append(None)
    return (times, values, period), BY_LAYER if steps else MEAN


def layer_steps(platform: Platform, window: WindowRecord, mean_a: float) -> list[Step]:
    """An inference of *window* as its layers; what ran between them comes last, and their mean is *mean_a*.

    Empty where the window has no layers, or rows that are no layers in their order (functions of a vendor's image).
    """
    from emulab.energy import window_energy

    layers = window.layers[:-1]
    if not any(row.cycles for row in layers) or any(row.executions not in (0, 1) for row in layers):
        return []
    whole = sum(row.cycles or 0.0 for row in window.layers)
    inference_s = (window.stop_s - window.start_s) / window.inferences
    steps: list[Step] = []
    for row in window.layers:
        share = (row.cycles or 0.0) / whole
        if share <= 0:
            continue
        alone = WindowRecord(
            name=row.name,
            start_s=0.0,
            stop_s=share * inference_s,
            cycles=round(row.cycles or 0.0),
            instructions=row.instructions,
            stall_cycles=round(row.stall_cycles or 0.0),
            instruction_classes=row.instruction_classes or {"mac": 0},
            activity=dict(row.activity),
        )
        energy = window_energy(platform, alone).value
        if energy is None:
            return []
        assert platform.power is not None, "there is an energy"
        steps.append((share, energy / alone.stop_s / platform.power.supply_v.value))
    scale = mean_a / sum(share * current for share, current in steps)
    return [(share, current * scale) for share, current in steps]
