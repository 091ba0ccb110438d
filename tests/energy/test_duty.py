"""Duty cycles: the language, what it refuses, chance, watchdog, fast-forward against the long simulation."""

from __future__ import annotations

from typing import Any

import pytest
from nodes import cell, cycle, n, platform, toy_power

from emulab.energy.arrivals import Recorded
from emulab.energy.counting import count_all, count_sampled
from emulab.energy.duty import Study, simulate_duty_cycle
from emulab.errors import InputError
from emulab.model.base import validate
from emulab.model.dutycycle import DutyCycle, EventSource


def run(
    phases: list[dict[str, Any]], *, duration_s: float = 1000, seed: int = 0, mode: str = "auto", **keys: Any
) -> Any:
    compute = {"inference": (0.02, 3e-4)}
    return simulate_duty_cycle(
        platform(),
        cycle(phases=phases, **keys),
        compute,
        duration_s=duration_s,
        seed=seed,
        mode=mode,  # type: ignore[arg-type]
        trace=False,
    )


BAD = [
    (
        [{"name": "think", "run": "inferenc"}],
        r"phases\.0 \(think\): window 'inferenc' is unknown; did you mean 'inference'",
    ),
    ([{"name": "a", "duration_s": 1}, {"name": "tx", "use": "radoi", "bytes": 3}], r"phases\.1 \(tx\).*mean 'radio'"),
    ([{"name": "tx", "use": "radio.becon", "bytes": 3}], r"phases\.0 \(tx\).*mean 'beacon'"),
    ([{"name": "tx", "use": "radio.beacon"}], r"phases\.0 \(tx\).*needs `bytes`"),
    ([{"name": "tx", "use": "radio", "samples": 4}], r"phases\.0 \(tx\).*does not say how long .* per sample"),
    ([{"name": "nap", "state": "slep", "duration_s": 1}], r"phases\.0 \(nap\).*did you mean 'sleep'"),
    ([{"name": "w", "duration_s": 11}], r"period_s: phases take 11 s.*phases\.0 \(w\)"),
    (
        [
            {
                "name": "p",
                "parallel": [{"name": "x", "use": "radio", "bytes": 1}, {"name": "y", "use": "radio", "bytes": 1}],
            }
        ],
        r"parallel\.1 \(y\): 'radio' is already used",
    ),
    (
        [{"name": "tx", "duration_s": 1, "when": {"result": {"window": "inference", "result": "x"}}}],
        r"phases\.0 \(tx\): when.result: no earlier phase runs",
    ),
    ([{"name": "w", "duration_s": 0.1, "states": {"radio": "on"}}], r"phases\.0 \(w\): state of radio 'on' is unknown"),
]


