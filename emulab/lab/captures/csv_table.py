"""CSV exports of power monitors: columns told by name and unit, put on a regular grid, gaps counted as lost samples.

The vendors' headers are in ``ppk2_csv``, ``joulescope_csv`` and ``otii_csv``; any other CSV with a time and a
current (or power) column whose units are named is read too.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emulab.errors import InputError
from emulab.lab.capture import Capture
from emulab.lab.captures.results_txt import beside
from emulab.lab.captures.session import RecordedSession, RecordedWindow, number, pair_windows

_PREFIX = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "k": 1e3}
_UNIT = re.compile(r"[\(\[]\s*([numkµμ]?)(s|a|v|w)\s*[\)\]]", re.IGNORECASE)


_QUANTITIES: tuple[Literal["A", "W"], ...] = ("A", "W")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a vendor's table has what: column index and factor to SI; ``logic`` as (index, bit or None for a field)."""

    vendor: str
    time: tuple[int, float]
    value: tuple[int, float]
    quantity: Literal["A", "W"]
    voltage: tuple[int, float] | None = None
    logic: tuple[int, ...] = ()
    """Columns of single logic pins, or one column of several bits written as text (``00000001``, D0 first)."""


def unit_factor(header: str, kind: str, default: str = "") -> float | None:
    """Factor to SI of a header such as ``Current(uA)``; None when its unit is not of *kind* (``s``, ``A``, ``V``,
    ``W``)."""
    match = _UNIT.search(header)
    if match:
        return _PREFIX[match[1].lower() if match[1] != "M" else "m"] if match[2].lower() == kind.lower() else None
    return _PREFIX[default] if default or kind in header else None


def recognise(header: list[str]) -> Columns | None:
    """Columns of any known vendor, then of any table that names its units."""
    from emulab.lab.captures import joulescope_csv, otii_csv, ppk2_csv

    for columns in (ppk2_csv.columns, otii_csv.columns, joulescope_csv.columns):
        known: Columns | None = columns(header)
        if known:
            return known
    plain = [name.strip().lstrip("#").strip() for name in header]
    time = _first(plain, "s")
    volts = _first(plain, "V")
    for quantity in _QUANTITIES:
        value = _first(plain, quantity)
        if time and value:
            return Columns("csv", time, value, quantity, volts)
    return None


def _first(names: list[str], kind: str) -> tuple[int, float] | None:
    """Index and factor of the first column whose named unit is of *kind*."""
    for index, name in enumerate(names):
        if _UNIT.search(name) and (factor := unit_factor(name, kind)) is not None:
            return index, factor
    return None


