"""A simulated X-NUCLEO-LPM01A: commands, acknowledgements and energy samples as text, fed with the current of a
player."""

from __future__ import annotations

import re

from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.line import Line
from emulab.lab.bench.monitor_sim import MonitorSim
from emulab.lab.bench.player import Player
from emulab.lab.bench.world import World
from emulab.lab.power import lpm01a_text as wire

OVERSAMPLING = 20
RATES = {"1k": 1000, "2k": 2000, "5k": 5000, "500": 500, "200": 200, "100": 100, "50": 50, "20": 20, "10": 10}
KNOWN = {
    "htc", "hrc", "pwr", "acqtime", "trigdelay", "trigsrc", "eventsrc", "output", "format", "freq", "volt", "lcd",
    "acqmode", "funcmode", "pwrend", "start", "stop", "powershield", "version", "status", "targrst",
}  # fmt: skip


class Lpm01aSim(MonitorSim):
    """Lines of text; 1000 samples a second are lines of their own."""

    name = "lpm01a"

    def __init__(self, line: Line, player: Player, world: World, imperfection: Imperfection) -> None:
        super().__init__(line, player, world, imperfection)
        self.voltage_v = 3.3
        self.nominal_hz = 100
        self._energy = False
        self._controlled = False
        self._events = 0

    def _commands(self) -> None:
        while (match := re.search(rb"[\r\n]", self._pending)) is not None:
            command = bytes(self._pending[: match.start()]).decode("ascii", "replace").strip()
            del self._pending[: match.end()]
            if command:
                self._command(command)

    def _say(self, text: str) -> None:
        self._line.write(f"{text}\r\n".encode())

    def _command(self, command: str) -> None:
        word, _, argument = command.partition(" ")
        if word not in KNOWN or (word not in ("htc", "powershield", "version", "status") and not self._controlled):
            self._say(f"{wire.PROMPT}error {command}")
            self._say("Error detail: unknown command, or the host has not taken control (htc)")
            return
        if word in ("htc", "hrc"):
            self._controlled = word == "htc"
        elif word == "volt":
            match = re.fullmatch(r"(\d+)m", argument)
            if not match or not 1800 <= int(match[1]) <= 3300:
                self._say(f"{wire.PROMPT}error {command}")
                self._say("Error detail: voltage out of range")
                return
            self.voltage_v = int(match[1]) / 1000
        elif word == "freq":
            if argument not in RATES:
                self._say(f"{wire.PROMPT}error {command}")
                self._say("Error detail: frequency not in list")
                return
            self.nominal_hz = RATES[argument]
        elif word == "output":
            self._energy = argument == "energy"
        elif word == "stop":
            if self._running:
                self._stream()
            self._running = False
            self._say(f"{wire.PROMPT}Acquisition completed")
            return
        self._say(f"{wire.PROMPT}ack {command}")
        if word == "version":
            self._say(f"{wire.PROMPT}1.0.4")
        elif word == "powershield":
            self._say(f"{wire.PROMPT}PowerShield present: 0123456789ABCDEF01234567")
        elif word == "start":
            self._begin()
            self._events = 0
            self._say("TimeStamp: 000s 000ms, buff 00%")

    def _send(self, rate_hz: float, count: int) -> None:
        import numpy as np

        fine = self._begin_s + (np.arange(count * OVERSAMPLING) / OVERSAMPLING + self._made) / rate_hz
        amps = self._player.current(fine).reshape(count, OVERSAMPLING).mean(axis=1)
        times = self._begin_s + (self._made + np.arange(count)) / rate_hz
        amps = self._imperfection.spoil(amps, times, self._random)
        values = amps * self.voltage_v / self.nominal_hz if self._energy else amps
        keep = self._imperfection.kept(self._made, count)
        edges = [e for e in self._player.falling_edges() if times[0] <= e < times[0] + count / rate_hz]
        out: list[str] = []
        for k in range(count):
            for edge in edges:
                if times[k] <= edge < times[k] + 1 / rate_hz:
                    out.append(f"event {self._events % wire.EVENT_COUNT:02d} ris")
                    self._events += 1
            if keep[k]:
                out.append(wire.encode_sample(float(values[k])))
            number = self._made + k + 1
            if number % self.nominal_hz == 0:
                out.append(f"TimeStamp: {number // self.nominal_hz:03d}s 000ms, buff 00%")
        self._made += count
        self._deliver(("\r\n".join(out) + "\r\n").encode(), int(keep.sum()), count)
