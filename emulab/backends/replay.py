"""Backend ``replay``: a recorded physical session answers as the board did.

``--backend replay:PATH[,inferences=N][,voltage_v=V][,incomplete=take]``. PATH is a trace of a power monitor with its windows, the MLPerf
runner's results, or a folder that ``--record`` wrote. Windows are played in their order and start again after the last;
their length is what was recorded, whatever the client asks for (``m-infer-start-N`` says it).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.backends.base import Availability, Capability, CurrentTrace, GpioEdge, SessionOptions
from emulab.errors import FirmwareFault, InputError, ToolError
from emulab.lab.captures import RecordedSession, read_recording

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

PULSE_S = 2e-6
"""Length of a timestamp pulse; the rules ask for at least one microsecond."""


@dataclass(frozen=True, slots=True)
class _Infer:
    """One recorded ``infer``: what was printed, the window on the recording's clock, and the input it ran on."""

    inferences: int
    warmups: int
    lines: tuple[str, ...]
    start_s: float
    stop_s: float
    data: bytes | None = None
    pulses: bool = False


class ReplayClock:
    """The recording's clock: it stands where the last byte that was read was printed."""

    kind: Literal["virtual"] = "virtual"

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s


class ReplayConsole:
    """Speaks the DUT protocol with recorded answers. ``recorded`` tells the client whose window length counts."""

    recorded = True

    def __init__(self, session: RecordedSession, clock: ReplayClock) -> None:
        self._clock = clock
        self._in = bytearray()
        self._out: list[tuple[float, bytes]] = []
        self._size = 0
        self._buffer = bytearray()
        self._last_results = ""
        self.edges: list[tuple[float, bool]] = []
        self._answers, exchanges = _from_console(session.console)
        windows = [x for x in exchanges if (x.inferences, x.warmups) != (1, 0)]
        self._by_input = {x.data: x for x in exchanges if (x.inferences, x.warmups) == (1, 0)}
        self._windows = _with_edges(session, windows)
        self.modes = [
            *(["performance"] if self._windows else []),
            *(["energy"] if session.capture is not None and self._windows else []),
            *(["accuracy"] if self._by_input else []),
        ]
        self._next = itertools.cycle(self._windows)
        self.played = 0
        laps = any(line.startswith("m-lap-us-") for x in self._windows for line in x.lines)
        self._say([f"m-timestamp-mode-{'performance' if laps else 'energy'}", "m-init-done", "m-ready"])

    def write(self, data: bytes) -> None:
        """Take commands; an answer is queued at once."""
        for byte in data:
            if byte != ord("%"):
                self._in.append(byte)
                continue
            command = self._in.decode("latin-1").strip()
            self._in.clear()
            self._answer(command)

    def read(self, timeout_s: float) -> bytes:
        """The next recorded line; the clock moves to when it was printed."""
        if not self._out:
            raise FirmwareFault("replay: the recording has nothing more to say; was a command cut off?")
        when, line = self._out.pop(0)
        self._clock.time_s = when
        return line

    def _say(self, lines: Iterable[str], when: float | None = None) -> None:
        moment = self._clock.time_s if when is None else when
        self._out += [(moment, f"{line}\r\n".encode("ascii", "replace")) for line in lines]

    def _answer(self, command: str) -> None:
        words = command.split(" ")
        if words[0] == "infer" and len(words) >= 2:
            self._infer([int(w) if w.isdigit() else 0 for w in words[1:]])
            return
        self._say([*self._plain(command, words), "m-ready"])

    def _plain(self, command: str, words: list[str]) -> list[str]:
        if words[0] == "results" and self._last_results:
            return [self._last_results]
        if words[:2] == ["db", "load"] and len(words) == 3 and words[2].isdigit():
            self._size = int(words[2])
            self._buffer.clear()
            return [f"m-[Expecting {self._size} bytes]"]
        if words[:2] == ["db", "print"]:
            rows = [self._buffer[i : i + 8] for i in range(0, len(self._buffer), 8)]
            return ["m-buffer-" + row.hex("-") for row in rows]
        if words[0] == "db" and len(words) == 2:
            try:
                self._buffer += bytes.fromhex(words[1])
            except ValueError:
                return [f"e-[Invalid hex digit in {words[1]!r}]"]
            return ["m-load-done"] if len(self._buffer) >= self._size else []
        if command in self._answers:
            return list(self._answers[command])
        if command == "name":
            return ["m-name-dut-[recorded]"]
        if command == "profile":
            # A trace alone does not say which model ran.
            return ["m-profile-[recorded]", "m-model-[]"]
        return [f"e-[Not recorded: {command}]"]

    def _infer(self, numbers: list[int]) -> None:
        chosen: _Infer | None
        if numbers[:2] == [1, 0]:
            chosen = self._by_input.get(bytes(self._buffer))
            if chosen is None:
                what = "This input" if self._by_input else "Accuracy mode"
                self._say([f"e-[{what} was not recorded]", "m-ready"])
                return
        elif self._windows:
            chosen = next(self._next)
            self.played += 1
        else:
            self._say(["e-[No window was recorded]", "m-ready"])
            return
        if chosen.pulses:
            for edge in (chosen.start_s, chosen.stop_s):
                self.edges += [(edge, False), (edge + PULSE_S, True)]
        when = chosen.start_s
        for line in chosen.lines:
            self._say([line], when)
            if line.startswith("m-infer-start-"):
                when = chosen.stop_s
            if line.startswith("m-results-"):
                self._last_results = line
        self._say(["m-ready"], when)


