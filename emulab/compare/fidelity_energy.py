"""Energy of published submissions, from measured and from emulated latency, beside constant power: a table.

    python -m emulab.compare.fidelity_energy --published RESULTS.csv [--index INDEX.csv --firmware FOLDER
        --input kws=FILE ...] [--without COLUMN=PATTERN,...] -o docs/fidelity-energy.md

Every submission of the submitter on an STM32L4R5 or STM32U575 with kws and another model: the scale comes from the
submission's own kws row, the prices of activity from the platform's power file, where they were fitted on power traces
of kws (:mod:`emulab.compare.power_fit`), nothing else. Constant power is the baseline to beat. What a build does per
cycle was counted in its own image where that is public; for the others an assumption has to do (``ASSUMPTIONS``).
RESULTS.csv has one row per published result (round, submitter, system_id, board, model, clock_mhz,
latency_ms_median, energy_uJ_per_inf_median, energy_mode_latency_ms_median, energy_uJ_corrected).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from emulab.errors import InputError

PLATFORMS = {"L4R5ZI-P": "nucleo-l4r5zi-p", "U575": "nucleo-u575zi-q", "L4R5": "nucleo-l4r5zi"}
"""Part of the board's name -> platform whose power file prices the activity; the first that fits."""

Rates = Mapping[str, float]
"""Events per cycle, under the names of a power state's ``per_activity``."""

ASSUMPTIONS = {
    "density": "the multiply-accumulates per cycle of the v1.3 images, memory traffic as of kws",
    "count": "the multiply-accumulates per inference of the v1.3 images over the measured cycles, memory traffic as of kws",
    "traffic": "all activity per cycle of the v1.3 images",
}
"""What may be said of a build whose image is not public. The first stands in the table: what a model's layers are
shows in the density of its multiply-accumulates whatever the build, while traffic is the build's own."""

_FOUND = ("mac", "ram_read", "ram_write", "flash_array_read")
COUNTED: Mapping[tuple[str, str], Mapping[str, Rates]] = {
    ("v1.2", "NUCLEO_U575ZI_Q"): {
        "kws": dict(zip(_FOUND, (0.3133, 0.2861, 0.0346, 0.00071), strict=True)),
        "ad": dict(zip(_FOUND, (0.2377, 0.1294, 0.0048, 0.0317), strict=True)),
        "ic": dict(zip(_FOUND, (0.3545, 0.2988, 0.0202, 0.00041), strict=True)),
    },
    ("v1.3", "NUCLEO_U575ZI_Q"): {
        "kws": dict(zip(_FOUND, (0.3146, 0.2869, 0.0347, 0.00069), strict=True)),
        "ad": dict(zip(_FOUND, (0.2620, 0.0546, 0.0077, 0.0352), strict=True)),
        "ic": dict(zip(_FOUND, (0.3593, 0.3026, 0.0207, 0.00041), strict=True)),
    },
    ("v1.3", "NUCLEO_L4R5ZI-P"): {
        "kws": dict(zip(_FOUND, (0.2791, 0.2573, 0.0341, 0.0016), strict=True)),
        "ad": dict(zip(_FOUND, (0.2341, 0.0483, 0.0064, 0.0164), strict=True)),
    },
}
"""(round, system) -> model -> events per cycle, counted by emulating that submission's own image."""

CYCLES = {
    ("v1.3", "NUCLEO_U575ZI_Q"): {"kws": 4.605e6, "ad": 0.5106e6, "ic": 17.87e6},
    ("v1.3", "NUCLEO_L4R5ZI-P"): {"kws": 5.221e6, "ad": 0.5715e6},
}
"""Cycles of one inference of the submissions that stand for builds that are not public, as emulated."""

MODELS = ("kws", "ad", "ic")

Filter = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Published:
    """One published result: energy and latency of one inference in its energy run."""

    round: str
    system: str
    model: str
    energy_j: float
    latency_s: float
    clock_hz: float = 0.0

    @property
    def power_w(self) -> float:
        return self.energy_j / self.latency_s


@dataclass(frozen=True, slots=True)
class Predicted:
    """Energy predicted for a row, deviations from the published one; ``counted`` says that its own image was."""

    row: Published
    latency_s: float
    constant: float
    active: float
    counted: bool = False


