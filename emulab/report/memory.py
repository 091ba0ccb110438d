"""Memory and data movement of a record: what fits, what lies where, which bytes move and how long the core waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulab.model.record import LayerRow, Result, RunRecord, WindowRecord
from emulab.report.metrics import board
from emulab.report.units import size

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Table:
    """A table for any form: a title, headings, rows of text (the first column is a name), a line below."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def details(result: Result) -> dict[str, Any]:
    """What the run says of the memory of a result; empty where it says nothing."""
    found = result.details.get("memory", {})
    return found if isinstance(found, dict) else {}


def fits(result: Result) -> str:
    """``flash 3 %, RAM 2 %`` of what the platform has, stack included; ``no`` for a model that does not fit.

    A machine that stands in for a board may hold what the board cannot: ``no: flash 3 %, RAM 120 %``.
    """
    if "does not fit" in result.message:
        return "no"
    found = details(result)
    shares = {}
    flash, limit = found.get("flash_bytes"), found.get("flash_limit_bytes")
    if flash and limit:
        shares["flash"] = flash / limit
    ram, limit = found.get("ram_bytes"), found.get("ram_limit_bytes")
    if ram and limit:
        shares["RAM"] = (ram + (found.get("stack_reserved_bytes") or 0)) / limit
    told = ", ".join(f"{name} {_whole(part)}" for name, part in shares.items())
    return f"no: {told}" if any(part > 1 for part in shares.values()) else told


def _whole(value: float) -> str:
    return "<1 %" if 0 < value < 0.005 else f"{value * 100:.0f} %"


def share(value: float) -> str:
    """A fraction in per cent, with a decimal where it is small."""
    return f"{value * 100:.1f} %" if value < 0.0995 else f"{value * 100:.0f} %"


def totals_table(record: RunRecord) -> Table | None:
    """Flash, RAM and stack of every result against the platform's limits."""
    rows = []
    for result in record.results:
        found = details(result)
        if "flash_bytes" not in found:
            continue
        ram, limit = found.get("ram_bytes"), found.get("ram_limit_bytes") or 0
        reserved = found.get("stack_reserved_bytes")
        free = "" if ram is None else size(limit - ram - (reserved or 0))
        rows.append(
            (
                board(result),
                _of(found["flash_bytes"], found.get("flash_limit_bytes")),
                _of(ram, limit) if ram is not None else "",
                _size(found.get("stack_painted_bytes")),
                _size(found.get("stack_bound_bytes")),
                _size(reserved),
                free,
            )
        )
    if not rows:
        return None
    heads = ("", "flash", "RAM without stack", "stack used", "stack at most", "stack reserved", "RAM left")
    note = "stack used: painted before the run, seen after it; at most: deepest chain of calls in the machine code"
    return Table("memory", heads, tuple(rows), note)


def flash_table(result: Result) -> Table | None:
    """Flash by layer (own code and constants), then what all share, by section; the sum is the image."""
    found = details(result)
    sections: dict[str, int] = found.get("flash_by_section", {})
    if not sections:
        return None
    rows = []
    layers = found.get("layers", [])
    for layer in layers:
        total = layer["code_bytes"] + layer["weight_bytes"]
        rows.append((_short(layer["symbol"]), size(layer["code_bytes"]), size(layer["weight_bytes"]), size(total)))
    model = sum(layer["code_bytes"] + layer["weight_bytes"] for layer in layers)
    whole = int(found.get("flash_bytes", 0))
    left = whole - model
    kernels: dict[str, int] = found.get("kernels", {})
    for name, count in kernels.items():
        rows.append((f"shared {name.removeprefix('emulab_')}", size(count), "", size(count)))
    left -= sum(kernels.values())
    for name, count in sections.items():
        if name == ".text.kernel" and kernels:
            left -= count - sum(kernels.values())
            if count > sum(kernels.values()):
                rows.append(("rest of section .text.kernel", "", "", size(count - sum(kernels.values()))))
            continue
        if layers and (name.endswith(".model") or (name == ".data" and found.get("constants_in_ram"))):
            continue
        rows.append((f"section {name}", "", "", size(count)))
        left -= count
    if layers and left > 0:
        rows.append(("rest of the model's sections", "", "", size(left)))
    rows.append(("all", "", "", _of(whole, found.get("flash_limit_bytes"))))
    note = ".text and .rodata are start-up, drivers and the test protocol, .libc the C library" if layers else ""
    if found.get("constants_in_ram"):
        note += "; constants that start-up copies to RAM count with their layer"
    return Table(f"{result.label}: flash", ("", "code", "constants", "flash"), tuple(rows), note)


