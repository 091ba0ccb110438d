"""A board that runs another model than the scenario's is refused before anything is measured on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fakes import FakeClock, FakeDut

from emulab.errors import ToolError
from emulab.model.scenario import Measure
from emulab.run import measure as engine


class Board:
    """A scripted DUT (it runs kws01) as a session of the hardware backend."""

    power_meter = profiler = None

    def __init__(self) -> None:
        self.dut = FakeDut(clock=FakeClock("wall"))
        self.console, self.clock = self.dut, self.dut.clock

    def gpio_edges(self, pin):
        return []

    def details(self):
        return {}

    def describe_state(self):
        return ""


def test_wrong_model_on_a_real_board(tmp_path):
    board = Board()
    plan = SimpleNamespace(expected_model="ic01", measure=Measure())
    client = engine_client(board)
    with pytest.raises(ToolError, match="wrong board or firmware attached.*'kws01'.*'ic01'"):  # noqa: RUF043
        engine._drive(board, client, plan, tmp_path, lambda what: None)  # type: ignore[arg-type]
    assert not any(command.startswith(("db", "infer")) for command in board.dut.heard)


def engine_client(board: Board):
    from emulab.dut import DutClient

    return DutClient(board.console, board.clock, 60.0)
