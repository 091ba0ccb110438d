"""A scripted DUT: speaks the protocol over a fake console with virtual time, and can be made to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from emulab.backends.base import CurrentTrace, GpioEdge


class SteadyClock:
    """Seconds of the host in which this process ran: what it was stopped or starved for is not counted.

    On it a bench in this process and what listens to it agree on the time, however busy the host is. Use as a context
    manager: a thread keeps it going.
    """

    MOST_S = 0.05

    def __init__(self) -> None:
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._time_s, self._last_s = 0.0, time.monotonic()

    def __call__(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._time_s += min(now - self._last_s, self.MOST_S)
            self._last_s = now
            return self._time_s

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            self()

    def __enter__(self) -> SteadyClock:
        self._thread = threading.Thread(target=self._run, name="steady-clock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()


@dataclass
class FakeClock:
    kind: Literal["virtual", "wall"] = "virtual"
    time_s: float = 0.0

    def now_s(self) -> float:
        return self.time_s


@dataclass
class FakeDut:
    """The firmware. ``latency_us`` per inference; ``model`` computes results from the loaded bytes."""

    clock: FakeClock = field(default_factory=FakeClock)
    latency_us: int = 40_000
    energy_mode: bool = False
    boots: bool = True
    chunk: int = 1000
    model: Callable[[bytes], list[float]] = lambda data: [float(data[0]), float(len(data))]
    edges: list[GpioEdge] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    hook: Callable[[str, list[str]], list[str] | None] = lambda command, answer: None
    """Gets every command and its answer; may give another one."""

    def __post_init__(self) -> None:
        self._out: list[tuple[float, int]] = []
        self._now = 0.0
        self._in = bytearray()
        self._buffer = bytearray()
        self._size = 0
        if self.boots:
            self.boot()

    def boot(self) -> None:
        mode = "energy" if self.energy_mode else "performance"
        self.say([f"m-timestamp-mode-{mode}", *self._stamp(), "m-init-done", "m-ready"])

    def say(self, lines: list[str]) -> None:
        self.say_raw("".join(line + "\r\n" for line in lines).encode("latin-1"))

    def say_raw(self, data: bytes) -> None:
        """Bytes leave at the DUT's time; reading them moves the clock there."""
        self._out += [(self._now, byte) for byte in data]

    def write(self, data: bytes) -> None:
        self._now = max(self._now, self.clock.time_s)
        for byte in data:
            if byte == ord("%"):
                command = self._in.decode("latin-1")
                self._in.clear()
                self.heard.append(command)
                begun = self._now
                timed = [*self._answer(command), (self._now, "m-ready")]
                timed = [item if isinstance(item, tuple) else (begun, item) for item in timed]
                answer = [line for _, line in timed]
                replaced = self.hook(command, answer)
                if replaced is not None:
                    timed = [(self._now, line) for line in replaced]
                for self._now, line in timed:
                    self.say([line])
            else:
                self._in.append(byte)

    def read(self, timeout_s: float) -> bytes:
        if not self._out:
            self.clock.time_s += timeout_s
            return b""
        when = self._out[0][0]
        data = bytes(byte for time_s, byte in self._out[: self.chunk] if time_s == when)
        del self._out[: len(data)]
        self.clock.time_s = max(self.clock.time_s, when)
        return data

    def _stamp(self) -> list[str]:
        if self.energy_mode:
            self.edges.append(GpioEdge("PA9", self._now, False))
            self.edges.append(GpioEdge("PA9", self._now + 2e-6, True))
            return []
        return [f"m-lap-us-{round(self._now * 1e6)}"]

    def _answer(self, command: str) -> list[str | tuple[float, str]]:
        words = command.split(" ")
        if words[0] == "name":
            return ["m-name-dut-[fake]"]
        if words[0] == "profile":
            return ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[kws01]"]
        if words[0] == "timestamp":
            return self._stamp()
        if words[0] == "results":
            return self._results()
        if words[0] == "infer":
            n, w = int(words[1]), int(words[2]) if len(words) > 2 else 10
            warm = f"m-warmup-start-{w}"
            self._now += w * self.latency_us / 1e6
            before = ["m-warmup-done", f"m-infer-start-{n}", *self._stamp()]
            lines: list[str | tuple[float, str]] = [warm, *((self._now, line) for line in before)]
            self._now += n * self.latency_us / 1e6
            after = [*self._stamp(), "m-infer-done", *self._results()]
            return [*lines, *((self._now, line) for line in after)]
        if words[:2] == ["db", "load"]:
            self._size = int(words[2])
            self._buffer.clear()
            return [f"m-[Expecting {self._size} bytes]"]
        if words[:2] == ["db", "print"]:
            rows = [self._buffer[i : i + 8] for i in range(0, len(self._buffer), 8)]
            return ["m-buffer-" + row.hex("-") for row in rows]
        if words[0] == "db":
            self._buffer += bytes.fromhex(words[1])
            return ["m-load-done"] if len(self._buffer) >= self._size else []
        return [f"e-[Unknown command: {command}]"]

    def _results(self) -> list[str]:
        return ["m-results-[" + ",".join(f"{v:.3f}" for v in self.model(bytes(self._buffer) or b"\0")) + "]"]


class FakeMeter:
    """A power meter that saw ``current_a`` all along, 1 kHz."""

    def __init__(self, clock: FakeClock, current_a: float = 0.01, voltage_v: float = 1.8) -> None:
        self.clock, self.current_a, self.voltage_v = clock, current_a, voltage_v
        self.running = False

    def start(self) -> None:
        self.begun, self.running = self.clock.now_s(), True

    def stop(self) -> None:
        self.running = False

    def capture(self) -> CurrentTrace:
        import numpy as np

        buckets = int((self.clock.now_s() - self.begun) / 1e-3) + 2
        return CurrentTrace(self.begun, 1e-3, np.full(buckets, self.current_a), voltage_v=self.voltage_v)
