"""Embench on STM32F4 silicon against the timing model: ``python -m emulab.timing.embench FOLDER [--output FILE]``

FOLDER holds the programs of Embench 0.5 as ELF files, ``crc32.elf`` and so on: ``CPU_MHZ=16``, gcc -O2 -mcpu=cortex-m4
-mfloat-abi=soft, linked for flash at 0x08000000 with a vector table, the stack at the end of SRAM2 (0x20020000) as in
Embench. ``--compiled RELEASE COMPILER FOLDER``, as often as wanted, sets several compilers side by side, and takes the
programs of 0.5-Os and 2.0 too. A file ``code_bytes.csv`` among them (lines ``program,bytes``) gives the code sizes counted
the published way: .text linked with Embench's dummy libraries. Another compiler makes other code:
the code size beside the published one tells how far the two programs are the same. So does another C library: memcpy,
memset and strlen of one built for size take several times the cycles of one built for speed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import EmulabError, InputError

if TYPE_CHECKING:
    from emulab.timing.samples import Sample

PLATFORM = "netduinoplus2"
"""An STM32F405 at 16 MHz without wait states: core and flash of the STM32F407 the figures are from."""

SOURCES = {
    "0.5": "embench/embench-iot-results, cortexm4-armv7m-gcc-9.2-o2.json: STM32F407VG, 16 MHz, gcc 9.2.0 -O2",
    "0.5-Os": "embench/embench-iot-results, cortexm4-armv7m-gcc-9.2-os.json: STM32F407VG, 16 MHz, gcc 9.2.0 -Os",
    "2.0": "embench/embench-iot 09c2ed8, baseline-data/speed.json: STM32F407VG, 16 MHz, gcc 14.1.0 -O2, newlib 4.3.0",
}
# program -> (cycles, code bytes) as published; edn, huffbench, nettle-aes, picojpeg, qrduino and wikisort are kept blind.
# Release 2.0 publishes code sizes of another build (-Os).
PUBLISHED: dict[str, dict[str, tuple[int, int | None]]] = {
    "0.5": {
        "aha-mont64": (64064000, 1592),
        "crc32": (64160000, 296),
        "cubic": (62896000, 1624),
        "matmult-int": (63760000, 516),
        "minver": (63968000, 1284),
        "nbody": (44928000, 960),
        "nettle-sha256": (63952000, 3612),
        "nsichneu": (64016000, 13476),
        "sglib-combined": (63696000, 2468),
        "slre": (64160000, 2536),
        "st": (65280000, 1116),
        "statemate": (64016000, 5028),
        "ud": (63984000, 884),
    },
    "0.5-Os": {
        "aha-mont64": (69776000, 1072),
        "crc32": (64160000, 284),
        "cubic": (62912000, 1584),
        "matmult-int": (86704000, 492),
        "minver": (69760000, 1168),
        "nbody": (44960000, 950),
        "nettle-sha256": (60688000, 3396),
        "nsichneu": (59184000, 11968),
        "sglib-combined": (74400000, 2272),
        "slre": (78560000, 2200),
        "st": (65776000, 1000),
        "statemate": (64704000, 4484),
        "ud": (83072000, 720),
    },
    "2.0": {
        "aha-mont64": (64032000, None),
        "crc32": (64096000, None),
        "depthconv": (61472000, None),
        "matmult-int": (64160000, None),
        "md5sum": (62896000, None),
        "nettle-sha256": (63968000, None),
        "nsichneu": (68848000, None),
        "sglib-combined": (66096000, None),
        "slre": (63920000, None),
        "statemate": (102736000, None),
        "tarfind": (64080000, None),
        "ud": (62944000, None),
        "xgboost": (56448000, None),
    },
}
SIZES_FILE = "code_bytes.csv"
"""In a folder of programs: their .text when linked with Embench's dummy libraries and board support, as published."""
SAME_CODE = 0.02
"""Programs whose code size agrees within this are taken to be the same code."""


@dataclass(frozen=True)
class Build:
    """The programs of one release, made by one compiler, and what they took here."""

    release: str
    compiler: str
    samples: tuple[Sample, ...]


def measure(folder: Path, release: str = "0.5") -> list[Sample]:
    """Run the programs found in *folder*; InputError when there is none."""
    from emulab.firmware.image import load_image
    from emulab.model.platform import load_platform
    from emulab.timing.samples import run_program

    if release not in PUBLISHED:
        raise InputError(f"--compiled {release}: expected a release of Embench: one of {', '.join(PUBLISHED)}")
    platform = load_platform(PLATFORM).platform
    samples = []
    sizes = _counted_sizes(folder / SIZES_FILE)
    for name, (cycles, _) in PUBLISHED[release].items():
        file = folder / f"{name}.elf"
        if file.is_file():
            sample = run_program(platform, load_image(file), name, float(cycles))
            samples.append(replace(sample, code_bytes=sizes.get(name, sample.code_bytes)))
    if not samples:
        raise InputError(f"{folder}: none of {', '.join(f'{n}.elf' for n in PUBLISHED[release])}")
    return samples


