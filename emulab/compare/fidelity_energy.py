"""Energy of published submissions, from measured and from emulated latency, beside constant power: a table.

    python -m emulab.compare.fidelity_energy --published RESULTS.csv [--index INDEX.csv --firmware FOLDER
        --input kws=FILE ...] [--without COLUMN=PATTERN,...] -o docs/fidelity-energy.md

Every submission of the submitter on an STM32L4R5 or STM32U575 with kws and another model: the scale comes from the
submission's own kws row, the price of a multiply-accumulate from the platform's power file, nothing else. Constant
power is the baseline to beat. RESULTS.csv has one row per published result (round, submitter, system_id, board,
model, latency_ms_median, energy_uJ_per_inf_median, energy_mode_latency_ms_median, energy_uJ_corrected).
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

PLATFORMS = {"U575": "nucleo-u575zi-q", "L4R5": "nucleo-l4r5zi"}
"""Part of the board's name -> platform whose power file prices the activity."""

MAC_PER_CYCLE = {"kws": 0.314, "ic": 0.3687, "ad": 0.262}
"""Multiply-accumulate instructions per cycle of the published inference: counted by emulating the submitter's images
(MLPerf Tiny v1.3, ST NUCLEO_U575ZI_Q), divided by the measured cycles of the energy run."""

Filter = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Published:
    """One published result: energy and latency of one inference in its energy run."""

    round: str
    system: str
    model: str
    energy_j: float
    latency_s: float

    @property
    def power_w(self) -> float:
        return self.energy_j / self.latency_s


@dataclass(frozen=True, slots=True)
class Predicted:
    """Energy predicted for a row, deviations from the published one."""

    row: Published
    latency_s: float
    constant: float
    active: float


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
        if row["submitter"] != submitter or not known or row["model"] not in MAC_PER_CYCLE:
            continue
        if not row["energy_uJ_per_inf_median"]:
            continue
        energy, latency = row["energy_uJ_per_inf_median"], row["energy_mode_latency_ms_median"]
        if row.get("energy_uJ_corrected"):
            # the published windows were inverted; this is the trace integrated over the inference windows
            energy, latency = row["energy_uJ_corrected"], row["latency_ms_median"]
        one = Published(row["round"], row["system_id"], row["model"], float(energy) * 1e-6, float(latency) * 1e-3)
        found.setdefault((one.round, one.system), {})[one.model] = one
    return {key: rows for key, rows in found.items() if "kws" in rows and len(rows) > 1}


def charge_per_cycle_c(platform: str, mac_per_cycle: float) -> float:
    """Charge of one cycle of the platform's run state with so many multiply-accumulates, in coulomb."""
    from emulab.model.platform import load_platform

    power = load_platform(platform).platform.power
    assert power is not None
    run = power.components[power.mcu].states[power.run_state]
    assert run.per_hz_a is not None
    return run.per_hz_a.value + run.per_activity["mac"].value * mac_per_cycle


def predict(row: Published, kws: Published, latency_s: float, mac: Mapping[str, float] = MAC_PER_CYCLE) -> Predicted:
    """Energy of *row* from *latency_s* and the power of *kws*, the same submission's."""
    platform = next(name for part, name in PLATFORMS.items() if part in row.system)
    ratio = charge_per_cycle_c(platform, mac[row.model]) / charge_per_cycle_c(platform, mac["kws"])
    constant = kws.power_w * latency_s / row.energy_j
    return Predicted(row, latency_s, constant - 1, constant * ratio - 1)


def from_measured(found: Mapping[tuple[str, str], Mapping[str, Published]]) -> list[Predicted]:
    """Every row but kws, from its measured latency."""
    return [
        predict(row, rows["kws"], row.latency_s)
        for _, rows in sorted(found.items())
        for model, row in sorted(rows.items())
        if model != "kws"
    ]