def _from_console(console: Iterable[tuple[float, str, str]]) -> tuple[dict[str, tuple[str, ...]], list[_Infer]]:
    """Recorded exchanges: the last answer to every plain command, and all inferences with the input they ran on."""
    answers: dict[str, tuple[str, ...]] = {}
    inferences: list[_Infer] = []
    command = ""
    lines: list[tuple[float, str]] = []
    buffer = bytearray()
    for when, direction, text in console:
        if direction == ">":
            command, lines = text.removesuffix("%"), []
            words = command.split(" ")
            if words[:2] == ["db", "load"]:
                buffer.clear()
            elif words[0] == "db" and len(words) == 2 and words[1] not in ("load", "print"):
                try:
                    buffer += bytes.fromhex(words[1])
                except ValueError:
                    buffer.clear()
        elif direction == "<" and text != "m-ready":
            lines.append((when, text))
        elif direction == "<" and command:
            if command.startswith("infer "):
                found = _infer_of(command, lines, bytes(buffer))
                if found:
                    inferences.append(found)
            elif not command.startswith("db"):
                answers[command] = tuple(line for _, line in lines)
            command = ""
    return answers, inferences


def _infer_of(command: str, lines: list[tuple[float, str]], data: bytes) -> _Infer | None:
    numbers = [int(word) for word in command.split(" ")[1:] if word.isdigit()]
    start = next((when for when, line in lines if line.startswith("m-infer-start-")), None)
    stop = next((when for when, line in lines if line == "m-infer-done"), None)
    if start is None or stop is None or not numbers:
        return None
    warmups = numbers[1] if len(numbers) > 1 else 10
    return _Infer(numbers[0], warmups, tuple(line for _, line in lines), start, stop, data)


def _with_edges(session: RecordedSession, printed: list[_Infer]) -> list[_Infer]:
    """Windows as they are played: those with edges in a trace if there are any, with what was printed in them."""
    if not session.windows:
        return printed
    played = []
    matching = printed[-len(session.windows) :] if len(printed) >= len(session.windows) else []
    for index, window in enumerate(session.windows):
        if matching and matching[index].inferences == window.inferences:
            lines, warmups, data = matching[index].lines, matching[index].warmups, matching[index].data
        else:
            results = ["m-results-[" + ",".join(f"{v:.6g}" for v in window.results) + "]"] if window.results else []
            lines = (f"m-infer-start-{window.inferences}", "m-infer-done", *results)
            warmups, data = 0, None
        pulses = session.capture is not None
        played.append(_Infer(window.inferences, warmups, lines, window.start_s, window.stop_s, data, pulses))
    return played


class ReplayPowerMeter:
    """Gives the recorded trace; starting and stopping changes nothing. *trouble*: why the trace is not to be taken."""

    def __init__(self, trace: CurrentTrace, trouble: str = "") -> None:
        self._trace, self._trouble = trace, trouble

    def start(self) -> None:
        """The recording runs already."""

    def stop(self) -> None:
        """The recording is over already."""

    def capture(self) -> CurrentTrace:
        """The trace. ToolError when its capture was not whole: that was no measurement, and replay makes it none."""
        if self._trouble:
            raise ToolError(f"replay: {self._trouble}")
        return self._trace


