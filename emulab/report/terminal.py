"""The terminal report: one row per metric, one column per target, each value with where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.model.record import Result, RunRecord
from emulab.report import application, between, golden, memory, quality, robustness, streaming
from emulab.report.metrics import board, expectation_bound, expectation_value, ordered, title
from emulab.report.units import show

if TYPE_CHECKING:
    from rich.console import Console

STATUS_STYLE = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow", "unavailable": "yellow"}


def print_record(record: RunRecord, console: Console) -> None:
    """Print the record's table, the reasons of missing values, layers and expectations."""
    from rich.markup import escape

    print_metrics(record, console)
    for line in [*between.lines(record), *golden.lines(record)]:
        console.print(escape(line))
    for line in quality.lines(record):
        console.print(escape(line), style="dim")
    noise = robustness.of_record(record)
    if noise is not None:
        robustness.print_table(noise, console)
    streaming.print_lines(record, console)
    application.print_tables(record, console)
    for result in record.results:
        if result.message:
            console.print(f"{escape(result.label)}: {escape(result.message)}", style=STATUS_STYLE[result.status])
    for metrics, reason, platforms in missing(record):
        console.print(
            f"unavailable ({escape(', '.join(platforms))}): {escape(', '.join(metrics))}: {escape(reason)}",
            style="yellow",
        )
    print_expectations(record, console)


def print_metrics(record: RunRecord, console: Console) -> None:
    """Print the table of metrics: below each other as many tables as it takes for targets to have room side by side."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    metrics = ordered({metric for result in record.results for metric in result.metrics})
    fits = [memory.fits(result) for result in record.results]
    titles = ["", *(escape(title(metric)) for metric in metrics), *(["fits"] if any(fits) else [])]
    columns = []
    for result, told in zip(record.results, fits, strict=True):
        fit = [f"[red]{told}[/]" if told.startswith("no") else told] if any(fits) else []
        columns.append([_head(result), *(_cell(result, metric) for metric in metrics), *fit])

    def width(cells: list[str]) -> int:
        return 3 + max(len(line) for cell in cells for line in Text.from_markup(cell).plain.split("\n"))

    name: str | None = escape(str(record.scenario.get("name", "")))
    while columns:
        room, count = console.width - 1 - width(titles), 0
        while count < len(columns) and (count == 0 or room >= width(columns[count])):
            room -= width(columns[count])
            count += 1
        shown, columns = columns[:count], columns[count:]
        table, name = Table(title=name, title_justify="left", show_lines=False), None
        table.add_column("")
        for cells in shown:
            table.add_column(cells[0], justify="right")
        for place, heading in enumerate(titles[1:], start=1):
            row = [cells[place] for cells in shown]
            if any(row):
                table.add_row(heading, *row)
        console.print(table)


def _head(result: Result) -> str:
    """Platform, backend, model where there are several, and status."""
    from rich.markup import escape

    variant = f"[bold]{escape(result.variant)}[/]\n" if result.variant else ""
    fidelity = "" if result.fidelity == "board" else " (core)"
    status = f"[{STATUS_STYLE[result.status]}]{result.status}[/]"
    return f"{escape(result.platform)}\n{escape(result.backend)}{fidelity}\n{variant}{status}"


def _cell(result: Result, metric: str) -> str:
    """A metric's value with where it comes from."""
    quantity = result.metrics.get(metric)
    if quantity is None:
        return ""
    return "[yellow]unavailable[/]" if quantity.value is None else f"{show(metric, quantity)} [dim]{quantity.kind}[/]"


def missing(record: RunRecord) -> list[tuple[tuple[str, ...], str, list[str]]]:
    """(titles of metrics, why they are missing, of which boards), each reason once; it does not repeat the board."""
    found: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for result in record.results:
        by_reason: dict[str, list[str]] = {}
        for metric, quantity in result.metrics.items():
            if quantity.value is None:
                reason = quantity.reason.replace(f"platform {result.platform!r} has", "the platform has")
                by_reason.setdefault(reason, []).append(title(metric))
        for reason, titles in by_reason.items():
            boards = found.setdefault((tuple(titles), reason), [])
            if board(result) not in boards:
                boards.append(board(result))
    return [(titles, reason, boards) for (titles, reason), boards in found.items()]


def print_layers(record: RunRecord, console: Console) -> None:
    """Print the per-layer table of each result."""
    from rich.markup import escape
    from rich.table import Table

    for result in record.results:
        window = next((w for w in result.windows if w.layers), None)
        if window is None:
            continue
        table = Table(title=f"{escape(result.label)}: per inference, by layer", title_justify="left")
        for heading in ("layer", "cycles", "share", "instructions", "MACs", "cycles / MAC", "waiting"):
            table.add_column(heading, justify="left" if heading == "layer" else "right")
        total = sum(row.cycles or 0 for row in window.layers) or 1
        for row in window.layers:
            cycles = row.cycles or 0
            table.add_row(
                escape(row.symbol or row.name),
                f"{cycles:,.0f}",
                f"{cycles / total:.1%}",
                f"{row.instructions or 0:,}",
                f"{row.macs:,}" if row.macs else "",
                f"{cycles / row.macs:.2f}" if row.macs else "",
                f"{(row.stall_cycles or 0) / cycles:.1%}" if cycles else "",
            )
        console.print(table)


def print_expectations(record: RunRecord, console: Console) -> None:
    """Print one line per expectation."""
    from rich.markup import escape

    marks = {"passed": "[green]holds[/] ", "failed": "[red]broken[/]", "unavailable": "[yellow]unknown[/]"}
    for item in record.expectations:
        value = "" if item.value is None else f" is {expectation_value(record, item)}"
        message = f" ({escape(item.message)})" if item.message else ""
        asked = escape(expectation_bound(record, item))
        console.print(
            f"{marks[item.status]} {escape(item.target)} {escape(item.metric)}{value}, asked: {asked}{message}"
        )
