"""Speed and memory of the energy model: fast-forward, every event drawn, event by event against a plain SimPy loop."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
import simpy

from emulab.energy.duty import simulate_duty_cycle
from emulab.model.dutycycle import DutyCycle
from emulab.model.platform import load_platform

YEAR_S = 365 * 86400.0
STOCHASTIC = {
    "period_s": 10.0,
    "phases": [{"name": "sense", "duration_s": 0.05, "when": {"probability": 0.3}}],
    "events": [
        {
            "name": "knock",
            "rate_per_s": 0.89,
            "phases": [{"name": "log", "use": "uart", "bytes": 10, "retry": {"probability": 0.1, "limit": 3}}],
        }
    ],
}


def node(data: dict[str, Any]) -> tuple[Any, DutyCycle]:
    return load_platform("nucleo-l4r5zi").platform, DutyCycle.model_validate(data)


def test_year_of_a_periodic_cycle(benchmark: Any) -> None:
    """One simulated year of a 10 s cycle: under 0.2 s."""
    phases = [{"name": "sense", "use": "adc", "samples": 512}, {"name": "send", "use": "uart", "bytes": 20}]
    board, cycle = node({"period_s": 10.0, "phases": phases, "battery": {"type": "cr2032"}})
    result = benchmark(simulate_duty_cycle, board, cycle)
    assert result.mode == "fast-forward"
    assert result.jobs == YEAR_S / 10
    if benchmark.enabled:  # a time is only worth something on a machine that does nothing else
        assert benchmark.stats.stats.median < 0.2


def test_year_of_events_every_one_drawn(benchmark: Any) -> None:
    """31 M stochastic events: under 20 s and 300 MB, in a process of its own."""
    code = f"""
import time
from pathlib import Path
from emulab.energy.duty import simulate_duty_cycle
from emulab.model.dutycycle import DutyCycle
from emulab.model.platform import load_platform
start = time.perf_counter()
result = simulate_duty_cycle(
    load_platform("nucleo-l4r5zi").platform, DutyCycle.model_validate({STOCHASTIC!r}), mode="drawn", trace=False
)
# the kernel's ru_maxrss would count the process that forked this one
high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(result.jobs, time.perf_counter() - start, int(high.split()[1]) / 1024)
"""
    words = [sys.executable, "-c", code]
    run = {"capture_output": True, "text": True, "timeout": 240, "check": True}
    done = benchmark.pedantic(subprocess.run, (words,), run, rounds=1, iterations=1)
    jobs, seconds, megabytes = (float(word) for word in done.stdout.split())
    print(f"{jobs:.0f} jobs drawn in {seconds:.2f} s, {megabytes:.0f} MB")
    assert jobs > 31e6
    if benchmark.enabled:
        assert seconds < 20
    assert megabytes < 300


def test_sampled_year(benchmark: Any) -> None:
    """The sampled mode, a figure of its own."""
    board, cycle = node(STOCHASTIC)
    result = benchmark.pedantic(
        simulate_duty_cycle, (board, cycle), {"mode": "sampled", "trace": False}, rounds=3, iterations=1
    )
    assert 0 < result.interval < 0.05


def test_events_against_a_plain_simpy_loop(timed: Any) -> None:
    """Event-by-event simulation keeps at least a twentieth of the events/s of SimPy timeouts that account nothing."""
    board, cycle = node({"period_s": 10.0, "phases": [{"name": f"p{i}", "duration_s": 0.01} for i in range(8)]})
    seen = 0
    step = simpy.Environment.step

    class Counting(simpy.Environment):
        def step(self) -> None:
            nonlocal seen
            seen += 1
            step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simpy, "Environment", Counting)
        start = time.perf_counter()
        simulate_duty_cycle(board, cycle, mode="exact", duration_s=20_000, trace=False)
        ours = time.perf_counter() - start

    def loop(env: simpy.Environment) -> Any:
        for _ in range(seen):
            yield env.timeout(0.01)

    env = simpy.Environment()
    env.process(loop(env))
    start = time.perf_counter()
    timed.pedantic(env.run, rounds=1)
    plain = time.perf_counter() - start
    print(f"{seen / ours:.0f} events/s with the ledger, {seen / plain:.0f} in a plain SimPy loop ({ours / plain:.1f}x)")
    timed.extra_info.update(ratio=ours / plain)
    assert ours < 20 * plain
