"""The pytest plugin as a user's repository sees it: collection, marker, fixtures, failures that explain themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.model.platform import data_folder

pytest_plugins = ["pytester"]
HAR = data_folder("scenarios") / "har-wearable"

SCENARIO = """\
schema_version: 1
name: mine
workload: {name: mine, model: model.tflite, task: none}
targets: [{platforms: [nucleo-l4r5zi], backends: [unicorn]}]
measure: {loops: 1, inferences: 1, warmups: 0}
expectations: [{metric: latency_s, max: %s}]
"""


@pytest.fixture
def repository(pytester: pytest.Pytester) -> Path:
    shutil.copyfile(HAR / "har_int8.tflite", pytester.path / "model.tflite")
    (pytester.path / "scenario.yaml").write_text(SCENARIO % 0.05)
    return pytester.path


def test_a_scenario_file_is_a_test(pytester: pytest.Pytester, repository: Path) -> None:
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*scenario.yaml*nucleo-l4r5zi/unicorn*PASSED*"])


def test_a_broken_budget_explains_itself(pytester: pytest.Pytester, repository: Path) -> None:
    (repository / "scenario.yaml").write_text(SCENARIO % 0.0001)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "nucleo-l4r5zi/unicorn: latency_s is broken: 0.00*, asked max 0.0001 s",
            "nucleo-l4r5zi: most time in emulab_layer_*",
            "last console lines:",
            "record: *run.json",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_marker_and_fixtures(pytester: pytest.Pytester, repository: Path) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.emulab(scenario="scenario.yaml", set=["measure.loops=1"])
        def test_run(emulab_run):
            assert emulab_run.metrics["latency_s"] < 0.05
            emulab_run.assert_expectations()

        @pytest.mark.emulab(scenario="scenario.yaml")
        def test_live(dut):
            assert any("m-model-" in line for line in dut.send("profile"))
            dut.session.console.write(b"name%")
            assert "m-name-dut-" in dut.expect(r"m-ready")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_options_narrow_and_missing_backends_skip(pytester: pytest.Pytester, repository: Path) -> None:
    result = pytester.runpytest_subprocess("--emulab-backend", "renode", "-rs", "--emulab-platform", "nucleo-l4r5zi")
    outcomes = result.parseoutcomes()
    assert outcomes.get("skipped", 0) + outcomes.get("passed", 0) == 1 and "failed" not in outcomes


def test_a_broken_scenario_is_one_line(pytester: pytest.Pytester, repository: Path) -> None:
    (repository / "scenario.yaml").write_text("name: x\nworkloads: {}\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unknown key 'workloads'; did you mean 'workload'*"])


def test_baseline_update_then_a_regression_is_seen(pytester: pytest.Pytester, repository: Path) -> None:
    text = SCENARIO % 0.05
    text = text.replace("max: 0.05}]", "within: 0, of: baseline}]") + "baseline: baseline.json\n"
    (repository / "scenario.yaml").write_text(text)
    pytester.runpytest_subprocess("--emulab-update-baseline").assert_outcomes(failed=1)  # nothing to compare with yet
    assert (repository / "baseline.json").is_file()
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    (repository / "scenario.yaml").write_text(text + "build: {optimise: Os}\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*latency_s is broken*within 0 % of baseline*"])


def test_init_in_an_empty_repository(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, assets: Path
) -> None:
    monkeypatch.chdir(pytester.path)
    shutil.copyfile(HAR / "har_int8.tflite", pytester.path / "model.tflite")
    assert main(["init"]) == 0
    written = capsys.readouterr().out
    assert all(name in written for name in ("scenario.yaml", "test_emulab.py", "emulab.yml"))
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
    assert main(["init"]) == 2
    assert "overwrites nothing" in capsys.readouterr().err
    shutil.copyfile(assets / "mlperf-tiny/models/kws_ref_model.tflite", pytester.path / "model.tflite")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*latency_s is broken: 0.0*, asked max 0.00*", "*most time in emulab_layer_*"])


def test_init_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--folder", str(tmp_path)]) == 2
    assert "there is no .tflite file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
