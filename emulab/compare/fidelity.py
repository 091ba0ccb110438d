"""Run published DUT firmware on the embedded machine and write the latency table beside what the boards took.

    python -m emulab.compare.fidelity --index INDEX.csv --firmware FOLDER --input kws=FILE ... -o docs/fidelity.md

The index is a CSV with one row per image (file, board, model, mode, measured_latency_ms, energy_mode_latency_ms, ...);
an image that is not in the folder is left out. Performance images are timed by their own ``m-lap-us`` lines,
energy-mode images by the falling edges of the board's timestamp pin.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import EmulabError, InputError

if TYPE_CHECKING:
    from emulab.backends.base import Session
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

BOARDS = {
    "NUCLEO-L4R5ZI": "nucleo-l4r5zi",
    "NUCLEO-L4R5ZI-P": "nucleo-l4r5zi-p",
    "NUCLEO-U575ZI-Q": "nucleo-u575zi-q",
    "NUCLEO-G0B1RE": "nucleo-g0b1re",
    "DISCO-F746NG": "disco-f746ng",
    "NUCLEO-H7A3ZI": "nucleo-h7a3zi-q",
    "NUCLEO-U385RG-Q": "nucleo-u385rg-q",
    "NUCLEO-U3C5ZI-Q": "nucleo-u3c5zi-q",
}
"""Board names of the index -> platforms. Images of other boards are left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One image: what it printed, what it took here, what it took on the board (seconds per inference)."""

    image: str
    platform: str
    model: str
    mode: str
    latency_s: float | None
    published_s: float
    cycles: float | None
    instructions: float | None
    wall_s: float
    results: tuple[float, ...]
    problem: str = ""
    per_cycle: Mapping[str, float] = field(default_factory=dict)

    @property
    def deviation(self) -> float | None:
        """Emulated over published, minus one."""
        return None if self.latency_s is None else self.latency_s / self.published_s - 1


def read_index(file: Path) -> list[dict[str, str]]:
    """Rows of the index; InputError when it is not one."""
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    if not rows or "measured_latency_ms" not in rows[0]:
        raise InputError.at(
            file, "line 1", "expected a CSV with the columns file, board, model, mode, measured_latency_ms"
        )
    return rows


def present(rows: Iterable[Mapping[str, str]], folder: Path) -> Iterator[tuple[Mapping[str, str], Path]]:
    """Rows whose board has a platform and whose image is in *folder*."""
    for row in rows:
        file = folder / Path(row["file"]).name
        if row["board"] in BOARDS and file.is_file():
            yield row, file


def measure_image(row: Mapping[str, str], file: Path, data: bytes, inferences: int = 3) -> Row:
    """Boot one image, load *data*, run a window of one inference and one of *inferences*."""
    from emulab.backends.base import SessionOptions, load_backend
    from emulab.dut import DutClient
    from emulab.firmware.image import load_image
    from emulab.model.platform import load_platform
    from emulab.model.scenario import Window

    platform = load_platform(BOARDS[row["board"]]).platform
    energy = row["mode"] == "energy"
    published = float((row.get("energy_mode_latency_ms") if energy else "") or row["measured_latency_ms"]) / 1e3
    latency = cycles = instructions = None
    results: tuple[float, ...] = ()
    problem, per_cycle = "", dict[str, float]()
    started = time.monotonic()
    try:
        base = platform.soc.vector_base if file.suffix == ".bin" else None
        image = load_image(file, base)
        pin = platform.board.timestamp_pin
        ends = [f"gpio:{pin}:{edge}" for edge in ("falling", "rising")] if energy else []
        windows = tuple(Window.model_validate({"name": "pulses", "from": end, "to": end}) for end in ends)
        with load_backend("unicorn").open(platform, image, SessionOptions(windows=windows)) as session:
            client = DutClient(session.console, session.clock, limit_s=180.0)
            client.sync()
            if client.profile()[1] != {"ad": "ad01", "kws": "kws01", "ic": "ic01", "vww": "vww01"}.get(row["model"]):
                problem = "another model than the index says"
            if energy:  # some images leave the pin low after their boot: the first window has no first edge
                client.infer(1, 0)
            client.load(data)
            before = len(session.gpio_edges(pin))
            details = session.details()
            if not energy:
                # A DUT prints each timestamp after taking it, 1.5 ms at 115200 baud: nothing in the ten seconds of a
                # board's window, much in a window of a few inferences. The difference of two windows is free of it.
                single = client.infer(1, 0)
                client.load(data)
                details = session.details()
            outcome = client.infer(inferences, 0)
            after = session.details()
            results = tuple(outcome.results)
            cycles = (after["cycles"] - details["cycles"]) / inferences
            instructions = (after["instructions"] - details["instructions"]) / inferences
            if energy:
                edges = session.gpio_edges(pin)[before:]
                falling = [e.time_s for e in edges if not e.level]
                if len(falling) == 2:
                    latency = (falling[1] - falling[0]) / inferences
                else:
                    problem = f"{len(falling)} falling edges on {pin}, expected 2"
            else:
                assert outcome.elapsed_s is not None and single.elapsed_s is not None
                latency = (outcome.elapsed_s - single.elapsed_s) / (inferences - 1)
            if latency is not None:
                per_cycle = _per_cycle(platform, image, session, inferences * latency)
    except EmulabError as error:
        problem = str(error)
    return Row(
        file.name, platform.name, row["model"], row["mode"], latency, published, cycles, instructions,
        time.monotonic() - started, results, problem, per_cycle,
    )  # fmt: skip


def _per_cycle(platform: Platform, image: Image, session: Session, window_s: float) -> dict[str, float]:
    """Events per modelled cycle of the last window that took *window_s*, within 5 %; empty where none was counted.

    Pulses of a pin alternate as start and stop from the boot on, so that a window may be the time between two runs.
    """
    from emulab.energy.windows import profile_activity
    from emulab.run.layers import InstructionClasses
    from emulab.timing import load_timing

    windows = [] if session.profiler is None else session.profiler.windows()
    near = [w for w in windows if abs(w.stop_s - w.start_s - window_s) < 0.05 * window_s]
    profiles = [w.profile for w in near if w.profile is not None]
    if not profiles or not profiles[-1].cycles:
        return {}
    classes = InstructionClasses(load_timing(platform), image.read)(profiles[-1:])
    counts = profile_activity(platform, profiles[-1]) | {"mac": classes.get("mac", 0)}
    return {name: count / profiles[-1].cycles for name, count in counts.items()}


def markdown(rows: list[Row]) -> str:
    """The table as Markdown, with the mean absolute error."""
    lines = [
        "# Fidelity: published firmware, emulated and on the board",
        "",
        "Written by `python -m emulab.compare.fidelity`. The images are those whose measured latency was published",
        "with MLPerf Tiny v1.1 to v1.3 (mlcommons/tiny_results), unmodified. Latency per inference; energy-mode images",
        "are timed by their GPIO timestamps. Timing parameters are physical, per core and SoC; none belongs to an",
        "image or a model. What the images compute stands in [fidelity-outputs.md](fidelity-outputs.md).",
        "",
        "| image | platform | emulated ms | published ms | deviation |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        shown = "" if row.latency_s is None else f"{row.latency_s * 1e3:.4g}"
        deviation = row.problem if row.deviation is None else f"{row.deviation * 100:+.2f} %"
        name = row.image.rsplit(".", 1)[0].replace("|", "\\|")
        lines.append(f"| {name} | {row.platform} | {shown} | {row.published_s * 1e3:.4g} | {deviation} |")
    found = [abs(r.deviation) for r in rows if r.deviation is not None]
    if found:
        lines += [
            "",
            f"{len(found)} of {len(rows)} images: mean absolute error {sum(found) / len(found) * 100:.2f} %, "
            f"largest {max(found) * 100:.2f} %.",
        ]
        for platform in dict.fromkeys(r.platform for r in rows):
            own = [abs(r.deviation) for r in rows if r.platform == platform and r.deviation is not None]
            if own:
                lines.append(f"- {platform}: {sum(own) / len(own) * 100:.2f} % over {len(own)}")
    return "\n".join(lines) + "\n"


def read_inputs(given: Iterable[str]) -> dict[str, bytes]:
    """``MODEL=FILE`` arguments -> the bytes of one input per model; of an ad recording, its first window."""
    inputs: dict[str, bytes] = {}
    for text in given:
        model, _, name = text.partition("=")
        if not name:
            raise InputError(f"--input {text}: expected MODEL=FILE, e.g. kws=tst_000000_Stop_7.bin")
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise InputError(f"--input {text}: {error.strerror}") from None
        inputs[model] = data[:2560] if model == "ad" else data
    return inputs


def image_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """The arguments that say which images to run on which inputs, and where the table goes."""
    parser.add_argument("--index", type=Path, required=required, help="CSV of images and their published latency")
    parser.add_argument(
        "--firmware", type=Path, default=os.environ.get("EMULAB_FIRMWARE"), help="folder of images ($EMULAB_FIRMWARE)"
    )
    parser.add_argument("--input", action="append", default=[], metavar="MODEL=FILE", help="input of a model")
    parser.add_argument("-o", "--output", type=Path, default=None, help="file to write, e.g. docs/fidelity.md")


def emit(text: str, output: Path | None) -> None:
    """Write *text* to *output*, or print it."""
    from emulab.model.record import write_text

    if output:
        write_text(output, text)
    else:
        print(text, end="")


def exit_code(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """What *run* returns; an error is one line on standard error and its exit code."""
    try:
        return run(arguments)
    except EmulabError as error:
        print(f"emulab: error: {error}", file=sys.stderr)
        return error.exit_code


def run(arguments: argparse.Namespace) -> int:
    if arguments.firmware is None:
        raise InputError("--firmware or EMULAB_FIRMWARE should name the folder of images")
    inputs = read_inputs(arguments.input)
    rows: list[Row] = []
    for entry, file in present(read_index(arguments.index), arguments.firmware):
        if arguments.only and arguments.only not in file.name:
            continue
        if entry["model"] not in inputs:
            continue
        row = measure_image(entry, file, inputs[entry["model"]])
        deviation = "failed" if row.deviation is None else f"{row.deviation * 100:+.2f} %"
        print(f"{row.image}: {deviation} {row.problem} ({row.wall_s:.1f} s)", file=sys.stderr)
        rows.append(row)
    if not rows:
        raise InputError(f"{arguments.firmware}: none of the images of {arguments.index} with an input is here")
    emit(markdown(rows), arguments.output)
    return 0 if all(r.latency_s is not None for r in rows) else 3


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m emulab.compare.fidelity", description=__doc__.split("\n", 1)[0])
    image_arguments(parser, required=True)
    parser.add_argument("--only", default="", help="only images whose name contains this")
    return exit_code(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
