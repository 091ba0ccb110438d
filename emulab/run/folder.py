"""The run folder: made before the work, so that an unwritable place is known early; gone again when nothing came of it."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from emulab.errors import EmulabError, ToolError

RECORDS = ("run.json", "report.html")
"""Files that speak of everything else in the folder."""


def prepare_folder(output: Path | None, name: str, started: datetime) -> Path:
    """Make the run folder: *output*, else a new one below ``runs``. ToolError names a place that cannot be written."""
    folder = output or Path("runs")
    try:
        if output is None:
            folder = _new_folder(name, started)
        else:
            folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ToolError(f"{folder}: run folder cannot be written: {error.strerror}; choose another --output") from None
    return folder


def _new_folder(name: str, started: datetime) -> Path:
    """One that nobody has: two runs of the same second get one each."""
    base = Path("runs") / f"{name}-{started.astimezone().strftime('%Y%m%d-%H%M%S')}"
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        with suppress(FileExistsError):
            base.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


@contextmanager
def run_folder(output: Path | None, name: str, started: datetime, places: Sequence[str] = ()) -> Iterator[Path]:
    """The run folder for the time of the work; *places* are the names of the jobs' folders in it.

    When the work ends without a record, what it began is taken away: the jobs' folders (those of a job that failed in
    the ordinary way stay, for their console log), then the folders that were made and are empty. A record of an
    earlier run stays, unless the artifacts it speaks of were written over.
    """
    base = Path(os.path.abspath(output or "runs"))
    absent = [place for place in (base, *base.parents) if not _exists(place)]
    folder = prepare_folder(output, name, started)
    made = [] if output is not None else [Path(os.path.abspath(folder))]
    before = {place: _modified(folder / place) for place in places}
    try:
        yield folder
    except BaseException as error:
        if not isinstance(error, EmulabError):
            for place in places:
                if before[place] is None:
                    shutil.rmtree(folder / place, ignore_errors=True)
        if any(before[place] not in (None, _modified(folder / place)) for place in places):
            for record in RECORDS:
                (folder / record).unlink(missing_ok=True)
        for empty in (*made, *absent):
            with suppress(OSError):
                empty.rmdir()
        raise


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return True


def _modified(place: Path) -> int | None:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return None