@pytest.mark.parametrize(("phases", "message"), BAD)
def test_mistakes_are_said_with_their_phase(phases: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(phases)
    assert "\n" not in str(caught.value)


WRONG = [
    ({"name": "w", "run": "a", "use": "b"}, "give one of run, use, state, parallel"),
    ({"name": "w"}, "give one of run, use, state, parallel or duration_s"),
    ({"name": "w", "state": "x"}, "a state needs duration_s"),
    ({"name": "w", "use": "x", "bytes": 1, "samples": 2}, "give one of bytes and samples"),
    ({"name": "w", "duration_s": 1, "bytes": 2}, "bytes and samples need `use`"),
    ({"name": "w", "duration_s": 1, "when": {"every": 2, "offset": 2}}, "offset must be below every"),
    ({"name": "w", "duration_s": -1}, "greater than or equal to 0"),
    ({"name": "w", "durations": 1}, "did you mean 'duration_s'"),
]


@pytest.mark.parametrize(("phase", "message"), WRONG)
def test_schema_refuses(phase: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(DutyCycle, {"period_s": 1, "phases": [phase]}, "scenario.yaml")


def test_every_and_offset() -> None:
    result = run(
        [
            {"name": "a", "duration_s": 0.01, "when": {"every": 4}},
            {"name": "b", "duration_s": 0.01, "when": {"every": 6, "offset": 1}},
        ],
        duration_s=120 * 10,
    )
    assert result.mode == "fast-forward"
    assert result.time_by_phase["a"] == pytest.approx(30 * 0.01)
    assert result.time_by_phase["b"] == pytest.approx(20 * 0.01)


def test_parallel_takes_the_longest_and_sums_currents() -> None:
    result = run(
        [
            {
                "name": "p",
                "parallel": [{"name": "x", "use": "radio", "duration_s": 0.2}, {"name": "y", "run": "inference"}],
            }
        ],
        duration_s=10,
    )
    assert result.time_by_phase["p"] == pytest.approx(0.2)
    assert result.energy_by_component["radio"] == pytest.approx(3.0 * 20e-3 * 0.2)


def test_conditions_on_results_follow_their_odds() -> None:
    result = run(
        [
            {"name": "think", "run": "inference"},
            {"name": "tx", "duration_s": 0.1, "when": {"result": {"window": "inference", "result": "odd"}}},
        ],
        results={"inference": {"fine": 0.9, "odd": 0.1}},
        duration_s=1e6,
        seed=3,
    )
    assert result.time_by_phase["tx"] / 0.1 == pytest.approx(1e4, rel=0.03)


def test_retries_are_geometric_up_to_the_limit() -> None:
    phases = [{"name": "tx", "duration_s": 0.1, "retry": {"probability": 0.5, "limit": 3, "delay_s": 1.0}}]
    result = run(phases, mode="expected", duration_s=1e4)
    # 1 + p + p^2 attempts, p + p^2 waits
    assert result.time_by_phase["tx"] == pytest.approx(1000 * (1.75 * 0.1 + 0.75 * 1.0))


def test_watchdog_ends_a_hang_and_restarts() -> None:
    watchdog = {"timeout_s": 2.0, "hang_probability": 0.01, "restart": [{"name": "boot", "duration_s": 0.5}]}
    result = run([{"name": "w", "duration_s": 0.1}], watchdog=watchdog, duration_s=1e6, seed=1)
    assert result.watchdog_resets == pytest.approx(1000, rel=0.1)
    assert result.time_by_phase["hang"] == pytest.approx(2.0 * result.watchdog_resets)
    assert result.time_by_phase["boot"] == pytest.approx(0.5 * result.watchdog_resets)


def test_watchdog_ends_phases_that_take_too_long() -> None:
    result = run(
        [{"name": "w", "duration_s": 0.4, "retry": {"probability": 0.5, "limit": 3}}], watchdog={"timeout_s": 1.0}
    )
    assert 0 < result.watchdog_resets < 100
    assert result.time_by_phase["w"] <= 100 * 1.0


def test_events_wait_for_their_turn() -> None:
    events = [{"name": "knock", "times_s": [0.05, 20.0], "repeat_s": 100, "phases": [{"name": "k", "duration_s": 1.0}]}]
    result = run([{"name": "w", "duration_s": 0.5}], events=events, duration_s=100)
    assert result.jobs == 12
    # the first comes while a cycle runs (and waits 0.451 s); the second together with a cycle, which goes first
    assert result.longest_wait_s == pytest.approx(0.501)
    assert result.time_by_phase["k"] == pytest.approx(2.0)


def test_a_node_that_cannot_keep_up_is_said() -> None:
    with pytest.raises(InputError, match="cannot keep up"):
        run([], events=[{"name": "x", "rate_per_s": 20, "phases": [{"name": "k", "duration_s": 0.1}]}])


def test_same_seed_same_result_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from emulab.energy import arrivals

    node: dict[str, Any] = {
        "phases": [{"name": "w", "duration_s": 0.1, "when": {"probability": 0.3}}],
        "events": [{"name": "x", "rate_per_s": 0.2, "phases": [{"name": "k", "duration_s": 0.01}]}],
    }
    first = run(node["phases"], events=node["events"], duration_s=1e5, seed=9)
    source = arrivals.Source.blocks
    monkeypatch.setattr(arrivals.Source, "blocks", lambda self, size=97: source(self, size))
    second = run(node["phases"], events=node["events"], duration_s=1e5, seed=9)
    other = run(node["phases"], events=node["events"], duration_s=1e5, seed=10)
    assert second.charge_c == pytest.approx(first.charge_c, rel=1e-12)
    assert second.jobs == first.jobs
    assert other.charge_c != first.charge_c


def test_sampled_interval_covers_the_full_draw() -> None:
    """The stated 99 % interval holds the fully drawn result in at least 95 of 100 seeds."""
    node = cycle(
        phases=[{"name": "w", "duration_s": 0.1, "when": {"probability": 0.3}}],
        events=[{"name": "x", "rate_per_s": 0.2, "phases": [{"name": "k", "duration_s": 0.05}]}],
    )
    budget = Study(platform(), node, {}).budget
    covered = 0
    for seed in range(100):
        full = budget.rate(count_all(budget, node, 4e5, seed)).current_a
        tally, interval = count_sampled(budget, node, 4e5, seed, blocks=24, jobs=512)
        part = budget.rate(tally).current_a
        assert 0 < interval < 0.1
        covered += abs(part - full) <= interval * part
    assert covered >= 95


def test_voltage_feedback_equals_the_long_simulation() -> None:
    """A DC/DC node on a falling battery: counting along the discharge equals every job at its own voltage."""
    power = toy_power()
    for component in power["components"].values():
        for state in component["states"].values():
            state["voltage_exponent"] = -1
    battery = cell(capacity_c=n(200.0, "C"), voltage=[{"depth": 0, "voltage_v": 3.2}, {"depth": 1, "voltage_v": 2.0}])
    phases = [{"name": "w", "duration_s": 0.1}, {"name": "tx", "use": "radio.beacon", "bytes": 31}]
    node = cycle(phases=phases, battery=battery)
    long = simulate_duty_cycle(platform(power), node, mode="exact", duration_s=200_000, trace=False)
    fast = simulate_duty_cycle(platform(power), node, duration_s=200_000, trace=False)
    assert fast.mode == "fast-forward"
    assert fast.charge_c == pytest.approx(long.charge_c, rel=1e-6)
    assert fast.energy_j == pytest.approx(long.energy_j, rel=1e-6)
    assert long.charge_c > 20.0  # a tenth of the battery: the voltage did fall


def test_trace_of_one_cycle() -> None:
    result = simulate_duty_cycle(platform(), cycle(), duration_s=100)
    assert result.trace is not None
    mean = float(result.trace.mean_a.mean())
    assert mean == pytest.approx(result.mean_current_a, rel=1e-9)
    assert result.trace.max_a.max() == pytest.approx(10e-3)
    assert [segment[3] for segment in result.segments] == ["wake-up", "work", "sleep"]
    assert sum((b - a) * i for a, b, i, _ in result.segments) == pytest.approx(mean * 10, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"duration_s": -1}, r"phases\.0 \(talk\)\.duration_s"),
        ({"duration_s": float("nan")}, r"phases\.0 \(talk\)\.duration_s"),
        ({"duration_s": 1, "when": {"probability": 1.5}}, r"phases\.0 \(talk\)\.when\.probability"),
        (
            {"parallel": [{"name": "left", "duration_s": "long"}]},
            r"phases\.0 \(talk\)\.parallel\.0 \(left\)\.duration_s",
        ),
        ({"duration_s": 1, "byts": 3}, r"phases\.0 \(talk\)\.byts: unknown key 'byts'; did you mean 'bytes'"),
    ],
)
def test_nonsense_values_name_their_phase(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        validate(DutyCycle, {"period_s": 10.0, "phases": [{"name": "talk", **change}]}, "node.yaml")


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 18])
def test_recorded_times_repeat_whatever_the_blocks(block: int) -> None:
    event = EventSource.model_validate(
        {"name": "e", "times_s": [0.0, 0.25, 3.5], "repeat_s": 4.0, "phases": [{"name": "x", "duration_s": 0.1}]}
    )
    blocks = list(Recorded(event, 0, 1, 11.0, None).blocks(block))
    times = [float(time) for some, _ in blocks for time in some]
    assert times == [0.0, 0.25, 3.5, 4.0, 4.25, 7.5, 8.0, 8.25]
    draws = [float(draw) for _, some in blocks for draw in some]
    assert draws == [float(draw) for _, some in Recorded(event, 0, 1, 11.0, None).blocks() for draw in some]
    assert len(blocks) == (1 if block > 7 else -(-3 // max(block // 3, 1)))
    assert list(Recorded(event, 0, 1, 0.0, None).blocks()) == []
