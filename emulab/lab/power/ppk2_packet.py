"""Nordic PPK2: the bytes on its line. 100 000 samples/s of 32 bit, little endian.

ADC in bits 0-13, range in 14-16, a sample counter in 18-23 that reveals lost samples, logic pins in 24-31. Facts from
Nordic's Power Profiler app (pc-nrfconnect-ppk, src/device/serialDevice.ts). Encoder and decoder live side by side,
so that the simulated bench and the driver cannot drift apart unseen: the tests hold both against the published formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emulab.errors import ToolError
from emulab.lab.capture import Capture

RATE_HZ = 100_000
ADC_MULTIPLIER = 1.8 / 163840
"""Volt per ADC count, after the factor of 4 of the 14-bit field."""
ADC_FULL = 0x3FFF
RANGES = 5
COUNTER = 64
END_SLACK_S = 0.02
"""By how much the last samples may be late before it is the host that was late, and not samples that are missing."""
AVERAGE_START, AVERAGE_STOP = 0x06, 0x07
DEVICE_RUNNING_SET, REGULATOR_SET, SET_POWER_MODE, GET_META_DATA, RESET = 0x0C, 0x0D, 0x11, 0x19, 0x20
MODE_AMPERE, MODE_SOURCE = 0x01, 0x02
COMMAND_LENGTH = {
    0x01: 2, 0x02: 2, 0x03: 3, 0x05: 3, 0x06: 1, 0x07: 1, 0x08: 2, 0x0A: 1, 0x0C: 2, 0x0D: 3, 0x0E: 3, 0x0F: 3,
    0x11: 2, 0x12: 6, 0x15: 1, 0x16: 1, 0x19: 1, 0x20: 1, 0x25: 6,
}  # fmt: skip
"""Length of a command with its arguments."""
MAX_A = 1.0
"""What the PPK2 is specified to measure; above it a sample counts as overload."""
RESYNC_RUN = 8
MAX_RESYNC_BYTES = 50_000


@dataclass(frozen=True)
class Modifiers:
    """Calibration of one PPK2, per range: ``r`` shunt in ohm, ``gs gi o s i ug`` as the device's metadata names
    them."""

    r: tuple[float, ...] = (1031.64, 101.65, 10.15, 0.94, 0.043)
    gs: tuple[float, ...] = (0.0,) * RANGES
    gi: tuple[float, ...] = (1.0,) * RANGES
    o: tuple[float, ...] = (0.0,) * RANGES
    s: tuple[float, ...] = (0.0,) * RANGES
    i: tuple[float, ...] = (0.0,) * RANGES
    ug: tuple[float, ...] = (1.0,) * RANGES
    extra: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The metadata as the device prints it, ``END`` last."""
        lines = ["Calibrated: 0"]
        for name in ("r", "gs", "gi", "o", "s", "i", "ug"):
            lines += [f"{name.upper()}{k}: {value:.7g}" for k, value in enumerate(getattr(self, name))]
        return "\n".join([*lines, "VDD: 3000", "HW: 9173", "mode: 2", "IA: 56", "END"]) + "\n"


def parse_metadata(text: str) -> Modifiers:
    """Modifiers from the device's metadata. ToolError when a value is no number, or a shunt not positive."""
    values: dict[str, list[float]] = {
        name: list(getattr(Modifiers(), name)) for name in ("r", "gs", "gi", "o", "s", "i", "ug")
    }
    extra = {}
    for line in text.replace("\r", "\n").split("\n"):
        key, separator, value = line.partition(":")
        key, value = key.strip(), value.strip()
        name, digit = key[:-1].lower(), key[-1:]
        if not separator:
            continue
        if name in values and digit.isdigit() and int(digit) < RANGES:
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise ToolError(f"PPK2: its calibration says {key} is {value!r}, expected a number; reconnect it")
            if name == "r" and number <= 0:
                continue  # some devices hold 0 for a shunt: the nominal value stays
            values[name][int(digit)] = number
        else:
            extra[key] = value
    return Modifiers(**{name: tuple(v) for name, v in values.items()}, extra=extra)


def convert(adc: Any, ranges: Any, modifiers: Modifiers, voltage_v: float) -> Any:
    """Ampere of raw ADC counts (14 bit) in their ranges, by the device's formula; arrays of equal length."""
    import numpy as np

    def per(name: str) -> Any:
        return np.asarray(getattr(modifiers, name))[ranges]

    bare = (adc * 4.0 - per("o")) * (ADC_MULTIPLIER / per("r"))
    return per("ug") * (bare * (per("gs") * bare + per("gi")) + (per("s") * voltage_v + per("i")))


