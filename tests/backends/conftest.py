"""Makes the scripted DUT of the protocol's tests, and the skips of this folder, importable; a clock for benches."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent / "dut"), str(Path(__file__).parent)]


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bench and what listens to it in this process, on a clock that stands still while the process does."""
    from fakes import SteadyClock

    with SteadyClock() as clock:
        monkeypatch.setattr("emulab.lab.hosttime.now_s", clock)
        yield
