"""``emulab baseline``: show, check or update a scenario's baseline record."""

from __future__ import annotations

import argparse

from emulab.cli import options


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["show", "check", "update"])
    options.add_scenario(parser)
    options.add_targets(parser)
    options.add_output(parser)
    parser.add_argument("--no-cache", action="store_true", help="do not take results of an equal run from the cache")


def run(args: argparse.Namespace) -> int:
    from rich.markup import escape

    from emulab.cli.show import console, progress
    from emulab.errors import InputError
    from emulab.model.record import read_record
    from emulab.model.scenario import load_scenario
    from emulab.report import terminal
    from emulab.run.baseline import baseline_path, check_lasting, diff, update_baseline
    from emulab.run.engine import RunOptions, run_scenario

    loaded = load_scenario(args.scenario, args.overrides)
    file = baseline_path(loaded)
    screen = console()
    if args.action == "update":
        check_lasting(loaded)
    if args.action != "update" and not file.exists():
        raise InputError(f"{file}: there is no baseline yet; make one with: emulab baseline update {args.scenario}")
    if args.action == "show":
        terminal.print_record(read_record(file), screen)
        return 0
    run_options = RunOptions(
        platforms=args.platforms, backends=args.backends, output=args.output, use_cache=not args.no_cache
    )
    with progress() as step:
        outcome = run_scenario(loaded, run_options, step)
    before = read_record(file) if file.exists() else None
    changes = diff(before, outcome.record) if before is not None else []
    for change in changes:
        screen.print(escape(str(change)))
    if args.action == "update":
        screen.print(f"baseline written: {escape(str(update_baseline(loaded, outcome.record)))}")
        return 0
    screen.print("no difference from the baseline" if not changes else f"{len(changes)} differences from the baseline")
    return 1 if changes else 0
