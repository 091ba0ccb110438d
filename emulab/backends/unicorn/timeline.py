"""The machine's SimPy clock: besides events, time can pass at once where nothing is due meanwhile."""

from __future__ import annotations

import simpy


class Timeline(simpy.Environment):
    """SimPy's environment; its time unit is the second."""

    def passes(self, delay_s: float) -> bool:
        """Let *delay_s* pass without an event, as a timeout nobody else can see would; False where another comes first."""
        then = self._now + delay_s
        if then >= self.peek():
            return False
        self._now = then
        return True
