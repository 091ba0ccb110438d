"""Runs that need no firmware of ours: recordings, and boards that are not flashed, start without any toolchain."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.lab.captures import recording
from emulab.lab.captures.session import RecordedSession, RecordedWindow
from emulab.model.record import Result, read_record

SCENARIO = """
schema_version: 1
name: recorded
workload: {name: kws, mlperf_id: kws01, model: "asset:nowhere/model.tflite", task: classification}
targets: [{platforms: [nucleo-l4r5zi], backends: [unicorn]}]
measure: {modes: [performance], loops: 2, window_s: 0.2}
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario whose firmware cannot be built: its model is nowhere, and neither is a compiler."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("firmware was built that nobody runs")

    monkeypatch.setattr("emulab.firmware.build.build", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    return tmp_path / "scenario.yaml"


def recorded(folder: Path, sha256: str) -> Path:
    lines = []
    for index in range(2):
        start = 1.0 + index
        laps = [f"m-lap-us-{round(start * 1e6)}", f"m-lap-us-{round(start * 1e6) + 80000}"]
        said = ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2", *laps, "m-infer-done", "m-results-[0.5]"]
        lines.append((start, ">", "infer 2 1%"))
        lines += [(start + 0.001 * i, "<", text) for i, text in enumerate([*said, "m-ready"])]
    windows = tuple(RecordedWindow(1.0 + i, 1.08 + i, 2, (0.5,)) for i in range(2))
    session = RecordedSession(
        "bench", None, windows, tuple(lines), platform="nucleo-l4r5zi", firmware_sha256=sha256, model_sha256=""
    )
    recording.write(folder, session)
    return folder


def run(scenario: Path, *words: str) -> Result:
    folder = scenario.parent / "run"
    assert main(["run", str(scenario), "--output", str(folder), "--no-html", *words]) == 0
    return read_record(folder).results[0]


@pytest.mark.parametrize("sha256", ["", "ab" * 32])
def test_a_recording_is_replayed_without_toolchain_and_model(scenario: Path, sha256: str) -> None:
    result = run(scenario, "--backend", f"replay:{recorded(scenario.parent / 'rec', sha256)}")
    assert result.metrics["latency_s"].value == pytest.approx(0.04)
    assert (result.firmware_sha256, result.model_sha256) == (sha256, "")
    assert "flash_bytes" not in result.metrics
    assert result.metrics["accuracy_top1"].value is None and result.metrics["accuracy_top1"].reason
    provenance = json.loads((scenario.parent / "run" / "run.json").read_text())["provenance"]
    assert provenance["hashes"].get("firmware nucleo-l4r5zi/replay", "") == sha256


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need a POSIX system")
def test_a_board_that_is_not_flashed_runs_what_it_runs(scenario: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "dut"))
    from fakes import FakeClock, FakeDut  # type: ignore[import-not-found]

    from emulab.lab.bench.bench import Bench

    class Session:
        power_meter = None

        def __init__(self) -> None:
            self.console = FakeDut(clock=FakeClock(), latency_us=10_000)
            self.clock = self.console.clock

        def gpio_edges(self, pin: str) -> list[object]:
            return []

    with Bench(Session(), monitors=()) as bench:
        result = run(scenario, "--backend", "hardware", "--serial", bench.console_url)
    assert result.metrics["latency_s"].value == pytest.approx(0.01)
    assert (result.firmware_sha256, result.model_sha256) == ("", "")
    assert any("taken on trust" in note for note in result.notes)
    # Nobody measured its energy, and a model's figure has no place among measured ones.
    energy = result.metrics["energy_per_inference_j"]
    assert energy.value is None and "--power" in energy.reason and "power_w" not in result.metrics


def test_accuracy_of_a_board_is_what_it_answered(tmp_path: Path, assets: Path) -> None:
    """The host's own evaluation of the model stands for emulated firmware, which equals it, never for a board."""
    from emulab.model.scenario import load_scenario
    from emulab.run.inputs import load_inputs

    inputs = load_inputs(load_scenario("mlperf-kws", []))
    assert inputs.dataset is not None
    sample = next(iter(inputs.dataset))
    emulated, _ = inputs.quality({}, own_firmware=True)
    assert emulated["accuracy_top1"].value == pytest.approx(0.901)
    silent, _ = inputs.quality({}, own_firmware=True, kind="measured")
    assert silent["accuracy_top1"].value is None
    assert silent["accuracy_top1"].reason == "no samples were answered in accuracy mode"
    answer = {sample.name: [0.0] * 12}
    wrong, _ = inputs.quality(answer, own_firmware=True, kind="measured")
    assert wrong["accuracy_top1"].kind == "measured" and wrong["accuracy_top1"].value in (0.0, 1.0)
    partly, _ = inputs.quality(answer, own_firmware=True)
    assert partly["accuracy_top1"].value == pytest.approx(0.901)
