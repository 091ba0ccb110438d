"""Programs with a known cycle count, run on the embedded machine: what ``fit`` and ``embench`` start from.

A sample keeps the counts of a run, so that other pipeline parameters can be priced without running again. Stalls of
the memory system stay as the run had them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import FirmwareFault, InputError, ToolError
from emulab.timing.base import Q8

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.probe.profile import Profile
    from emulab.timing.base import TimingModel

PROGRAM_START, PROGRAM_STOP = "start_trigger", "stop_trigger"
RUN_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Executed:
    """One block of a run: how often it ran, was left by a branch, was entered by one."""

    address: int
    code: bytes
    count: float
    taken: float
    entered: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A program, its counts, and the cycles silicon took for the same."""

    name: str
    platform: Platform
    blocks: tuple[Executed, ...]
    other_cycles: float
    """Stalls, and code that is not in the image: not priced again."""
    emulated_cycles: float
    measured_cycles: float
    code_bytes: int = 0

    def priced(self, model: TimingModel) -> float:
        """Cycles under another pipeline model."""
        total = 0.0
        for block in self.blocks:
            cost = model.block(block.address, block.code)
            total += cost.cycles_q8 * block.count + cost.taken_q8 * block.taken + cost.entry_q8 * block.entered
        return total / Q8 + self.other_cycles


def _counts(image: Image, model: TimingModel, profile: Profile, scale: float) -> tuple[list[Executed], float]:
    """Blocks of a profile, and the cycles that are not theirs to price: stalls, wrong predictions, code in RAM."""
    blocks: list[Executed] = []
    priced = 0.0
    for block in profile.blocks:
        try:
            code = image.read(block.address, block.size_bytes)
        except InputError:
            continue  # code in RAM
        cost = model.block(block.address, code)
        static = block.count * cost.cycles_q8 + block.taken * cost.taken_q8
        entered = 0.0
        if cost.entry_q8:
            spent = (block.cycles - block.stall_cycles) * Q8 - static
            entered = min(max(spent / cost.entry_q8, 0.0), float(block.count))
        priced += static + entered * cost.entry_q8
        blocks.append(Executed(block.address, code, block.count * scale, block.taken * scale, entered * scale))
    return blocks, (profile.cycles - priced / Q8) * scale


def run_program(platform: Platform, image: Image, name: str, measured_cycles: float) -> Sample:
    """Run a bare program once, timed from ``start_trigger`` to ``stop_trigger`` as Embench does."""
    from emulab.backends.base import SessionOptions, load_backend
    from emulab.model.scenario import Window
    from emulab.timing import load_timing

    for symbol in (PROGRAM_START, PROGRAM_STOP):
        if symbol not in image.symbols:
            raise InputError(f"{name}: no symbol {symbol!r}; expected an ELF whose work lies between the two triggers")
    window = Window.model_validate({"name": "program", "from": PROGRAM_START, "to": PROGRAM_STOP})
    with load_backend("unicorn").open(platform, image, SessionOptions(windows=(window,))) as session:
        profiler = session.profiler
        assert profiler is not None
        while not profiler.windows():
            try:
                session.console.read(5.0)
            except FirmwareFault:  # a bare program ends in a loop that nothing can leave
                if not profiler.windows():
                    raise
            if session.clock.now_s() > RUN_LIMIT_S:
                raise ToolError(f"{name}: did not reach {PROGRAM_STOP} in {RUN_LIMIT_S:.0f} s of virtual time")
        profile = profiler.windows()[0].profile
    assert profile is not None
    model = load_timing(platform)
    blocks, other = _counts(image, model, profile, 1.0)
    return Sample(name, platform, tuple(blocks), other, float(profile.cycles), measured_cycles, _code_bytes(image))


def stand_in_input(model: str) -> bytes:
    """An input that is not all zeros, for images whose time depends on it: spectra of the size and range of *model*'s."""
    import random
    import struct

    draw = random.Random(1)
    if model == "ad01":  # log-mel energies in dB, converted from floating point on the DUT
        return struct.pack("<640f", *(draw.uniform(-40.0, 10.0) for _ in range(640)))
    sizes = {"kws01": 490, "ic01": 3072, "vww01": 27648}
    if model not in sizes:
        raise InputError(f"model {model!r}: expected one of ad01, {', '.join(sizes)}")
    return draw.randbytes(sizes[model])


