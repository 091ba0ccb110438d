"""X-NUCLEO-LPM01A: the text on its line, decimal format. A sample is ``dddd±dd``: mantissa and decimal exponent.

With ``output energy`` a sample is joules since the last one. ``TimeStamp: 003s 000ms, buff 00%`` comes every second,
``event N ris`` where the trigger pin moved. Facts: UM2269, and the help text of its firmware.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from emulab.errors import ToolError
from emulab.lab.capture import Capture

PROMPT = "PowerShield > "
_SAMPLE = re.compile(r"(\d{4})([+-]\d{2})")
_STAMP = re.compile(r"TimeStamp: ?[<>]?(\d{3,})s (\d{3})ms, buff (\d{1,3})%")
EVENT_COUNT = 100
"""Events are numbered in two digits from 00, in the order they came."""
_EVENT = re.compile(r"event (\d+) (\w+)")
_END = "Acquisition completed"


def encode_sample(value: float) -> str:
    """``6.409e-4`` -> ``6409-07``; values the format cannot hold are clipped to it."""
    if value <= 0:
        return "0000+00"
    text = f"{value:.3e}"
    mantissa, _, exponent = text.partition("e")
    power = int(exponent) - 3
    if power < -99:
        return "0000+00"
    return f"{mantissa.replace('.', '')}{power:+03d}"


def decode_sample(text: str) -> float | None:
    """A sample, or None when the text is not one."""
    match = _SAMPLE.fullmatch(text)
    return None if match is None else float(f"{match[1]}e{match[2]}")


def decode(text: str, rate_hz: float, voltage_v: float, start_s: float = 0.0) -> Capture:
    """Text of an acquisition as a power capture.

    Seconds that hold fewer samples than the rate promises lost the rest: they are put as NaN where the second ends.
    What is neither sample nor message is a lost sample. ToolError when no sample came, or when the monitor reports
    an error.
    """
    import numpy as np

    values: list[float] = []
    events: list[int] = []
    numbers: list[int] = []
    lost = overloads = 0
    problem = ""
    completed = False
    stamp_s: float | None = None
    stamp_at = 0
    for raw in re.split(r"[\r\n]+", text):
        line = raw.strip("\x00 ").removeprefix(PROMPT.strip()).strip(" >\x00")
        if not line:
            continue
        stamp = _STAMP.fullmatch(line)
        if stamp:
            now = int(stamp[1]) + int(stamp[2]) / 1000
            if stamp_s is not None and now > stamp_s:
                missing = round((now - stamp_s) * rate_hz) - (len(values) - stamp_at)
                if 0 < missing < 3600 * rate_hz:
                    events = _spread(values, events, stamp_at, missing)
                    lost += missing
            stamp_s, stamp_at = now, len(values)
            continue
        event = _EVENT.fullmatch(line)
        if event:
            events.append(len(values))
            numbers.append(int(event[1]))
        elif _END in line:
            completed = True
        elif line.lower().startswith("error") or "overcurrent" in line.lower():
            problem = problem or line
            overloads += "overcurrent" in line.lower()
        elif line[0].isdigit() or _SAMPLE.search(line):
            found, cut = _samples(line)
            values += found
            lost += cut
    array: Any = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).any():
        raise ToolError(f"LPM01A: no samples came{'; it said: ' + problem if problem else ''}")
    step = 1.0 / rate_hz
    gone = sum((b - a - 1) % EVENT_COUNT for a, b in itertools.pairwise(numbers) if a != b)
    notes = (f"LPM01A: {gone} events (edges of the timestamp pin) were lost",) if gone else ()
    incomplete = problem or ("" if completed else "the end of the acquisition was not confirmed")
    return Capture(
        start_s=start_s,
        step_s=step,
        values=array * rate_hz,
        quantity="W",
        voltage_v=voltage_v,
        marks=tuple(("falling", start_s + index * step) for index in events),
        lost_samples=lost,
        overloads=overloads,
        incomplete=incomplete,
        source="LPM01A",
        notes=notes,
    )


def _spread(values: list[float], events: list[int], begin: int, missing: int) -> list[int]:
    """Spread *missing* NaN evenly over ``values[begin:]``; the events' new places."""
    piece = values[begin:]
    del values[begin:]
    places = []
    for index, value in enumerate(piece):
        while len(values) - begin - index < missing * (index + 0.5) / len(piece) - 0.5:
            values.append(float("nan"))
        places.append(len(values))
        values.append(value)
    values += [float("nan")] * (missing - (len(values) - begin - len(piece)))
    return [
        event if event < begin else places[event - begin] if event - begin < len(places) else len(values)
        for event in events
    ]


def _samples(line: str) -> tuple[list[float], int]:
    """Samples of a line, NaN for each run of characters that is none, and how many of those there are."""
    values: list[float] = []
    lost = position = 0
    for match in _SAMPLE.finditer(line):
        if line[position : match.start()].strip(" ,;"):
            values.append(float("nan"))
            lost += 1
        values.append(float(f"{match[1]}e{match[2]}"))
        position = match.end()
    if line[position:].strip(" ,;"):
        values.append(float("nan"))
        lost += 1
    return values, lost
