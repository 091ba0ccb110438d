"""``emulab sweep``: many variants of a scenario."""

from __future__ import annotations

import argparse

from emulab.cli import options


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    options.add_targets(parser)
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=SPEC",
        help="a,b,c | lo:hi:linN | lo:hi:logN | lo:hi:randN | *.tflite; KEY may be platform or backend",
    )
    parser.add_argument(
        "--where", action="append", default=[], metavar="CONDITION", help="leave out variants that break it"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="draw N of the variants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pareto", default="", metavar="METRIC,METRIC", help="draw the front of these metrics")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="local processes (default: one per core)")
    parser.add_argument("--cluster", metavar="tcp://HOST:PORT", help="a Dask scheduler instead of local processes")
    parser.add_argument("--resume", action="store_true", help="go on with a sweep that was stopped")
    parser.add_argument("--no-cache", action="store_true", help="compute every variant anew")
    parser.add_argument("--query", metavar="SQL", help="print rows of the finished table (called `sweep`)")
    options.add_output(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, counter
    from emulab.report.sweep import print_sweep, write_html
    from emulab.sweep.engine import SweepOptions, sweep

    sweep_options = SweepOptions(
        vary=args.vary,
        where=args.where,
        sample=args.sample,
        seed=args.seed,
        overrides=args.overrides,
        platforms=args.platforms,
        backends=args.backends,
        pareto=[name for name in args.pareto.split(",") if name],
        workers=args.workers,
        cluster=args.cluster,
        resume=args.resume,
        output=args.output,
        remember=not args.no_cache,
    )
    with counter("variants", quiet=args.json) as on_progress:
        result = sweep(args.scenario, sweep_options, on_progress)
    write_html(result)
    if args.json:
        import json

        print(json.dumps({"rows": result.rows, "pareto": result.front}, indent=1))
    else:
        print_sweep(result, console())
        if args.query:
            from emulab.sweep.table import query

            for row in query(result.folder, args.query):
                print("\t".join("" if value is None else str(value) for value in row))
    if any(row.get("status") == "error" for row in result.rows):
        return 3 if all(row.get("status") == "error" for row in result.rows) else 0
    return 0
