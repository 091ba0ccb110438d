"""Qoitech Otii Arc or Ace: ``--power otii[:HOST:PORT]``, through the TCP server of the Otii application (JSON lines).

Channels: ``mc`` main current, ``mv`` main voltage, ``i1`` and ``i2`` the digital inputs.
"""

from __future__ import annotations

import json
import math
import socket
import time
from typing import Any

from emulab.errors import ToolError
from emulab.lab.capture import Capture
from emulab.lab.power.base import MonitorOptions

DEFAULT = ("127.0.0.1", 1905)
CHUNK = 40_000
ANSWER_S = 10.0


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
        self._clock = options.clock or time.monotonic
        self._line = OtiiLine(host or DEFAULT[0], int(port) if port.isdigit() else DEFAULT[1])
        devices = self._line.ask("otii_get_devices", timeout=10).get("devices", [])
        devices = [device for device in devices if device.get("type") in ("Arc", "Ace", "Simulator")]
        if not devices:
            self._line.close()
            raise ToolError("power monitor otii: the application sees no Arc or Ace; is one plugged in?")
        self._device = str(devices[0]["device_id"])
        project = self._line.ask("otii_get_active_project").get("project_id", -1)
        self._project = self._line.ask("otii_create_project")["project_id"] if project == -1 else project
        self._line.ask("arc_add_to_project", device_id=self._device)
        self._input = f"i{options.pin + 1}"
        if options.voltage_v:
            self._line.ask("arc_set_main_voltage", device_id=self._device, value=options.voltage_v)
        for channel in ("mc", "mv", self._input):
            self._line.ask("arc_enable_channel", device_id=self._device, channel=channel, enable=True)
        self._line.ask("arc_set_main", device_id=self._device, enable=True)
        self._start_s = 0.0

    def start(self) -> None:
        """Start a recording."""
        self._start_s = self._clock()
        self._line.ask("project_start_recording", project_id=self._project)

    def stop(self) -> None:
        """Stop the recording."""
        self._line.ask("project_stop_recording", project_id=self._project)

    def _analog(self, recording: int, channel: str) -> tuple[list[float], float, float]:
        """(values, seconds between them, seconds from the recording's start to the first)."""
        where = {"recording_id": recording, "device_id": self._device, "channel": channel}
        count = int(self._line.ask("recording_get_channel_data_count", **where).get("count", 0))
        values: list[float] = []
        interval, first = math.nan, 0.0
        while len(values) < count:
            data = self._line.ask(
                "recording_get_channel_data", **where, index=len(values), count=min(CHUNK, count - len(values))
            )
            chunk = data.get("values", [])
            if not chunk:
                raise ToolError(f"power monitor otii: {channel} ends after {len(values)} of {count} samples")
            if not values:
                first = float(data.get("timestamp", 0.0))
            values += [float(value) for value in chunk]
            interval = float(data.get("interval", math.nan))
        return values, interval, first

    def capture(self) -> Capture:
        """The last recording. ToolError when it holds no current."""
        import numpy as np

        last = self._line.ask("project_get_last_recording", project_id=self._project)
        recording = int(last.get("recording_id", -1))
        current, step, first = self._analog(recording, "mc")
        if not current or not (math.isfinite(step) and step > 0):
            raise ToolError("power monitor otii: the recording holds no main current")
        volts, _, _ = self._analog(recording, "mv")
        volt = float(np.mean(volts)) if volts else self._options.voltage_v
        where = {"recording_id": recording, "device_id": self._device, "channel": self._input}
        count = int(self._line.ask("recording_get_channel_data_count", **where).get("count", 0))
        changes = []
        if count:
            changes = self._line.ask("recording_get_channel_data", **where, index=0, count=count).get("values", [])
        marks = tuple(
            ("rising" if change.get("value") else "falling", self._start_s + float(change["timestamp"]))
            for change in changes
        )
        begin = self._start_s + first
        return Capture(begin, step, np.asarray(current), "A", volt, marks, source=f"Otii {self._device}")

    def close(self) -> None:
        """Close the connection; the supply stays on."""
        self._line.close()
