"""Backend ``hardware``: a real board on a serial port, flashed if asked for, with a power monitor if there is one.

Options (command line): ``serial`` (device, socket:// or rfc2217:// URL, rtt: or semihosting:), ``flash``
(LOADER[:PROBE]), ``flash_retries``, ``power`` (MONITOR[:ADDRESS] with ``,key=value``: ``voltage_v``, ``pin``,
``mode=ampere``), ``record`` (folder),
``interface_board`` (true). ``--backend hardware:PORT`` is short for ``--serial PORT``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.backends.base import Availability, Capability, CurrentTrace, GpioEdge, SessionOptions
from emulab.backends.recorder import RecordingConsole, write_recording
from emulab.errors import EmulabError, InputError, ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.consoles import LabConsole, open_console
from emulab.lab.flash import FlashJob, flash_with_retries, open_loader
from emulab.lab.power import MonitorOptions, PowerMonitor, open_monitor
from emulab.lab.spec import split_spec

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

RECONNECT_S = 5.0
"""How long a board that was just flashed may be gone from the bus."""
BUCKET_S = 1e-4
"""A trace keeps mean, least and greatest current per 0.1 ms; the recording keeps every sample."""


class WallClock:
    """Seconds since the session was opened."""

    kind: Literal["wall"] = "wall"

    def __init__(self) -> None:
        self._zero = hosttime.now_s()

    def now_s(self) -> float:
        return hosttime.now_s() - self._zero


def bucketed(capture: Capture, voltage_v: float = 0.0) -> CurrentTrace:
    """A capture as a trace of buckets of 0.1 ms or more; a bucket is NaN where all of its samples were lost."""
    import warnings

    import numpy as np

    current, volts = capture.current(voltage_v)
    group = max(1, round(BUCKET_S / capture.step_s))
    values = np.asarray(current, dtype=np.float64)
    pad = -len(values) % group
    rows = np.concatenate([values, np.full(pad, np.nan)]).reshape(-1, group)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows of nothing but NaN stay NaN
        mean, low, high = np.nanmean(rows, axis=1), np.nanmin(rows, axis=1), np.nanmax(rows, axis=1)
    return CurrentTrace(
        start_s=capture.start_s,
        step_s=capture.step_s * group,
        mean_a=mean,
        min_a=low,
        max_a=high,
        voltage_v=volts,
        marks=capture.marks,
        lost_samples=capture.lost_samples,
        source=capture.source,
    )


class HardwarePowerMeter:
    """A power monitor as the session's meter. What was captured last stays, whole or not, for the recording."""

    def __init__(self, monitor: PowerMonitor, voltage_v: float) -> None:
        self._monitor, self._voltage_v = monitor, voltage_v
        self.last: Capture | None = None

    def start(self) -> None:
        self._monitor.start()

    def stop(self) -> None:
        self._monitor.stop()

    def capture(self) -> CurrentTrace:
        """The trace. ToolError when the capture is not whole; the part that came is kept for ``--record``.

        An overload counts as not whole: energy would be a lower bound and look like a measurement.
        """
        self.last = self._monitor.capture()
        if self.last.overloads and not self.last.incomplete:
            said = f"overload: {self.last.overloads} of {len(self.last.values)} samples beyond what it measures"
            self.last = replace(self.last, incomplete=said)
        if self.last.incomplete:
            raise ToolError(
                f"power monitor: {self.last.incomplete}; {self.last.stop_s - self.last.start_s:.2f} s were captured"
                " and are kept, marked incomplete, where --record was given"
            )
        return bucketed(self.last, self._voltage_v)


class HardwareSession:
    """A real board, running."""

    profiler = None

    def __init__(
        self,
        platform: Platform,
        serial: LabConsole,
        console: Any,
        clock: WallClock,
        recorder: RecordingConsole,
        meter: HardwarePowerMeter | None,
        monitor: PowerMonitor | None,
        record: Path | None,
        firmware_sha256: str,
        notes: list[str],
    ) -> None:
        self._platform, self._serial, self._monitor, self._record = platform, serial, monitor, record
        self.console, self.clock, self._recorder = console, clock, recorder
        self.power_meter = meter
        self._firmware_sha256, self._notes = firmware_sha256, notes
        self._closed = False

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        """None while the session runs: the power monitor marks them in its trace."""
        return []

    def notes(self) -> list[str]:
        said = [*self._notes, *dict.fromkeys(self._serial.notes)]
        if self.power_meter is not None and self.power_meter.last is not None:
            said += self.power_meter.last.summary()
        said += [f"this process stood still for {stall:.1f} s while it listened" for stall in self._serial.stalls]
        return said

    def details(self) -> dict[str, Any]:
        capture = None if self.power_meter is None else self.power_meter.last
        found: dict[str, Any] = {"serial": self._serial.url, "baud": self._serial.baud}
        if capture is not None:
            found["power"] = {
                "statistics": statistics_of(capture),
                "source": capture.source,
                "samples": len(capture.values),
                "lost_samples": capture.lost_samples,
                "range_switches": capture.range_switches,
                "overloads": capture.overloads,
                "incomplete": capture.incomplete,
            }
        return found

    def describe_state(self) -> str:
        heard = [text for _, direction, text in self._recorder.lines if direction == "<"]
        return (
            f"board on {self._serial.url}: last heard {heard[-1]!r}"
            if heard
            else f"board on {self._serial.url}: silent"
        )

    def close(self) -> None:
        """Free every port; write the recording, also of a session that failed."""
        if self._closed:
            return
        self._closed = True
        capture = None if self.power_meter is None else self.power_meter.last
        try:
            if self._monitor is not None:
                if capture is None and self.power_meter is not None:
                    capture = self._partial()
                self._monitor.close()
        finally:
            self._serial.close()
        if self._record is not None:
            write_recording(
                self._record,
                self._recorder.lines,
                capture,
                self._platform.name,
                self._firmware_sha256,
                f"{self._platform.name} on {self._serial.url}",
            )

    def _partial(self) -> Capture | None:
        """What the monitor has of a measurement that was broken off; None when it was never started."""
        assert self._monitor is not None
        try:
            self._monitor.stop()
            capture = self._monitor.capture()
        except EmulabError:
            return None
        return replace(capture, incomplete=capture.incomplete or "the session ended before the measurement did")

    def __enter__(self) -> HardwareSession:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def statistics_of(capture: Capture) -> dict[str, float | int | None]:
    """Statistics of a whole capture as plain data, None for what is not known; empty where no sample came."""
    try:
        found = asdict(capture.statistics())
    except ToolError:
        return {}
    return {key: value if math.isfinite(value) else None for key, value in found.items()}


