"""What a scenario's application draws per wake: by component and by phase, as its firmware ran on the embedded machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulab.report.memory import Table, share
from emulab.report.metrics import board
from emulab.report.units import duration, engineering

if TYPE_CHECKING:
    from rich.console import Console

    from emulab.model.record import RunRecord


def tables(record: RunRecord) -> list[Table]:
    """Two tables per result that ran an application: charge per wake by component, and by phase with its time."""
    found = []
    for result in record.results:
        data = result.details.get("application")
        if isinstance(data, dict) and data.get("wakes"):
            found += [_by(data, "component", board(result)), _by(data, "phase", board(result))]
    return found


def _by(data: dict[str, Any], what: str, name: str) -> Table:
    charges: dict[str, float] = data[f"charge_by_{what}_c"]
    times: dict[str, float] = data["time_by_phase_s"] if what == "phase" else {}
    wakes, total = data["wakes"], sum(charges.values()) or 1.0
    rows = []
    for key, charge in sorted(charges.items(), key=lambda item: -item[1]):
        row = [
            key,
            engineering(charge / wakes * data["supply_v"], "J"),
            engineering(charge / data["duration_s"], "A"),
            share(charge / total),
        ]
        if times:
            row.append(engineering(times.get(key, 0.0) / wakes, "s"))
        rows.append(tuple(row))
    headings = (what, "energy / wake", "mean current", "share", *(("time / wake",) if times else ()))
    return Table(f"application on {name}: by {what}", headings, tuple(rows), _note(data) if what == "phase" else "")


def _note(data: dict[str, Any]) -> str:
    ran = f"{data['wakes']} wakes in {duration(data['duration_s'])}"
    if data.get("cycle_s"):
        ran += (
            f", of which {duration(data['executed_s'])} were executed; the rest is the {data['cycle_s']:.4g} s "
            "cycle that the firmware settled into"
        )
    else:
        ran += ", all of it executed: the firmware does not repeat itself"
    return f"{ran}. Peak {engineering(data['peak_current_a'], 'A')}; energy at {data['supply_v']:g} V."


def print_tables(record: RunRecord, console: Console) -> None:
    """Print them; nothing where no application ran."""
    from rich.markup import escape
    from rich.table import Table as Grid

    for table in tables(record):
        grid = Grid(title=escape(table.title), title_justify="left")
        for index, heading in enumerate(table.headings):
            grid.add_column(heading, justify="right" if index else "left")
        for row in table.rows:
            grid.add_row(*map(escape, row))
        console.print(grid)
        if table.note:
            console.print(escape(table.note), style="dim")
