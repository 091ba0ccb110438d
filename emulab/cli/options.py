"""Options that several verbs share, declared once."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="a folder, a scenario file, or a shipped name (emulab list scenarios)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="assign one value of the scenario, e.g. measure.loops=3",
    )


def add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        default=[],
        metavar="P",
        help="narrow or replace the scenario's platforms",
    )
    parser.add_argument(
        "--backend",
        dest="backends",
        action="append",
        default=[],
        metavar="B[:ARG]",
        help="narrow or replace the scenario's backends",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="DIR", help="run folder (default: runs/<scenario>-<time>)")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the record as JSON instead of a table")


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Options of the backends."""
    bench = parser.add_argument_group("real boards (--backend hardware)")
    bench.add_argument(
        "--serial",
        metavar="PORT",
        help="console: a device, socket://HOST:PORT, rfc2217://HOST:PORT, or through a debug probe rtt:[PROBE], "
        "semihosting:[PROBE]",
    )
    bench.add_argument(
        "--power", metavar="MONITOR[:PORT]", help="power monitor: ppk2, js220, lpm01a, otii, ina2xx, csv"
    )
    bench.add_argument(
        "--flash", metavar="LOADER", help="flash loader: pyocd, openocd, stm32cubeprogrammer, jlink, ..."
    )
    bench.add_argument(
        "--flash-retries",
        type=int,
        metavar="N",
        help="flash again, up to N times, what was interrupted or not verified",
    )
    bench.add_argument("--baud", type=int, metavar="N", help="speed of the console (default: the platform's)")
    bench.add_argument(
        "--interface-board", action="store_true", help="the console is that of an MLPerf interface board"
    )
    bench.add_argument("--record", type=Path, metavar="DIR", help="keep the session as a recording that replay reads")
    bench.add_argument("--allow-commands", action="store_true", help="let the scenario's own commands run")
    emulators = parser.add_argument_group("emulators (--backend qemu, renode)")
    emulators.add_argument("--qemu", metavar="DIR", help="folder of the QEMU to use (default: $EMULAB_QEMU, PATH)")
    emulators.add_argument("--renode", metavar="PATH", help="the Renode to use (default: $RENODE, PATH, renode-run)")
    emulators.add_argument("--keep-resc", action="store_true", help="leave the Renode script in the run folder")
    emulators.add_argument(
        "--renode-metrics", action="store_true", help="count accesses to peripherals and memory in Renode (slow)"
    )


def bench_options(args: argparse.Namespace) -> dict[str, object]:
    """What of the bench options was given."""
    names: tuple[str, ...] = (
        "serial",
        "power",
        "flash",
        "flash_retries",
        "baud",
        "interface_board",
        "record",
        "allow_commands",
    )
    names += ("qemu", "renode", "keep_resc", "renode_metrics")
    return {name: getattr(args, name) for name in names if getattr(args, name)}
