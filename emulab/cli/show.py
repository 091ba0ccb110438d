"""What verbs print: tables, progress on a terminal, files on request."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from emulab.run.engine import RunOutcome


def console(stderr: bool = False) -> Console:
    """A rich console; wide enough not to break table rows when the output is a file or CI."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else max(120, int(os.environ.get("COLUMNS", "0") or 0))
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str, str], None]]:
    """A spinner line per job on a terminal; nothing in CI, in a pipe or with ``--json``."""
    if quiet or not sys.stderr.isatty() or os.environ.get("CI"):
        yield lambda label, step: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.fields[label]}: {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def step(label: str, what: str) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(what, label=label, total=None)
            bar.update(tasks[label], description=what)

        yield step


@contextmanager
def counter(title: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with time left for (done, total)."""
    if quiet or not sys.stderr.isatty() or os.environ.get("CI"):
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_rows(screen: Console, title: str, rows: list[dict[str, str]], optional: Sequence[str] = ()) -> None:
    """Print plain rows as a table; the keys of the first are the headings.

    Columns named by *optional* are left out, in this order, while a line is longer than the screen; a line says so.
    """
    from rich.markup import escape
    from rich.table import Table

    left_out = []
    for heading in optional:
        if rows and heading in rows[0] and sum(_widths(rows).values()) >= screen.width:
            rows = [{key: value for key, value in row.items() if key != heading} for row in rows]
            left_out.append(heading)
    table = Table(title=escape(title), title_justify="left")
    widths = _widths(rows) if rows else {"(none)": 0}
    narrow = sum(widths.values()) >= screen.width
    room = sum(min(width, _SHORT + 1) for width in widths.values()) < screen.width
    for heading, width in widths.items():
        # Where there is room, what is copied from a table stays whole; where not, the long columns give way.
        whole = room and width <= _SHORT if narrow else heading in ("key", "name", "operator", "metric")
        table.add_column(heading, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    screen.print(table)
    if left_out:
        screen.print(f"no room for: {', '.join(left_out)}; --json has all", style="dim")


_SHORT = 20


def _widths(rows: list[dict[str, str]]) -> dict[str, int]:
    """Characters that each column takes, one side of its frame included."""
    return {key: 3 + max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}


def outputs(outcome: RunOutcome, args: argparse.Namespace) -> None:
    """Print a record and write what was asked for beside it."""
    from emulab.model.record import write_text
    from emulab.report import golden, html, junit, markdown, memory, quality, terminal

    record = outcome.record
    if not args.no_html:
        html.write_html(record, outcome.folder)
    if args.junit:
        write_text(args.junit, junit.junit(record))
    if args.markdown:
        write_text(args.markdown, markdown.markdown(record))
    if args.json:
        print(record.model_dump_json(indent=1))
        return
    screen = console()
    terminal.print_record(record, screen)
    if args.layers:
        terminal.print_layers(record, screen)
    if args.quality:
        memory.print_list(quality.tables(record), screen)
    if args.golden:
        memory.print_list(golden.tables(record), screen)
    if args.memory:
        memory.print_tables(record, screen)
    if os.environ.get("GITHUB_ACTIONS"):
        for line in markdown.workflow_commands(record):
            print(line)
    written = "run.json" if args.no_html else "run.json, report.html"
    screen.print(f"{written} in {outcome.folder}", style="dim")
