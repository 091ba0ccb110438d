"""``emulab init``: a scenario, a CI workflow and a test for a model or an image."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="a .tflite (default: the only one here), or firmware: .elf, .hex",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="repository to write into (default: here)"
    )
    parser.add_argument("--platform", dest="platforms", action="append", default=[], metavar="P", help="target boards")
    parser.add_argument("--input-bytes", type=int, metavar="N", help="of firmware: how long its input is")
    parser.add_argument("--headroom", type=float, default=0.10, help="budget above today's figures (default: 0.10)")
    parser.add_argument("--ci", choices=["github", "gitlab", "none"], default="github")
    parser.add_argument("--no-measure", action="store_true", help="write no budgets, do not run the model now")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, progress
    from emulab.run.scaffold import scaffold

    screen = console()
    with progress() as step:
        written = scaffold(
            args.folder,
            args.model,
            args.platforms or ["nucleo-l4r5zi"],
            args.headroom,
            args.ci,
            not args.no_measure,
            step,
            args.input_bytes,
        )
    for file in written:
        screen.print(f"wrote {file}")
    screen.print("run it with: pytest")
    return 0
