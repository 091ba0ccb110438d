"""``emulab report``: other forms of a record."""

from __future__ import annotations

import argparse
from pathlib import Path

FORMATS = ("table", "html", "markdown", "csv", "junit", "mlperf")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or run.json")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="file (or folder, for mlperf) to write instead of stdout"
    )
    parser.add_argument("--layers", action="store_true", help="with table: the per-layer table too")
    parser.add_argument("--quality", action="store_true", help="with table: by class, confusion, against float")
    parser.add_argument("--memory", action="store_true", help="with table: memory and data movement too")
    parser.add_argument("--submitter", default="", help="with mlperf: the submitter's name")


def run(args: argparse.Namespace) -> int:
    from emulab.errors import InputError
    from emulab.model.record import read_record, write_text
    from emulab.report import golden, html, junit, markdown, memory, quality, table, terminal

    record = read_record(args.run)
    folder = args.run if args.run.is_dir() else args.run.parent
    if args.format == "html":
        print(html.write_html(record, args.output or folder))
        return 0
    if args.format == "mlperf":
        from emulab.report.mlperf import write_submission

        if args.output is None or not args.submitter:
            raise InputError("report --format mlperf: give --output DIR and --submitter NAME")
        for file in write_submission(record, folder, args.output, args.submitter):
            print(file)
        return 0
    if args.format == "table":
        from emulab.cli.show import console

        terminal.print_record(record, console())
        if args.layers:
            terminal.print_layers(record, console())
        if args.quality:
            memory.print_list([*quality.tables(record), *golden.tables(record)], console())
        if args.memory:
            memory.print_tables(record, console())
        return 0
    text = {"markdown": markdown.markdown, "csv": table.csv_text, "junit": junit.junit}[args.format](record)
    if args.output:
        print(write_text(args.output, text))
    else:
        print(text, end="")
    return 0
