"""CSV export of Qoitech Otii: a time column, then one column per channel, e.g. ``Main Current - Arc (A)``, ``Main
Voltage``."""

from __future__ import annotations

import re
from typing import Literal

from emulab.lab.captures.csv_table import Columns, unit_factor


def columns(header: list[str]) -> Columns | None:
    """Columns of an Otii export, else None."""
    names = [name.strip().strip('"') for name in header]
    low = [re.sub(r"\s+", " ", name.lower()) for name in names]
    if not low or not low[0].startswith(("time", "timestamp")):
        return None
    current = next((i for i, name in enumerate(low) if "main current" in name or "main power" in name), None)
    if current is None:
        return None
    quantity: Literal["A", "W"] = "W" if "power" in low[current] else "A"
    time = unit_factor(names[0], "s") if re.search(r"[\(\[]", names[0]) else 1.0
    factor = unit_factor(names[current], quantity) if re.search(r"[\(\[]", names[current]) else 1.0
    if time is None or factor is None:
        return None
    volts = next((i for i, name in enumerate(low) if "main voltage" in name), None)
    voltage = None
    if volts is not None:
        scale = unit_factor(names[volts], "V") if re.search(r"[\(\[]", names[volts]) else 1.0
        voltage = (volts, scale) if scale is not None else None
    return Columns("otii", (0, time), (current, factor), quantity, voltage)
