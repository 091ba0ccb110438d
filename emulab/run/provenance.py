"""Where a record comes from: versions, hashes, host, times."""

from __future__ import annotations

import hashlib
import platform as host_platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from emulab import __version__
from emulab.model.record import Provenance

TOOLS = ("unicorn", "capstone", "simpy", "numpy", "tflite", "ziglang", "ai-edge-litert", "pydantic")


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def collect(
    hashes: dict[str, str], seed: int, started: datetime, wall_s: dict[str, float], command: str = ""
) -> Provenance:
    """Provenance of this process and moment."""
    tools = {}
    for name in TOOLS:
        try:
            tools[name] = version(name)
        except PackageNotFoundError:
            tools[name] = ""
    return Provenance(
        emulab=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        host=f"{host_platform.system()} {host_platform.machine()}",
        tools={k: v for k, v in tools.items() if v},
        hashes=hashes,
        seed=seed,
        command=command,
        started_at=started.astimezone(UTC).isoformat(timespec="seconds"),
        wall_s=wall_s,
    )