def parse_filter(text: str) -> Filter:
    """``round=v1.2,board=*L4R5*`` -> patterns by column, all of which a row has to match to be left out."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and sign for name, sign, _ in pairs):
        raise InputError(f"--without {text}: expected COLUMN=PATTERN[,COLUMN=PATTERN...]")
    return {name: pattern for name, _, pattern in pairs}


def read_published(
    file: Path, without: Sequence[Filter] = (), submitter: str = "STMicroelectronics"
) -> dict[tuple[str, str], dict[str, Published]]:
    """(round, system) -> model -> result, of *submitter* on the known boards, where kws is among them.

    Rows that match a filter of *without* are left out. InputError when the file is not such a table.
    """
    needed = {"round", "submitter", "system_id", "board", "model", "latency_ms_median", "energy_uJ_per_inf_median"}
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    if not rows or not needed <= set(rows[0]):
        raise InputError.at(file, "line 1", f"expected a CSV with the columns {', '.join(sorted(needed))}")
    found: dict[tuple[str, str], dict[str, Published]] = {}
    for row in rows:
        if any(all(fnmatchcase(row.get(name, ""), pattern) for name, pattern in one.items()) for one in without):
            continue
        known = any(part in row["board"] + row["system_id"] for part in PLATFORMS)
        if row["submitter"] != submitter or not known or row["model"] not in MODELS:
            continue
        if not row["energy_uJ_per_inf_median"]:
            continue
        energy, latency = row["energy_uJ_per_inf_median"], row["energy_mode_latency_ms_median"]
        if row.get("energy_uJ_corrected"):
            # the published windows were inverted; this is the trace integrated over the inference windows
            energy, latency = row["energy_uJ_corrected"], row["latency_ms_median"]
        one = Published(
            row["round"], row["system_id"], row["model"], float(energy) * 1e-6, float(latency) * 1e-3,
            float(row.get("clock_mhz") or 0) * 1e6,
        )  # fmt: skip
        found.setdefault((one.round, one.system), {})[one.model] = one
    return {key: rows for key, rows in found.items() if "kws" in rows and len(rows) > 1}


def platform_of(row: Published) -> str:
    """Platform whose power file prices the row."""
    return next(name for part, name in PLATFORMS.items() if part in row.system)


def charge_per_cycle_c(platform: str, rates: Rates) -> float:
    """Charge of one cycle of the platform's run state with such activity, in coulomb; what is not told is typical."""
    from emulab.model.platform import load_platform

    power = load_platform(platform).platform.power
    assert power is not None
    run = power.components[power.mcu].states[power.run_state]
    assert run.per_hz_a is not None
    typical = {name: share.value for name, share in run.typical_activity.items()}
    return run.per_hz_a.value + sum(
        price.value * rates.get(name, typical.get(name, 0.0)) for name, price in run.per_activity.items()
    )


def rates_of(row: Published, assumed: str = "density") -> tuple[Rates, bool]:
    """Events per cycle of a row and whether its own image was counted; else as *assumed*, one of ``ASSUMPTIONS``."""
    own = COUNTED.get((row.round, row.system), {}).get(row.model)
    if own is not None:
        return own, True
    chip = "L4R5" if "L4R5" in row.system else "U575"
    # the chip's own images first, any others where it has none of the model
    like = next(key for key in sorted(CYCLES, key=lambda key: chip not in key[1]) if row.model in CYCLES[key])
    rates = COUNTED[like][row.model]
    if assumed == "traffic":
        return rates, False
    scale = CYCLES[like][row.model] / (row.latency_s * row.clock_hz) if assumed == "count" else 1.0
    return {"mac": rates["mac"] * scale}, False


def predict(
    row: Published, kws: Published, latency_s: float, rates: Rates, kws_rates: Rates, counted: bool = False
) -> Predicted:
    """Energy of *row* from *latency_s* and the power of *kws*, the same submission's, by the activity of both."""
    platform = platform_of(row)
    ratio = charge_per_cycle_c(platform, rates) / charge_per_cycle_c(platform, kws_rates)
    constant = kws.power_w * latency_s / row.energy_j
    return Predicted(row, latency_s, constant - 1, constant * ratio - 1, counted)


def from_measured(
    found: Mapping[tuple[str, str], Mapping[str, Published]], assumed: str = "density"
) -> list[Predicted]:
    """Every row but kws, from its measured latency; *assumed* is for builds whose image is not public."""
    predicted = []
    for _, rows in sorted(found.items()):
        kws_rates, kws_counted = rates_of(rows["kws"], assumed)
        for model, row in sorted(rows.items()):
            if model != "kws":
                rates, counted = rates_of(row, assumed)
                predicted.append(predict(row, rows["kws"], row.latency_s, rates, kws_rates, counted and kws_counted))
    return predicted


def from_emulated(
    found: Mapping[tuple[str, str], Mapping[str, Published]],
    emulated: Mapping[tuple[str, str], Mapping[str, tuple[float, Rates]]],
) -> list[Predicted]:
    """Rows whose image was emulated, kws too: (round, system) -> model -> (latency, events per cycle)."""
    return [
        predict(
            found[key][model], found[key]["kws"], latency, rates,
            one["kws"][1] if "kws" in one else rates_of(found[key]["kws"])[0], True,
        )
        for key, one in sorted(emulated.items())
        for model, (latency, rates) in sorted(one.items())
    ]  # fmt: skip


def mean(values: Iterable[float]) -> float:
    """Mean absolute value; NaN of none."""
    sizes = [abs(value) for value in values]
    return sum(sizes) / len(sizes) if sizes else float("nan")