def arena_table(result: Result) -> Table | None:
    """Every buffer of the arena with its place and life."""
    arena = details(result).get("arena") or {}
    buffers = arena.get("buffers", [])
    if not buffers:
        return None
    names = arena.get("operators", [])

    def when(index: int) -> str:
        return "start" if index < 0 else _short(names[index]) if index < len(names) else "end"

    rows = [
        (
            _plain(b["holds"]),
            f"{b['offset']}",
            size(b["bytes"]),
            f"{when(b['first'])} to {when(b['last'])}" if b["first"] != b["last"] else when(b["first"]),
        )
        for b in buffers
    ]
    heads = ("buffer", "offset", "size", "alive during")
    note = f"arena {size(arena['bytes'])}; buffers that are not alive together share bytes"
    return Table(f"{result.label}: RAM by tensor", heads, tuple(rows), note)


def layer_window(result: Result) -> WindowRecord | None:
    """The window that has a row per layer."""
    return next((window for window in result.windows if window.layers), None)


def movement_table(result: Result) -> Table | None:
    """Bytes read and written per region and layer, per inference, and how long the core waited."""
    rows_of = _rows(result)
    if not any(row.bytes_read or row.bytes_written for row in rows_of):
        return None
    regions = _regions(rows_of)
    heads = ["layer"]
    heads += [f"{name} read" for name in regions[0]] + [f"{name} written" for name in regions[1]]
    heads += ["bytes / MAC", "waits for code", "for data", "waiting"]
    rows = [_movement_row(row, regions) for row in rows_of]
    if len(rows_of) > 1:
        rows.append(_movement_row(_sum(rows_of), regions))
    return Table(f"{result.label}: data moved per inference", tuple(heads), tuple(rows), wall(result))


def _rows(result: Result) -> list[LayerRow]:
    """A row per layer; of an image whose layers are not known, one row of what the window counted."""
    window = layer_window(result)
    if window is not None and any(row.bytes_read or row.bytes_written for row in window.layers):
        return window.layers
    window = next((w for w in result.windows if w.cycles), None)
    if window is None or not (window.region_reads or window.region_writes):
        return []
    n = max(window.inferences, 1)
    whole = LayerRow(
        name="inference",
        cycles=(window.cycles or 0) / n,
        stall_cycles=(window.stall_cycles or 0) / n,
        fetch_stall_cycles=window.cache_misses.get("fetch_stall_cycles", 0) / n,
        bytes_read={region: round(count / n) for region, count in window.region_reads.items()},
        bytes_written={region: round(count / n) for region, count in window.region_writes.items()},
    )
    return [whole]


def wall(result: Result) -> str:
    """The memory wall as a number: what the core waits for, and what is moved per multiply-accumulate."""
    total = _sum(_rows(result))
    if not total.cycles:
        return ""
    data = (total.stall_cycles or 0) - (total.fetch_stall_cycles or 0)
    said = f"the core waits {share((total.stall_cycles or 0) / total.cycles)} of its {total.cycles:,.0f} cycles: "
    said += f"{share((total.fetch_stall_cycles or 0) / total.cycles)} for instructions, "
    said += f"{share(data / total.cycles)} for data"
    moved = sum(total.bytes_read.values()) + sum(total.bytes_written.values())
    if moved:
        said += f"; {size(moved)} moved"
        if total.macs:
            said += f", {moved / total.macs:.2f} bytes per multiply-accumulate"
    return said


def tables(record: RunRecord) -> list[Table]:
    """All tables of a record, in the order they are read."""
    first = totals_table(record)
    found: list[Table | None] = [first]
    for result in record.results:
        found += [flash_table(result), arena_table(result), movement_table(result)]
    return [table for table in found if table is not None]


