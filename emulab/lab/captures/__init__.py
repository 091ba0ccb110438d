"""Recorded physical sessions: readers of what power monitors and the MLPerf runner leave behind, one format per
file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emulab.errors import InputError
from emulab.lab.captures.session import RecordedSession

__all__ = ["RecordedSession", "read_recording"]


def read_recording(path: Path, options: Mapping[str, str] | None = None) -> RecordedSession:
    """Read a recording of any known format, told apart by its content.

    ``options``: ``inferences`` (per window), ``voltage_v``, ``results`` (the published ``results.txt``) and
    ``timestamps``, where the format does not hold them itself. Raises InputError naming file and what was expected.
    """
    from emulab.lab.captures import csv_table, ebin, recording, runner_json

    given = dict(options or {})
    if path.is_dir():
        return recording.read(path)
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise InputError.at(path, "", f"cannot be read: {error.strerror or error}") from None
    if head[:1] == b"\xf1":
        return ebin.read(path, given)
    if head.lstrip()[:1] in (b"[", b"{"):
        return runner_json.read(path, given)
    if b"," in head or b";" in head or b"\t" in head:
        return csv_table.read(path, given)
    raise InputError.at(
        path,
        "",
        "not a recording: expected .ebin, the MLPerf runner's results.json, a CSV of a power monitor, "
        "or a folder that --record wrote",
    )
