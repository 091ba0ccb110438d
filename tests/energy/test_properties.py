"""Conservation: components sum to the supply, whatever comes in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import cycle, n, platform, toy_power

from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.ledger import Account, Ledger, TimeWentBack
from emulab.energy.network import platform_network
from emulab.energy.trace import BucketTrace

REGULATED: dict[str, Any] = toy_power(
    regulators={
        "buck": {
            "kind": "smps",
            "output_v": n(1.2, "V"),
            "efficiency_points": [
                {"current_a": 1e-6, "efficiency": n(0.4, "1")},
                {"current_a": 1e-2, "efficiency": n(0.9, "1")},
            ],
            "quiescent_a": n(3e-7),
        },
        "ldo": {"kind": "ldo", "output_v": n(1.8, "V"), "quiescent_a": n(1e-6)},
    }
)
REGULATED["components"]["core"]["supply"] = "buck"
REGULATED["components"]["radio"]["supply"] = "ldo"

events = st.lists(
    st.tuples(
        st.floats(0, 50, allow_nan=False),
        st.one_of(
            st.tuples(st.just("state"), st.just("core"), st.sampled_from(["run", "sleep"])),
            st.tuples(st.just("state"), st.just("radio"), st.sampled_from(["off", "rx", "tx"])),
            st.tuples(st.just("charge"), st.sampled_from(["core", "radio"]), st.floats(0, 1e-3)),
            st.tuples(st.just("phase"), st.sampled_from(["a", "b", "c"]), st.none()),
            st.tuples(st.just("supply"), st.just(""), st.floats(2.0, 3.6)),
            st.tuples(st.just("current"), st.sampled_from(["core", "radio"]), st.floats(0, 0.1)),
        ),
    ),
    max_size=60,
)


def play(power: dict[str, Any], steps: list[Any], trace: BucketTrace | None = None) -> Ledger:
    ledger = Ledger(platform_network(platform(power)), trace=trace)
    now = 0.0
    for wait, (kind, name, value) in steps:
        now += wait
        if kind == "state":
            ledger.set_state(name, value, now)
        elif kind == "charge":
            ledger.add_charge(name, value, now)
        elif kind == "phase":
            ledger.set_phase(name, now)
        elif kind == "supply":
            ledger.set_supply(value, now)
        else:
            ledger.set_current(name, value, now)
    ledger.advance(now + 1.0)
    return ledger


@given(events)
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("power", [toy_power(), REGULATED], ids=["direct", "regulated"])
def test_components_sum_to_the_supply(power: dict[str, Any], steps: list[Any]) -> None:
    trace = BucketTrace(0.5, 64)
    ledger = play(power, steps, trace)
    total = ledger.total_charge_c
    assert sum(ledger.charge_by_component().values()) == pytest.approx(total, rel=1e-12, abs=1e-18)
    assert sum(ledger.charge_by_phase().values()) == pytest.approx(total, rel=1e-12, abs=1e-18)
    assert sum(ledger.energies().values()) == pytest.approx(ledger.total_energy_j, rel=1e-12, abs=1e-18)
    assert sum(ledger.phase_times().values()) == pytest.approx(ledger.time_s, rel=1e-12)
    assert trace.charge_c == pytest.approx(total, rel=1e-9, abs=1e-15)
    assert len(trace.arrays()[0]) <= 64


@given(st.permutations(["core", "radio"]))
def test_order_of_events_at_one_instant_does_not_matter(order: list[str]) -> None:
    states = {"core": "sleep", "radio": "tx"}
    ledger = Ledger(platform_network(platform()))
    for name in order:
        ledger.set_state(name, states[name], 1.0)
    ledger.advance(5.0)
    assert ledger.total_charge_c == pytest.approx(10e-3 * 1 + (20e-3 + 2e-6) * 4, rel=1e-12)


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), max_size=200))
def test_account_is_exact(values: list[float]) -> None:
    import math

    account = Account()
    for value in values:
        account.add(value)
    assert account.value == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-6)


def test_time_does_not_go_back() -> None:
    ledger = Ledger(platform_network(platform()))
    ledger.advance(2.0)
    with pytest.raises(TimeWentBack, match="comes after"):
        ledger.set_state("core", "sleep", 1.0)


phase = st.one_of(
    st.fixed_dictionaries({"duration_s": st.integers(0, 500).map(lambda ms: ms / 1000)}),
    st.fixed_dictionaries({"use": st.just("radio.beacon"), "bytes": st.integers(0, 40)}),
    st.fixed_dictionaries({"state": st.just("sleep"), "duration_s": st.integers(0, 500).map(lambda ms: ms / 1000)}),
)
condition = st.one_of(
    st.none(),
    st.fixed_dictionaries({"probability": st.floats(0, 1)}),
    st.fixed_dictionaries({"every": st.integers(1, 3)}),
)
retry = st.one_of(
    st.none(),
    st.fixed_dictionaries({"probability": st.floats(0, 0.9), "limit": st.integers(1, 3), "delay_s": st.just(0.01)}),
)


@given(st.lists(st.tuples(phase, condition, retry), min_size=1, max_size=3), st.integers(0, 2**31), st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_counting_equals_the_long_simulation(steps: list[Any], seed: int, rate: float) -> None:
    """Fast-forward and drawn counts give the charge of the event-by-event simulation, per component and phase."""
    phases = [
        {"name": f"p{i}", **what, **({"when": when} if when else {}), **({"retry": again} if again else {})}
        for i, (what, when, again) in enumerate(steps)
    ]
    events = (
        [{"name": "alarm", "rate_per_s": rate, "phases": [{"name": "a", "duration_s": 0.05}]}] if rate > 1e-3 else []
    )
    node = cycle(phases=phases, events=events)
    long = simulate_duty_cycle(platform(), node, mode="exact", duration_s=500, seed=seed, trace=False)
    fast = simulate_duty_cycle(platform(), node, mode="auto", duration_s=500, seed=seed, trace=False)
    assert fast.jobs == long.jobs
    assert fast.charge_c == pytest.approx(long.charge_c, rel=1e-9)
    for key, energy in long.energy_by_component_and_phase.items():
        assert fast.energy_by_component_and_phase.get(key, 0.0) == pytest.approx(energy, rel=1e-6, abs=1e-15)
