"""The terminal report: one row per metric, one column per target, each value with where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.model.record import RunRecord
from emulab.report import application, between, golden, memory, quality, robustness, streaming
from emulab.report.metrics import board, expectation_bound, expectation_value, ordered, title
from emulab.report.units import show

if TYPE_CHECKING:
    from rich.console import Console

STATUS_STYLE = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow", "unavailable": "yellow"}


def print_record(record: RunRecord, console: Console) -> None:
    """Print the record's table, the reasons of missing values, layers and expectations."""
    from rich.markup import escape
    from rich.table import Table

    name = str(record.scenario.get("name", ""))
    table = Table(title=f"{escape(name)}", title_justify="left", show_lines=False)
    table.add_column("")
    for result in record.results:
        style = STATUS_STYLE[result.status]
        variant = f"[bold]{escape(result.variant)}[/]\n" if result.variant else ""
        fidelity = "" if result.fidelity == "board" else " (core)"
        table.add_column(
            f"{escape(result.platform)}\n{escape(result.backend)}{fidelity}\n{variant}[{style}]{result.status}[/]",
            justify="right",
        )
    metrics = {metric for result in record.results for metric in result.metrics}
    for metric in ordered(metrics):
        cells = []
        for result in record.results:
            quantity = result.metrics.get(metric)
            if quantity is None:
                cells.append("")
            elif quantity.value is None:
                cells.append("[yellow]unavailable[/]")
            else:
                cells.append(f"{show(metric, quantity)} [dim]{quantity.kind}[/]")
        table.add_row(escape(title(metric)), *cells)
    told = [memory.fits(result) for result in record.results]
    if any(told):
        table.add_row("fits", *(f"[red]{text}[/]" if text.startswith("no") else text for text in told))
    console.print(table)
    for line in [*between.lines(record), *golden.lines(record)]:
        console.print(escape(line))
    for line in quality.lines(record):
        console.print(escape(line), style="dim")
    noise = robustness.of_record(record)
    if noise is not None:
        robustness.print_table(noise, console)
    streaming.print_lines(record, console)
    application.print_tables(record, console)
    reasons: dict[str, list[str]] = {}
    for result in record.results:
        if result.message:
            console.print(
                f"{escape(result.label)}: {escape(result.message)}",
                style=STATUS_STYLE[result.status],
            )
        for metric, quantity in result.metrics.items():
            if quantity.value is None:
                reasons.setdefault(f"{title(metric)}: {quantity.reason}", []).append(board(result))
    for reason, platforms in reasons.items():
        console.print(f"unavailable ({escape(', '.join(dict.fromkeys(platforms)))}): {escape(reason)}", style="yellow")
    print_expectations(record, console)


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
