"""Joulescope JS220: ``--power js220[:SERIAL]``, through ``pyjoulescope_driver``. It measures current and voltage.

Topics of the driver: ``s/i``, ``s/v`` and ``s/gpi/N`` with ``ctrl`` and ``!data``; ``h/fs`` sets the sample rate. A
block of data is a dict with ``sample_id``, ``decimate_factor``, ``sample_rate`` and ``data``.
"""

from __future__ import annotations

from typing import Any

from emulab.errors import BackendUnavailable, ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.power.base import MonitorOptions

RATE_HZ = 100_000


def assemble(blocks: list[dict[str, Any]], rate_hz: float) -> tuple[Any, int]:
    """Blocks put in their places by ``sample_id``: (values with NaN in gaps, first slot). ToolError without any."""
    import numpy as np

    if not blocks:
        raise ToolError("JS220: no samples came; is it streaming?")
    placed = []
    for block in blocks:
        factor = max(1, int(block.get("decimate_factor", 1)))
        placed.append((int(block["sample_id"]) // factor, np.asarray(block["data"], dtype=np.float64)))
    first = min(slot for slot, _ in placed)
    last = max(slot + len(data) for slot, data in placed)
    if last - first > 3600 * rate_hz:
        raise ToolError("JS220: its sample ids jump by more than an hour")
    values = np.full(last - first, np.nan)
    for slot, data in placed:
        values[slot - first : slot - first + len(data)] = data
    return values, first


class Js220:
    """A JS220. Current times voltage is exact per sample; current is given back at the mean voltage."""

    def __init__(self, options: MonitorOptions) -> None:
        try:
            from pyjoulescope_driver import Driver  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise BackendUnavailable(
                "hardware", "--power js220: pyjoulescope_driver is not installed", "pip install pyjoulescope_driver"
            ) from None
        self._options = options
        self._clock = options.clock or hosttime.now_s
        self._driver: Any = Driver()
        paths = [p for p in self._driver.device_paths() if "js220" in p and options.address in p]
        if len(paths) != 1:
            self._driver.finalize()
            found = ", ".join(paths) or "none"
            raise ToolError(f"power monitor js220: expected one device, found {found}; name its serial, js220:SERIAL")
        self._path = paths[0]
        self._blocks: dict[str, list[dict[str, Any]]] = {"i": [], "v": [], "gpi": []}
        self._start_s = 0.0
        self._driver.open(self._path, mode="restore")
        self._driver.publish(f"{self._path}/s/i/range/mode", "auto")
        self._driver.publish(f"{self._path}/h/fs", RATE_HZ)
        self._topics = {"i": "s/i", "v": "s/v", "gpi": f"s/gpi/{options.pin}"}

    def _keep(self, key: str) -> Any:
        def callback(topic: str, value: dict[str, Any]) -> None:
            self._blocks[key].append(value)

        return callback

    def start(self) -> None:
        """Start streaming current, voltage and the timestamp pin."""
        self._callbacks = {key: self._keep(key) for key in self._topics}
        for key, topic in self._topics.items():
            self._blocks[key] = []
            self._driver.subscribe(f"{self._path}/{topic}/!data", "pub", self._callbacks[key])
        self._start_s = self._clock()
        for topic in self._topics.values():
            self._driver.publish(f"{self._path}/{topic}/ctrl", 1)

    def stop(self) -> None:
        """Stop streaming."""
        for key, topic in self._topics.items():
            self._driver.publish(f"{self._path}/{topic}/ctrl", 0)
            self._driver.unsubscribe(f"{self._path}/{topic}/!data", self._callbacks[key])

    def capture(self) -> Capture:
        """What was streamed; samples the driver dropped are lost samples."""
        import numpy as np

        amps, first = assemble(self._blocks["i"], RATE_HZ)
        step = 1.0 / RATE_HZ
        volt = self._options.voltage_v
        if self._blocks["v"]:
            volts, first_v = assemble(self._blocks["v"], RATE_HZ)
            volt = float(np.nanmean(volts))
            aligned = np.full(len(amps), np.nan)
            low = max(first, first_v)
            high = min(first + len(amps), first_v + len(volts))
            aligned[low - first : high - first] = volts[low - first_v : high - first_v]
            if volt > 0:
                amps = amps * aligned / volt
        marks: tuple[tuple[str, float], ...] = ()
        if self._blocks["gpi"]:
            level, first_g = assemble(self._blocks["gpi"], RATE_HZ)
            change = np.flatnonzero(np.diff(np.nan_to_num(level, nan=1.0)))
            marks = tuple(
                ("falling" if level[c + 1] < 0.5 else "rising", self._start_s + (int(c) + 1 + first_g - first) * step)
                for c in change
            )
        lost = int(np.isnan(amps).sum())
        return Capture(self._start_s, step, amps, "A", volt, marks, lost, source=f"JS220 {self._path}")

    def close(self) -> None:
        """Free the device."""
        self._driver.close(self._path)
        self._driver.finalize()