class ReplaySession:
    """A recorded session, played."""

    profiler = None

    def __init__(self, recorded: RecordedSession, supply_v: float = 0.0, take_incomplete: bool = False) -> None:
        self.recorded = recorded
        self.clock = ReplayClock()
        self.console = ReplayConsole(recorded, self.clock)
        self.power_meter: ReplayPowerMeter | None = None
        self._notes = [f"replayed from {recorded.source}", *recorded.notes]
        capture = recorded.capture
        if capture is not None:
            current, volts = capture.current(supply_v)
            if capture.quantity == "W" and not capture.voltage_v:
                whose = "the platform's supply" if supply_v else "1 V"
                self._notes.append(f"the recording has power, not current: current is taken at {whose} ({volts:g} V)")
            self._notes += capture.summary()
            marks = tuple(
                (f"{name} {i}", t)
                for i, w in enumerate(recorded.windows)
                for name, t in (("window start", w.start_s), ("window stop", w.stop_s))
            )
            trace = CurrentTrace(
                start_s=capture.start_s,
                step_s=capture.step_s,
                mean_a=current,
                voltage_v=volts,
                marks=marks,
                lost_samples=capture.lost_samples,
                source=capture.source or recorded.source,
            )
            trouble = ""
            if capture.incomplete and not take_incomplete:
                trouble = f"capture incomplete: {capture.incomplete}; PATH,incomplete=take takes it as it is"
            self.power_meter = ReplayPowerMeter(trace, trouble)

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        """Edges of the windows played so far; a recording has one pin, whatever it is called."""
        return [GpioEdge(pin, when, level) for when, level in self.console.edges]

    def notes(self) -> list[str]:
        return list(self._notes)

    def details(self) -> dict[str, Any]:
        """``recorded_modes``: what this recording can answer; ``reported``: figures published with it."""
        found: dict[str, Any] = {
            "recorded_modes": self.console.modes,
            "recorded_windows": len(self.recorded.windows),
            "reported": dict(self.recorded.reported),
        }
        for key in ("firmware_sha256", "model_sha256"):
            if getattr(self.recorded, key):
                found[key] = getattr(self.recorded, key)
        return found

    def describe_state(self) -> str:
        return f"replay of {self.recorded.source}: {self.console.played} windows played"

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> ReplaySession:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def split_argument(argument: str) -> tuple[str, dict[str, str]]:
    """``PATH,key=value,...`` -> (PATH, options). A comma in PATH itself is kept unless ``key=`` follows it."""
    path, options = argument, {}
    while "," in path:
        head, _, last = path.rpartition(",")
        key, separator, value = last.partition("=")
        if not separator or not key.isidentifier():
            break
        options[key] = value
        path = head
    return path, options


class ReplayBackend:
    """Plays recorded physical sessions."""

    name = "replay"
    capabilities: frozenset[Capability] = frozenset({"console", "virtual-time", "power-meter", "gpio"})

    def available(self) -> Availability:
        return Availability(True, "built in")

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        """A recording is of a real board."""
        return "board"

    def firmware_platform(self, platform: Platform) -> Platform:
        return platform

    def needs_image(self, extra: Mapping[str, Any]) -> bool:
        """Never: what was recorded ran what it ran."""
        return False

    def open(self, platform: Platform, image: Image | None, options: SessionOptions) -> ReplaySession:
        """Open the recording that ``options.argument`` names. InputError when it is of another board or not
        readable."""
        path, given = split_argument(options.argument)
        if not path:
            raise InputError("backend replay: name the recording, e.g. --backend replay:run/recording")
        known = {"inferences", "voltage_v", "results", "timestamps", "incomplete"}
        for key in given:
            if key not in known:
                raise InputError(f"backend replay: unknown option {key!r}; known: {', '.join(sorted(known))}")
        if given.get("incomplete", "take") != "take":
            raise InputError(f"backend replay: incomplete={given['incomplete']}: the only choice is incomplete=take")
        if not Path(path).exists():
            raise InputError(f"backend replay: {path}: no such recording")
        recorded = read_recording(Path(path), given)
        if recorded.platform and recorded.platform != platform.name:
            raise InputError(
                f"backend replay: {path} was recorded on {recorded.platform!r}, the scenario asks for {platform.name!r}"
            )
        if recorded.capture is None and not recorded.windows and not recorded.console:
            raise ToolError(f"backend replay: {path} holds no console log, no windows and no trace")
        supply = platform.power.supply_v.value if platform.power is not None else 0.0
        return ReplaySession(recorded, supply, "incomplete" in given)
