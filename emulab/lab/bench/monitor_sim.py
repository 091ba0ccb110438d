"""What all simulated power monitors share: a thread that takes commands from a line and streams while it measures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.line import Line
from emulab.lab.bench.player import Player
from emulab.lab.bench.world import World

TICK_S = 0.01
PIECE_S = 0.25
"""Of a monitor's time, made at once: what a thread that comes late has to catch up with takes bounded memory."""


class MonitorSim:
    """Runs in a thread of its own until :meth:`close`. A monitor says what a command is and what a tick streams.

    ``sent`` and ``lost`` count samples; ``lost`` are those that were lost on purpose and those nobody took.
    """

    name = "monitor"
    nominal_hz = 0
    """Samples a second that it streams; 0: it sends none by itself."""

    def __init__(self, line: Line, player: Player, world: World, imperfection: Imperfection) -> None:
        self._line, self._player, self._world, self._imperfection = line, player, world, imperfection
        self.voltage_v = 3.0
        self.sent = self.lost = 0
        self._pending = bytearray()
        self._running = False
        self._begin_s = 0.0
        self._made = 0
        self._random: Any = imperfection.generator()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{self.name}-sim", daemon=True)

    @property
    def address(self) -> str:
        """What follows the colon of ``--power NAME:ADDRESS``."""
        return self._line.url

    @property
    def measuring(self) -> bool:
        """Between the command that starts a measurement and the end of what the one that stops it leaves to send."""
        return self._running

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._pending += self._line.read(TICK_S / 2)
            self._commands()
            if self._running:
                self._stream()

    def _commands(self) -> None:
        """Take whole commands off ``_pending``."""
        raise NotImplementedError

    def _stream(self) -> None:
        """Send what is due until the present, a piece at a time."""
        if self.nominal_hz:
            rate = self._rate_hz(self.nominal_hz)
            for count in self._due(rate, max(1, round(self.nominal_hz * PIECE_S))):
                self._send(rate, count)

    def _send(self, rate_hz: float, count: int) -> None:
        """Make and send the next *count* samples, *rate_hz* of them in a world second."""
        raise NotImplementedError

    def _begin(self) -> None:
        """A measurement starts now, with the same random numbers every time."""
        self._running, self._made = True, 0
        self._begin_s = self._world.now_s()
        self._random = self._imperfection.generator()

    def _rate_hz(self, nominal: float) -> float:
        """Samples per world second of a monitor whose clock is a little fast."""
        return nominal * (1 + self._imperfection.clock_ppm * 1e-6)

    def _due(self, rate_hz: float, at_most: int) -> Iterator[int]:
        """Samples to make until the present, in pieces of *at_most*; the present is that of the call."""
        until = int((self._world.now_s() - self._begin_s) * rate_hz)
        while self._made < until:
            yield min(until - self._made, at_most)

    def _deliver(self, data: bytes, arriving: int, of: int) -> None:
        """Send *data*, in which *arriving* samples of *of* are left, and count."""
        arrived = arriving if self._line.write(data) else 0
        self.sent += arrived
        self.lost += of - arrived

    def close(self) -> None:
        """End the thread and pull the cable."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)
        self._line.close()