def monitor_options(spec: str, platform: Platform, clock: WallClock) -> tuple[str, MonitorOptions]:
    """Name and options of ``--power``; the supply is the platform's unless ``voltage_v=`` says otherwise."""
    name, address, options = split_spec(spec, f"--power {spec}")
    supply = platform.power.supply_v.value if platform.power is not None else 0.0
    try:
        voltage = float(options.pop("voltage_v", supply))
        pin = int(options.pop("pin", "0"))
    except ValueError as error:
        raise InputError(f"--power {spec}: {error}") from None
    mode = options.pop("mode", "source")
    if mode not in ("source", "ampere"):
        raise InputError(f"--power {spec}: mode is source or ampere, found {mode!r}")
    return name, MonitorOptions(address, voltage, pin, mode == "source", clock.now_s, options)


class HardwareBackend:
    """Real boards."""

    name = "hardware"
    capabilities: frozenset[Capability] = frozenset({"console", "power-meter", "live"})

    def available(self) -> Availability:
        from importlib.util import find_spec

        if find_spec("serial") is None:
            return Availability(False, reason="pyserial is not installed", how_to_install="pip install pyserial")
        from importlib.metadata import version

        return Availability(True, f"pyserial {version('pyserial')}")

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        return "board"

    def firmware_platform(self, platform: Platform) -> Platform:
        return platform

    def needs_image(self, extra: Mapping[str, Any]) -> bool:
        """Only to flash it: a board that is not flashed runs what it runs."""
        return bool(extra.get("flash"))

    def open(self, platform: Platform, image: Image | None, options: SessionOptions) -> HardwareSession:
        """Power, flash and open the board. InputError for wrong options, ToolError saying which part fails and why."""
        extra = dict(options.extra)
        url = str(extra.get("serial") or options.argument)
        if not url:
            raise InputError("backend hardware: name the board's port, e.g. --serial /dev/ttyACM0")
        clock = WallClock()
        notes: list[str] = []
        monitor: PowerMonitor | None = None
        meter: HardwarePowerMeter | None = None
        serial: LabConsole | None = None
        try:
            if extra.get("power"):
                name, given = monitor_options(str(extra["power"]), platform, clock)
                monitor = open_monitor(name, given)
                meter = HardwarePowerMeter(monitor, given.voltage_v)
            if extra.get("flash"):
                assert image is not None, "needs_image said so"
                notes += flash_image(platform, image, str(extra["flash"]), int(extra.get("flash_retries") or 0))
            else:
                notes.append("the board was not flashed: what it runs is taken on trust (give --flash)")
            baud = int(extra.get("baud") or options.baud or platform.board.console.baud)
            within_s = RECONNECT_S if extra.get("flash") else 0.0
            serial = open_console(url, baud, probe_chip(platform), rtt_block(image), within_s)
        except BaseException:
            if monitor is not None:
                monitor.close()
            raise
        recorder = RecordingConsole(serial, clock)
        console: Any = recorder
        if extra.get("interface_board"):
            from emulab.backends.interface_board import InterfaceBoardConsole

            console = recorder = RecordingConsole(InterfaceBoardConsole(serial), clock)
        record = Path(str(extra["record"])) if extra.get("record") else None
        known = image.sha256 if extra.get("flash") and image is not None else ""
        return HardwareSession(platform, serial, console, clock, recorder, meter, monitor, record, known, notes)


def probe_chip(platform: Platform) -> str:
    """The platform's chip as pyOCD names it; empty where the platform does not say."""
    mapping = platform.backends.get("hardware")
    return str(mapping.options.get("pyocd_target", "")) if mapping else ""


def rtt_block(image: Image | None) -> int | None:
    """Where the image's RTT control block lies (symbol ``_SEGGER_RTT``); None where it does not say."""
    symbol = getattr(image, "symbols", {}).get("_SEGGER_RTT")
    return None if symbol is None else int(symbol.address)


def flash_image(platform: Platform, image: Image, spec: str, retries: int = 0) -> list[str]:
    """Flash *image* with the loader of *spec* (``NAME[:PROBE]``), after checking that it fits the platform.

    What is interrupted or not verified is tried again up to *retries* times. Gives lines for the record.
    """
    if retries < 0:
        raise InputError(f"--flash-retries {retries}: expected 0 or more")
    name, probe, _ = split_spec(spec, f"--flash {spec}")
    loader = open_loader(name)
    image.check_fits(platform)
    mapping = platform.backends.get("hardware")
    options = {key: str(value) for key, value in (mapping.options if mapping else {}).items()}
    base = image.segments[0][0] if image.format == "bin" and image.segments else None
    job = FlashJob(Path(image.path), image.format, base, probe, options)
    return flash_with_retries(loader, job, name, retries)
