"""``emulab robustness``: accuracy of a scenario's models under noise, on the host, without a board."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emulab.cli import options

LEVELS = (
    ("snr", "snr_db", "signal to white noise, dB, e.g. 30,20,10,0"),
    ("pink", "pink_db", "signal to pink noise, dB"),
    ("brown", "brown_db", "signal to brown noise, dB"),
    ("hum", "hum_db", "signal to mains hum, dB"),
    ("impulses", "impulse_db", "signal to impulsive noise, dB"),
    ("background", "background_db", "signal to a recording of yours (--background-file), dB"),
    ("gain", "gain", "factors, e.g. 0.8,1.25"),
    ("contrast", "contrast", "images: factors about the mean, e.g. 0.5,1.5"),
    ("offset", "offset", "fractions of half the range, e.g. -0.1,0.1"),
    ("drift", "drift", "offsets that grow over a window, fractions of half the range"),
    ("clip", "clip", "where the sensor saturates, fractions of half the range, e.g. 0.5,0.25"),
    ("dropout", "dropout", "fractions of time steps lost, e.g. 0.05,0.2"),
    ("shift", "shift", "fractions of the window it begins earlier, e.g. -0.1,0.1"),
    ("jitter", "jitter", "when samples are taken, standard deviation in sample periods, e.g. 0.5,2"),
    ("blur", "blur", "images: Gaussian, pixels, e.g. 0.5,1,2"),
    ("bits", "bits", "resolutions of the sensor's converter, e.g. 10,8,6"),
)

OTHERS = ("seed", "limit", "hum_hz", "sample_hz")


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_scenario(parser)
    for flag, _, text in LEVELS:
        parser.add_argument(f"--{flag}", metavar="A,B,...", help=text)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the noise and of what is drawn (default: the scenario's)"
    )
    parser.add_argument("--background-file", metavar="WAV", help="recorded at the site, for --background")
    parser.add_argument("--hum-hz", type=float, metavar="HZ", help="frequency of the mains (default: 50)")
    parser.add_argument("--sample-hz", type=float, metavar="HZ", help="rate of the samples, if the dataset says none")
    parser.add_argument("--limit", type=int, metavar="N", help="use N samples, drawn with the seed")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write every point as CSV")
    parser.add_argument("--json", action="store_true", help="print the curves as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    import json

    from emulab.cli.show import console, progress
    from emulab.model.record import write_text
    from emulab.model.scenario import load_scenario
    from emulab.report import robustness as report
    from emulab.report.robustness import level_text
    from emulab.run.inputs import load_inputs
    from emulab.run.robustness import robustness

    loaded = load_scenario(args.scenario, args.overrides)
    asked = _asked(args, loaded.scenario.robustness)
    found: dict[str, dict[str, Any]] = {}
    with progress(quiet=args.json) as step:
        for each in loaded.variants():
            inputs = load_inputs(each)

            def told(kind: str, level: float, name: str = each.label) -> None:
                step(name, level_text(kind, level))

            for curves in robustness(inputs, asked, told).values():
                found.setdefault(str(curves["file"]), curves)
    if args.csv:
        write_text(args.csv, report.csv_text(found))
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    quality = loaded.scenario.workload.quality
    table = report.table(found, None if quality is None else quality.min)
    assert table is not None, "a workload has at least one model"
    report.print_table(table, console())
    return 0


def _asked(args: argparse.Namespace, declared: Any) -> Any:
    """Levels of the command line, else of the scenario, else the usual ones."""
    from emulab.errors import InputError
    from emulab.model.base import validate
    from emulab.model.scenario import Robustness
    from emulab.quality.noise import DEFAULT_SWEEP

    given: dict[str, Any] = {}
    for flag, kind, text in LEVELS:
        value = getattr(args, flag)
        if value is not None:
            try:
                given[kind] = [float(item) for item in value.split(",")]
            except ValueError:
                raise InputError(f"--{flag} {value}: expected numbers with commas between: {text}") from None
    base = {} if declared is None else declared.model_dump(include={"background", *OTHERS})
    if not given:
        usual = {str(kind): levels for kind, levels in DEFAULT_SWEEP.items()}
        given = usual if declared is None else declared.sweep
    if args.background_file is not None:
        base["background"] = str(Path(args.background_file).resolve())
    for name in OTHERS:
        if getattr(args, name) is not None:
            base[name] = getattr(args, name)
    return validate(Robustness, {**base, **given}, Path("robustness"))