def encode(
    current_a: Any, counters: Any, logic: Any, modifiers: Modifiers, voltage_v: float, steady_a: Any = None
) -> bytes:
    """Samples as the device sends them: the most sensitive range that holds each current. Inverse of :func:`convert`.

    ``steady_a`` is the current without its noise, which then decides the range: a device does not switch with noise.
    """
    import numpy as np

    current = np.asarray(current_a, dtype=np.float64)
    deciding = current if steady_a is None else np.asarray(steady_a, dtype=np.float64)

    def counts_of(values: Any, k: int) -> Any:
        linear = values / modifiers.ug[k] - modifiers.s[k] * voltage_v - modifiers.i[k]
        if modifiers.gs[k]:
            root = np.sqrt(np.maximum(modifiers.gi[k] ** 2 + 4 * modifiers.gs[k] * linear, 0.0))
            linear = (root - modifiers.gi[k]) / (2 * modifiers.gs[k])
        else:
            linear = linear / modifiers.gi[k]
        return np.rint((linear * modifiers.r[k] / ADC_MULTIPLIER + modifiers.o[k]) / 4.0)

    adc = np.zeros(len(current), dtype=np.uint32)
    chosen = np.full(len(current), RANGES - 1, dtype=np.uint32)
    for k in reversed(range(RANGES)):
        counts = counts_of(current, k)
        steady = counts if steady_a is None else counts_of(deciding, k)
        fits = (steady < 0.9 * ADC_FULL) | (k == RANGES - 1)
        adc = np.where(fits, np.clip(counts, 0, ADC_FULL), adc).astype(np.uint32)
        chosen = np.where(fits, k, chosen).astype(np.uint32)
    words = (
        adc
        | (chosen << 14)
        | ((np.asarray(counters, np.uint32) % COUNTER) << 18)
        | (np.asarray(logic, np.uint32) << 24)
    )
    return bytes(words.astype("<u4").tobytes())


@dataclass(frozen=True)
class Words:
    """Raw words put in their places: ``slots`` count samples from the first, gaps are lost ones."""

    words: Any
    slots: Any
    resyncs: int