def parse(text: str, file: object, voltage_v: float = 0.0) -> Capture:
    """Text of an export as a capture. InputError names line and column of what is wrong."""
    import csv

    import numpy as np

    sample = text[:4096]
    delimiter = max(",;\t", key=sample.count)
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise InputError.at(file, "", f"not CSV: {error}") from None
    found: Columns | None = None
    first = width = 0
    for index, row in enumerate(lines[:50]):
        found = recognise(row)
        if found:
            first, width = index + 1, len(row)
            break
    if found is None:
        raise InputError.at(
            file, "", "no header with a time and a current or power column and their units, e.g. `time (s),current (A)`"
        )
    times, values, volts, logic = [], [], [], []
    for index, row in enumerate(lines[first:], start=first + 1):
        if not row or not "".join(row).strip():
            continue
        try:
            if len(row) != width:
                raise ValueError
            times.append(float(row[found.time[0]]) * found.time[1])
            values.append(_value(row[found.value[0]]) * found.value[1])
            if found.voltage:
                volts.append(_value(row[found.voltage[0]]) * found.voltage[1])
            if found.logic:
                logic.append("".join(row[column].strip() for column in found.logic))
        except (ValueError, IndexError):
            shown = delimiter.join(row)[:80]
            raise InputError.at(
                file, f"line {index}", f"expected numbers in {width} columns, found {shown!r}"
            ) from None
    if len(times) < 2:
        raise InputError.at(file, "", f"{len(times)} samples; a trace needs at least two")
    seconds = np.asarray(times)
    steps = np.diff(seconds)
    if not np.isfinite(seconds).all() or (steps <= 0).any():
        bad = int(np.argmax(~np.isfinite(seconds[1:]) | ~(steps > 0))) + 1
        raise InputError.at(file, f"line {first + bad + 1}", "time must ascend")
    # The step is the median, made exact over the longest run of samples without a gap.
    step = float(np.median(steps))
    slots = np.rint(np.concatenate([[0.0], np.cumsum(np.maximum(np.rint(steps / step), 1.0))])).astype(np.int64)
    step = float((seconds[-1] - seconds[0]) / slots[-1])
    total = int(slots[-1]) + 1
    if total > 50 * len(times) + 1000:
        raise InputError.at(file, "", f"{total - len(times)} of {total} samples are missing; is the time column right?")
    grid = np.full(total, np.nan)
    grid[slots] = values
    known = np.asarray(volts)[np.isfinite(volts)] if volts else np.empty(0)
    volt = voltage_v or (float(known.mean()) if len(known) else 0.0)
    notes: tuple[str, ...] = ()
    if len(known) and volt > 0 and float(known.std()) > 0.02 * volt:
        notes = (f"supply voltage varied by {float(known.std()) / volt:.1%}; energy is taken at its mean",)
    quantity: Literal["A", "W"] = found.quantity
    if found.quantity == "A" and len(known) == len(values) and not voltage_v:
        # Where both were sampled, power is exact: current is given back through the mean voltage.
        grid[slots] = np.asarray(values) * np.asarray(volts) / volt if volt > 0 else values
    return Capture(
        float(seconds[0]),
        step,
        grid,
        quantity,
        volt,
        marks=tuple(_edges(logic, seconds)),
        lost_samples=int(np.isnan(grid).sum()),
        source=f"{Path(str(file)).name} ({found.vendor})",
        notes=notes,
    )


def _value(text: str) -> float:
    """A sample; empty or NaN where the monitor lost it."""
    value = float(text) if text.strip() else math.nan
    if math.isinf(value):
        raise ValueError(text)
    return value


def _edges(logic: list[str], seconds: Any) -> list[tuple[str, float]]:
    """Marks of every change of a logic pin: ``falling`` and ``rising`` of the first that moves."""
    if not logic:
        return []
    width = min(len(word) for word in logic)
    for pin in range(width):
        changes = [
            ("falling" if b[pin] in "0fF" else "rising", float(seconds[i + 1]))
            for i, (a, b) in enumerate(itertools.pairwise(logic))
            if a[pin] != b[pin]
        ]
        if changes:
            return changes
    return []


def read(path: Path, options: Mapping[str, str]) -> RecordedSession:
    """Read an export; windows come from its logic pins or from ``timestamps=FILE`` (JSON list of seconds)."""
    from emulab.lab.captures.ebin import read_timestamps

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(path, "", f"cannot be read: {error}") from None
    capture = parse(text, path, number(path, options, "voltage_v") or 0.0)
    stem = path.name.removesuffix(".csv")
    reported = beside(path, stem, options.get("results", ""))
    count = number(path, options, "inferences")
    if count is None and reported and len(set(reported.inferences)) == 1:
        count = float(reported.inferences[0])
    stamps = Path(options.get("timestamps", path.with_name(stem + ".timestamps.json")))
    edges = [t for name, t in capture.marks if name == "falling"]
    if "timestamps" in options or stamps.is_file():
        edges = read_timestamps(stamps)
    if len(edges) % 2:
        edges = edges[1:]
    windows: tuple[RecordedWindow, ...] = ()
    if edges:
        if count is None:
            raise InputError.at(
                path, "inferences", "how many inferences a window has is not recorded; give ,inferences=N"
            )
        windows = pair_windows(path, edges, int(count), capture, capture.step_s)
    return RecordedSession(path.name, capture, windows, reported=reported.figures() if reported else {})
