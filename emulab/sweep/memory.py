"""What earlier sweeps found out: rows kept by content, so that a sweep repeated, or widened, computes only what is new.

A row is reused when nothing it depends on differs: emulab's code, the scenario's folder, the platform files, the assets it
names, the overrides, the variant, and the files a variant names. Only backends with virtual time are remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from emulab.cache import cache_dir
from emulab.model.platform import search_path
from emulab.model.scenario import LoadedScenario
from emulab.sweep.point import Row, Task

MAX_FILES = 2000
"""A scenario's folder with more files than this (a home directory, say) is not hashed: nothing is remembered."""


class Memory:
    """Rows of one content; ``known`` maps a task's content to its row."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Row] = {}
        if path is None or not path.is_file():
            return
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw)
                    self.known[line["key"]] = line["row"]
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut short by a kill

    def find(self, task: Task) -> Row | None:
        """The row of an equal task, or None."""
        return self.known.get(content_of(task)) if self.known else None

    def keep(self, rows: Iterable[tuple[Task, Row]]) -> None:
        """Remember rows that were computed (not errors: those may pass the next time). A full disk is no reason to fail."""
        if self.path is None:
            return
        lines = [
            json.dumps({"key": content_of(task), "row": row}, default=str)
            for task, row in rows
            if row["status"] != "error"
        ]
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, ("\n".join(lines) + "\n").encode())
            finally:
                os.close(handle)
        except OSError:
            return


def content_of(task: Task) -> str:
    """Key of a task within one memory: its variant, targets, and the state of files it names."""
    named = [_state(Path(v)) for v in task.variant.values() if isinstance(v, str) and "/" in v and Path(v).is_file()]
    parts = [task.variant, task.overrides, task.platforms, task.backends, named]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def open_memory(loaded: LoadedScenario, backends: Iterable[str]) -> Memory:
    """The memory for a scenario on *backends*; an empty one that keeps nothing where results may differ between runs."""
    from emulab.backends.base import load_backend
    from emulab.errors import EmulabError

    try:
        repeatable = all("virtual-time" in load_backend(name).capabilities for name in backends)
    except EmulabError:
        repeatable = False
    content = _content(loaded) if repeatable else None
    return Memory(None if content is None else cache_dir() / "sweeps" / f"{content}.jsonl")


def _content(loaded: LoadedScenario) -> str | None:
    package = Path(__file__).resolve().parent.parent
    folders: list[Path] = [package, *search_path("platforms"), loaded.folder]
    states: list[Any] = [os.environ.get(name, "") for name in ("EMULAB_ASSETS", "EMULAB_PLATFORMS")]
    for folder in folders:
        files = sorted(
            f for f in folder.rglob("*") if f.suffix not in (".pyc", ".html", ".jsonl", ".parquet") and f.is_file()
        )
        if len(files) > MAX_FILES:
            return None
        states += [_state(file) for file in files if "runs" not in file.relative_to(folder).parts]
    return hashlib.sha256(json.dumps([str(loaded.file), loaded.data, states], default=str).encode()).hexdigest()[:32]


def _state(file: Path) -> tuple[str, int, int]:
    state = file.stat()
    return str(file), state.st_mtime_ns, state.st_size
