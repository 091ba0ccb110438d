"""A simulated Otii Ace behind the TCP server of the Otii application: JSON requests and responses, a line each.

Requests, responses and errors are those that Qoitech's ``otii-tcp-client`` documents. What a recording holds is computed
when it is stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.line import TcpLine
from emulab.lab.bench.monitor_sim import MonitorSim
from emulab.lab.bench.player import Player
from emulab.lab.bench.world import World

DEVICE = "Ace-simulated"
RATES_HZ = (1_000, 10_000, 50_000)
MAX_COUNT = 40_000
"""Samples that one request may ask for."""
ANALOG, DIGITAL = ("mc", "mv"), ("i1", "i2")


class OtiiError(Exception):
    """An error as the server answers it."""

    def __init__(self, code: str, **data: Any) -> None:
        super().__init__(code)
        self.code, self.data = code, data


@dataclass
class Recording:
    """One recording: analog channels on one grid, digital channels as changes (seconds from its start, level)."""

    number: int
    rate_hz: int
    analog: dict[str, Any] = field(default_factory=dict)
    digital: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)


class OtiiSim(MonitorSim):
    """One Ace with channels ``mc``, ``mv``, ``i1`` and ``i2``; ``i1`` sees the board's timestamp pin."""

    name = "otii"

    def __init__(self, line: TcpLine, player: Player, world: World, imperfection: Imperfection) -> None:
        super().__init__(line, player, world, imperfection)
        self._greeted = 0
        self._tcp = line
        self._rate = 50_000
        self._enabled: set[str] = set()
        self._main = self._licensed = False
        self._project = 0
        self._in_project = False
        self._recordings: list[Recording] = []

    @property
    def address(self) -> str:
        return self._line.url.removeprefix("socket://")

    def _commands(self) -> None:
        if self._tcp.connections != self._greeted:
            self._greeted = self._tcp.connections
            self._pending.clear()
            about = {"otii_version": "3.5.5", "protocol_version": "0.1", "server": "otii-server"}
            self._say({"type": "information", "info": "connected", "data": about})
        while (end := self._pending.find(b"\r\n")) >= 0:
            line = bytes(self._pending[:end])
            del self._pending[: end + 2]
            self._say(self._answer(line))

    def _say(self, message: dict[str, Any]) -> None:
        self._line.write(json.dumps(message).encode() + b"\r\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command, number, data = str(request["cmd"]), request["trans_id"], request.get("data", {})
        except (ValueError, KeyError, TypeError) as error:
            what = {"parse_error": str(error), "data": line[:80].decode("utf-8", "replace")}
            return {"type": "error", "errorcode": "Not able to parse request", "cmd": "", "trans_id": "", "data": what}
        head = {"cmd": command, "trans_id": number}
        try:
            handle = getattr(self, f"_do_{command}", None)
            if handle is None:
                raise OtiiError("Invalid command")
            device = data.get("device_id")
            if device not in (None, DEVICE):
                raise OtiiError("Device not connected", device_id=device)
            return {"type": "response", **head, "data": handle(data) or {}}
        except OtiiError as error:
            return {"type": "error", "errorcode": error.code, **head, "data": error.data}
        except KeyError as error:
            return {"type": "error", "errorcode": "Missing key in request", **head, "data": {"key": error.args[0]}}

    # -- the application --------------------------------------------------------------------------------------

    def _do_otii_is_logged_in(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"logged_in": True}

    def _do_otii_get_licenses(self, data: dict[str, Any]) -> dict[str, Any]:
        one = {"id": 1, "type": "Automation", "available": True, "hostname": ""}
        return {"licenses": [{**one, "reserved_to": "bench" if self._licensed else ""}]}

    def _do_otii_reserve_license(self, data: dict[str, Any]) -> None:
        self._licensed = data["license_id"] == 1

    def _do_otii_return_license(self, data: dict[str, Any]) -> None:
        self._licensed = False

    def _do_otii_get_devices(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"devices": [{"device_id": DEVICE, "name": "simulated", "type": "Ace"}]}

    def _do_otii_get_active_project(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"project_id": self._project or -1}

    def _do_otii_create_project(self, data: dict[str, Any]) -> dict[str, Any]:
        self._project += 1
        self._recordings.clear()
        self._in_project = False
        return {"project_id": self._project}

    # -- the device -------------------------------------------------------------------------------------------

    def _do_arc_add_to_project(self, data: dict[str, Any]) -> None:
        if not self._project:
            raise OtiiError("Project does not exist")
        self._in_project = True

    def _do_arc_is_connected(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"connected": True}

    def _do_arc_get_version(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"hw_version": "simulated", "fw_version": "0"}

    def _do_arc_set_main_voltage(self, data: dict[str, Any]) -> None:
        value = data["value"]
        if not isinstance(value, int | float) or not 0.5 <= value <= 25.0:
            raise OtiiError("Invalid key value", key="value", value=value)
        self.voltage_v = float(value)

    def _do_arc_get_main_voltage(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"value": self.voltage_v}

    def _do_arc_set_main(self, data: dict[str, Any]) -> None:
        self._main = bool(data["enable"])

    def _do_arc_get_main(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"value": self._main}

    def _do_arc_set_max_current(self, data: dict[str, Any]) -> None:
        """A limit that nothing on this bench reaches."""

    def _do_arc_set_range(self, data: dict[str, Any]) -> None:
        """A simulated device has no ranges."""

    def _do_arc_set_exp_voltage(self, data: dict[str, Any]) -> None:
        """The level of the digital inputs; they are read alike at any."""

    def _do_arc_enable_channel(self, data: dict[str, Any]) -> None:
        channel = self._channel(data)
        (self._enabled.add if data["enable"] else self._enabled.discard)(channel)

    def _do_arc_set_channel_samplerate(self, data: dict[str, Any]) -> None:
        self._channel(data)
        if data["value"] not in RATES_HZ:
            raise OtiiError("Invalid key value", key="value", value=data["value"])
        self._rate = int(data["value"])

    def _do_arc_get_channel_samplerate(self, data: dict[str, Any]) -> dict[str, Any]:
        self._channel(data)
        return {"value": self._rate}

    def _do_arc_get_value(self, data: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        if self._channel(data) == "mv":
            return {"value": self.voltage_v}
        return {"value": float(self._player.current(np.asarray([self._world.now_s()]))[0])}

    def _channel(self, data: dict[str, Any]) -> str:
        channel = str(data["channel"])
        if channel not in (*ANALOG, *DIGITAL):
            raise OtiiError("Invalid key value", key="channel", value=channel)
        return channel

    # -- recordings -------------------------------------------------------------------------------------------

    def _do_project_start_recording(self, data: dict[str, Any]) -> None:
        if data["project_id"] != self._project or not self._in_project:
            raise OtiiError("Project does not exist")
        self._recordings.append(Recording(len(self._recordings) + 1, self._rate))
        self._begin()

    def _do_project_stop_recording(self, data: dict[str, Any]) -> None:
        import numpy as np

        if not self._running:
            return
        self._running = False
        recording = self._recordings[-1]
        rate = self._rate_hz(recording.rate_hz)
        count = next(self._due(rate, 3600 * recording.rate_hz), 0)
        times = self._begin_s + np.arange(count) / rate
        if "mc" in self._enabled:
            current = self._player.current(times) if self._main else np.zeros(count)
            recording.analog["mc"] = self._imperfection.spoil(current, times, self._random)
        if "mv" in self._enabled:
            recording.analog["mv"] = np.full(count, self.voltage_v)
        for channel in self._enabled.intersection(DIGITAL):
            level = self._player.level(times) if channel == "i1" else np.ones(count, dtype=np.int64)
            changes = np.flatnonzero(np.diff(level)) + 1
            # Its clock is off: it stamps its samples with the time it thinks it is.
            recording.digital[channel] = [(float(i / recording.rate_hz), bool(level[i])) for i in changes]
        self.sent += count

    def _recording(self, data: dict[str, Any]) -> Recording:
        number = data["recording_id"]
        if not isinstance(number, int) or not 1 <= number <= len(self._recordings):
            raise OtiiError("Invalid key value", key="recording_id", value=number)
        return self._recordings[number - 1]

    def _about(self, recording: Recording) -> dict[str, Any]:
        name = f"Recording {recording.number}"
        return {"recording_id": recording.number, "name": name, "start-time": "1970-01-01T00:00:00+00:00"}

    def _do_project_get_last_recording(self, data: dict[str, Any]) -> dict[str, Any]:
        return self._about(self._recordings[-1]) if self._recordings else {"recording_id": -1}

    def _do_project_get_recordings(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"recordings": [self._about(recording) for recording in self._recordings]}

    def _do_recording_is_running(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"running": self._running and self._recording(data) is self._recordings[-1]}

    def _do_recording_get_channel_data_count(self, data: dict[str, Any]) -> dict[str, Any]:
        recording, channel = self._recording(data), self._channel(data)
        values = recording.analog.get(channel, recording.digital.get(channel, []))
        return {"count": len(values)}

    def _do_recording_get_channel_data(self, data: dict[str, Any]) -> dict[str, Any]:
        recording, channel = self._recording(data), self._channel(data)
        index, count = int(data["index"]), int(data["count"])
        if channel in DIGITAL:
            chosen = recording.digital.get(channel, [])[index : index + count]
            return {"data_type": "digital", "values": [{"timestamp": t, "value": v} for t, v in chosen]}
        if count > MAX_COUNT:
            raise OtiiError("Invalid key value", key="count", value=count)
        if channel not in recording.analog:
            raise OtiiError("Invalid key value", key="channel", value=channel)
        values = recording.analog[channel][index : index + count].tolist()
        step = 1.0 / recording.rate_hz
        return {"data_type": "analog", "timestamp": index * step, "interval": step, "values": values}

    def _do_recording_get_channel_info(self, data: dict[str, Any]) -> dict[str, Any]:
        recording, channel = self._recording(data), self._channel(data)
        length = len(recording.analog.get(channel, ())) / recording.rate_hz
        return {"offset": 0.0, "from": 0.0, "to": length, "sample_rate": recording.rate_hz}

    def _do_recording_get_channel_statistics(self, data: dict[str, Any]) -> dict[str, Any]:
        recording, channel = self._recording(data), self._channel(data)
        if channel not in recording.analog:
            raise OtiiError("Invalid key value", key="channel", value=channel)
        low, high = (max(0, round(float(data[key]) * recording.rate_hz)) for key in ("from", "to"))
        piece = recording.analog[channel][low:high]
        if not len(piece):
            raise OtiiError("Invalid key value", key="to", value=data["to"])
        found = {"min": float(piece.min()), "max": float(piece.max()), "average": float(piece.mean())}
        if channel == "mc":
            charge = float(piece.sum()) / recording.rate_hz
            found.update(charge=charge, energy=charge * self.voltage_v)
        return found
