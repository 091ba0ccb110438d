"""An MLPerf Tiny submission tree from a run record, in the form that the consortium's checker reads.

    {open,closed}/SUBMITTER/systems/SYSTEM.json
    {open,closed}/SUBMITTER/code/SYSTEM/provenance.json
    {open,closed}/SUBMITTER/results/SYSTEM/MODEL/{performance,accuracy,energy}/{log.txt,results.txt,results.json}

Measured results go to ``closed``, emulated ones to ``open`` with status ``rdi`` and a note, since the rules want a
board. Source: mlcommons/tiny, tools/submission/submission_checker.py and benchmark/runner/main.py.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.record import Result, RunRecord, WindowRecord, write_text
from emulab.report.metrics import board

if TYPE_CHECKING:
    from emulab.lab.capture import Capture

PHYSICAL_BACKENDS = ("hardware", "replay")
MODELS = {"ad": "auc", "ic": "accuracy_top1", "kws": "accuracy_top1", "vww": "accuracy_top1"}
LOOPS, MIN_WINDOW_S = 5, 10.0
RULE = "-" * 57


def write_submission(
    record: RunRecord, folder: Path, output: Path, submitter: str, division: str | None = None
) -> list[Path]:
    """Write the tree of all finished results of *record* below *output*; the files written.

    *folder* is the run folder, where console logs and traces lie. Raises InputError when the model is none of the
    benchmark's, or a result lacks performance windows or accuracy.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", submitter):
        raise InputError(f"--submitter {submitter!r}: letters, digits, dot, dash and underscore only")
    if division not in (None, "open", "closed"):
        raise InputError(f"division {division!r}: expected open or closed")
    model = _model(record)
    finished = [r for r in record.results if r.status in ("passed", "failed")]
    if not finished:
        raise InputError("report --format mlperf: the record holds no finished result")
    files: list[Path] = []
    for result in finished:
        physical = result.backend in PHYSICAL_BACKENDS
        base = output / (division or ("closed" if physical else "open")) / submitter
        system = _name(board(result) if physical else result.label)
        files += _write_result(record, result, folder, base, system, model, physical)
    return files


def _model(record: RunRecord) -> str:
    workload: Any = record.scenario.get("workload", {})
    name = str(workload.get("mlperf_id") or workload.get("name") or "").rstrip("0123456789")
    if name not in MODELS:
        raise InputError(f"report --format mlperf: workload {name!r} is none of the benchmark's: {', '.join(MODELS)}")
    return name


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")


def _write_result(
    record: RunRecord, result: Result, folder: Path, base: Path, system: str, model: str, physical: bool
) -> list[Path]:
    label = result.label
    windows = [w for w in result.windows if w.name == "inference"] or list(result.windows)
    if not windows:
        raise InputError(f"report --format mlperf: {label} has no windows; run it with measure.modes: [performance]")
    metric = MODELS[model]
    quality = result.metrics.get(metric)
    if quality is None or quality.value is None:
        reason = quality.reason if quality is not None else "it was not measured"
        raise InputError(f"report --format mlperf: {label} has no {metric}: {reason}")
    prefix = _prefix(record.provenance.started_at)
    log = _log(result, folder, prefix)
    place = base / "results" / system / model
    outputs = result.details.get("outputs", {})
    energies = [w for w in windows if w.energy_j is not None]
    parts: list[tuple[str, list[str], Any]] = [
        ("performance", _performance(windows, prefix), [_trial(w, result, None) for w in windows]),
        (
            "accuracy",
            _accuracy(metric, quality.value, prefix),
            [{"file": n, "infer": {"results": r, "iterations": 1, "warmups": 0}} for n, r in outputs.items()],
        ),
    ]
    if energies and len(energies) == len(windows):
        trace = _trace(result, folder)
        parts.append(("energy", _energy(windows, prefix), [_trial(w, result, trace) for w in windows]))
    files = []
    for name, text, data in parts:
        files.append(write_text(place / name / "log.txt", log))
        files.append(write_text(place / name / "results.txt", "\n".join(text) + "\n"))
        files.append(write_text(place / name / "results.json", json.dumps(data, indent=1) + "\n"))
    files.append(
        write_text(base / "systems" / f"{system}.json", json.dumps(_system(record, result, physical), indent=1) + "\n")
    )
    provenance = {**record.provenance.model_dump(mode="json"), "firmware_sha256": result.firmware_sha256}
    files.append(write_text(base / "code" / system / "provenance.json", json.dumps(provenance, indent=1) + "\n"))
    return files


def _prefix(started_at: str) -> str:
    try:
        when = datetime.fromisoformat(started_at)
    except ValueError:
        when = datetime(2000, 1, 1)
    return when.strftime("%m%d.%H%M%S") + " ulp-mlperf: "


def _performance(windows: Sequence[WindowRecord], prefix: str) -> list[str]:
    lines = []
    for number, window in enumerate(windows, start=1):
        elapsed = window.stop_s - window.start_s
        lines += [
            f"{prefix}Performance results for window {number}:",
            f"{prefix}  # Inferences : {window.inferences:>13}",
            f"{prefix}  Runtime      : {elapsed:>10.3f} sec.",
            f"{prefix}  Throughput   : {window.inferences / elapsed:>10.3f} inf./sec.",
        ]
        if elapsed >= MIN_WINDOW_S:
            lines.append(f"{prefix}Runtime requirements have been met.")
    broken = rule_violations(windows)
    lines += [f"{prefix}NOTE: {text}" for text in broken]
    median = statistics.median(w.inferences / (w.stop_s - w.start_s) for w in windows)
    return [*lines, prefix + RULE, f"{prefix}Median throughput is {median:>10.3f} inf./sec.", prefix + RULE]