def _counted_sizes(file: Path) -> dict[str, int]:
    """Lines ``program,bytes`` of *file*, none where it is absent; InputError for any other line."""
    sizes: dict[str, int] = {}
    if file.is_file():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            name, _, size = line.strip().partition(",")
            if not (size.isascii() and size.isdigit()):
                raise InputError(f"{file}:{number}: expected 'program,bytes', got {line[:60]!r}")
            sizes[name] = int(size)
    return sizes


def render(builds: Sequence[Build], notes: Sequence[str] = ()) -> str:
    """A table per release as Markdown, the compilers side by side; *notes* below."""
    lines = [
        "# Embench on a Cortex-M4: emulated against silicon",
        "",
        f"Emulated: `{PLATFORM}`, backend `unicorn`, `python -m emulab.timing.embench`; the programs were compiled anew.",
        "Where the code differs, so do the cycles: the code size hints at how much (functions of the program, without",
        "libraries, start-up and constants; the published one has some 80 bytes of board support in it). Where most cycles",
        "are in the compiler's floating-point routines (cubic, minver, nbody, st), or in memcpy and memset (tarfind, md5sum,",
        "statemate, matmult-int), it is the library that has to be the same.",
    ]
    for release in PUBLISHED:
        of_release = [b for b in builds if b.release == release]
        if of_release:
            lines += ["", *_table(release, of_release)]
    if notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _table(release: str, builds: Sequence[Build]) -> list[str]:
    from statistics import mean, median

    published = PUBLISHED[release]
    sized = any(size is not None for _, size in published.values())
    columns = ["program", *(["code bytes"] if sized else []), "cycles"]
    for build in builds:
        columns += [*([f"{build.compiler}: code", "differ"] if sized else []), f"{build.compiler}: cycles", "error"]
    lines = [
        f"## Release {release}",
        "",
        f"Published: {SOURCES[release]}.",
        "",
        "| " + " | ".join(columns) + " |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    errors: dict[str, list[float]] = {b.compiler: [] for b in builds}
    same: dict[str, list[float]] = {b.compiler: [] for b in builds}
    for name, (cycles, size) in published.items():
        row = [name, *([str(size)] if sized else []), str(cycles)]
        for build in builds:
            sample = next((s for s in build.samples if s.name == name), None)
            if sample is None:
                row += [""] * (4 if sized else 2)
                continue
            error = sample.emulated_cycles / cycles - 1
            errors[build.compiler].append(abs(error))
            if size is not None:
                difference = sample.code_bytes / size - 1
                row += [str(sample.code_bytes), f"{difference:+.1%}"]
                if abs(difference) <= SAME_CODE:
                    same[build.compiler].append(abs(error))
            row += [f"{sample.emulated_cycles:.0f}", f"{error:+.2%}"]
        lines.append("| " + " | ".join(row) + " |")
    lines.append("")
    for compiler, found in errors.items():
        lines.append(
            f"- {compiler}, {len(found)} programs: mean absolute error {mean(found):.2%}, median {median(found):.2%}, "
            f"largest {max(found):.2%}."
        )
        if same[compiler]:
            lines.append(
                f"- {compiler}, code size within {SAME_CODE:.0%} ({len(same[compiler])} programs): mean "
                f"{mean(same[compiler]):.2%}, largest {max(same[compiler]):.2%}."
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m emulab.timing.embench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?", help="folder of <program>.elf, release 0.5")
    parser.add_argument("--compiler", default="here", help="what compiled the programs in FOLDER, e.g. 'gcc 12.2'")
    parser.add_argument(
        "--compiled", nargs=3, action="append", default=[], metavar=("RELEASE", "COMPILER", "FOLDER"),
        help="programs of a release (0.5, 0.5-Os or 2.0) made by another compiler; again for each",
    )  # fmt: skip
    parser.add_argument(
        "--note", action="append", default=[], metavar="TEXT", help="a line for below the tables; again"
    )
    parser.add_argument("--output", type=Path, help="Markdown file to write (default: print)")
    options = parser.parse_args(arguments)
    wanted = [("0.5", options.compiler, options.folder)] if options.folder is not None else []
    wanted += [(release, compiler, Path(folder)) for release, compiler, folder in options.compiled]
    try:
        if not wanted:
            raise InputError("expected a FOLDER of programs, or --compiled RELEASE COMPILER FOLDER")
        names = [(release, compiler) for release, compiler, _ in wanted]
        if len(set(names)) < len(names):
            raise InputError("two folders of one release need different names of compilers")
        builds = [Build(release, compiler, tuple(measure(f, release))) for release, compiler, f in wanted]
        text = render(builds, options.note)
        if options.output is None:
            print(text, end="")
        else:
            beside = options.output.with_name(options.output.name + ".part")
            beside.write_text(text, encoding="utf-8")
            beside.replace(options.output)
    except EmulabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
