"""INA219/226/228 behind a serial bridge: ``--power ina2xx:PORT``. The bridge prints
``microseconds,ampere[,volt[,pin]]``.

One line per sample, SI units but for the time. ``start`` and ``stop`` are sent as lines; a bridge that always talks
may ignore them.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time

from emulab.errors import InputError, ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.ports import LINE_ERRORS, open_port
from emulab.lab.power.base import MonitorOptions
from emulab.lab.power.stream import StreamReader

TAIL_S = 0.1
"""Sampling goes on this long after it was asked to stop, since the host hears of a window's end late."""
SETTLE_S = 1.0


def decode(text: str, voltage_v: float, start_s: float = 0.0) -> Capture:
    """Lines of the bridge as a capture on a regular grid; gaps and lines that are no samples are lost samples."""
    import numpy as np

    rows: list[tuple[float, float, float, str]] = []
    spoiled = 0
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines.pop()  # a line that was cut off is no sample
    for line in lines:
        parts = [part.strip() for part in line.split(",")]
        if not parts[0] or line.startswith("#"):
            continue
        try:
            row = (float(parts[0]) * 1e-6, float(parts[1]), float(parts[2]) if len(parts) > 2 else math.nan)
            if not math.isfinite(row[0]) or not math.isfinite(row[1]) or (rows and row[0] <= rows[-1][0]):
                raise ValueError(line)
            rows.append((*row, parts[3] if len(parts) > 3 else ""))
        except (ValueError, IndexError):
            spoiled += 1
    if len(rows) < 2:
        raise ToolError(f"INA2xx: {len(rows)} samples in {len(lines)} lines; expected microseconds,ampere[,volt[,pin]]")
    times = np.asarray([row[0] for row in rows])
    steps = np.diff(times)
    step = float(np.median(steps))
    slots = np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps / step), 1))]).astype(np.int64)
    if slots[-1] > 100 * len(rows) + 1000:
        raise ToolError("INA2xx: most samples are missing; are its times in microseconds?")
    step = float((times[-1] - times[0]) / slots[-1])
    values = np.full(int(slots[-1]) + 1, np.nan)
    values[slots] = [row[1] for row in rows]
    volts = np.asarray([row[2] for row in rows])
    measured = float(np.nanmean(volts)) if np.isfinite(volts).any() else 0.0
    pins = [row[3] for row in rows]
    marks = tuple(
        ("falling" if b == "0" else "rising", start_s + float(slots[i + 1]) * step)
        for i, (a, b) in enumerate(itertools.pairwise(pins))
        if a != b and a and b
    )
    notes = (f"INA2xx: {spoiled} lines were no samples",) if spoiled else ()
    lost = int(np.isnan(values).sum())
    return Capture(start_s, step, values, "A", measured or voltage_v, marks, lost, source="INA2xx", notes=notes)


class Ina2xx:
    """The bridge on its serial port, 921600 baud unless ``baud=`` says otherwise."""

    def __init__(self, options: MonitorOptions) -> None:
        if not options.address:
            raise InputError("--power ina2xx: name the bridge's port, e.g. ina2xx:/dev/ttyUSB0")
        self._options = options
        self._clock = options.clock or hosttime.now_s
        self._port = open_port(options.address, int(options.extra.get("baud", "921600")), "power monitor INA2xx")
        self._reader: StreamReader | None = None
        self._start_s = 0.0

    def _line(self, text: bytes) -> None:
        try:
            self._port.write(text)
        except LINE_ERRORS as error:
            raise ToolError(f"power monitor INA2xx {self._options.address}: the line is gone ({error})") from None

    def start(self) -> None:
        """Start to keep what the bridge sends."""
        self._port.reset_input_buffer()
        self._line(b"start\n")
        self._reader = StreamReader(self._port)
        self._start_s = self._clock()

    def stop(self) -> None:
        """Stop; what is on its way is still taken. A bridge that cannot be stopped is heard for a moment longer."""
        if self._reader is not None:
            time.sleep(TAIL_S)
            with contextlib.suppress(*LINE_ERRORS):  # the reader says when the line is gone
                self._port.write(b"stop\n")
            self._reader.settle(limit_s=SETTLE_S)
            self._reader.stop()

    def capture(self) -> Capture:
        """What came between start and stop."""
        from dataclasses import replace

        if self._reader is None:
            raise ToolError("power monitor INA2xx: nothing was captured; start it first")
        text = bytes(self._reader.data).decode("ascii", "replace")
        # The first line may have begun before.
        capture = decode(text.partition("\n")[2], self._options.voltage_v, self._start_s)
        return replace(capture, incomplete=self._reader.trouble, source=f"INA2xx {self._options.address}")

    def close(self) -> None:
        """Free the port."""
        if self._reader is not None:
            self._reader.stop()
        self._port.close()
