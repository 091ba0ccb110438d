"""``emulab compare``: emulated beside physical (or published), with a verdict; or several simulations side by side."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="run folders or run.json: emulated, then physical; or any number of folders that simulate left",
    )
    parser.add_argument(
        "--published", default="", metavar="KEY", help="a published result instead (emulab list published)"
    )
    parser.add_argument(
        "--within",
        action="append",
        default=[],
        metavar="METRIC=PART",
        help="tolerance instead of the scenario's, e.g. latency_s=5%% (repeatable)",
    )
    parser.add_argument("--allow-different", action="store_true", help="compare although firmware or model differ")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write compare.html there (default: the first run folder)"
    )
    parser.add_argument("--no-html", action="store_true", help="write no compare.html")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, print_rows
    from emulab.compare.html import write_comparison
    from emulab.compare.records import compact_rows, compare_records, comparison_rows, headed
    from emulab.errors import InputError
    from emulab.model.record import read_record
    from emulab.report.simulations import (
        is_simulation,
        read_simulations,
        simulation_rows,
        write_simulation_comparison,
    )

    if all(is_simulation(path) for path in args.runs):
        simulations = read_simulations(args.runs)
        rows = simulation_rows(simulations)
        if args.json:
            import json

            print(json.dumps(rows, indent=1))
            return 0
        screen = console()
        print_rows(screen, "duty cycles side by side", rows)
        if not args.no_html:
            first = args.runs[0] if args.runs[0].is_dir() else args.runs[0].parent
            screen.print(str(write_simulation_comparison(simulations, args.output or first)), style="dim", markup=False)
        return 0
    if any(is_simulation(path) for path in args.runs):
        other = next(path for path in args.runs if not is_simulation(path))
        said = "is not one" if other.exists() else "is not there"
        raise InputError(f"compare: simulations are compared with simulations; {other} {said} (no simulation.json)")
    if len(args.runs) > 2 or (args.published and len(args.runs) > 1):
        raise InputError(
            "compare: expected RUN RUN, one RUN with both kinds of results, or one RUN with --published KEY"
        )
    records = [read_record(path) for path in args.runs]
    folders = [path if path.is_dir() else path.parent for path in args.runs]
    physical = records[1] if len(records) > 1 else None
    comparison = compare_records(records[0], physical, args.published, args.allow_different, tolerances(args.within))
    rows = comparison_rows(comparison)
    file = None
    if not args.no_html:
        physical_folder = folders[1] if len(folders) > 1 else None
        file = write_comparison(comparison, args.output or folders[0], folders[0], physical_folder)
    if args.json:
        import json

        print(json.dumps(rows, indent=1))
        return comparison.exit_code
    screen = console()
    shown, missing = compact_rows(comparison)
    places = list(dict.fromkeys(row["platform"] for row in shown))
    for place in places:
        here = [headed(comparison, row) for row in shown if row["platform"] == place]
        rows = [{k: v for k, v in row.items() if k != "platform"} for row in here]
        print_rows(screen, f"{comparison.title}: {place}" if len(places) > 1 else comparison.title, rows)
    for note in [*missing, *comparison.notes]:
        screen.print(note, style="dim", markup=False)
    if file is not None:
        screen.print(str(file), style="dim", markup=False)
    return comparison.exit_code


def tolerances(given: list[str]) -> dict[str, float]:
    """``METRIC=PART`` (``0.05`` or ``5%``) -> metric and part. InputError names what is neither."""
    from emulab.errors import InputError

    found = {}
    for text in given:
        metric, _, part = text.partition("=")
        try:
            value = float(part.rstrip("% ")) / (100 if part.rstrip().endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not metric or not 0 < value < float("inf"):
            raise InputError(f"--within {text}: expected METRIC=PART, e.g. latency_s=5%")
        found[metric] = value
    return found
