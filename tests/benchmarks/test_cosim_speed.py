"""Speed of co-simulation: an hour of the shipped node's firmware, executed; a day, executed and fast-forwarded.

Times are of the process, which runs on one core: what a wall clock shows where nothing else runs.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.energy.cosim import FirmwareMeter, FirmwarePhases, Forwarded, forward
from emulab.model.platform import load_platform
from emulab.model.scenario import load_scenario
from emulab.run.cosim import build_firmware, platform_with_parts

DAY_S = 86400.0


def node(span_s: float, executed: bool, board_name: str = "nucleo-l4r5zi") -> Forwarded:
    """vibration-node for a time; every wake executed, or what repeats itself skipped."""
    loaded, platform = load_scenario("vibration-node"), load_platform(board_name).platform
    application, board = loaded.scenario.application, platform_with_parts(loaded, platform)
    assert application is not None
    machine = Machine(board, build_firmware(loaded, platform).image)
    try:
        meter = FirmwareMeter(board, machine)
        phases = FirmwarePhases(machine, meter, application.windows)

        def run(until_s: float) -> None:
            if until_s > machine.env.now:
                machine.env.run(until=until_s)

        done = forward(run, meter, span_s, least_s=float("inf") if executed else application.repeats_s)
        assert phases.counts["capture"] == int((done.executed_s - 0.5) / 10)
        return done
    finally:
        machine.close()


@pytest.mark.parametrize("board_name", ["nucleo-l4r5zi", "nrf52840-dk", "hifive1-revb"])
@pytest.mark.benchmark(timer=time.process_time)
def test_an_hour_of_firmware(benchmark: Any, board_name: str) -> None:
    """360 wakes, each of 512 samples, a spectrum and an inference, none skipped: under 30 s."""
    if not benchmark.enabled:
        pytest.skip("times are asserted only with --benchmark-enable")
    node(20.0, True, board_name)  # the image comes from the cache from here on
    done = benchmark.pedantic(node, (3600.0, True, board_name), rounds=1, iterations=1)
    assert done.executed_s == 3600.0
    assert benchmark.stats.stats.median < 30


@pytest.mark.benchmark(timer=time.process_time)
def test_a_day_fast_forwarded_equals_the_day_executed(benchmark: Any) -> None:
    """8640 wakes executed (minutes) against a few dozen: the same charge within 1e-6."""
    if not benchmark.enabled:
        pytest.skip("executes a day of firmware, some minutes; run it with --benchmark-enable")
    long = node(DAY_S, True)
    fast = benchmark.pedantic(node, (DAY_S, False), rounds=1, iterations=1)
    total = sum(long.parts_c.values())
    assert long.executed_s == DAY_S and fast.executed_s < 0.02 * DAY_S
    assert sum(fast.parts_c.values()) == pytest.approx(total, rel=1e-6)
    for part, charge in long.parts_c.items():
        assert fast.parts_c[part] == pytest.approx(charge, rel=1e-6, abs=1e-6 * total), part
