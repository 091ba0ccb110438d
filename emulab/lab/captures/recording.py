"""emulab's own recordings: a folder with ``recording.json``, ``console.log`` and ``trace.npz``; written by
``--record``."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

from emulab.errors import InputError
from emulab.lab.capture import Capture
from emulab.lab.captures.session import RecordedSession, RecordedWindow
from emulab.model.record import write_bytes, write_text

VERSION = 1
_CAPTURE_TEXT = ("quantity", "incomplete", "source")
_CAPTURE_NUMBERS = ("start_s", "step_s", "voltage_v", "lost_samples", "range_switches", "overloads")


def write(folder: Path, session: RecordedSession) -> Path:
    """Write *session* into *folder*; ``recording.json`` comes last, so that a folder with it is whole."""
    import numpy as np

    data: dict[str, Any] = {
        "recording_version": VERSION,
        "source": session.source,
        "platform": session.platform,
        "firmware_sha256": session.firmware_sha256,
        "model_sha256": session.model_sha256,
        "reported": dict(session.reported),
        "notes": list(session.notes),
        "windows": [[w.start_s, w.stop_s, w.inferences, list(w.results)] for w in session.windows],
    }
    write_text(
        folder / "console.log", "".join(f"{t:.6f} {direction} {text}\n" for t, direction, text in session.console)
    )
    if session.capture is not None:
        capture = session.capture
        buffer = io.BytesIO()
        np.savez_compressed(buffer, values=np.asarray(capture.values, dtype=np.float32))
        write_bytes(folder / "trace.npz", buffer.getvalue())
        data["capture"] = {key: getattr(capture, key) for key in (*_CAPTURE_TEXT, *_CAPTURE_NUMBERS)}
        data["capture"]["marks"] = [list(mark) for mark in capture.marks]
        data["capture"]["notes"] = list(capture.notes)
    return write_text(folder / "recording.json", json.dumps(data, indent=1) + "\n")


def read(folder: Path) -> RecordedSession:
    """Read a recording. InputError names file and key of what is wrong."""
    file = folder / "recording.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError.at(file, "", "no such file; expected a folder that --record wrote") from None
    except (OSError, ValueError) as error:
        raise InputError.at(file, "", f"not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("recording_version") != VERSION:
        found = data.get("recording_version") if isinstance(data, dict) else None
        raise InputError.at(file, "recording_version", f"expected {VERSION}, found {found!r}")
    try:
        windows = tuple(
            RecordedWindow(_finite(a), _finite(b), int(n), tuple(_finite(x) for x in results))
            for a, b, n, results in data["windows"]
        )
        capture = _capture(folder, data["capture"]) if "capture" in data else None
        session = RecordedSession(
            source=str(data["source"]),
            capture=capture,
            windows=windows,
            console=tuple(_console(folder / "console.log")),
            reported={str(k): _finite(v) for k, v in data["reported"].items()},
            platform=str(data["platform"]),
            firmware_sha256=str(data["firmware_sha256"]),
            model_sha256=str(data["model_sha256"]),
            notes=tuple(str(note) for note in data["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError.at(file, "", f"damaged recording: {type(error).__name__} {error}") from None
    if any(w.inferences < 1 or w.stop_s <= w.start_s for w in session.windows):
        raise InputError.at(file, "windows", "a window is empty or has no inferences")
    return session


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _capture(folder: Path, data: dict[str, Any]) -> Capture:
    import zipfile

    import numpy as np

    try:
        with np.load(folder / "trace.npz", allow_pickle=False) as archive:
            values = archive["values"].astype(np.float64)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError.at(folder / "trace.npz", "", f"cannot be read: {error}") from None
    if data["quantity"] not in ("A", "W") or _finite(data["step_s"]) <= 0 or values.ndim != 1:
        raise ValueError("capture needs quantity A or W, a positive step and one row of values")
    return Capture(
        start_s=_finite(data["start_s"]),
        step_s=_finite(data["step_s"]),
        values=values,
        quantity=data["quantity"],
        voltage_v=_finite(data["voltage_v"]),
        marks=tuple((str(name), _finite(t)) for name, t in data["marks"]),
        lost_samples=int(data["lost_samples"]),
        range_switches=int(data["range_switches"]),
        overloads=int(data["overloads"]),
        incomplete=str(data["incomplete"]),
        source=str(data["source"]),
        notes=tuple(str(note) for note in data["notes"]),
    )


def _console(file: Path) -> list[tuple[float, str, str]]:
    lines = []
    if file.is_file():
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
            when, _, rest = text.partition(" ")
            lines.append((_finite(when), rest[:1], rest[2:]))
    return lines
