"""Results that others published, as facts with source: listed, found by key, given as quantities."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from emulab.errors import InputError
from emulab.model.quantity import Quantity

FILES = ("mlperf_tiny.csv",)
RANGE_TO_SIGMA = {2: 1.128, 3: 1.693, 4: 2.059, 5: 2.326}
"""Expected range of n normal samples, in standard deviations (d2 of statistical quality control)."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published result of one model on one system. Values are SI; None where it was not published."""

    key: str
    model: str
    submitter: str
    board: str
    soc: str
    core: str
    clock_hz: float | None
    latency_s: float | None
    latency_min_s: float | None
    latency_max_s: float | None
    windows: int
    energy_j: float | None
    energy_min_j: float | None
    energy_max_j: float | None
    energy_mode_latency_s: float | None
    voltage_v: float | None
    accuracy_top1: float | None
    auc: float | None
    framework: str
    note: str
    source: str

    def metrics(self) -> dict[str, Quantity]:
        """The figures under the names of a run record; uncertainty from the spread over the windows."""
        found: dict[str, Quantity] = {}

        def add(name: str, value: float | None, unit: str, low: float | None = None, high: float | None = None) -> None:
            if value is None:
                return
            sigma = None
            if low is not None and high is not None and self.windows in RANGE_TO_SIGMA:
                sigma = (high - low) / RANGE_TO_SIGMA[self.windows]
            found[name] = Quantity(value=value, unit=unit, kind="measured", uncertainty=sigma, source=self.source)

        add("latency_s", self.latency_s, "s", self.latency_min_s, self.latency_max_s)
        add("energy_per_inference_j", self.energy_j, "J", self.energy_min_j, self.energy_max_j)
        add("energy_mode_latency_s", self.energy_mode_latency_s, "s")
        if self.energy_j is not None and self.energy_mode_latency_s:
            low, high = (
                None if e is None else e / self.energy_mode_latency_s for e in (self.energy_min_j, self.energy_max_j)
            )
            add("power_w", self.energy_j / self.energy_mode_latency_s, "W", low, high)
        add("accuracy_top1", self.accuracy_top1, "1")
        add("auc", self.auc, "1")
        return found


def _number(text: str) -> float | None:
    return float(text) if text else None


@cache
def list_published() -> tuple[Published, ...]:
    """All published results that ship with emulab, sorted by key and model."""
    rows = []
    for name in FILES:
        with open(Path(__file__).parent / "published" / name, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows.append(
                    Published(
                        key=row["key"],
                        model=row["model"],
                        submitter=row["submitter"],
                        board=row["board"],
                        soc=row["soc"],
                        core=row["core"],
                        clock_hz=_number(row["clock_hz"]),
                        latency_s=_number(row["latency_s"]),
                        latency_min_s=_number(row["latency_min_s"]),
                        latency_max_s=_number(row["latency_max_s"]),
                        windows=int(row["windows"] or 0),
                        energy_j=_number(row["energy_j"]),
                        energy_min_j=_number(row["energy_min_j"]),
                        energy_max_j=_number(row["energy_max_j"]),
                        energy_mode_latency_s=_number(row["energy_mode_latency_s"]),
                        voltage_v=_number(row["voltage_v"]),
                        accuracy_top1=_number(row["accuracy_top1"]),
                        auc=_number(row["auc"]),
                        framework=row["framework"],
                        note=row["note"],
                        source=row["source"],
                    )
                )
    return tuple(rows)


def _plain(text: str) -> str:
    return text.lower().replace("_", "-")


def model_of(mlperf_id: str) -> str:
    """``kws01`` -> ``kws``: the model as published results name it."""
    return mlperf_id.rstrip("0123456789")


def find_published(key: str, model: str) -> Published:
    """The result of *model* (``kws`` or ``kws01``) under *key*, e.g. ``mlperf-tiny-v1.3/NUCLEO-L4R5ZI-P``.

    Case, ``_`` and ``-`` do not matter; a submitter may be given (``.../STMicroelectronics/NUCLEO-L4R5ZI``) and must be
    where several published for the same board. InputError names what is ambiguous, or the closest keys.
    """
    wanted = _plain(key)
    rows = list_published()
    head, _, board = wanted.rpartition("/")
    of_key = [row for row in rows if _plain(row.key) == wanted]
    if not of_key:
        of_key = [
            row
            for row in rows
            if _plain(row.key).split("/")[-1] == board
            and (head in (_plain(row.key).split("/")[0], f"{_plain(row.key).split('/')[0]}/{_plain(row.submitter)}"))
        ]
    keys = sorted({row.key for row in of_key})
    if len(keys) > 1:
        raise InputError(f"published result {key!r} is ambiguous; give one of {', '.join(keys)}")
    if not keys:
        known = sorted({row.key for row in rows})
        close = difflib.get_close_matches(wanted, [_plain(k) for k in known], n=3, cutoff=0.5)
        names = [k for k in known if _plain(k) in close]
        hint = f"did you mean {' or '.join(names)}?" if names else "see: emulab list published"
        raise InputError(f"published result {key!r} is unknown; {hint}")
    found = [row for row in of_key if row.model == model_of(_plain(model))]
    if not found:
        have = ", ".join(row.model for row in of_key)
        raise InputError(f"published result {keys[0]!r} has no {model!r}, only {have}")
    return found[0]


def stated(key: str, model: str) -> str:
    """What the result of *model* under *key* states of latency, in either mode, and energy: one line, empty if nothing.

    Energy-mode latency differs a little from performance mode; a recording of one stands beside both. A key that names
    nothing gives an empty line: this is said beside a measurement that is done, and must not undo it.
    """
    try:
        row = find_published(key, model)
    except InputError:
        return ""
    parts = [
        f"{name} {value * scale:.{digits}f} {unit}"
        for value, name, scale, digits, unit in (
            (row.latency_s, "latency in performance mode", 1e3, 3, "ms"),
            (row.energy_mode_latency_s, "in energy mode", 1e3, 3, "ms"),
            (row.energy_j, "energy per inference", 1e6, 1, "uJ"),
        )
        if value is not None
    ]
    return f"{row.key} states: {', '.join(parts)}" if parts else ""


def published_rows(rows: Iterable[Published] | None = None) -> list[dict[str, str]]:
    """Rows for a printed table, in the units people use."""
    return [
        {
            "key": row.key,
            "model": row.model,
            "core": row.core,
            "clock": f"{row.clock_hz / 1e6:g} MHz" if row.clock_hz else "",
            "latency": f"{row.latency_s * 1e3:.3f} ms" if row.latency_s is not None else "",
            "energy": f"{row.energy_j * 1e6:.1f} uJ" if row.energy_j is not None else "",
            "supply": f"{row.voltage_v:g} V" if row.voltage_v is not None else "",
            "quality": (
                f"{row.accuracy_top1:.1%} top-1"
                if row.accuracy_top1 is not None
                else f"{row.auc:.3f} AUC"
                if row.auc is not None
                else ""
            ),
        }
        for row in (list_published() if rows is None else rows)
    ]
