"""CSV export of Nordic's Power Profiler app: ``Timestamp(ms),Current(uA)`` and, if chosen, ``D0-D7`` or ``D0,...,D7``.

The app leaves out samples that are NaN, so gaps in the time column are lost samples.
"""

from __future__ import annotations

from emulab.lab.captures.csv_table import Columns, unit_factor


def columns(header: list[str]) -> Columns | None:
    """Columns of a PPK2 export, else None."""
    names = [name.strip() for name in header]
    if len(names) < 2 or not names[0].startswith("Timestamp(") or not names[1].startswith("Current("):
        return None
    time, current = unit_factor(names[0], "s"), unit_factor(names[1], "A")
    if time is None or current is None:
        return None
    logic = tuple(i for i, name in enumerate(names) if name == "D0-D7" or (name[:1] == "D" and name[1:].isdigit()))
    return Columns("ppk2", (0, time), (1, current), "A", None, logic)
