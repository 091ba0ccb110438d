"""``emulab run``: run a scenario on its targets and leave a run record."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from emulab.cli import options


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    options.add_targets(parser)
    parser.add_argument("--firmware", type=Path, metavar="IMAGE", help="run this image (ELF, HEX, BIN) unmodified")
    parser.add_argument(
        "--base", type=lambda text: int(text, 0), metavar="ADDRESS", help="load address of a BIN (default: flash)"
    )
    parser.add_argument(
        "--variant", dest="variants", action="append", default=[], metavar="V", help="only these of the models"
    )
    options.add_output(parser)
    options.add_json(parser)
    options.add_bench(parser)
    parser.add_argument(
        "--published", default="", metavar="KEY", help="published result that `of: published` refers to"
    )
    parser.add_argument(
        "--golden", action="store_true", help="also run the float model on the targets, and say where they part"
    )
    parser.add_argument("--quality", action="store_true", help="print figures by class and the confusion matrix")
    parser.add_argument("--layers", action="store_true", help="print the per-layer table")
    parser.add_argument(
        "--memory", action="store_true", help="print flash by layer, RAM by tensor, stack, and the data moved"
    )
    parser.add_argument("--no-cache", action="store_true", help="do not take results of an equal run from the cache")
    parser.add_argument("--no-html", action="store_true", help="write no report.html")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a Markdown summary")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import outputs, progress
    from emulab.model.scenario import load_scenario
    from emulab.run.engine import RunOptions, run_scenario

    loaded = load_scenario(args.scenario, args.overrides)
    run_options = RunOptions(
        platforms=args.platforms,
        backends=args.backends,
        variants=args.variants,
        firmware=args.firmware,
        firmware_base=args.base,
        output=args.output,
        allow_commands=args.allow_commands,
        use_cache=not args.no_cache,
        published=args.published,
        golden=args.golden,
        extra=options.bench_options(args),
        command=shlex.join(["emulab", *sys.argv[1:]]),
    )
    with progress(quiet=args.json) as report_step:
        outcome = run_scenario(loaded, run_options, report_step)
    outputs(outcome, args)
    return outcome.exit_code
