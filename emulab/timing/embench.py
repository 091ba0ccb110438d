"""Embench 0.5 on STM32F4 silicon against the timing model: ``python -m emulab.timing.embench FOLDER [--output FILE]``

FOLDER holds the programs as ELF files, ``crc32.elf`` and so on: Embench 0.5 with ``CPU_MHZ=16``, gcc -O2
-mcpu=cortex-m4 -mfloat-abi=soft, linked for flash at 0x08000000 with a vector table. Another compiler makes other code:
the code size beside the published one tells how far the two programs are the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import EmulabError, InputError

if TYPE_CHECKING:
    from emulab.timing.samples import Sample

SOURCE = "embench/embench-iot-results, cortexm4-armv7m-gcc-9.2-o2.json: STM32F407VG, 16 MHz, gcc 9.2.0 -O2"
PLATFORM = "netduinoplus2"
"""An STM32F405 at 16 MHz without wait states: core and flash of the STM32F407 the figures are from."""

# program -> (cycles, code bytes) as published; edn, huffbench, nettle-aes, picojpeg, qrduino and wikisort are kept blind
PUBLISHED = {
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
}
SAME_CODE = 0.02
"""Programs whose code size agrees within this are taken to be the same code."""


def measure(folder: Path) -> list[Sample]:
    """Run the programs found in *folder*; InputError when there is none."""
    from emulab.firmware.image import load_image
    from emulab.model.platform import load_platform
    from emulab.timing.samples import run_program

    platform = load_platform(PLATFORM).platform
    samples = []
    for name, (cycles, _) in PUBLISHED.items():
        file = folder / f"{name}.elf"
        if file.is_file():
            samples.append(run_program(platform, load_image(file), name, float(cycles)))
    if not samples:
        raise InputError(f"{folder}: none of {', '.join(f'{n}.elf' for n in PUBLISHED)}")
    return samples


def render(samples: Sequence[Sample]) -> str:
    """The table as Markdown."""
    from statistics import mean, median

    lines = [
        "# Embench 0.5 on a Cortex-M4: emulated against silicon",
        "",
        f"Published: {SOURCE}.",
        f"Emulated: `{PLATFORM}`, backend `unicorn`, `python -m emulab.timing.embench FOLDER`; the programs were",
        "compiled anew, by another compiler than the published ones. Where the code differs, so do the cycles: the code",
        "size (functions of the program, without libraries and start-up) hints at how much. Most cycles of cubic, minver,",
        "nbody and st are in the compiler's floating-point routines, which hardly changed.",
        "",
        "| program | code bytes, published | here | differ | cycles, published | emulated | error |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    errors, same = [], []
    for sample in samples:
        cycles, size = PUBLISHED[sample.name]
        difference = sample.code_bytes / size - 1
        error = sample.emulated_cycles / cycles - 1
        errors.append(abs(error))
        if abs(difference) <= SAME_CODE:
            same.append(abs(error))
        lines.append(
            f"| {sample.name} | {size} | {sample.code_bytes} | {difference:+.1%} | {cycles} | "
            f"{sample.emulated_cycles:.0f} | {error:+.2%} |"
        )
    lines += [
        "",
        f"All {len(errors)}: mean absolute error {mean(errors):.2%}, median {median(errors):.2%}, largest {max(errors):.2%}.",
    ]
    if same:
        lines.append(
            f"Code size within {SAME_CODE:.0%} ({len(same)} programs): mean {mean(same):.2%}, largest {max(same):.2%}."
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emulab.timing.embench", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of <program>.elf")
    parser.add_argument("--output", type=Path, help="Markdown file to write (default: print)")
    options = parser.parse_args(arguments)
    try:
        text = render(measure(options.folder))
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
