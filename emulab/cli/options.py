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
