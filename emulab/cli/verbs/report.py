"""``emulab report``: other forms of a record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.model.record import RunRecord

FORMATS: tuple[str, ...] = ("table", "html", "markdown", "csv", "junit", "mlperf")
FILES = {"markdown": "report.md", "csv": "report.csv", "junit": "junit.xml"}
"""Names of text forms in a folder."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or run.json")
    parser.add_argument(
        "--format",
        type=lambda text: tuple(text.split(",")),
        default=("table",),
        metavar="F,...",
        help=f"what to write: {', '.join(FORMATS)}; several go into the run folder (default: table)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="file to write; a folder for html, mlperf and several formats"
    )
    parser.add_argument("--layers", action="store_true", help="with table: the per-layer table too")
    parser.add_argument("--quality", action="store_true", help="with table: by class, confusion, against float")
    parser.add_argument("--memory", action="store_true", help="with table: memory and data movement too")
    parser.add_argument("--submitter", default="", help="with mlperf: the submitter's name")


def run(args: argparse.Namespace) -> int:
    from emulab.errors import InputError
    from emulab.model.record import read_record

    for name in args.format:
        if name not in FORMATS:
            raise InputError(f"report --format {name}: expected one of {', '.join(FORMATS)}, or several with commas")
    record = read_record(args.run)
    folder = args.run if args.run.is_dir() else args.run.parent
    if "mlperf" in args.format and (args.output is None or not args.submitter):
        raise InputError("report --format mlperf: give --output DIR and --submitter NAME")
    several = len(args.format) > 1
    for name in args.format:
        if name == "table":
            _print(record, args)
        elif name == "html":
            from emulab.report.html import write_html

            print(write_html(record, args.output or folder))
        elif name == "mlperf":
            from emulab.report.mlperf import write_submission

            for file in write_submission(record, folder, args.output, args.submitter):
                print(file)
        else:
            place = (args.output or folder) / FILES[name] if several else args.output
            _write(record, name, place)
    return 0


def _print(record: RunRecord, args: argparse.Namespace) -> None:
    from emulab.cli.show import console
    from emulab.report import golden, memory, quality, terminal

    screen = console()
    terminal.print_record(record, screen)
    if args.layers:
        terminal.print_layers(record, screen)
    if args.quality:
        memory.print_list([*quality.tables(record), *golden.tables(record)], screen)
    if args.memory:
        memory.print_tables(record, screen)


def _write(record: RunRecord, name: str, place: Path | None) -> None:
    """One text form, to *place* or to stdout."""
    from emulab.model.record import write_text
    from emulab.report import junit, markdown, table

    text = {"markdown": markdown.markdown, "csv": table.csv_text, "junit": junit.junit}[name](record)
    if place is not None:
        print(write_text(place, text))
    else:
        print(text, end="")
