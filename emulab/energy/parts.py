"""Parts: sensors, radios, LEDs and stores that boards and scenarios share, from ``platforms/parts/NAME.yaml``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.model.base import validate
from emulab.model.files import read_yaml
from emulab.model.platform import deep_merge, search_path
from emulab.model.power import Cell, Part, PowerComponent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulab.model.dutycycle import Battery
    from emulab.model.platform import Platform


def part_files() -> dict[str, Path]:
    """All parts on the search path, by name; the user's own folder first."""
    found: dict[str, Path] = {}
    for folder in search_path("platforms"):
        for file in sorted((folder / "parts").glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def load_part(name: str) -> Part:
    """The part called *name*; InputError naming the closest one."""
    files = part_files()
    if name not in files:
        close = difflib.get_close_matches(name, files, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(files)}"
        raise InputError(f"part {name!r} is unknown; {hint}")
    return validate(Part, read_yaml(files[name]), files[name])


def load_component(name: str) -> PowerComponent:
    """The power component of a part; InputError where the part is a store."""
    part = load_part(name)
    if part.component is None:
        raise InputError(f"part {name!r} is a {part.kind}, not something a node uses")
    return part.component


def board_parts(platform: Platform) -> dict[str, PowerComponent]:
    """Components of the parts soldered to the board: entries of ``board.parts`` that name a ``part``."""
    return {
        name: load_component(str(entry["part"]))
        for name, entry in platform.board.parts.items()
        if isinstance(entry, dict) and entry.get("part")
    }


def cycle_parts(parts: Mapping[str, str]) -> dict[str, PowerComponent]:
    """Components of the parts a duty cycle names; InputError says which entry is wrong."""
    components = {}
    for name, part in parts.items():
        try:
            components[name] = load_component(part)
        except InputError as error:
            raise InputError(f"duty_cycle.parts.{name}: {error}") from None
    return components


def load_cell(battery: Battery) -> Cell:
    """The cell of a duty cycle's battery: a part's, with ``parameters`` on top, or a custom one."""
    base: dict[str, object] = {}
    if battery.type != "custom":
        try:
            part = load_part(battery.type)
        except InputError as error:
            raise InputError(f"duty_cycle.battery.type: {error}; or custom, with all parameters") from None
        if part.cell is None:
            raise InputError(f"duty_cycle.battery.type: part {battery.type!r} is a {part.kind}, not a battery")
        base = part.cell.model_dump(exclude_none=True, by_alias=True)
    merged = deep_merge(base, battery.parameters)
    return validate(Cell, merged, "duty_cycle.battery")
