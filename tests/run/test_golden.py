"""The golden model beside the quantised one: on the target, on the host, in every form, and where there is none."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from emulab.cli import main
from emulab.errors import InputError
from emulab.model.scenario import load_scenario
from emulab.quality import host_model_available, open_dataset
from emulab.report import golden as report
from emulab.report import html, markdown, memory
from emulab.run.engine import RunOptions, run_scenario
from emulab.run.golden import with_golden
from emulab.run.inputs import load_inputs

QUICK = ["robustness=null", "measure.loops=1", "measure.accuracy_samples=2"]


def test_what_is_added() -> None:
    one, added = with_golden(load_scenario("har-wearable"))
    assert list(one.scenario.workload.variants) == ["quantised", "float"] and added == {"float"}
    several, added = with_golden(load_scenario("predictive-maintenance"))
    assert added == frozenset(), "the scenario runs the float network itself"
    assert list(several.scenario.workload.variants) == ["cnn", "cnn-float", "forest", "boosted"]
    with pytest.raises(InputError, match="names no float model"):
        with_golden(load_scenario("har-compressed"))


def test_one_command_tells_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = host_model_available()
    if not state.available:
        pytest.skip(f"{state.reason}; {state.how_to_install}")
    loaded = load_scenario("har-wearable", QUICK)
    outcome = run_scenario(loaded, RunOptions(platforms=["nucleo-l4r5zi"], golden=True, output=tmp_path))
    small, wide = outcome.record.results
    assert (small.variant, wide.variant) == ("quantised", "float") and outcome.exit_code == 0
    for metric in ("cycles", "ram_bytes", "flash_bytes"):
        assert (wide.metrics[metric].value or 0) > 1.2 * (small.metrics[metric].value or 0), metric
    assert {e.target for e in outcome.record.expectations} == {"nucleo-l4r5zi/unicorn/quantised"}
    found = small.details["agreement"]
    assert found["samples"] == 258 and 0.97 < found["agreement"] < 1 and found["apart"] == len(found["disagreements"])
    assert len(found["layers"]) == 10 and "agreement" not in wide.details
    titles = [table.title for table in report.tables(outcome.record)]
    assert titles == ["har_int8.tflite: where it parts from float", "har_int8.tflite: error by layer"]
    layers = report.tables(outcome.record)[1]
    assert sum("parts here" in row[0] for row in layers.rows) == 1
    assert "most error is added by layer" in markdown.markdown(outcome.record)
    assert "where it parts from float" in html.write_html(outcome.record, tmp_path).read_text()
    stream = io.StringIO()
    memory.print_list(report.tables(outcome.record), Console(file=stream, width=140))
    assert "internal_rotation" in stream.getvalue(), "classes by name"


def test_without_a_golden_model_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "har-wearable", "--golden", "--set", "workload.golden=null"]) == 2
    assert "workload.golden: names no float model" in capsys.readouterr().err


def test_samples_made_for_the_quantised_model_reach_the_float_one() -> None:
    assets = os.environ.get("EMULAB_ASSETS", "")
    if not (Path(assets) / "mlperf-tiny").is_dir():
        pytest.skip("EMULAB_ASSETS is not set to a folder with mlperf-tiny/; export EMULAB_ASSETS=FOLDER")
    loaded, _ = with_golden(load_scenario("mlperf-kws"))
    wide = load_inputs(loaded.variant("float"))
    quantised = load_inputs(loaded.variant("quantised"))
    assert wide.dataset is not None and quantised.dataset is not None and quantised.model is not None
    sample, raw = next(iter(wide.dataset)), next(iter(quantised.dataset))
    assert len(sample.payload) == 4 * len(raw.payload)
    assert np.array_equal(np.frombuffer(sample.payload, "<f4"), raw.real.reshape(-1))
    assert open_dataset(quantised.dataset.folder, "mlperf", quantised.model).name == wide.dataset.name  # type: ignore[attr-defined]