def table(rows: Sequence[Predicted], emulated: bool) -> list[str]:
    """Markdown rows, with the means below."""
    lines = [
        f"| round | system | model | {'emulated' if emulated else 'measured'} ms | published uJ | constant power "
        "| with activity | counted |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for one in rows:
        row = one.row
        lines.append(
            f"| {row.round} | {row.system} | {row.model} | {one.latency_s * 1e3:.4g} | {row.energy_j * 1e6:.4g} "
            f"| {one.constant:+.1%} | {one.active:+.1%} | {'own image' if one.counted else 'assumed'} |"
        )
    others = [one for one in rows if one.row.model != "kws"]
    lines += ["", _means(others)]
    own = [one for one in others if one.counted]
    if own and len(own) < len(others):
        lines.append(f"Of these, with their own image counted: {_means(own)}")
    return lines


def _means(rows: Sequence[Predicted]) -> str:
    return (
        f"{len(rows)} rows other than kws: constant power {mean(o.constant for o in rows):.2%} mean, "
        f"with activity {mean(o.active for o in rows):.2%} mean, "
        f"largest {max((abs(o.active) for o in rows), default=0.0):.1%}."
    )


def markdown(
    measured: Sequence[Predicted],
    emulated: Sequence[Predicted],
    otherwise: Mapping[str, Sequence[Predicted]] | None = None,
) -> str:
    """The page; *otherwise* are the measured rows under the other assumptions."""
    lines = [
        "# Fidelity of energy: published submissions",
        "",
        "Written by `python -m emulab.compare.fidelity_energy`. STMicroelectronics' submissions to MLPerf Tiny",
        "(mlcommons/tiny_results) on STM32L4R5 and STM32U575. The scale of a submission is its own kws row. The prices",
        "of a multiply-accumulate, of a RAM access and of a read of the flash array are those of the platform's power",
        "file; `python -m emulab.compare.power_fit` fitted them on power traces of kws, of each chip its own. No",
        "parameter belongs to a row or a model. What is priced was chosen with these rows in view.",
        "",
        "An inference of `ad` reads all of its weights from flash once, so it draws more than its multiply-accumulates",
        "say: that shows where the build's own image could be counted. Of older builds no image is public: for them is",
        f"assumed {ASSUMPTIONS['density']}.",
        "",
        "## Energy from measured latency",
        "",
        *table(measured, emulated=False),
        *(
            f"Assuming of the others {ASSUMPTIONS[name]}: {mean(o.active for o in rows):.2%} mean over all."
            for name, rows in (otherwise or {}).items()
        ),
    ]
    if emulated:
        lines += [
            "",
            "## Energy from emulated latency",
            "",
            "The submitter's own energy-mode image, unmodified, timed by its GPIO pulses in the embedded machine, what",
            "it does counted.",
            "",
            *table(emulated, emulated=True),
        ]
    return "\n".join(lines) + "\n"


def emulate(
    index: Path, firmware: Path, inputs: Mapping[str, bytes], found: Mapping[tuple[str, str], Mapping[str, Published]]
) -> dict[tuple[str, str], dict[str, tuple[float, Rates]]]:
    """What :func:`from_emulated` takes, of the energy-mode images in *firmware* that belong to a published row."""
    from emulab.compare.fidelity import measure_image, present, read_index

    emulated: dict[tuple[str, str], dict[str, tuple[float, Rates]]] = {}
    for entry, file in present(read_index(index), firmware):
        key, model = (entry["round"], entry["system_id"]), entry["model"]
        if entry["mode"] != "energy" or model not in inputs or model not in found.get(key, {}):
            continue
        done = measure_image(entry, file, inputs[model])
        print(f"{done.image}: {done.problem or 'timed'} ({done.wall_s:.1f} s)", file=sys.stderr)
        if done.latency_s is not None and done.per_cycle:
            emulated.setdefault(key, {})[model] = (done.latency_s, done.per_cycle)
    return emulated


def run(arguments: argparse.Namespace) -> int:
    from emulab.compare.fidelity import emit, read_inputs

    found = read_published(arguments.published, [parse_filter(text) for text in arguments.without])
    if not found:
        raise InputError.at(arguments.published, "", "no submission with kws and another model on a known board")
    emulated: dict[tuple[str, str], dict[str, tuple[float, Rates]]] = {}
    if arguments.index is not None and arguments.firmware is not None:
        emulated = emulate(arguments.index, arguments.firmware, read_inputs(arguments.input), found)
    otherwise = {name: from_measured(found, name) for name in ("count", "traffic")}
    emit(markdown(from_measured(found), from_emulated(found, emulated), otherwise), arguments.output)
    return 0


def main(argv: list[str] | None = None) -> int:
    from emulab.compare.fidelity import exit_code, image_arguments

    parser = argparse.ArgumentParser(
        prog="python -m emulab.compare.fidelity_energy", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--published", type=Path, required=True, help="CSV of published results")
    parser.add_argument(
        "--without", action="append", default=[], metavar="COLUMN=PATTERN,...", help="rows to leave out"
    )
    image_arguments(parser, required=False)
    return exit_code(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
