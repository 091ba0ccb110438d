"""Scenario schema, overrides, and the one-line errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.model.scenario import apply_overrides, find_scenario, load_scenario, scenario_names

MINIMAL = {"name": "x", "workload": {"name": "w", "model": "m.tflite"}, "targets": [{"platforms": ["nucleo-l4r5zi"]}]}


def write(folder: Path, data: object) -> Path:
    file = folder / "scenario.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_minimal_scenario_gets_defaults(tmp_path: Path) -> None:
    loaded = load_scenario(write(tmp_path, MINIMAL))
    assert loaded.scenario.targets[0].backends == ["unicorn"]
    assert loaded.scenario.measure.loops == 5
    assert loaded.path("m.tflite") == (tmp_path / "m.tflite").resolve()


@pytest.mark.parametrize("name", ["mlperf-kws", "mlperf-ic", "mlperf-ad", "mlperf-vww"])
def test_shipped_scenarios_are_valid(name: str) -> None:
    assert name in scenario_names()
    assert load_scenario(name).scenario.name == name


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mesure": {}}, "unknown key 'mesure'; did you mean 'measure'?"),
        ({"measure": {"lops": 3}}, "measure.lops: unknown key 'lops'; did you mean 'loops'?"),
        ({"measure": {"loops": 0}}, "measure.loops: Input should be greater than or equal to 1 (found 0)"),
        ({"measure": {"loops": "many"}}, "measure.loops:"),
        ({"targets": []}, "targets: List should have at least 1 item"),
        ({"schema_version": 2}, "schema_version: Input should be 1 (found 2)"),
        ({"expectations": [{"metric": "latency_s"}]}, "give exactly one of min, max, within"),
        ({"expectations": [{"metric": "latency_s", "within": 0.05}]}, "`within` needs `of: baseline`"),
        (
            {"expectations": [{"metric": "latency_s", "max": float("nan")}]},
            "expectations.0.max: Input should be a finite number",
        ),
        *(
            ({"name": name}, "name: expected 1 to 80 letters")
            for name in ("../x", "/x", "..", "", "a\nb", "a\0b", "n" * 81)
        ),
        ({"measure": {"timeout_s": float("inf")}}, "measure.timeout_s: Input should be a finite number"),
        ({"measure": {"modes": []}}, "measure.modes: List should have at least 1 item"),
        ({"workload": {"name": "w"}}, "needs `model`, `variants` or `firmware`"),
        ({"targets": [{"platforms": ["a"], "backend": ["b"]}]}, "did you mean 'backends'?"),
        ({"duty_cycle": {"period_s": -1, "phases": []}}, "duty_cycle.period_s:"),
    ],
)
def test_wrong_input_is_one_line_that_names_the_place(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    file = write(tmp_path, {**MINIMAL, **change})
    with pytest.raises(InputError) as caught:
        load_scenario(file)
    message = str(caught.value)
    assert expected in message
    assert str(file) in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_broken_yaml_names_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("name: [1\nworkload: {")
    with pytest.raises(InputError, match=r"line \d+, column \d+: not valid YAML"):
        load_scenario(file)


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("name: !!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="not valid YAML"):
        load_scenario(file)


def test_missing_file_and_close_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'mlperf-kws'"):
        find_scenario("mlperf-kw")
    with pytest.raises(InputError, match="no scenario"):
        find_scenario(tmp_path)


def test_percentages_are_read() -> None:
    from emulab.model.scenario import Expectation

    assert Expectation.model_validate({"metric": "latency_s", "within": "5 %", "of": "published"}).within == 0.05


def test_overrides_reach_lists_and_new_keys() -> None:
    data = {"a": {"b": [1, {"c": 2}]}}
    assert apply_overrides(data, ["a.b.1.c=5", "d.e=[1, 2]"]) == {"a": {"b": [1, {"c": 5}]}, "d": {"e": [1, 2]}}
    assert data == {"a": {"b": [1, {"c": 2}]}}


@pytest.mark.parametrize("bad", ["novalue", "=3", "a.b.7=1", "a.b.x=1", "a.b.0.z=1"])
def test_wrong_overrides(bad: str) -> None:
    with pytest.raises(InputError, match="--set"):
        apply_overrides({"a": {"b": [1]}}, [bad])


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers() | st.booleans() | st.text("xyz"), max_size=4)
)
def test_override_sets_what_it_says(values: dict[str, object]) -> None:
    data: dict[str, object] = {}
    for key, value in values.items():
        data = apply_overrides(data, [f"{key}={yaml.safe_dump(value).removesuffix(chr(10)).removesuffix('...')}"])
    assert data == values


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("latency", "unknown metric 'latency'; did you mean 'latency_s'?"),
        ("acuracy_top1", "did you mean 'accuracy_top1'?"),
        ("energy_j", "did you mean 'energy_per_inference_j'?"),
        ("xyzzy", "known: latency_s, "),
        ("latency_s@snr_db=10", "unknown metric 'latency_s' under noise; "),
        ("accuracy_top1@snr=10", "unknown disturbance 'snr'; did you mean 'snr_db'?"),
        ("accuracy_top1@snr_db", "expected accuracy_top1@snr_db=LEVEL with a number"),
    ],
)
def test_a_misspelt_metric_is_told_at_load(metric: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        load_scenario("har-wearable", [f'expectations=[{{metric: "{metric}", max: 1}}]'])
    text = str(raised.value)
    assert "scenario.yaml" in text and "expectations.0.metric" in text and said in text and "\n" not in text


@pytest.mark.parametrize(
    "metric", ["latency_s", "auc@gain=0.8", "accuracy_top1_golden@offset=-0.1", "acme:temperature_c"]
)
def test_metrics_that_may_be_asked_for(metric: str) -> None:
    loaded = load_scenario("har-wearable", [f'expectations=[{{metric: "{metric}", max: 1}}]'])
    assert loaded.scenario.expectations[0].metric == metric
