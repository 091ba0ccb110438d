"""A recorded physical session: one capture, its windows, and the console log where there is one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulab.errors import InputError
from emulab.lab.capture import Capture


@dataclass(frozen=True, slots=True)
class RecordedWindow:
    """N inferences between two instants of the capture's clock. ``results`` is what the DUT printed, if recorded."""

    start_s: float
    stop_s: float
    inferences: int
    results: tuple[float, ...] = ()

    @property
    def latency_s(self) -> float:
        return (self.stop_s - self.start_s) / self.inferences


@dataclass(frozen=True)
class RecordedSession:
    """What was recorded. ``console`` lines are (seconds, ``>`` ``<`` or ``#``, text); ``reported`` are figures that
    were published with the recording (``energy_per_inference_j``, ``latency_s``), to be held beside, never used."""

    source: str
    capture: Capture | None
    windows: tuple[RecordedWindow, ...] = ()
    console: tuple[tuple[float, str, str], ...] = ()
    reported: Mapping[str, float] = field(default_factory=dict)
    platform: str = ""
    firmware_sha256: str = ""
    model_sha256: str = ""
    notes: tuple[str, ...] = ()


def number(file: Path, options: Mapping[str, str], key: str) -> float | None:
    """An option as a positive finite number, None when not given. InputError otherwise."""
    if key not in options:
        return None
    try:
        value = float(options[key])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError.at(file, key, f"expected a positive number, found {options[key]!r}")
    return value


def pair_windows(
    file: Path, edges: list[float], inferences: int, capture: Capture, slack_s: float
) -> tuple[RecordedWindow, ...]:
    """Windows from alternating (start, stop) instants. InputError when odd, not ascending, or outside of the
    capture."""
    if len(edges) % 2 or not edges:
        raise InputError.at(file, "timestamps", f"expected pairs of start and stop, found {len(edges)} instants")
    if any(b <= a for a, b in itertools.pairwise(edges)):
        raise InputError.at(file, "timestamps", "must ascend")
    if edges[0] < capture.start_s - slack_s or edges[-1] > capture.stop_s + slack_s:
        raise InputError.at(
            file,
            "timestamps",
            f"{edges[0]:g} s to {edges[-1]:g} s lies outside of the trace of {capture.stop_s - capture.start_s:g} s",
        )
    return tuple(RecordedWindow(edges[i], edges[i + 1], inferences) for i in range(0, len(edges), 2))
