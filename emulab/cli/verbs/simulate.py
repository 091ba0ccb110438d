"""``emulab simulate``: the duty cycle and the battery, for a simulated time."""

from __future__ import annotations

import argparse
from pathlib import Path

from emulab.cli import options

MOST_DRAWS = 100_000
"""Draws of the tolerances: the quantiles told are settled long before."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    options.add_targets(parser)
    parser.add_argument(
        "--for", dest="duration", default="365d", metavar="TIME", help="365d, 12h, 30s, ... (default: 365d)"
    )
    parser.add_argument(
        "--windows",
        type=Path,
        metavar="RUN",
        help="take compute windows from this run record instead of running the model",
    )
    parser.add_argument("--mode", choices=["auto", "exact", "drawn", "sampled", "expected"], default="auto")
    parser.add_argument("--monte-carlo", type=int, default=0, metavar="N", help="draw the tolerances N times as well")
    parser.add_argument("--seed", type=int, help="instead of the scenario's")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes for --monte-carlo")
    parser.add_argument("--parquet", action="store_true", help="write the trace as Parquet too (needs pyarrow)")
    options.add_output(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from emulab.cli.show import console, print_rows, progress
    from emulab.energy.simulate import (
        Simulation,
        as_data,
        breakdown_rows,
        check_cycle,
        needed_windows,
        parse_duration,
        result_of,
        simulate_scenario,
        summary_rows,
        windows_of_result,
        write_simulations,
    )
    from emulab.errors import InputError
    from emulab.model.platform import load_platform
    from emulab.model.record import read_record
    from emulab.model.scenario import load_scenario
    from emulab.run.execute import compute_windows
    from emulab.run.folder import run_folder
    from emulab.run.plan import plan

    loaded = load_scenario(args.scenario, args.overrides)
    duration_s = parse_duration(args.duration)
    for option, value, least in (
        ("--monte-carlo", args.monte_carlo, 0),
        ("--seed", args.seed, 0),
        ("--workers", args.workers, 1),
    ):
        if value is not None and value < least:
            raise InputError(f"{option} {value}: expected at least {least}")
    if args.monte_carlo > MOST_DRAWS:
        raise InputError(f"--monte-carlo {args.monte_carlo}: expected at most {MOST_DRAWS}")
    cycle = loaded.scenario.duty_cycle
    if cycle is None:
        raise InputError.at(loaded.file, "duty_cycle", "required to simulate; see docs/energy.md")
    needed = needed_windows(cycle)
    record = None if args.windows is None else read_record(args.windows)
    jobs = {job.platform: job for job in reversed(plan(loaded.scenario, args.platforms, args.backends))}
    for name in jobs:
        check_cycle(loaded, load_platform(name).platform)
    simulations: list[Simulation] = []
    name = f"simulate-{loaded.scenario.name}"
    with run_folder(args.output, name, datetime.now(UTC)) as folder, progress(quiet=args.json) as step:
        for name, job in sorted(jobs.items(), key=lambda item: item[0]):
            platform = load_platform(name).platform
            if record is not None:
                windows = windows_of_result(result_of(record, name), platform)
            else:
                if needed:
                    step(name, f"windows: {', '.join(sorted(needed))}")
                windows = compute_windows(loaded, job, needed)
            step(name, f"simulate {args.duration}")
            simulations.append(
                simulate_scenario(
                    loaded,
                    platform,
                    windows,
                    duration_s=duration_s,
                    seed=args.seed,
                    mode=args.mode,
                    monte_carlo=args.monte_carlo,
                    workers=args.workers,
                )
            )
        write_simulations(simulations, folder, parquet=args.parquet)
    if args.json:
        import json

        print(json.dumps([as_data(item) for item in simulations], indent=1))
        return 0
    screen = console()
    headers, rows = summary_rows(simulations)
    print_rows(
        screen, f"{loaded.scenario.name} for {args.duration}", [dict(zip(headers, row, strict=True)) for row in rows]
    )
    for by in ("component", "phase"):
        headers, rows = breakdown_rows(simulations, by)
        print_rows(screen, f"energy by {by}", [_unique(headers, row) for row in rows])
    for item in simulations:
        for window, seconds in item.assumed.items():
            text = f"{item.platform}: nobody measured {window!r}; {seconds * 1e3:g} ms are assumed, as its phase says"
            screen.print(text, markup=False)
    screen.print(f"simulation.json and one cycle's current trace in {folder}", style="dim", markup=False)
    return 0


def _unique(headers: list[str], row: list[str]) -> dict[str, str]:
    """A row as a mapping although headings repeat (``share``)."""
    keys = [heading if headers.index(heading) == i else f"{heading}{' ' * i}" for i, heading in enumerate(headers)]
    return dict(zip(keys, row, strict=True))
