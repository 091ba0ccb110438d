"""A simulated PPK2: the device's side of its protocol on a line, fed with the current of a player."""

from __future__ import annotations

import threading

from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.line import Line
from emulab.lab.bench.player import Player
from emulab.lab.bench.world import World
from emulab.lab.power import ppk2_packet as packet

TICK_S = 0.01


class Ppk2Sim:
    """Answers commands and streams samples in a thread of its own until :meth:`close`."""

    def __init__(self, line: Line, player: Player, world: World, imperfection: Imperfection) -> None:
        self._line, self._player, self._world, self._imperfection = line, player, world, imperfection
        self._modifiers = packet.Modifiers()
        self.voltage_v = 3.0
        self.sent = self.lost = 0
        self.dut_power = False
        self._stop = threading.Event()
        self._pending = bytearray()
        self._running = False
        self._begin_s = 0.0
        self._made = 0
        self._counter = 0
        self._random = imperfection.generator()
        self._thread = threading.Thread(target=self._run, name="ppk2-sim", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._pending += self._line.read(TICK_S / 2)
            self._commands()
            if self._running:
                self._stream()

    def _commands(self) -> None:
        while self._pending:
            length = packet.COMMAND_LENGTH.get(self._pending[0], 1)
            if len(self._pending) < length:
                return
            command, argument = self._pending[0], bytes(self._pending[1:length])
            del self._pending[:length]
            if command == packet.AVERAGE_START:
                self._running, self._made = True, 0
                self._begin_s = self._world.now_s()
                self._random = self._imperfection.generator()
            elif command == packet.AVERAGE_STOP:
                self._running = False
            elif command == packet.GET_META_DATA:
                self._line.write(self._modifiers.text().encode())
            elif command == packet.REGULATOR_SET:
                self.voltage_v = int.from_bytes(argument, "big") / 1000
            elif command == packet.DEVICE_RUNNING_SET:
                self.dut_power = bool(argument[0])

    def _stream(self) -> None:
        import numpy as np

        rate = packet.RATE_HZ * (1 + self._imperfection.clock_ppm * 1e-6)
        due = int((self._world.now_s() - self._begin_s) * rate)
        count = min(due - self._made, packet.RATE_HZ // 4)
        if count <= 0:
            return
        index = np.arange(self._made, self._made + count)
        times = self._begin_s + index / rate
        amps = self._imperfection.spoil(self._player.current(times), times, self._random)
        logic = self._player.level(times) | 0xFE
        words = packet.encode(amps, self._counter + np.arange(count), logic, self._modifiers, self.voltage_v)
        keep = self._imperfection.kept(self._made, count)
        data = np.frombuffer(words, "<u4")[keep].tobytes()
        self._made += count
        self._counter += count
        arrived = int(keep.sum()) if self._line.write(data) else 0
        self.sent += arrived
        self.lost += count - arrived

    def close(self) -> None:
        """End the thread and pull the cable."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._line.close()
