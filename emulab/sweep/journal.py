"""The journal of a sweep: one JSON line per finished variant, so that a kill loses nothing that was finished.

A torn last line (the process died while writing it) is dropped on reading; its variant runs again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulab.errors import InputError, ToolError


def variant_key(variant: dict[str, Any]) -> str:
    """Content key of a variant."""
    return hashlib.sha256(json.dumps(variant, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Journal:
    """Append-only results of one sweep; the first line says which sweep it is."""

    def __init__(self, path: Path, identity: str, resume: bool) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if path.exists() and resume:
            self._read(identity)
        elif path.exists():
            raise InputError(f"{path}: a sweep is there already; continue it with --resume, or choose another --output")
        fresh = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what a full disk did not take is not tried again on closing.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise ToolError(f"{path}: cannot be written: {error.strerror}; choose another --output") from None
        if fresh:
            self._line({"sweep": identity})

    def _read(self, identity: str) -> None:
        good = 0
        with self.path.open("rb") as file:
            for number, raw in enumerate(file):
                try:
                    if not raw.endswith(b"\n"):
                        break
                    line = json.loads(raw)
                except ValueError:
                    break
                if number == 0 and line.get("sweep") != identity:
                    raise InputError(
                        f"{self.path}: belongs to another sweep (scenario or --vary differ); choose another --output"
                    )
                if number:
                    self.rows[line["key"]] = line["row"]
                good += len(raw)
        with self.path.open("r+b") as file:
            file.truncate(good)

    def _line(self, value: dict[str, Any]) -> None:
        data = memoryview((json.dumps(value, default=str) + "\n").encode())
        with self._told():
            while data:
                data = data[self._file.write(data) :]

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Record one finished variant."""
        if key not in self.rows:
            self.rows[key] = row
            self._line({"key": key, "row": row})

    def sync(self) -> None:
        """Make what was written durable."""
        with self._told():
            os.fsync(self._file.fileno())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ToolError(
                f"{self.path}: cannot be written: {error.strerror}; free some room, then --resume"
            ) from None

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._file.close()