def print_tables(record: RunRecord, console: Console) -> None:
    """Print all tables of a record."""
    print_list(tables(record), console)


def print_list(found: Iterable[Table], console: Console) -> None:
    """Print tables one below the other."""
    from rich.markup import escape
    from rich.table import Table as Screen

    for table in found:
        screen = Screen(title=escape(table.title), title_justify="left")
        for index, heading in enumerate(table.headings):
            screen.add_column(escape(heading), justify="right" if index else "left", no_wrap=not index)
        for row in table.rows:
            screen.add_row(*(escape(cell) for cell in row))
        console.print(screen)
        if table.note:
            console.print(escape(table.note), style="dim")


def markdown_lines(record: RunRecord) -> list[str]:
    """Limits and the memory wall of every result; the rest is for the screen and the HTML report."""
    from emulab.report.markdown import escape

    table = totals_table(record)
    if table is None:
        return []
    lines = ["", "#### Memory", "", "| | " + " | ".join(table.headings[1:]) + " |"]
    lines.append("|---|" + "---:|" * (len(table.headings) - 1))
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in table.rows]
    walls = [(result, wall(result)) for result in record.results]
    said = [f"- {escape(board(result))}: {escape(text)}" for result, text in walls if text]
    return [*lines, "", *said] if said else lines


def figures(record: RunRecord) -> list[dict[str, Any]]:
    """Plotly figures: tensors over the arena, where the cycles of every layer go, bytes per region and layer."""
    made = []
    for result in record.results:
        made += [f for f in (_arena_figure(result), _waiting_figure(result), _movement_figure(result)) if f is not None]
    return made


