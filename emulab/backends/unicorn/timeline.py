"""The machine's SimPy clock: besides events, time can pass at once where nothing is due, and work can be made up for later."""

from __future__ import annotations

from collections.abc import Callable

import simpy


class Timeline(simpy.Environment):
    """SimPy's environment; its time unit is the second."""

    def __init__(self) -> None:
        super().__init__()
        self.behind: dict[str, Callable[[float], None]] = {}
        """Who does what nobody sees only when it is asked for, by name; called with the time of each event before it happens."""

    def step(self) -> None:
        """The next event, after what came before it was made up for."""
        if self.behind:
            for catch_up in tuple(self.behind.values()):
                catch_up(self.peek())
        super().step()

    def passes(self, delay_s: float) -> bool:
        """Let *delay_s* pass without an event, as a timeout nobody else can see would; False where another comes first."""
        then = self._now + delay_s
        if then >= self.peek():
            return False
        self._now = then
        return True
