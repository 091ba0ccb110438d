"""Schema of the run record, ``run.json``: what one run leaves behind, from which all else is derived."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emulab.errors import InputError, ToolError
from emulab.model.base import Schema, validate
from emulab.model.files import read_input
from emulab.model.quantity import Quantity

MAX_RECORD_BYTES = 256 << 20

Status = Literal["passed", "failed", "error", "skipped", "unavailable"]


class LayerRow(Schema):
    """What one layer (or function) cost within a window."""

    name: str
    symbol: str = ""
    cycles: float | None = None
    instructions: int | None = None
    macs: int | None = None
    stall_cycles: float | None = None
    fetch_stall_cycles: float | None = Field(default=None, description="of stall_cycles, waiting for instructions")
    bytes_read: dict[str, int] = Field(default={}, description="bytes read per memory region")
    bytes_written: dict[str, int] = {}
    flash_bytes: int | None = Field(default=None, description="own code and constants; shared kernels not counted")
    executions: int | None = None
    instruction_classes: dict[str, int] = Field(
        default={}, description="executed instructions per class: load, store, mac, branch, ..."
    )
    activity: dict[str, float] = Field(default={}, description="counted events that a power state can price")


class WindowRecord(Schema):
    """One measured window of a run."""

    name: str
    index: int = 0
    start_s: float
    stop_s: float
    inferences: int = 1
    cycles: int | None = None
    instructions: int | None = None
    stall_cycles: int | None = None
    energy_j: float | None = None
    region_reads: dict[str, int] = Field(default={}, description="bytes read per memory region")
    region_writes: dict[str, int] = Field(default={}, description="bytes written per memory region")
    cache_misses: dict[str, int] = {}
    instruction_classes: dict[str, int] = Field(
        default={}, description="executed instructions per class (load, store, mac, ...) over the whole window"
    )
    activity: dict[str, float] = Field(
        default={}, description="counted events that a power state can price (ram_read, flash_array_read, mac, ...)"
    )
    layers: list[LayerRow] = []

    @property
    def latency_s(self) -> float:
        return (self.stop_s - self.start_s) / max(self.inferences, 1)


class ExpectationResult(Schema):
    """One expectation, evaluated."""

    metric: str
    target: str = ""
    of: str = "limit"
    bound: str = Field(description="what was asked, e.g. 'max 0.01 s' or 'within 5 % of published'")
    value: float | None = None
    reference: float | None = None
    deviation: float | None = None
    status: Literal["passed", "failed", "unavailable"]
    message: str = ""


class Result(Schema):
    """One (platform, backend) of a run."""

    platform: str
    backend: str
    variant: str = Field(default="", description="which of the workload's models, where it holds several")
    fidelity: Literal["board", "core"] = "board"
    status: Status
    message: str = Field(default="", description="one line: why failed, skipped or unavailable")
    metrics: dict[str, Quantity] = {}
    windows: list[WindowRecord] = []
    notes: list[str] = Field(default=[], description="e.g. registers accessed that are not modelled")
    artifacts: dict[str, str] = Field(default={}, description="kind -> path relative to the run folder")
    firmware_sha256: str = ""
    model_sha256: str = ""
    details: dict[str, Any] = Field(
        default={}, description="memory map, energy by component and phase, accuracy per class, ..."
    )

    @property
    def label(self) -> str:
        """``platform/backend``, and ``/variant`` where there are several models: what expectations and reports say."""
        return "/".join(filter(None, (self.platform, self.backend, self.variant)))


class Provenance(Schema):
    """Where a record comes from. ``started_at`` and ``wall_s`` are the only values that differ between equal runs."""

    emulab: str
    python: str = ""
    host: str = ""
    tools: dict[str, str] = {}
    hashes: dict[str, str] = {}
    seed: int = 0
    command: str = ""
    started_at: str = ""
    wall_s: dict[str, float] = {}


class RunRecord(Schema):
    """The versioned record of one run."""

    schema_version: Literal[1] = 1
    scenario: dict[str, Any] = Field(description="the scenario, resolved")
    provenance: Provenance
    results: list[Result]
    expectations: list[ExpectationResult] = []

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` into *folder*, beside first and then by rename, so that it is whole or absent."""
        return write_text(folder / "run.json", self.model_dump_json(indent=1, exclude_defaults=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Write *text* to *path* atomically. ToolError where the disk or the folder does not let us."""
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> Path:
    """Write *data* to *path* atomically. ToolError where the disk or the folder does not let us."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise ToolError(f"{path}: cannot be written: {error.strerror or error}; choose another --output") from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
    return path


def read_record(path: Path) -> RunRecord:
    """Read a record from a run folder or a ``run.json``; older schema versions are accepted."""
    file = path / "run.json" if path.is_dir() else path
    if not file.exists():
        raise InputError.at(file, "", "no run record there; expected a run folder or a run.json")
    try:
        content = read_input(file, MAX_RECORD_BYTES, "a run record")
        if not content.strip():
            raise InputError.at(file, "", "not a run record: the file is empty")
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError.at(file, "", f"not a run record: {error}") from None
    if not isinstance(data, dict) or "schema_version" not in data:
        raise InputError.at(file, "schema_version", "not a run record: the key is missing")
    if data["schema_version"] not in (1,):
        raise InputError.at(
            file,
            "schema_version",
            f"version {data['schema_version']} is newer than this emulab reads (1); upgrade emulab",
        )
    return validate(RunRecord, data, file)