def place(data: bytes, arrivals: Sequence[tuple[int, float]] = (), stopped_s: float | None = None) -> Words:
    """Cut *data* into words by the running counter: lost samples leave gaps, lost bytes are resynchronised.

    ``arrivals`` are (bytes so far, host seconds): with them a loss of a multiple of 64 samples, which the counter
    cannot show, is seen where the stream stood still. ``stopped_s`` is when the device was asked to stop.
    """
    import numpy as np

    pieces, offsets, position, resyncs, skipped = [], [], 0, 0, 0
    while position + 4 <= len(data):
        words = np.frombuffer(data, "<u4", count=(len(data) - position) // 4, offset=position)
        good = _aligned_run(words) if _aligned_run(words[: RESYNC_RUN + 1]) else 0
        if good and good < len(words):
            good -= 1  # the last word before the stream fell out of step may be torn
        if good:
            # After lost bytes the first words that seem to follow may still be torn ones.
            skip = _settled(words[:good]) if position and good else 0
            pieces.append(words[skip:good])
            offsets.append(position + 4 * np.arange(skip, good))
            position += 4 * good
        if position + 4 * RESYNC_RUN > len(data):
            break
        position += 1
        skipped += 1
        resyncs += bool(good) or skipped == 1
        if skipped > MAX_RESYNC_BYTES:
            raise ToolError(f"PPK2: {skipped} bytes were no samples; is this a PPK2, and is no one else reading it?")
    if not pieces:
        return Words(np.zeros(0, np.uint32), np.zeros(0, np.int64), resyncs)
    words, offset = np.concatenate(pieces), np.concatenate(offsets)
    counter: Any = ((words >> 18) & (COUNTER - 1)).astype(np.int64)
    steps: Any = np.diff(counter) % COUNTER
    steps[steps == 0] = COUNTER
    if arrivals:
        steps = _with_stalls(steps, offset, arrivals, stopped_s)
    return Words(words, np.concatenate([[0], np.cumsum(steps)]), resyncs)


def _settled(words: Any) -> int:
    """Index behind the first two steps that follow each other; all of *words* when there are none."""
    import numpy as np

    counter = ((words >> 18) & (COUNTER - 1)).astype(np.int64)
    follows = (np.diff(counter) % COUNTER) == 1
    pairs = np.flatnonzero(follows[:-1] & follows[1:])
    return int(pairs[0]) + 1 if len(pairs) else len(words)


def _aligned_run(words: Any) -> int:
    """How many words from the first on are in step: up to where most of the next few counters do not follow."""
    import numpy as np

    if len(words) < 2:
        return 0
    counter = (words >> 18) & (COUNTER - 1)
    follows = (np.diff(counter.astype(np.int64)) % COUNTER) == 1
    valid = ((words >> 14) & 7) < RANGES
    if len(follows) < RESYNC_RUN:
        return len(words) if follows.mean() >= 0.5 and valid.all() else 0
    # In step: of the next eight steps at least four follow, and ranges are ones the device has.
    density = np.convolve(follows & valid[1:], np.ones(RESYNC_RUN), "valid")
    bad = np.flatnonzero(density < RESYNC_RUN / 2)
    if not len(bad):
        return len(words)
    if bad[0] == 0:
        return 0
    # The last step that follows before the stream falls out of step.
    window = follows[: bad[0] + RESYNC_RUN]
    last = np.flatnonzero(window[: bad[0] + RESYNC_RUN // 2])
    return int(last[-1]) + 2 if len(last) else 0


def _with_stalls(steps: Any, offset: Any, arrivals: Sequence[tuple[int, float]], stopped_s: float | None) -> Any:
    """Add the multiples of 64 samples that went missing while the stream stood still.

    *stopped_s* is when the device was asked to stop, on the clock of the arrivals: all was sampled by then, so that a host
    that is late to the last chunk is not taken for one that lost samples.
    """
    import numpy as np

    ends = np.asarray([count for count, _ in arrivals])
    times = np.asarray([when for _, when in arrivals])
    index = np.searchsorted(offset + 4, ends, side="right") - 1
    slots = np.concatenate([[0], np.cumsum(steps)])
    usable = index >= 0
    index, times = index[usable], times[usable]
    if len(index) < 3:
        return steps
    behind = times * RATE_HZ - slots[index]
    # Arrival can only be late: what a sample is behind is at most what any later one is.
    behind = np.minimum.accumulate(behind[::-1])[::-1]
    least = COUNTER / 2
    if stopped_s is not None and behind[-1] > (end := stopped_s * RATE_HZ - slots[-1]) + END_SLACK_S * RATE_HZ:
        behind, least = np.minimum(behind, end), END_SLACK_S * RATE_HZ
    gaps = np.diff(behind)
    typical = float(np.median(gaps))
    steps = steps.copy()
    for k in np.flatnonzero((gaps - typical > least) & (np.diff(times) > 0.1)):
        missing = round((float(gaps[k]) - typical) / COUNTER) * COUNTER
        where = int(index[k])
        if missing > 0 and where < len(steps):
            steps[where] += missing
    return steps


def decode(
    data: bytes,
    modifiers: Modifiers,
    voltage_v: float,
    start_s: float = 0.0,
    pin: int = 0,
    arrivals: Sequence[tuple[int, float]] = (),
    stopped_s: float | None = None,
) -> Capture:
    """A stream of samples as a capture: NaN where samples are lost or in no known range; edges of logic *pin*
    marked. *arrivals* (bytes so far, seconds) and when the device was asked to stop tell of losses that its counter of
    six bits does not."""
    import numpy as np

    placed = place(data, arrivals, stopped_s)
    if not len(placed.words):
        raise ToolError("PPK2: no samples came; is it measuring, and is this its port?")
    total = int(placed.slots[-1]) + 1
    if total > 20 * len(placed.words) + 100 * RATE_HZ:
        raise ToolError(f"PPK2: {total - len(placed.words)} of {total} samples are missing; is this a PPK2?")
    words = placed.words
    ranges = ((words >> 14) & 7).astype(np.int64)
    known = ranges < RANGES
    adc = (words & ADC_FULL).astype(np.float64)
    amps = convert(adc, np.minimum(ranges, RANGES - 1), modifiers, voltage_v)
    amps[~known] = np.nan
    values = np.full(total, np.nan)
    values[placed.slots] = amps
    level = ((words >> (24 + pin)) & 1).astype(np.int64)
    changes = np.flatnonzero(np.diff(level))
    step = 1.0 / RATE_HZ
    marks = tuple(
        ("falling" if level[c] else "rising", start_s + float(placed.slots[c + 1]) * step) for c in changes.tolist()
    )
    adjacent = np.diff(placed.slots) == 1
    notes = (f"PPK2: resynchronised {placed.resyncs} times after lost bytes",) if placed.resyncs else ()
    return Capture(
        start_s=start_s,
        step_s=step,
        values=values,
        quantity="A",
        voltage_v=voltage_v,
        marks=marks,
        lost_samples=int(np.isnan(values).sum()),
        range_switches=int((np.diff(ranges) != 0)[adjacent].sum()),
        overloads=int(((ranges == RANGES - 1) & ((adc >= ADC_FULL) | (amps > MAX_A))).sum()),
        source="PPK2",
        notes=notes,
    )
