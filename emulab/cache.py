"""The content-addressed cache: what is expensive to make is made once per content, by whoever comes first.

An entry is a folder, built beside its place and renamed into it: a reader sees a complete entry or none,
whatever happened to the process that built it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from emulab.errors import ToolError

KeyPart = str | bytes | int | float | bool | None | Path
"""What an entry depends on. A Path stands for the content of that file, not for its name."""

LOCK_LIMIT_S = 300.0
"""How long to wait for another process that builds the same entry before building it too."""

_STALE_S = 24 * 3600.0


def cache_dir() -> Path:
    """Folder of the cache: ``$EMULAB_CACHE``, else the user cache folder of the platform. Not created here."""
    override = os.environ.get("EMULAB_CACHE", "")
    if override:
        return Path(override).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("emulab", appauthor=False))


def cache_key(key_parts: Iterable[KeyPart]) -> str:
    """sha256 (hex) over typed, length-prefixed parts: no two different lists have the same bytes."""
    digest = hashlib.sha256()
    for part in key_parts:
        if isinstance(part, Path):
            tag, data = b"file", hashlib.sha256(part.read_bytes()).digest()
        elif isinstance(part, bytes):
            tag, data = b"bytes", part
        else:
            tag, data = type(part).__name__.encode(), str(part).encode()
        digest.update(b"%s %d:" % (tag, len(data)) + data)
    return digest.hexdigest()


def fetch_or_build(kind: str, key_parts: Iterable[KeyPart], builder: Callable[[Path], None]) -> Path:
    """Folder of the entry *key_parts* of *kind*; *builder* fills an empty folder if there is none yet.

    Safe with concurrent processes: one builds while the others wait up to ``LOCK_LIMIT_S``, and whoever renames
    first wins. An exception in *builder*, Ctrl-C included, leaves nothing behind and is passed on. Raises
    ToolError when the cache folder cannot be written or the disk is full.
    """
    shelf = cache_dir() / kind
    entry = shelf / cache_key(key_parts)[:40]
    try:
        if entry.is_dir():
            return entry
        shelf.mkdir(parents=True, exist_ok=True)
        with _lock(shelf / f".{entry.name}.lock"):
            if entry.is_dir():
                return entry
            _remove_stale(shelf)
            scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
            try:
                builder(scratch)
                _publish(scratch, entry)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise ToolError(
            f"cache {shelf}: {error.strerror or error}; free some space or set EMULAB_CACHE to a writable folder"
        ) from None
    return entry


def _publish(scratch: Path, entry: Path) -> None:
    os.chmod(scratch, 0o755)  # mkdtemp makes it private
    try:
        os.rename(scratch, entry)
    except OSError:
        if not entry.is_dir():  # otherwise another process came first, with the same content
            raise


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold *file* locked so that one process builds; the kernel frees it when the process dies."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes may both build, the rename decides
        yield
        return
    with open(file, "a") as handle:
        deadline = time.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        yield


def _remove_stale(shelf: Path) -> None:
    """Delete scratch folders that a killed process left more than a day ago."""
    now = time.time()
    for left in shelf.glob(".new-*"):
        with contextlib.suppress(OSError):
            if now - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
