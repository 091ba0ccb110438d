"""What published DUT firmware computes here against what boards printed for the same inputs.

    python -m emulab.compare.fidelity_outputs --index INDEX.csv --firmware FOLDER --recorded FOLDER --inputs FOLDER
        [--models FOLDER] [--count N] [-o docs/fidelity-outputs.md]

``--recorded`` holds CSV files ``ROUND_SUBMITTER_SYSTEM_MODEL.csv`` with the columns file and outputs (as a board printed
them), ``--inputs`` the inputs by name in ``kws01/`` and ``ic01/``. An image is held against the recording of its own
submission, else of its submitter, else of the v0.5 reference. With ``--models`` firmware that emulab builds from the
reference models is held against the v0.5 recordings too.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.compare.fidelity import BOARDS, emit, exit_code, present, read_index
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

REFERENCE = "v0.5_reference_Nucleo-L4R5ZI"
REFERENCE_PLATFORM = "nucleo-l4r5zi"
REFERENCE_MODELS = {"kws": "kws_ref_model.tflite", "ic": "pretrainedResnet_quant.tflite"}
LAST_DIGIT = 0.0011
"""Boards print three decimals, some cut, some rounded: values this near are the same one."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What one board printed: file name of an input -> its output values."""

    name: str
    model: str
    outputs: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One image against one recording, over the inputs compared."""

    image: str
    platform: str
    recording: str
    inputs: int
    same_class: int
    same_values: int
    """Inputs of which every value is the printed one."""
    values: int
    equal_values: int
    largest: float
    """Largest difference of one value (classes are probabilities: 1/256 is one step of an int8 output)."""
    wall_s: float


def read_recording(file: Path) -> Recording:
    """One CSV; InputError names the line that is not a recording's."""
    outputs = {}
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), start=2):
                try:
                    outputs[row["file"]] = tuple(float(value) for value in row["outputs"].split(","))
                except (KeyError, ValueError, AttributeError):
                    raise InputError.at(
                        file, f"line {line}", "expected the columns file and outputs (numbers)"
                    ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    return Recording(file.stem, file.stem.rsplit("_", 1)[-1], outputs)


def recording_for(entry: Mapping[str, str], recordings: Sequence[Recording]) -> Recording | None:
    """The recording of the image's own submission, else of its submitter, else of the reference; None: no such model."""
    same_model = [r for r in recordings if r.model == entry["model"]]
    system = f"{entry['round']}_{entry['submitter']}_{entry['system_id']}_"
    for prefix in (system, f"{entry['round']}_{entry['submitter']}_", REFERENCE):
        for recording in same_model:
            if recording.name.startswith(prefix):
                return recording
    for recording in same_model:
        if f"_{entry['submitter']}_" in recording.name:
            return recording
    return None


def spread(names: Sequence[str], count: int) -> list[str]:
    """At most *count* of *names*, evenly over the list (0: all)."""
    if not count or count >= len(names):
        return list(names)
    return [names[i * len(names) // count] for i in range(count)]


def compare(
    name: str, platform: Platform, image: Image, recording: Recording, folder: Path, count: int
) -> Comparison | None:
    """Run the recorded inputs that *folder* has through *image*; None when it has none of them."""
    from emulab.backends.base import SessionOptions, load_backend
    from emulab.dut import DutClient

    found = [file for file in recording.outputs if (folder / file).is_file()]
    chosen = spread(found, count)
    if not chosen:
        return None
    started = time.monotonic()
    classes = inputs_equal = equal = values = 0
    largest = 0.0
    with load_backend("unicorn").open(platform, image, SessionOptions()) as session:
        client = DutClient(session.console, session.clock, limit_s=60.0)
        client.sync()
        for file in chosen:
            client.load((folder / file).read_bytes())
            got, recorded = client.infer(1, 0).results, recording.outputs[file]
            if len(got) != len(recorded):
                raise InputError(f"{name}: {len(got)} results, {recording.name} has {len(recorded)} for {file}")
            differences = [abs(a - b) for a, b in zip(got, recorded, strict=True)]
            near = sum(d < LAST_DIGIT for d in differences)
            values, equal = values + len(got), equal + near
            inputs_equal += near == len(got)
            classes += got.index(max(got)) == recorded.index(max(recorded))
            largest = max(largest, *differences)
    wall = time.monotonic() - started
    return Comparison(
        name, platform.name, recording.name, len(chosen), classes, inputs_equal, values, equal, largest, wall
    )


def comparisons(options: argparse.Namespace, recordings: Sequence[Recording]) -> Iterator[Comparison]:
    """Every image and every reference model that something is recorded for."""
    from emulab.firmware.build import BuildOptions, build
    from emulab.firmware.image import load_image
    from emulab.model.platform import load_platform

    if options.models:
        platform = load_platform(REFERENCE_PLATFORM).platform
        for model, name in REFERENCE_MODELS.items():
            recording = next((r for r in recordings if r.name == f"{REFERENCE}_{model}"), None)
            if recording is not None and (options.models / name).is_file() and options.only in name:
                built = build(options.models / name, platform, options=BuildOptions(model_id=f"{model}01"))
                folder = options.inputs / f"{model}01"
                result = compare(f"emulab build {name}", platform, built.image, recording, folder, options.own_count)
                if result is not None:
                    yield result
    for entry, file in present(read_index(options.index), options.firmware):
        recording = recording_for(entry, recordings)
        if recording is None or entry["mode"] != "performance" or options.only not in file.name:
            continue
        platform = load_platform(BOARDS[entry["board"]]).platform
        image = load_image(file, platform.soc.vector_base if file.suffix == ".bin" else None)
        own = recording.name == f"{entry['round']}_{entry['submitter']}_{entry['system_id']}_{entry['model']}"
        count = options.own_count if own else options.count
        result = compare(file.stem, platform, image, recording, options.inputs / f"{entry['model']}01", count)
        if result is not None:
            yield result


def markdown(rows: Sequence[Comparison]) -> str:
    """The table as Markdown."""
    lines = [
        "# What published firmware computes, emulated and on the board",
        "",
        "Written by `python -m emulab.compare.fidelity_outputs`. The same bytes as in [the latency table](fidelity.md), the",
        "inputs of MLPerf Tiny (kws01, ic01), and the class scores that a board printed for them (mlcommons/tiny_results).",
        "Scores have three decimals, some boards cut them, some round: one in the last digit counts as equal. A step of an",
        "int8 score is 0.0039. Where the recording is another board's or another submitter's, the image may hold other",
        "kernels or other weights, and only the class can be expected to agree.",
        "",
        "| image | platform | recorded on | inputs | same class | all scores equal | scores equal | largest difference |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.image} | {row.platform} | {row.recording} | {row.inputs} | {row.same_class} | {row.same_values} | "
            f"{row.equal_values / row.values:.2%} | {row.largest:.4f} |"
        )
    lines += [
        "",
        "The anomaly detectors print one number, the mean square error, and no board's are published. For the first window of",
        "ad01 the Bosch images of v1.1 and v1.2 print 11.019 on STM32L4R5 and STM32U575; TensorFlow Lite gives 11.04. The v1.1",
        "image for NUCLEO-H7A3ZI takes 640 int8 values instead of 640 floats, and the float array that its error is taken against",
        "is never written: what it prints is the mean square of its output (899.887; 1396.718 for raw float bytes). Its output",
        "tensor against the window gives 11.019, like the others (`tests/backends/unicorn/test_vendor_firmware.py`).",
    ]
    return "\n".join(lines) + "\n"


def run(options: argparse.Namespace) -> int:
    if options.firmware is None:
        raise InputError("--firmware or EMULAB_FIRMWARE should name the folder of images")
    options.firmware = Path(options.firmware)
    recordings = [read_recording(file) for file in sorted(options.recorded.glob("*.csv"))]
    if not recordings:
        raise InputError(f"--recorded {options.recorded}: expected CSV files ROUND_SUBMITTER_SYSTEM_MODEL.csv")
    rows = []
    for row in comparisons(options, recordings):
        print(
            f"{row.image}: {row.same_class} of {row.inputs} classes, {row.same_values} with every score, "
            f"largest difference {row.largest:.4f} ({row.wall_s:.0f} s)",
            file=sys.stderr,
        )
        rows.append(row)
    if not rows:
        raise InputError(f"{options.inputs}: none of the recorded inputs, or {options.firmware}: none of the images")
    emit(markdown(rows), options.output)
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m emulab.compare.fidelity_outputs", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--index", type=Path, required=True, help="CSV of images")
    parser.add_argument(
        "--firmware", type=Path, default=os.environ.get("EMULAB_FIRMWARE"), help="folder of images ($EMULAB_FIRMWARE)"
    )
    parser.add_argument("--recorded", type=Path, required=True, help="folder of what boards printed")
    parser.add_argument("--inputs", type=Path, required=True, help="folder with kws01/ and ic01/")
    parser.add_argument("--models", type=Path, help="folder of the reference models, to hold against v0.5")
    parser.add_argument("--count", type=int, default=100, help="inputs per image (0: all)")
    parser.add_argument(
        "--own-count", type=int, default=0, help="inputs where the recording is the image's own (0: all)"
    )
    parser.add_argument("--only", default="", help="only images whose name contains this")
    parser.add_argument("-o", "--output", type=Path, default=None, help="file to write, e.g. docs/fidelity-outputs.md")
    return exit_code(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
