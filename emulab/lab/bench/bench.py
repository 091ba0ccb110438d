"""The simulated bench: one board on a line, and power monitors on theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from emulab.errors import EmulabError, InputError
from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.bench.interface_sim import InterfaceLine
from emulab.lab.bench.line import Line, TcpLine, open_line
from emulab.lab.bench.lpm01a_sim import Lpm01aSim
from emulab.lab.bench.monitor_sim import MonitorSim
from emulab.lab.bench.otii_sim import OtiiSim
from emulab.lab.bench.player import Playable, Player
from emulab.lab.bench.ppk2_sim import Ppk2Sim
from emulab.lab.bench.world import World

MONITORS = ("ppk2", "lpm01a", "otii")


class Bench:
    """Runs until :meth:`close`. ``console_url`` is what ``--serial`` takes, ``monitors`` maps a name to its address.

    ``failure`` holds the error that ended the board, if one did. The session is the caller's to close.
    """

    def __init__(
        self,
        session: Playable,
        pin: str = "",
        line: str = "pty",
        monitors: Sequence[str] = ("ppk2",),
        imperfection: Imperfection | None = None,
        speed: float = 1.0,
        idle_a: float = 0.002,
        active_a: float = 0.012,
        interface_board: bool = False,
        waits_at: Callable[[], float] | None = None,
    ) -> None:
        if speed <= 0:
            raise InputError(f"bench-sim: speed {speed:g} must be positive")
        for name in monitors:
            if name not in MONITORS:
                raise InputError(f"bench-sim: monitor {name!r} is unknown; known: {', '.join(MONITORS)}")
        self._stop = threading.Event()
        self.world = World(speed)
        self.player = Player(session, self.world.now_s, pin, idle_a, active_a, waits_at, self._stop)
        self.failure: EmulabError | None = None
        self._console: Line = open_line(line)
        if interface_board:
            self._console = InterfaceLine(self._console)
        self.console_url = self._console.url
        self.sims: dict[str, MonitorSim] = {}
        self.monitors: dict[str, str] = {}
        flaws = imperfection or Imperfection()
        kind = line.partition(":")[0]
        for name in monitors:
            sim: MonitorSim
            if name == "otii":
                sim = OtiiSim(TcpLine(), self.player, self.world, flaws)
            else:
                sim = (Ppk2Sim if name == "ppk2" else Lpm01aSim)(open_line(kind), self.player, self.world, flaws)
            self.sims[name] = sim
            self.monitors[name] = sim.address
            sim.start()
        self._thread = threading.Thread(target=self._run, name="bench-board", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._play(self.player.boot())
            while not self._stop.is_set():
                data = self._console.read(0.005)
                for answer in self.player.feed(data) if data else ():
                    if not self._play(answer):
                        return
        except EmulabError as error:
            self.failure = error
            self._stop.set()
        finally:
            self._console.close()  # by the thread that reads it: nobody else has its file's number meanwhile

    def _play(self, answer: list[tuple[float, bytes]]) -> bool:
        """Write what the board prints when world time gets there; False when the bench ended before."""
        for when, data in answer:
            if not self.world.wait_until(when, self._stop):
                return False
            self._console.write(data)
        return True

    def pull_console(self) -> None:
        """Pull the board's cable: its line ends, its monitors go on."""
        self._stop.set()
        self._thread.join(timeout=60)

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and self.failure is None

    def close(self) -> None:
        """End every thread and free every line."""
        self._stop.set()
        self._thread.join(timeout=60)  # the session must not be closed under it
        for sim in self.sims.values():
            sim.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