def legible(count: int) -> list[int]:
    """Places of at most :data:`MOST_TICKS` of *count* labels, evenly apart, the first and the last among them."""
    step = -(-count // MOST_TICKS)
    places = [place for place in range(0, count, step) if place <= count - 1 - step]
    return [*places, count - 1]


def _arena_figure(result: Result) -> dict[str, Any] | None:
    arena = details(result).get("arena") or {}
    buffers = arena.get("buffers", [])
    if not buffers:
        return None
    names = [_short(name) for name in arena.get("operators", [])]
    bars = {
        "type": "bar",
        "x": [b["first"] for b in buffers],
        "width": [b["last"] - b["first"] + 1 for b in buffers],
        "offset": [-0.5] * len(buffers),
        "base": [b["offset"] for b in buffers],
        "y": [b["bytes"] for b in buffers],
        "text": [_plain(b["holds"]) for b in buffers],
        "hovertext": [f"{_plain(b['holds'])}: {b['bytes']} bytes at {b['offset']}" for b in buffers],
        "hoverinfo": "text",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "showlegend": False,
        "marker": {
            "color": [COLOURS[i % len(COLOURS)] for i in range(len(buffers))],
            "line": {"width": 1, "color": "#888"},
        },
    }
    labels = ["start", *names, "end"]
    shown = legible(len(labels))
    ticks = {"tickvals": [place - 1 for place in shown], "ticktext": [labels[place] for place in shown]}
    return {
        "title": f"RAM by tensor: {board(result)}",
        "note": f"each box is a buffer of the arena ({size(arena['bytes'])}): across while it is alive, up where it lies",
        "data": [bars],
        "layout": {
            "barmode": "overlay",
            "xaxis": {"automargin": True, **ticks},
            "yaxis": {"title": {"text": "offset in the arena, bytes"}, "range": [0, arena["bytes"]]},
        },
    }


MOST_TICKS = 20
"""Labels that fit below a plot on a telephone."""
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#eeca3b", "#b279a2", "#ff9da6")


def _waiting_figure(result: Result) -> dict[str, Any] | None:
    window = layer_window(result)
    if window is None or not any(row.stall_cycles for row in window.layers):
        return None
    rows = window.layers
    fetch = [row.fetch_stall_cycles or 0 for row in rows]
    data = [(row.stall_cycles or 0) - f for row, f in zip(rows, fetch, strict=True)]
    busy = [(row.cycles or 0) - (row.stall_cycles or 0) for row in rows]
    names = [_short(row.symbol or row.name) for row in rows]
    parts = (("computing", busy), ("waiting for data", data), ("waiting for instructions", fetch))
    return {
        "title": f"Where the cycles go: {board(result)}",
        "note": wall(result),
        "data": [{"type": "bar", "name": name, "x": names, "y": values} for name, values in parts],
        "layout": {"barmode": "stack", "xaxis": {"automargin": True}, "yaxis": {"title": {"text": "cycles"}}},
    }


def _movement_figure(result: Result) -> dict[str, Any] | None:
    window = layer_window(result)
    if window is None:
        return None
    reads, writes = _regions(window.layers)
    if not reads and not writes:
        return None
    names = [_short(row.symbol or row.name) for row in window.layers]
    data = [
        {"type": "bar", "name": f"{region} read", "x": names, "y": [r.bytes_read.get(region, 0) for r in window.layers]}
        for region in reads
    ]
    data += [
        {
            "type": "bar",
            "name": f"{region} written",
            "x": names,
            "y": [r.bytes_written.get(region, 0) for r in window.layers],
        }
        for region in writes
    ]
    return {
        "title": f"Data moved: {board(result)}",
        "note": "loads and stores of the program, per inference; instruction fetches are not among them",
        "data": data,
        "layout": {"barmode": "stack", "xaxis": {"automargin": True}, "yaxis": {"title": {"text": "bytes"}}},
    }


def _regions(rows: Iterable[LayerRow]) -> tuple[list[str], list[str]]:
    read: dict[str, None] = {}
    written: dict[str, None] = {}
    for row in rows:
        read.update(dict.fromkeys(region for region, count in row.bytes_read.items() if count))
        written.update(dict.fromkeys(region for region, count in row.bytes_written.items() if count))
    return list(read), list(written)


def _sum(rows: Iterable[LayerRow]) -> LayerRow:
    total = LayerRow(name="all", cycles=0, macs=0, stall_cycles=0, fetch_stall_cycles=0)
    cycles, stalls, fetch, macs = 0.0, 0.0, 0.0, 0
    read: dict[str, int] = {}
    written: dict[str, int] = {}
    for row in rows:
        cycles, stalls = cycles + (row.cycles or 0), stalls + (row.stall_cycles or 0)
        fetch, macs = fetch + (row.fetch_stall_cycles or 0), macs + (row.macs or 0)
        for counts, own in ((read, row.bytes_read), (written, row.bytes_written)):
            for region, count in own.items():
                counts[region] = counts.get(region, 0) + count
    found = {"cycles": cycles, "stall_cycles": stalls, "fetch_stall_cycles": fetch, "macs": macs}
    return total.model_copy(update={**found, "bytes_read": read, "bytes_written": written})


def _movement_row(row: LayerRow, regions: tuple[list[str], list[str]]) -> tuple[str, ...]:
    moved = sum(row.bytes_read.values()) + sum(row.bytes_written.values())
    fetch = row.fetch_stall_cycles or 0
    data = (row.stall_cycles or 0) - fetch
    return (
        _short(row.symbol or row.name),
        *(_size(row.bytes_read.get(region)) for region in regions[0]),
        *(_size(row.bytes_written.get(region)) for region in regions[1]),
        f"{moved / row.macs:.2f}" if row.macs else "",
        f"{fetch:,.0f}",
        f"{data:,.0f}",
        share((row.stall_cycles or 0) / row.cycles) if row.cycles else "",
    )


def _size(value: float | None) -> str:
    return "" if value is None else size(value)


def _of(value: float | None, limit: float | None) -> str:
    if value is None:
        return ""
    return f"{size(value)} of {size(limit)} ({share(value / limit)})" if limit else size(value)


def _short(symbol: str) -> str:
    """``emulab_layer_3_conv_2d`` -> ``3_conv_2d``."""
    return symbol.removeprefix("emulab_layer_")


def _plain(text: str) -> str:
    return text.replace("emulab_layer_", "")
