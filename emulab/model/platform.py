"""Schema of a platform (core + SoC + board) and the loader that merges its layers.

``extends:`` names less specific files, merged in order and overridden by the file itself. A user's own
folder is searched first, then the folders that ship with emulab.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emulab.errors import InputError
from emulab.model.base import FileName, Schema, validate
from emulab.model.files import read_yaml
from emulab.model.power import Power
from emulab.model.quantity import PhysicalNumber
from emulab.model.soc import Core, Soc


class Console(Schema):
    """Where the firmware's console is: a UART of the SoC."""

    peripheral: str
    baud: int = 115200


class BackendMapping(Schema):
    """What one backend calls this board."""

    machine: str = ""
    fidelity: Literal["board", "core"] = "board"
    options: dict[str, Any] = {}


class Board(Schema):
    """The board: clock point, console, pins with a meaning, parts on its buses."""

    name: FileName
    title: str = ""
    clock_hz: float = Field(gt=0, description="core clock emulab's own firmware sets up")
    clock_points: list[PhysicalNumber] = Field(default=[], description="other core clocks the board can be set to")
    console: Console
    timestamp_pin: str = Field(default="", description="GPIO of the MLPerf energy-mode timestamp, e.g. PA9 or gpioa.9")
    inputs: dict[str, bool] = Field(default={}, description="level of pins driven from outside, e.g. {PG10: true}")
    parts: dict[str, dict[str, Any]] = Field(default={}, description="sensors, radios and LEDs on the board")
    firmware: dict[str, Any] = Field(
        default={}, description="what emulab's own start-up code needs: registers to write, UART, timer"
    )
    clocks: dict[str, Any] = Field(
        default={}, description="external oscillators of the board: {hse_hz: ..., lse_hz: ...}"
    )
    source: str = ""


class Platform(Schema):
    """A complete board description."""

    schema_version: Literal[1] = 1
    core: Core
    soc: Soc
    board: Board
    power: Power | None = None
    backends: dict[str, BackendMapping] = {}

    @property
    def name(self) -> str:
        return self.board.name

    def memory_of_kind(self, *kinds: str) -> dict[str, Any]:
        """Memories of the given kinds, by name, in file order."""
        return {name: m for name, m in self.soc.memories.items() if m.kind in kinds}

    @property
    def flash_bytes(self) -> int:
        return sum(m.size_bytes for m in self.soc.memories.values() if m.kind in ("flash", "external"))

    @property
    def ram_bytes(self) -> int:
        return sum(m.size_bytes for m in self.soc.memories.values() if m.kind in ("ram", "tcm-data"))


def data_folder(name: str) -> Path:
    """Folder of data that ships with emulab: ``platforms`` or ``scenarios``, in the checkout or the wheel."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_data" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise InputError(f"{name}: the folder that ships with emulab is missing; reinstall the package")


def search_path(name: str, extra: Iterable[Path] = ()) -> list[Path]:
    """Folders searched for *name* (``platforms`` or ``scenarios``), the user's own first."""
    variable = os.environ.get(f"EMULAB_{name.upper()}", "")
    folders = [
        *extra,
        *(Path(p) for p in variable.split(os.pathsep) if p),
        Path.cwd() / name,
        data_folder(name),
    ]
    return list(dict.fromkeys(f for f in folders if f.is_dir()))


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key; anything else in *over* replaces what *base* has. None removes a key."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = deep_merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class LoadedPlatform:
    """A platform with the files it came from (for provenance)."""

    def __init__(self, platform: Platform, files: list[Path]) -> None:
        self.platform, self.files = platform, files

    def hashes(self) -> dict[str, str]:
        """sha256 per file name, in layer order."""
        return {f"{f.parent.name}/{f.name}": hashlib.sha256(f.read_bytes()).hexdigest() for f in self.files}


def _layers(file: Path, folders: list[Path], seen: tuple[Path, ...]) -> tuple[dict[str, Any], list[Path]]:
    if file in seen:
        raise InputError.at(file, "extends", "extends itself: " + " -> ".join(f.name for f in (*seen, file)))
    data = read_yaml(file)
    parents = data.pop("extends", [])
    if isinstance(parents, str):
        parents = [parents]
    if not isinstance(parents, list) or not all(isinstance(p, str) for p in parents):
        raise InputError.at(file, "extends", "expected a list of file names")
    merged: dict[str, Any] = {}
    files: list[Path] = []
    for parent in parents:
        found = next(
            (c for base in (file.parent, *folders) for c in (base / parent, base / f"{parent}.yaml") if c.is_file()),
            None,
        )
        if found is None:
            raise InputError.at(file, "extends", f"no platform file {parent!r} in {', '.join(map(str, folders))}")
        layer, layer_files = _layers(found, folders, (*seen, file))
        merged = deep_merge(merged, layer)
        files += [f for f in layer_files if f not in files]
    return deep_merge(merged, data), [*files, file]


def platform_names(extra: Iterable[Path] = ()) -> list[str]:
    """Names of all boards on the search path."""
    return sorted({f.stem for folder in search_path("platforms", extra) for f in (folder / "boards").glob("*.yaml")})


def load_platform(name: str | Path, extra: Iterable[Path] = (), overlays: Iterable[Path] = ()) -> LoadedPlatform:
    """Load a board by name or file, with its layers merged and *overlays* (e.g. a calibration) on top.

    Raises InputError naming the file, the key and the closest valid key or board name.
    """
    folders = search_path("platforms", extra)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        file = path
    else:
        found = next(
            (f / "boards" / f"{name}.yaml" for f in folders if (f / "boards" / f"{name}.yaml").is_file()),
            None,
        )
        if found is None:
            import difflib

            names = platform_names(extra)
            close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
            raise InputError(
                f"platform {str(name)!r} is unknown; {hint} (`emulab list platforms`; "
                "a board of your own is a YAML file: --platform FILE.yaml, see platforms/README.md)"
            )
        file = found
    data, files = _layers(file, folders, ())
    for overlay in overlays:
        data = deep_merge(data, read_yaml(overlay))
        files.append(overlay)
    return LoadedPlatform(validate(Platform, data, file), files)
