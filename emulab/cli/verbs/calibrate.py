"""``emulab calibrate``: fit a platform's free parameters to physical runs, into an overlay file."""

from __future__ import annotations

import argparse
from pathlib import Path

from emulab.cli import options


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="physical runs of it (hardware or replay)")
    parser.add_argument("--platform", required=True, metavar="P", help="the platform to calibrate")
    parser.add_argument("--published", default="", metavar="KEY", help="also fit to this published result")
    parser.add_argument(
        "--free",
        action="append",
        default=[],
        metavar="PATH",
        help="parameter to fit, e.g. power.components.core.states.run.per_hz_a (default: run current, assumed timing)",
    )
    parser.add_argument("--backend", default="unicorn", metavar="B[:ARG]", help="what emulates")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the overlay to write (.yaml)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, print_rows
    from emulab.compare.calibrate import Measured, calibrate, calibration_rows
    from emulab.model.record import read_record
    from emulab.model.scenario import load_scenario

    loaded = load_scenario(args.scenario, args.overrides)
    measured = Measured(loaded, [read_record(path) for path in args.runs], args.published)
    found = calibrate(args.platform, [measured], args.output, args.free, args.backend)
    rows = calibration_rows(found)
    if args.json:
        import json

        print(json.dumps(rows, indent=1))
        return 0
    screen = console()
    print_rows(screen, f"calibration of {args.platform}", rows)
    if not found.result.converged:
        screen.print("the fit did not settle; look at the deviations before you use it", style="yellow")
    screen.print(f"use it as: --platform {args.output}", style="dim", markup=False)
    return 0
