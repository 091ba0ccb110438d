"""CSV of Joulescope tools: ``#time,current,voltage[,power...]`` in s, A, V (units may follow in parentheses)."""

from __future__ import annotations

from emulab.lab.captures.csv_table import Columns, unit_factor


def columns(header: list[str]) -> Columns | None:
    """Columns of a Joulescope export, else None."""
    names = [name.strip().lstrip("#").strip().lower() for name in header]
    bare = [name.split("(")[0].split("[")[0].strip() for name in names]
    if not bare or bare[0] not in ("time", "timestamp") or "current" not in bare:
        return None
    current = bare.index("current")
    time_factor = unit_factor(names[0], "s") if "(" in names[0] or "[" in names[0] else 1.0
    factor = unit_factor(names[current], "A") if "(" in names[current] or "[" in names[current] else 1.0
    if time_factor is None or factor is None:
        return None
    voltage = None
    if "voltage" in bare:
        index = bare.index("voltage")
        volts = unit_factor(names[index], "V") if "(" in names[index] or "[" in names[index] else 1.0
        voltage = (index, volts) if volts is not None else None
    return Columns("joulescope", (0, time_factor), (current, factor), "A", voltage)
