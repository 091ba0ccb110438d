"""``emulab bench-sim``: an emulated board on a serial port, with simulated power monitors, until it is interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path

from emulab.cli import options


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    parser.add_argument("--platform", metavar="P", help="the board (default: the scenario's first)")
    parser.add_argument("--backend", default="unicorn", metavar="B[:ARG]", help="what runs the firmware")
    parser.add_argument("--firmware", type=Path, metavar="IMAGE", help="run this image (ELF, HEX, BIN) unmodified")
    parser.add_argument("--base", type=lambda text: int(text, 0), metavar="ADDRESS", help="load address of a BIN")
    parser.add_argument(
        "--mode", choices=("performance", "energy"), default="energy", help="mode of firmware built from a model"
    )
    parser.add_argument("--line", default="pty", metavar="LINE", help="pty (default), tcp or tcp:PORT")
    parser.add_argument(
        "--monitor",
        dest="monitors",
        action="append",
        choices=("ppk2", "lpm01a", "otii"),
        help="simulated power monitor; may be repeated (default: ppk2)",
    )
    parser.add_argument(
        "--interface-board", action="store_true", help="the console is that of an MLPerf interface board (energy mode)"
    )
    parser.add_argument("--noise", type=float, default=0.01, help="part of the value, one standard deviation")
    parser.add_argument("--drift", type=float, default=0.001, help="slow gain error, part of the value")
    parser.add_argument("--lost", type=float, default=0.0, help="part of the samples that are lost")
    parser.add_argument("--clock-ppm", type=float, default=0.0, help="how fast the monitor's clock runs")
    parser.add_argument("--speed", type=float, default=1.0, help="bench seconds per second")
    parser.add_argument("--duration", type=float, metavar="S", help="end after this many seconds")


def run(args: argparse.Namespace) -> int:
    import time

    from emulab.cli.show import console
    from emulab.lab.bench.imperfection import Imperfection
    from emulab.model.platform import load_platform
    from emulab.model.scenario import load_scenario
    from emulab.run.bench_sim import BenchOptions, bench_image, bench_sim
    from emulab.run.plan import split_backend

    loaded = load_scenario(args.scenario, args.overrides)
    platform = load_platform(args.platform or loaded.scenario.targets[0].platforms[0]).platform
    image = bench_image(loaded, platform, args.firmware, args.base, args.mode)
    backend, argument = split_backend(args.backend)
    bench_options = BenchOptions(
        backend=backend,
        argument=argument,
        line=args.line,
        monitors=args.monitors or ("ppk2",),
        speed=args.speed,
        interface_board=args.interface_board,
        imperfection=Imperfection(args.noise, args.drift, lost=args.lost, clock_ppm=args.clock_ppm),
        seed=loaded.scenario.seed,
    )
    screen = console()
    with bench_sim(platform, image, bench_options) as bench:
        screen.print(f"console  {bench.console_url}", markup=False)
        for name, url in bench.monitors.items():
            screen.print(f"{name:8} {url}", markup=False)
        power = "".join(f" --power {name}:{url}" for name, url in list(bench.monitors.items())[:1])
        line = f"emulab run {args.scenario} --platform {platform.name} --backend hardware --serial {bench.console_url}"
        board = " --interface-board" if args.interface_board else ""
        screen.print(line + power + board, markup=False, soft_wrap=True)
        screen.print("Ctrl-C ends the bench", style="dim")
        screen.file.flush()  # a script that waits for the names may read them from a pipe
        end = None if args.duration is None else time.monotonic() + args.duration
        try:
            while bench.running and (end is None or time.monotonic() < end):
                time.sleep(0.1)
        except KeyboardInterrupt:
            return 0
        if bench.failure is not None:
            raise bench.failure
    return 0