def run_dut(platform: Platform, image: Image, name: str, measured_cycles: float, inferences: int = 2) -> Sample:
    """Boot an MLPerf Tiny image and time ``infer`` twice; the difference is free of what the DUT prints meanwhile."""
    from emulab.backends.base import SessionOptions, load_backend
    from emulab.dut import DutClient
    from emulab.model.scenario import Window
    from emulab.run.windows import TIMESTAMP_START, TIMESTAMP_STOP
    from emulab.timing import load_timing

    window = Window.model_validate({"name": "inference", "from": TIMESTAMP_START, "to": TIMESTAMP_STOP})
    with load_backend("unicorn").open(platform, image, SessionOptions(windows=(window,))) as session:
        profiler = session.profiler
        assert profiler is not None
        client = DutClient(session.console, session.clock, limit_s=RUN_LIMIT_S)
        client.sync()
        data = stand_in_input(client.profile()[1])
        client.load(data)
        client.infer(1, 0)
        client.load(data)
        client.infer(1 + inferences, 0)
        found = [w.profile for w in profiler.windows() if w.profile is not None]
    if len(found) != 2:
        raise ToolError(f"{name}: {len(found)} timed windows, expected 2 (an energy-mode image prints no timestamps)")
    model = load_timing(platform)
    short, short_other = _counts(image, model, found[0], 1.0 / inferences)
    long, long_other = _counts(image, model, found[1], 1.0 / inferences)
    once = {(b.address, len(b.code)): b for b in short}
    blocks = []
    for block in long:
        less = once.get((block.address, len(block.code)))
        if less is None:
            blocks.append(block)
        elif block.count > less.count:
            blocks.append(
                Executed(
                    block.address,
                    block.code,
                    block.count - less.count,
                    block.taken - less.taken,
                    max(block.entered - less.entered, 0.0),
                )
            )
    cycles = (found[1].cycles - found[0].cycles) / inferences
    return Sample(name, platform, tuple(blocks), long_other - short_other, cycles, measured_cycles)


def _code_bytes(image: Image) -> int:
    """Bytes of the functions of a program, the benchmark's own main among them; not libraries or start-up."""
    sizes = {
        symbol.address: symbol.size
        for name, symbol in image.symbols.items()
        if symbol.kind == "function" and not name.startswith("__") and name not in _LIBRARY
    }
    return sum(sizes.values())


_LIBRARY = frozenset(
    {"memcpy", "memset", "memmove", "memcmp", "strlen", "strcmp", "strchr", "strncmp", "tolower", "isspace"}
    | {"sqrt", "cos", "sin", "acos", "fabs", "pow", "cbrt", "floor", "scalbn", "finite", "matherr", "malloc", "free"}
    | {"raise", "abort", "exit", "fprintf", "fiprintf", "vfprintf", "Reset_Handler", "_init", "_fini", "_exit"}
)


def read_rows(index: Path) -> Iterator[tuple[Path, str, float]]:
    """Rows of an index: image file beside it, platform, measured cycles.

    Columns: ``file``; ``platform`` (or ``board``, in capitals or not); ``measured_cycles``, or
    ``measured_latency_ms`` and ``clock_mhz``. Rows without a figure, or whose file is not there, are left out.
    """
    from emulab.model.platform import platform_names

    names = platform_names()
    try:
        with index.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise InputError(f"{index}: cannot be read: {error.strerror}") from None
    for number, row in enumerate(rows, start=2):
        file = index.parent / Path(row.get("file") or "").name
        wanted = (row.get("platform") or row.get("board") or "").lower()
        platform = wanted if wanted in names else next((n for n in names if wanted and n.startswith(wanted)), None)
        try:
            cycles = float(row.get("measured_cycles") or 0)
            cycles = cycles or float(row.get("measured_latency_ms") or 0) * 1e3 * float(row.get("clock_mhz") or 0)
        except ValueError as error:
            raise InputError.at(index, f"line {number}", str(error)) from None
        if platform is not None and cycles > 0 and file.is_file():
            yield file, platform, cycles
