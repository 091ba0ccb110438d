"""Models side by side in one scenario: results, expectations, what does not fit, and the compressed example."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.errors import InputError
from emulab.model.platform import data_folder
from emulab.model.record import read_record
from emulab.model.scenario import load_scenario
from emulab.quality import evaluate, host_model_available, open_dataset
from emulab.run.engine import RunOptions, run_scenario
from emulab.run.execute import evaluate_job
from emulab.run.inputs import load_inputs
from emulab.run.plan import Job, plan

QUICK = ["robustness=null", "measure.loops=1", "measure.accuracy_samples=2", "workload.front_end=null"]
COMPRESSED = data_folder("scenarios") / "har-compressed"


def test_jobs_are_platforms_times_models() -> None:
    scenario = load_scenario("predictive-maintenance").scenario
    jobs = plan(scenario, ["nucleo-l4r5zi", "hifive1-revb"])
    assert [job.label for job in jobs[:2]] == ["nucleo-l4r5zi/unicorn/cnn", "nucleo-l4r5zi/unicorn/cnn-float"]
    assert len(jobs) == 8
    assert [job.variant for job in plan(scenario, variants=["boosted", "cnn"])] == ["cnn", "boosted"]
    with pytest.raises(InputError, match=r"--variant 'tree'.*cnn, cnn-float, forest, boosted"):
        plan(scenario, variants=["tree"])


def test_one_model_takes_the_place_of_all() -> None:
    loaded = load_scenario("predictive-maintenance", ["workload.model=forest.json"])
    assert [job.variant for job in plan(loaded.scenario)] == [""]
    assert loaded.scenario.workload.model == "forest.json"
    first = load_scenario("predictive-maintenance")
    assert first.scenario.workload.model == "cnn_int8.tflite", "verbs that take one model take the first"


@pytest.mark.parametrize("name", ["a/b", "../x", ""])
def test_names_of_variants(name: str) -> None:
    with pytest.raises(InputError, match=r"workload\.variants"):
        load_scenario(
            "predictive-maintenance", [f"workload={{name: x, variants: {{'{name}': {{model: forest.json}}}}}}"]
        )


def test_a_model_that_does_not_fit_is_told_beside_those_that_do(tmp_path: Path) -> None:
    """With 15 KB of stack, 16 KB of RAM hold the trees but not the float network."""
    loaded = load_scenario("predictive-maintenance", [*QUICK, "build={stack_bytes: 15360}"])
    options = RunOptions(platforms=["hifive1-revb"], variants=["cnn-float", "boosted"], output=tmp_path)
    outcome = run_scenario(loaded, options)
    by_variant = {result.variant: result for result in outcome.record.results}
    assert (
        by_variant["cnn-float"].status == "skipped" and "does not fit hifive1-revb" in by_variant["cnn-float"].message
    )
    assert by_variant["cnn-float"].metrics["ram_bytes"].value == pytest.approx(7000, abs=1500)
    assert by_variant["boosted"].status == "passed" and by_variant["boosted"].metrics["cycles"].value
    assert outcome.exit_code == 0, "that a model is too large is the answer, not a failure"
    assert read_record(tmp_path).results[0].variant == "cnn-float"


def test_alone_a_model_that_does_not_fit_is_wrong_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["run", "predictive-maintenance", "--platform", "hifive1-revb", "--output", str(tmp_path)]
    words += ["--set", "build={stack_bytes: 15872}", "--set", "robustness=null", "--set", "workload.front_end=null"]
    for more in (["--variant", "cnn-float"], ["--set", "workload.model=cnn_float32.tflite"]):
        assert main([*words, *more]) == 2
        said = capsys.readouterr().err
        assert "does not fit hifive1-revb: ram needs" in said and said.count("\n") == 1


def test_expectations_name_a_model(tmp_path: Path) -> None:
    wanted = (
        "[{metric: latency_s, target: boosted, max: 0.001}, {metric: latency_s, target: nrf52840-dk/cnn, max: 1.0e-6}]"
    )
    loaded = load_scenario("predictive-maintenance", [*QUICK, f"expectations={wanted}"])
    outcome = run_scenario(loaded, RunOptions(variants=["cnn", "boosted"], output=tmp_path))
    verdicts = {(e.target, e.status) for e in outcome.record.expectations}
    assert verdicts == {("nrf52840-dk/unicorn/boosted", "passed"), ("nrf52840-dk/unicorn/cnn", "failed")}
    assert outcome.exit_code == 1
    assert (tmp_path / "nrf52840-dk.unicorn.cnn" / "console.log").is_file()


def test_a_forest_pays_for_its_features() -> None:
    """The front end runs on the target: its time is part of the latency, and what it gives is what the host expects."""
    several = [q for q in QUICK if "front_end" not in q and "samples" not in q]
    loaded = load_scenario("predictive-maintenance", [*several, "measure.accuracy_samples=1"]).variant("forest")
    result = evaluate_job(loaded, Job("nrf52840-dk", "unicorn"))
    metrics, rows = result.metrics, result.windows[0].layers
    assert rows[0].name == "(front end)" and (rows[0].cycles or 0) > 1e6
    front_end, latency = metrics["front_end_s"].value, metrics["latency_s"].value
    assert front_end and latency and 0.99 < front_end / latency < 1
    assert 36_000 < (metrics["ram_bytes"].value or 0) < 45_000
    if host_model_available().available:
        assert metrics["agreement_host"].value == 1


def test_says_on_what_it_was_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_scenario("predictive-maintenance").variant("forest")
    recordings = os.environ.get("EMULAB_ASSETS", "")
    monkeypatch.setenv("EMULAB_ASSETS", "")
    inputs = load_inputs(loaded)
    assert inputs.dataset is not None and inputs.dataset.name == "simulated signals (eval.npz)"
    if not (Path(recordings) / "cwru" / "index.csv").is_file():
        pytest.skip("EMULAB_ASSETS is not set to a folder with cwru/; export EMULAB_ASSETS=FOLDER")
    monkeypatch.setenv("EMULAB_ASSETS", recordings)
    inputs = load_inputs(loaded)
    assert inputs.dataset is not None and inputs.dataset.name == "recordings (cwru)"


def test_fewer_channels_save_cycles_and_single_weights_do_not() -> None:
    loaded = load_scenario("har-compressed", [*QUICK, "expectations=[]"])
    found = {name: evaluate_job(loaded, Job("nucleo-l4r5zi", "unicorn", "", name)).metrics for name in MODELS}

    def ratio(name: str, metric: str) -> float:
        value, base = found[name][metric].value, found["as-trained"][metric].value
        assert value is not None and base is not None
        return value / base

    assert ratio("channels", "cycles") < 0.75 and ratio("channels", "flash_bytes") < 0.9
    assert ratio("pruned", "cycles") == pytest.approx(1, abs=0.01)
    assert ratio("pruned", "flash_deflated_bytes") < 0.96


MODELS = ("as-trained", "pruned", "channels")


def test_models_give_the_accuracy_of_their_card() -> None:
    state = host_model_available()
    if not state.available:
        pytest.skip(f"{state.reason}; {state.how_to_install}")
    card = (COMPRESSED / "MODEL_CARD.md").read_text()
    rows = [line.split("|") for line in card.splitlines() if line.count("|") == 6]
    for name in ("pruned", "clustered", "channels"):
        row = next(r for r in rows if r[1].strip() == name)
        model = COMPRESSED / f"{name}_int8.tflite"
        dataset = open_dataset(COMPRESSED.parent / "har-wearable" / "eval.npz", model=model)
        # The card is TensorFlow's reference kernels; a window may fall to the other side.
        assert evaluate(model, dataset).value == pytest.approx(float(row[5]), abs=2.5 / 258)


def test_json_of_a_run_names_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["run", "predictive-maintenance", "--variant", "boosted", "--json", "--output", str(tmp_path)]
    assert main([*words, *(w for q in QUICK for w in ("--set", q))]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["variant"] == "boosted"
