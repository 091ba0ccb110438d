"""``emulab quantize``: an int8 (or int16) model from a float one, and the accuracy it lost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.quality import Dataset


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a float .tflite model, or a .keras one (extra train)"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="SET", help="representative samples: .npz or folder"
    )
    parser.add_argument("--evaluate", type=Path, metavar="SET", help="measure the loss here (default: unused samples)")
    parser.add_argument("--format", choices=["npz", "mlperf"], help="of both sets (default: a folder is mlperf)")
    parser.add_argument("--reference", type=Path, metavar="MODEL", help="int8 model an mlperf set was made for")
    parser.add_argument("--samples", type=int, default=200, metavar="N", help="samples that set the ranges (200)")
    parser.add_argument("--limit", type=int, metavar="N", help="evaluate on the first N samples only")
    parser.add_argument("--activations", choices=["int8", "int16"], default="int8")
    parser.add_argument("--seed", type=int, default=0, help="draws the samples that set the ranges (0)")
    parser.add_argument("--max-loss", type=float, metavar="X", help="exit 1 when more than X (e.g. 0.01) is lost")
    parser.add_argument("--output", type=Path, metavar="FILE", help="model to write (default: <model>-int8.tflite)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, print_rows, progress
    from emulab.errors import ExpectationFailed, InputError
    from emulab.quality import open_dataset, quantize
    from emulab.quality.keras_model import SUFFIX
    from emulab.report.units import size

    if not args.model.is_file():
        raise InputError(f"{args.model}: no such file")

    def opened(path: Path) -> Dataset:
        return open_dataset(path, args.format or ("mlperf" if path.is_dir() else "npz"), args.reference)

    target = args.output or args.model.with_name(f"{args.model.stem}-{args.activations}.tflite")
    source = args.model if args.model.suffix != SUFFIX else _converted(args.model)
    with progress(quiet=args.json) as step:
        made = quantize(
            source,
            target,
            opened(args.data),
            None if args.evaluate is None else opened(args.evaluate),
            samples=args.samples,
            seed=args.seed,
            activations=args.activations,
            limit=args.limit,
            on_step=lambda what: step(args.model.name, what),
        )
    lost = made.accuracy_lost
    if args.json:
        import json

        print(json.dumps(made.details(), indent=1))
    else:
        screen = console()
        found = made.agreement
        rows = [
            {
                "": "float",
                "size": size(made.float_bytes),
                "quality": _percent(None if found is None else found.float_quality),
            },
            {
                "": args.activations,
                "size": size(made.quantised_bytes),
                "quality": _percent(None if found is None else found.quantised_quality),
            },
        ]
        print_rows(screen, f"{args.model.name} -> {target.name}", rows)
        if found is not None:
            same = "" if found.agreement is None else f", same answer on {found.agreement:.2%}"
            screen.print(f"{found.metric} on {found.samples} samples not used for the ranges{same}")
            parts_at = found.parts_at
            if parts_at is not None:
                screen.print(f"most error added by layer {parts_at.index} {parts_at.op}", markup=False)
        screen.print(str(target), style="dim", markup=False)
    if args.max_loss is not None and (lost is None or lost > args.max_loss):
        shown = "could not be measured" if lost is None else f"is {lost:.4f}"
        raise ExpectationFailed(f"{target}: accuracy lost {shown}, allowed {args.max_loss:g}")
    return 0


def _converted(model: Path) -> Path:
    """A float .tflite beside a Keras model, under its name."""
    from emulab.model.record import write_bytes
    from emulab.quality.keras_model import keras_to_tflite

    return write_bytes(model.with_suffix(".float.tflite"), keras_to_tflite(model))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