def from_emulated(
    found: Mapping[tuple[str, str], Mapping[str, Published]],
    emulated: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]],
) -> list[Predicted]:
    """Rows whose image was emulated, kws too: (round, system) -> model -> (latency, multiply-accumulates per cycle)."""
    return [
        predict(found[key][model], found[key]["kws"], latency, MAC_PER_CYCLE | {m: mac for m, (_, mac) in one.items()})
        for key, one in sorted(emulated.items())
        for model, (latency, _) in sorted(one.items())
    ]


def mean(values: Iterable[float]) -> float:
    """Mean absolute value; NaN of none."""
    sizes = [abs(value) for value in values]
    return sum(sizes) / len(sizes) if sizes else float("nan")


def table(rows: Sequence[Predicted], emulated: bool) -> list[str]:
    """Markdown rows, with the means below."""
    lines = [
        f"| round | system | model | {'emulated' if emulated else 'measured'} ms | published uJ | constant power "
        "| with activity |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for one in rows:
        row = one.row
        lines.append(
            f"| {row.round} | {row.system} | {row.model} | {one.latency_s * 1e3:.4g} | {row.energy_j * 1e6:.4g} "
            f"| {one.constant:+.1%} | {one.active:+.1%} |"
        )
    others = [one for one in rows if one.row.model != "kws"]
    lines += [
        "",
        f"{len(others)} rows other than kws: constant power {mean(o.constant for o in others):.2%} mean, "
        f"with activity {mean(o.active for o in others):.2%} mean, "
        f"largest {max((abs(o.active) for o in others), default=0.0):.1%}.",
    ]
    return lines


def markdown(measured: Sequence[Predicted], emulated: Sequence[Predicted]) -> str:
    """The page."""
    lines = [
        "# Fidelity of energy: published submissions",
        "",
        "Written by `python -m emulab.compare.fidelity_energy`. STMicroelectronics' submissions to MLPerf Tiny",
        "(mlcommons/tiny_results) on STM32L4R5 and STM32U575. The scale of a submission is its own kws row; the price",
        "of a multiply-accumulate is that of the platform's power file, read off one kws power trace. No parameter",
        "belongs to a row or a model. Several forms of the model were tried on these rows before this one was kept,",
        "so part of its lead over constant power is selection.",
        "",
        "## Energy from measured latency",
        "",
        *table(measured, emulated=False),
    ]
    if emulated:
        lines += [
            "",
            "## Energy from emulated latency",
            "",
            "The submitter's own energy-mode image, unmodified, timed by its GPIO pulses in the embedded machine; its",
            "multiply-accumulates are counted.",
            "",
            *table(emulated, emulated=True),
        ]
    return "\n".join(lines) + "\n"


def emulate(
    index: Path, firmware: Path, inputs: Mapping[str, bytes], found: Mapping[tuple[str, str], Mapping[str, Published]]
) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """What :func:`from_emulated` takes, of the energy-mode images in *firmware* that belong to a published row."""
    from emulab.compare.fidelity import measure_image, present, read_index

    emulated: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for entry, file in present(read_index(index), firmware):
        key, model = (entry["round"], entry["system_id"]), entry["model"]
        if entry["mode"] != "energy" or model not in inputs or model not in found.get(key, {}):
            continue
        done = measure_image(entry, file, inputs[model])
        print(f"{done.image}: {done.problem or 'timed'} ({done.wall_s:.1f} s)", file=sys.stderr)
        if done.latency_s is not None and done.mac_per_cycle is not None:
            emulated.setdefault(key, {})[model] = (done.latency_s, done.mac_per_cycle)
    return emulated


def run(arguments: argparse.Namespace) -> int:
    from emulab.compare.fidelity import emit, read_inputs

    found = read_published(arguments.published, [parse_filter(text) for text in arguments.without])
    if not found:
        raise InputError.at(arguments.published, "", "no submission with kws and another model on a known board")
    emulated: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    if arguments.index is not None and arguments.firmware is not None:
        emulated = emulate(arguments.index, arguments.firmware, read_inputs(arguments.input), found)
    emit(markdown(from_measured(found), from_emulated(found, emulated)), arguments.output)
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
