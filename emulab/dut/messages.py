"""Messages of the MLPerf Tiny DUT protocol: what a board prints, parsed; nothing here reads or waits.

Source: mlcommons/tiny, benchmark/api/internally_implemented.{h,cpp}.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from emulab.errors import ToolError

READY = "m-ready"
INIT_DONE = "m-init-done"
LOAD_DONE = "m-load-done"
INFER_START = "m-infer-start-"
INFER_DONE = "m-infer-done"
BOOT_MODE = "m-timestamp-mode-"
MAX_INPUT_BYTES = 27648
LOAD_CHUNK_BYTES = 31

_LAP = re.compile(r"m-lap-us-(\d{1,20})")
_RESULTS = re.compile(r"m-results-\[(.*)\]")
_ERROR = re.compile(r"e-\[(.*)\]")
_NAME = re.compile(r"m-name-(?:[^-]*)-\[(.*)\]")
_PROFILE = re.compile(r"m-profile-\[(.*)\]")
_MODEL = re.compile(r"m-model-\[(.*)\]")
_EXPECTING = re.compile(r"m-\[Expecting (\d+) bytes\]")
_BUFFER = re.compile(r"m-buffer-((?:[0-9A-Fa-f]{2})(?:-[0-9A-Fa-f]{2})*)")


def is_boot_banner(line: str) -> bool:
    """True for lines a board only prints while it boots."""
    return line.startswith(BOOT_MODE) or line == INIT_DONE


def error_text(line: str) -> str | None:
    """Text of an ``e-[...]`` line, else None."""
    match = _ERROR.fullmatch(line)
    return match[1] if match else None


def lap_us(line: str) -> int | None:
    """Microseconds of an ``m-lap-us-N`` line, else None."""
    match = _LAP.fullmatch(line)
    return int(match[1]) if match else None


def infer_count(line: str) -> int | None:
    """N of an ``m-infer-start-N`` line, else None."""
    text = line.removeprefix(INFER_START)
    return int(text) if text != line and text.isdigit() and len(text) < 12 else None


def results(line: str) -> list[float] | None:
    """Values of an ``m-results-[a,b,...]`` line, else None. ToolError when one of them is not a finite number."""
    match = _RESULTS.fullmatch(line)
    if not match:
        return None
    values = []
    for index, text in enumerate(part for part in match[1].split(",") if part.strip()):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ToolError(f"DUT: result {index} is {text.strip()!r}, expected a finite number, in {line[:200]!r}")
        values.append(value)
    if not values:
        raise ToolError(f"DUT: no value in {line!r}, expected m-results-[a,b,...]")
    return values


def name(lines: Iterable[str]) -> str | None:
    """Vendor string of the answer to ``name%``."""
    return next((match[1] for line in lines if (match := _NAME.fullmatch(line))), None)


def profile(lines: Iterable[str]) -> tuple[str, str] | None:
    """(firmware profile, model id) of the answer to ``profile%``; None unless both are there."""
    found = list(lines)
    version = next((match[1] for line in found if (match := _PROFILE.fullmatch(line))), None)
    model = next((match[1] for line in found if (match := _MODEL.fullmatch(line))), None)
    return None if version is None or model is None else (version, model)


def expected_bytes(lines: Iterable[str]) -> int | None:
    """N of ``m-[Expecting N bytes]``."""
    return next((int(match[1]) for line in lines if (match := _EXPECTING.fullmatch(line))), None)


def buffer(lines: Iterable[str]) -> bytes:
    """Bytes of ``m-buffer-xx-xx...`` lines, in order."""
    return b"".join(bytes.fromhex(match[1].replace("-", "")) for line in lines if (match := _BUFFER.fullmatch(line)))


def elapsed_us(start: int, stop: int) -> int:
    """Microseconds between two laps; a 32-bit counter that wrapped once in between is seen.

    Raises ToolError where the second is smaller and no wrap explains it.
    """
    if stop >= start:
        return stop - start
    if start < 2**32:
        wrapped = stop + 2**32 - start
        if wrapped < 2**31:  # less than 36 minutes: a wrap; more: the counter was reset
            return wrapped
    raise ToolError(f"DUT: timestamps run backwards, {start} us then {stop} us; was the timer or the board reset?")
