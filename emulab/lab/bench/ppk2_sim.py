"""A simulated PPK2: the device's side of its protocol on a line, fed with the current of a player."""

from __future__ import annotations

from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.line import Line
from emulab.lab.bench.monitor_sim import MonitorSim
from emulab.lab.bench.player import Player
from emulab.lab.bench.world import World
from emulab.lab.power import ppk2_packet as packet


class Ppk2Sim(MonitorSim):
    """100 000 samples of four bytes per second."""

    name = "ppk2"
    nominal_hz = packet.RATE_HZ

    def __init__(self, line: Line, player: Player, world: World, imperfection: Imperfection) -> None:
        super().__init__(line, player, world, imperfection)
        self._modifiers = packet.Modifiers()
        self.dut_power = False
        self._counter = 0

    def _commands(self) -> None:
        while self._pending:
            length = packet.COMMAND_LENGTH.get(self._pending[0], 1)
            if len(self._pending) < length:
                return
            command, argument = self._pending[0], bytes(self._pending[1:length])
            del self._pending[:length]
            if command == packet.AVERAGE_START:
                self._begin()
            elif command == packet.AVERAGE_STOP:
                if self._running:
                    self._stream()  # up to now, however late this thread was given the processor
                self._running = False
            elif command == packet.GET_META_DATA:
                self._line.write(self._modifiers.text().encode())
            elif command == packet.REGULATOR_SET:
                self.voltage_v = int.from_bytes(argument, "big") / 1000
            elif command == packet.DEVICE_RUNNING_SET:
                self.dut_power = bool(argument[0])

    def _send(self, rate_hz: float, count: int) -> None:
        import numpy as np

        index = np.arange(self._made, self._made + count)
        times = self._begin_s + index / rate_hz
        played = self._player.current(times)
        amps = self._imperfection.spoil(played, times, self._random)
        logic = self._player.level(times) | 0xFE
        words = packet.encode(amps, self._counter + np.arange(count), logic, self._modifiers, self.voltage_v, played)
        keep = self._imperfection.kept(self._made, count)
        self._made += count
        self._counter += count
        self._deliver(np.frombuffer(words, "<u4")[keep].tobytes(), int(keep.sum()), count)
