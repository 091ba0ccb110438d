"""Limits of commands: a slow host is no error of an emulated board, a hung board is one."""

from __future__ import annotations

from typing import Literal

import pytest

from emulab.dut import limit as module
from emulab.dut.limit import GUARD, Limit


class Time:
    """The host's clock, and the board's."""

    def __init__(self, kind: Literal["virtual", "wall"]) -> None:
        self.kind: Literal["virtual", "wall"] = kind
        self.host_s = self.board_s = 1000.0

    def now_s(self) -> float:
        return self.board_s

    def monotonic(self) -> float:
        return self.host_s


@pytest.fixture
def board(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time(getattr(request, "param", "virtual"))
    monkeypatch.setattr(module, "time", time)
    return time


@pytest.mark.parametrize("board", ["wall"], indirect=True)
def test_on_a_board_the_hosts_clock_counts(board: Time) -> None:
    limit = Limit(board, 10.0)
    board.host_s += 9.9
    assert not limit.passed() and limit.wait_s(0.25) == pytest.approx(0.1)
    board.host_s += 0.2
    assert limit.passed() and limit.wait_s(0.25) == 0.001 and limit.note() == ""


def test_a_slow_host_is_no_error(board: Time) -> None:
    limit = Limit(board, 10.0)
    for _ in range(12):
        board.host_s += 8.0  # far beyond the limit in the end
        board.board_s += 0.5
        assert not limit.passed() and 0 < limit.wait_s(0.25) <= 0.25
    board.host_s, board.board_s = board.host_s + 8.0, board.board_s + 5.0
    assert limit.passed() and "the board's clock went on by 11 s, the host's by 104 s" in limit.note()


def test_a_long_sleep_of_the_board_is_no_error(board: Time) -> None:
    """Its hours may pass in no time: the limit is there for those who wait."""
    limit = Limit(board, 10.0)
    board.board_s += 3600.0
    assert not limit.passed()
    board.host_s += 10.0
    assert limit.passed()


def test_a_board_whose_clock_stands_still_is_given_up(board: Time) -> None:
    limit = Limit(board, 10.0)
    board.host_s, board.board_s = board.host_s + 9.0, board.board_s + 0.1
    assert not limit.passed()
    board.host_s += 9.9
    assert not limit.passed()
    board.host_s += 0.1
    assert limit.passed()


def test_in_the_end_it_is_given_up_anyway(board: Time) -> None:
    limit = Limit(board, 10.0)
    steps = 0
    while not limit.passed():
        board.host_s, board.board_s, steps = board.host_s + 5.0, board.board_s + 1e-3, steps + 1
    assert steps == 2 * GUARD
