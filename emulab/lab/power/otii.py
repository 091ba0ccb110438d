"""Qoitech Otii Arc or Ace: ``--power otii[:HOST:PORT]``, through the TCP server of the Otii application (JSON lines).

Channels: ``mc`` main current, ``mv`` main voltage, ``i1`` and ``i2`` the digital inputs.
"""

from __future__ import annotations

import json
import math
import socket
import time
from dataclasses import dataclass
from typing import Any

from emulab.errors import ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.power.base import MonitorOptions

DEFAULT = ("127.0.0.1", 1905)
CHUNK = 40_000
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Analog:
    """Samples of a channel, seconds between them, and seconds from the recording's start to the first."""

    values: list[float]
    interval_s: float
    first_s: float


def real(value: Any, what: str) -> float:
    """A JSON number; ToolError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolError(f"power monitor otii: {what} is {str(value)[:40]!r}, expected a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def whole(value: Any, what: str) -> int:
    """A whole JSON number of at most 2^53."""
    number = real(value, what)
    if not abs(number) <= 2**53 or number != int(number):
        raise ToolError(f"power monitor otii: {what} is {str(value)[:40]!r}, expected a whole number")
    return int(number)


def listed(data: dict[str, Any], key: str) -> list[Any]:
    """A list in an answer; ToolError when it is something else."""
    found = data.get(key, [])
    if not isinstance(found, list):
        raise ToolError(f"power monitor otii: {key} is {str(found)[:40]!r}, expected a list")
    return found


def analog(data: dict[str, Any]) -> Analog:
    """An answer of an analog channel. A sample that is no finite number is a lost one (NaN)."""
    values = [real(value, "a sample") for value in listed(data, "values")]
    first = real(data.get("timestamp", 0.0), "timestamp")
    if not math.isfinite(first):
        raise ToolError("power monitor otii: its first sample has no time")
    interval = real(data.get("interval", math.nan), "interval")
    return Analog([value if math.isfinite(value) else math.nan for value in values], interval, first)


def changes(data: dict[str, Any]) -> list[tuple[str, float]]:
    """An answer of a digital channel: (``rising`` or ``falling``, seconds from the recording's start)."""
    found = []
    for change in listed(data, "values"):
        if not isinstance(change, dict) or not isinstance(change.get("value"), bool | int):
            raise ToolError(f"power monitor otii: {str(change)[:60]!r} is no change of a digital input")
        when = real(change.get("timestamp"), "timestamp")
        if not math.isfinite(when):
            raise ToolError("power monitor otii: a change of a digital input has no time")
        found.append(("rising" if change["value"] else "falling", when))
    return found


class OtiiLine:
    """Requests and responses on one TCP connection. ToolError when the server is gone, silent, or answers an error."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"power monitor otii {host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=ANSWER_S)
        except OSError as error:
            raise ToolError(
                f"{self._where}: cannot be reached ({error.strerror or error}); is the Otii application's server on?"
            ) from None
        self._rest = b""
        self._id = 0
        self._receive()  # the server greets first

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_S
        while True:
            line, separator, rest = self._rest.partition(b"\r\n")
            if separator:
                self._rest = rest
                try:
                    found = json.loads(line)
                except ValueError:
                    found = None
                if not isinstance(found, dict):
                    raise ToolError(f"{self._where}: sent no JSON object: {line[:60]!r}")
                if found.get("type") != "progress":
                    return found
                continue
            if time.monotonic() > deadline:
                raise ToolError(f"{self._where}: did not answer within {ANSWER_S:g} s")
            try:
                chunk = self._socket.recv(1 << 17)
            except OSError as error:
                raise ToolError(f"{self._where}: {error}") from None
            if not chunk:
                raise ToolError(f"{self._where}: closed the connection")
            self._rest += chunk

    def ask(self, command: str, **data: Any) -> dict[str, Any]:
        """Send a request and give its response's data."""
        self._id += 1
        request: dict[str, Any] = {"type": "request", "cmd": command, "trans_id": str(self._id)}
        if data:
            request["data"] = data
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\r\n")
        except OSError as error:
            raise ToolError(f"{self._where}: {error}") from None
        answer = self._receive()
        if answer.get("type") == "error" or answer.get("trans_id") != str(self._id):
            reason = answer.get("errorcode") or answer.get("data") or answer
            raise ToolError(f"{self._where}: {command}: {str(reason)[:160]}")
        found = answer.get("data", {})
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Otii:
    """One Otii device, recorded by its application; the recording is read when it is over."""

    def __init__(self, options: MonitorOptions) -> None:
        host, _, port = options.address.rpartition(":") if ":" in options.address else (options.address, "", "")
        self._options = options
        self._clock = options.clock or hosttime.now_s
        self._line = OtiiLine(host or DEFAULT[0], int(port) if port.isdigit() else DEFAULT[1])
        self._start_s = 0.0
        try:
            self._set_up(options)
        except BaseException:
            self._line.close()
            raise

    def _set_up(self, options: MonitorOptions) -> None:
        """Device into the project, supply, channels."""
        devices = listed(self._line.ask("otii_get_devices", timeout=10), "devices")
        known = ("Arc", "Ace", "Simulator")
        ids = [str(d.get("device_id", "")) for d in devices if isinstance(d, dict) and d.get("type") in known]
        if not ids or not ids[0]:
            raise ToolError("power monitor otii: the application sees no Arc or Ace; is one plugged in?")
        self._device = ids[0]
        self._project = whole(self._line.ask("otii_get_active_project").get("project_id", -1), "project_id")
        if self._project == -1:
            self._project = whole(self._line.ask("otii_create_project").get("project_id"), "project_id")
        self._line.ask("arc_add_to_project", device_id=self._device)
        self._input = f"i{options.pin + 1}"
        if options.voltage_v:
            self._line.ask("arc_set_main_voltage", device_id=self._device, value=options.voltage_v)
        for channel in ("mc", "mv", self._input):
            self._line.ask("arc_enable_channel", device_id=self._device, channel=channel, enable=True)
        self._line.ask("arc_set_main", device_id=self._device, enable=True)

    def start(self) -> None:
        """Start a recording."""
        self._start_s = self._clock()
        self._line.ask("project_start_recording", project_id=self._project)

    def stop(self) -> None:
        """Stop the recording."""
        self._line.ask("project_stop_recording", project_id=self._project)

    def _count(self, where: dict[str, Any]) -> int:
        return whole(self._line.ask("recording_get_channel_data_count", **where).get("count", 0), "count")

    def _analog(self, recording: int, channel: str) -> Analog:
        where = {"recording_id": recording, "device_id": self._device, "channel": channel}
        count = self._count(where)
        found = Analog([], math.nan, 0.0)
        while len(found.values) < count:
            asked = min(CHUNK, count - len(found.values))
            data = self._line.ask("recording_get_channel_data", **where, index=len(found.values), count=asked)
            part = analog(data)
            if not part.values:
                raise ToolError(f"power monitor otii: {channel} ends after {len(found.values)} of {count} samples")
            found = Analog(found.values + part.values, part.interval_s, found.first_s if found.values else part.first_s)
        return found

    def capture(self) -> Capture:
        """The last recording. ToolError when it holds no current, or the server answers nonsense."""
        import numpy as np

        last = self._line.ask("project_get_last_recording", project_id=self._project)
        recording = whole(last.get("recording_id", -1), "recording_id")
        current = self._analog(recording, "mc")
        if not current.values or not (math.isfinite(current.interval_s) and current.interval_s > 0):
            raise ToolError("power monitor otii: the recording holds no main current")
        volts = [v for v in self._analog(recording, "mv").values if math.isfinite(v)]
        volt = float(np.mean(volts)) if volts else self._options.voltage_v
        where = {"recording_id": recording, "device_id": self._device, "channel": self._input}
        count = self._count(where)
        edges = changes(self._line.ask("recording_get_channel_data", **where, index=0, count=count)) if count else []
        values = np.asarray(current.values)
        return Capture(
            start_s=self._start_s + current.first_s,
            step_s=current.interval_s,
            values=values,
            voltage_v=volt,
            marks=tuple((name, self._start_s + when) for name, when in edges),
            lost_samples=int(np.isnan(values).sum()),
            source=f"Otii {self._device}",
        )

    def close(self) -> None:
        """Close the connection; the supply stays on."""
        self._line.close()
