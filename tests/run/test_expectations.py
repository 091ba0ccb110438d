"""Expectations over results, against limits, baselines, published and physical results."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Provenance, Result, RunRecord
from emulab.model.scenario import Expectation, LoadedScenario
from emulab.run.expectations import References, evaluate, failed
from emulab.run.published import find_published, list_published, published_rows

BOARD = "nucleo-l4r5zi-p"
KEY = "mlperf-tiny-v1.3/NUCLEO-L4R5ZI-P"


def result(latency_s: float | None = 0.043, backend: str = "unicorn", **more: Quantity) -> Result:
    quantity = unavailable("s", "the window never closed") if latency_s is None else Quantity(value=latency_s, unit="s")
    return Result(platform=BOARD, backend=backend, status="passed", metrics={"latency_s": quantity, **more})


def one(expectation: dict, results, refs=None):
    outcomes = evaluate([Expectation.model_validate(expectation)], results, refs)
    assert len(outcomes) == 1
    return outcomes[0]


@pytest.mark.parametrize(
    ("expectation", "status"),
    [
        ({"metric": "latency_s", "max": 0.05}, "passed"),
        ({"metric": "latency_s", "max": 0.04}, "failed"),
        ({"metric": "latency_s", "min": 0.043}, "passed"),
        ({"metric": "latency_s", "min": 0.044}, "failed"),
        ({"metric": "latency_s", "within": "1 %", "of": "published"}, "passed"),
        ({"metric": "latency_s", "within": 0.0096, "of": "published"}, "failed"),
        ({"metric": "latency_s", "max": 0.99, "of": "published"}, "failed"),
        ({"metric": "latency_s", "max": 1.0, "of": "published"}, "passed"),
        ({"metric": "latency_s", "max": 0.04, "target": BOARD}, "failed"),
        ({"metric": "latency_s", "max": 0.05, "target": f"{BOARD}/unicorn"}, "passed"),
        ({"metric": "latency_s", "max": 0.05, "target": "other"}, "unavailable"),
        ({"metric": "latency_s", "within": 0.1, "of": "baseline"}, "unavailable"),
        ({"metric": "latency_s", "within": 0.1, "of": "physical"}, "unavailable"),
        ({"metric": "ram_bytes", "max": 1}, "unavailable"),
    ],
)
def test_bounds(expectation, status):
    refs = References(published={BOARD: KEY}, model="kws01")
    outcome = one(expectation, [result()], refs)
    assert outcome.status == status
    assert bool(outcome.message) == (status != "passed")


def test_both_sides_of_within():
    for value, status in ((0.949, "failed"), (0.951, "passed"), (1.049, "passed"), (1.051, "failed")):
        outcome = one(
            {"metric": "latency_s", "within": "5 %", "of": "physical"},
            [result(value)],
            References(physical=[result(1.0, "hardware")]),
        )
        assert outcome.status == status
        assert outcome.deviation == pytest.approx(value - 1)


def test_physical_is_not_held_against_itself():
    refs = References(physical=[result(0.05, "replay")])
    outcomes = evaluate(
        [Expectation(metric="latency_s", within=0.2, of="physical")], [result(), result(0.05, "replay")], refs
    )
    assert [o.target for o in outcomes] == [f"{BOARD}/unicorn"]


def test_baseline_of_the_same_backend():
    record = RunRecord(
        scenario={}, provenance=Provenance(emulab="0"), results=[result(0.04, "qemu"), result(0.043, "unicorn")]
    )
    outcome = one({"metric": "latency_s", "within": 0.0001, "of": "baseline"}, [result()], References(baseline=record))
    assert (outcome.status, outcome.reference) == ("passed", 0.043)


def test_missing_values_give_their_reason():
    assert "never closed" in one({"metric": "latency_s", "max": 1}, [result(None)]).message
    assert "did you mean 'latency_s'" in one({"metric": "latncy_s", "max": 1}, [result()]).message
    broken = Result(platform=BOARD, backend="qemu", status="error", message="it fell over")
    assert "it fell over" in one({"metric": "latency_s", "max": 1}, [broken]).message


def test_reference_of_zero():
    zero = References(physical=[result(0.0, "hardware")])
    assert one({"metric": "latency_s", "within": 0.1, "of": "physical"}, [result()], zero).status == "failed"
    assert one({"metric": "latency_s", "within": 0.1, "of": "physical"}, [result(0.0)], zero).status == "passed"
    assert one({"metric": "latency_s", "max": 2, "of": "physical"}, [result()], zero).status == "failed"


def test_units_must_agree():
    refs = References(physical=[Result(platform=BOARD, backend="hardware", status="passed",
                                       metrics={"latency_s": Quantity(value=1, unit="cycle")})])  # fmt: skip
    assert (
        "in s, its reference in cycle"
        in one({"metric": "latency_s", "within": 1, "of": "physical"}, [result()], refs).message
    )


def test_failed_picks_the_failed():
    outcomes = evaluate([Expectation(metric="latency_s", max=v) for v in (0.04, 0.05)], [result()])
    assert [o.bound for o in failed(outcomes)] == ["max 0.04 s"]


def test_published_figures():
    kws = find_published(KEY, "kws01")
    assert kws.latency_s == pytest.approx(0.043418712)
    assert kws.energy_j == pytest.approx(1430.6681e-6)
    assert kws.voltage_v == 3.0
    metrics = kws.metrics()
    assert metrics["latency_s"].uncertainty == pytest.approx(103.2e-6 / 2.326, rel=1e-2)
    assert metrics["power_w"].value == pytest.approx(32.877e-3, rel=1e-3)
    assert all(q.kind == "measured" and "mlcommons" in q.source for q in metrics.values())


def test_published_list_has_ten_boards_and_nothing_kept_blind():
    rows = list_published()
    assert len({row.board for row in rows}) >= 10
    assert len({(row.key, row.model) for row in rows}) == len(rows)
    for row in rows:
        assert row.model in ("kws", "ic", "ad")
        assert row.source and (row.latency_s or row.energy_j)
        text = f"{row.key} {row.board} {row.framework}".lower()
        assert not any(name in text for name in ("u385", "u3c5", "psoc"))
        assert not ("l4r5" in text and ("tvm" in text or "onnc" in text))
        assert not (row.model == "ic" and row.key in (KEY, "mlperf-tiny-v0.5/Nucleo-L4R5ZI"))
    assert len(published_rows()) == len(rows)


def test_keys_are_forgiving_and_ambiguity_is_said():
    assert find_published("mlperf-tiny-v1.3/nucleo_l4r5zi-p", "kws").key == KEY
    assert find_published("mlperf-tiny-v1.3/STMicroelectronics/NUCLEO-L4R5ZI-P", "kws").key == KEY
    with pytest.raises(InputError, match=r"ambiguous.*STMicroelectronics.*plumerai"):
        find_published("mlperf-tiny-v1.1/NUCLEO-L4R5ZI", "kws")
    with pytest.raises(InputError, match=r"did you mean.*mlperf-tiny-v1\.3/NUCLEO-L4R5ZI-P"):
        find_published("mlperf-tiny-v1.3/NUCLEO-L4R5ZI-Q", "kws")
    with pytest.raises(InputError, match="has no 'ic', only ad, kws"):
        find_published(KEY, "ic")


def test_of_physical_waits_for_a_physical_result():
    """A run of emulated results alone, or of a board alone, has nothing to hold them against: compare asks then."""
    from emulab.model.scenario import Scenario
    from emulab.run.judge import judge

    scenario = Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "x",
            "workload": {"name": "x", "model": "x.tflite", "task": "none"},
            "targets": [{"platforms": ["b"], "backends": ["unicorn"]}],
            "expectations": [{"metric": "latency_s", "of": "physical", "within": 0.1}],
        }
    )
    loaded = LoadedScenario(scenario, Path("scenario.yaml"), {})
    results = [
        Result(platform="b", backend=name, status="passed", metrics={"latency_s": Quantity(value=v, unit="s")})
        for name, v in (("unicorn", 1.0), ("replay", 1.05))
    ]
    assert judge(loaded, results[:1])[1] == [] == judge(loaded, results[1:])[1]
    assert [e.status for e in judge(loaded, results)[1]] == ["passed"]


def test_what_is_published_stands_beside_a_measurement_and_never_in_its_way():
    from emulab.run.published import stated

    line = stated(KEY, "kws01")
    assert line == (
        f"{KEY} states: latency in performance mode 43.419 ms, in energy mode 43.516 ms, energy per inference 1430.7 uJ"
    )
    assert stated("no-such/board", "kws01") == "" == stated(KEY, "no-such-model")