def rule_violations(windows: Sequence[WindowRecord]) -> list[str]:
    """Rules of the benchmark that the windows break; empty for a valid submission."""
    broken = []
    if len(windows) != LOOPS:
        broken.append(f"{len(windows)} windows, the rules ask for {LOOPS}")
    short = [w for w in windows if w.stop_s - w.start_s < MIN_WINDOW_S]
    if short:
        least = min(w.stop_s - w.start_s for w in short)
        broken.append(f"{len(short)} windows are shorter than 10 s (the shortest {least:.3f} s)")
    return broken


def _accuracy(metric: str, value: float, prefix: str) -> list[str]:
    text = f"AUC: {value:.3f}" if metric == "auc" else f"Top-1: {value * 100:.1f}%"
    return [prefix + RULE, prefix + text, prefix + RULE]


def _energy(windows: Sequence[WindowRecord], prefix: str) -> list[str]:
    lines = []
    for number, window in enumerate(windows, start=1):
        energy, elapsed = window.energy_j or 0.0, window.stop_s - window.start_s
        lines += [
            f"{prefix}Energy data for window {number} at time {window.start_s:.2f} for {elapsed:.2f} sec.:",
            f"{prefix}  Energy       : {energy * 1e6:>13.3f} uJ",
            f"{prefix}  Power        : {energy / elapsed * 1e6:>13.3f} uW",
            f"{prefix}  Energy/Inf.  : {energy / window.inferences * 1e6:>13.3f} uJ/inf.",
        ]
    median = statistics.median((w.energy_j or 0.0) / w.inferences for w in windows) * 1e6
    # The checker reads the figure right behind one space.
    return [*lines, prefix + RULE, f"{prefix}Median energy cost is {median:.3f} uJ/inf.", prefix + RULE]


def _trial(window: WindowRecord, result: Result, trace: Any) -> dict[str, Any]:
    """One trial as the v1.3 runner writes it."""
    elapsed = window.stop_s - window.start_s
    infer: dict[str, Any] = {
        "results": result.details.get("results", []),
        "iterations": window.inferences,
        "warmups": 1,
        "total_inferences": 1,
    }
    if trace is None:
        infer["start_time"] = round(window.start_s * 1e6)
        infer["end_time"] = round(window.stop_s * 1e6)
        infer["elapsed_time"] = infer["end_time"] - infer["start_time"]
        infer["throughput"] = window.inferences / elapsed
        return {"infer": infer}
    count = max(1, math.floor(elapsed * 1000))
    energies = [trace.joules(window.start_s + i * 1e-3, window.start_s + (i + 1) * 1e-3) for i in range(count)]
    return {"infer": infer, "power": {"samples": energies, "timestamps": [["1", 0], ["2", count]]}}


class _Trace:
    """The energy trace of a result, integrated on demand."""

    def __init__(self, capture: Capture, volts: float) -> None:
        import numpy as np

        current = np.asarray(capture.values)
        current = np.where(np.isfinite(current), current, np.nanmean(current))
        self._edges = capture.start_s + capture.step_s * np.arange(len(current) + 1)
        self._charge = np.concatenate([[0.0], np.cumsum(current * capture.step_s)])
        self._volts = volts

    def joules(self, start_s: float, stop_s: float) -> float:
        import numpy as np

        low, high = np.interp([start_s, stop_s], self._edges, self._charge)
        return float(high - low) * self._volts


def _trace(result: Result, folder: Path) -> _Trace | None:
    """The trace that windows were measured on; its supply follows from the windows' own energies."""
    file = folder / result.artifacts.get("energy_trace", "")
    if not result.artifacts.get("energy_trace") or not file.is_file():
        return None
    from emulab.lab.captures import csv_table

    capture = csv_table.parse(file.read_text(encoding="utf-8", errors="replace"), file)
    unit = _Trace(capture, 1.0)
    charges = [unit.joules(w.start_s, w.stop_s) for w in result.windows if w.energy_j]
    energies = [w.energy_j for w in result.windows if w.energy_j]
    ratios = [e / c for e, c in zip(energies, charges, strict=True) if c > 0]
    return _Trace(capture, statistics.median(ratios)) if ratios else None


def _log(result: Result, folder: Path, prefix: str) -> str:
    file = folder / result.artifacts.get("console", "")
    if result.artifacts.get("console") and file.is_file():
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    else:
        lines = ["no console log was kept"]
    return "".join(f"{prefix}{line}\n" for line in lines)


def _system(record: RunRecord, result: Result, physical: bool) -> dict[str, str]:
    details: Any = result.details.get("platform", {})
    tools = ", ".join(f"{k} {v}" for k, v in record.provenance.tools.items() if k in ("ziglang", "unicorn", "qemu"))
    how = f"measured on the board ({result.backend})" if physical else f"emulated, backend {result.backend}"
    return {
        "Status": "available" if physical else "rdi",
        "Board Name": result.platform,
        "Processor(s) Name": str(details.get("core", "")),
        "Processor(s) Frequencies": str(details.get("clock_hz", "")),
        "Processor memory type and capacity": str(details.get("memory", "")),
        "Accelerator": "",
        "Accelerator(s) Frequencies": "",
        "Accelerator memory type and capacity": "",
        "Hardware Notes": how,
        "Inference Framework": f"emulab {record.provenance.emulab}",
        "Software Libraries": tools,
        "Software Notes": "" if physical else "Figures come from an emulator and its timing and energy models.",
    }
