"""A board that listens: its scores are those of tflite-micro behind the original front end; power; what can go wrong."""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.cli import main
from emulab.errors import InputError
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import Platform, load_platform
from emulab.model.record import RunRecord, read_record
from emulab.model.scenario import load_scenario
from emulab.quality.audio import extract
from emulab.quality.streaming import synthetic_sound
from emulab.run import assets
from emulab.run.listening import listen
from emulab.run.streaming import stream_options, stream_plan

ONE = ["--platform", "nucleo-l4r5zi"]
MODEL = "pymicro_wakeword/models/okay_nabu.tflite"
needs_wake_word = pytest.mark.skipif(
    importlib.util.find_spec("pymicro_wakeword") is None, reason="no wake-word model: pip install pymicro-wakeword"
)


@pytest.fixture(scope="module")
def board() -> Platform:
    return load_platform("nucleo-l4r5zi").platform


def built(scenario: str, model: Path, board: Platform) -> tuple[Firmware, Any, Any]:
    stream = load_scenario(scenario).scenario.workload.stream
    assert stream is not None
    options = stream_options(stream)
    firmware = build(model, board, options=BuildOptions(stream=options))
    return firmware, options, stream_plan(options, firmware)


def heard(board: Platform, firmware: Firmware, sound: np.ndarray, length_s: float) -> dict[str, Any]:
    from emulab.backends.base import load_backend

    return listen(load_backend("unicorn"), board, firmware, sound, length_s)


@needs_wake_word
def test_ten_seconds_of_a_real_wake_word_model_bit_for_bit(board: Platform) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install tflite-micro")
    original = pytest.importorskip("pymicro_features", reason="pip install pymicro-features")
    # of the package's models the one that the synthetic sound excites most
    model = assets.resolve("package:pymicro_wakeword/models/hey_mycroft.tflite", Path(), "test")
    firmware, _, plan = built("wake-word", model, board)
    sound = synthetic_sound(10.0, 7)
    device = heard(board, firmware, sound, 10.0)
    assert device["steps"] == int(10.0 / plan.step_s)
    assert device["missed"] == 0

    frontend = original.MicroFrontend()
    interpreter = runtime.Interpreter.from_bytes(model.read_bytes(), arena_size=1 << 20)
    rows: list[list[float]] = []
    scores = []
    for at in range(0, device["steps"] * plan.step_samples, 160):
        found = frontend.process_samples(sound[at : at + 160].tobytes())
        if found.features:
            rows.append(found.features)
        if len(rows) == 3:
            real = np.array(rows, np.float32).reshape(1, 3, 40)
            interpreter.set_input(np.round(real / plan.scale + plan.zero_point).clip(-128, 127).astype(np.int8), 0)
            interpreter.invoke()
            scores.append(int(interpreter.get_output(0).reshape(-1)[0]))
            rows = []
    assert len(scores) == device["inferences"] > 300
    assert device["scores"] == scores
    assert len(set(scores)) > 10, "the sound says nothing to the model"


def test_the_benchmarks_wake_word_bit_for_bit(board: Platform) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install tflite-micro")
    model = reference_model()
    firmware, _, plan = built("mlperf-sww", model, board)
    # loud and clipped, which the model takes for something
    sound = np.clip(synthetic_sound(3.0, 6).astype(int) * 6, -32768, 32767).astype(np.int16)
    device = heard(board, firmware, sound, 3.0)
    interpreter = runtime.Interpreter.from_bytes(model.read_bytes(), arena_size=1 << 20)
    rows, scores = np.zeros((30, 40), np.int8), []
    for row in extract("lfbe", sound, plan.scale, plan.zero_point)[: device["steps"]]:
        rows = np.concatenate([rows[1:], row[None]])
        interpreter.set_input(rows.reshape(1, 30, 1, 40), 0)
        interpreter.invoke()
        scores.append(int(interpreter.get_output(0).reshape(-1)[0]) & 0xFF)
    assert device["steps"] == 93 and device["missed"] == 0
    assert device["scores"] == scores
    assert len(set(scores)) > 10, "the sound says nothing to the model"


@needs_wake_word
def test_another_board_with_another_microphone_hears_the_same(board: Platform) -> None:
    model = assets.resolve("package:pymicro_wakeword/models/hey_mycroft.tflite", Path(), "test")
    sound = synthetic_sound(2.0, 7)
    heard_by = []
    for platform in (board, load_platform("nrf52840-dk").platform):
        firmware, _, _ = built("wake-word", model, platform)
        heard_by.append(heard(platform, firmware, sound, 2.0))
    first, second = heard_by
    assert first["scores"] == second["scores"] and len(first["scores"]) > 60
    assert first["missed"] == second["missed"] == 0


@needs_wake_word
def test_a_device_too_slow_for_the_sound_says_what_it_missed() -> None:
    platform = load_platform("nrf52840-dk").platform
    stream = load_scenario("wake-word").scenario.workload.stream
    assert stream is not None
    slow = BuildOptions(stream=stream_options(stream), optimise="O0", kernels="portable")
    firmware = build(assets.resolve(f"package:{MODEL}", Path(), "test"), platform, options=slow)
    device = heard(platform, firmware, synthetic_sound(0.6, 1), 0.6)
    assert device["missed"] > 0
    # Sound goes on while the step that is under way ends, before `stop` is seen: that step is longer than one of sound.
    assert 20 <= device["steps"] + device["missed"] <= 22
    assert device["busy_share"] > 0.85  # all but the wait for the first samples


@needs_wake_word
def test_power_follows_from_the_time_awake(board: Platform) -> None:
    assert board.power is not None
    model = assets.resolve(f"package:{MODEL}", Path(), "test")
    firmware, _, plan = built("wake-word", model, board)
    device = heard(board, firmware, synthetic_sound(1.2, 1), 1.2)
    states = board.power.components["core"].states
    awake_a, asleep_a = (float(states[s].per_hz_a.value) * 120e6 for s in ("run", "sleep"))  # type: ignore[union-attr]
    mean_a = sum(device["charge_c"].values()) / (device["end_s"] - device["begin_s"])
    assert asleep_a < mean_a < awake_a * 1.2
    # a mean between the two states, by the share of time: multiply-accumulates are what the states do not say
    assert mean_a == pytest.approx(asleep_a + device["busy_share"] * (awake_a - asleep_a), rel=0.15)
    assert 0.05 < device["busy_share"] < 0.5
    assert device["steps"] == 40
    assert plan.step_s == pytest.approx(0.03)


@needs_wake_word
def test_scenario_says_what_it_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--set", "workload.stream.emulate_s=1.0", "--set", "measure.loops=3"]
    assert main(["run", "wake-word", *ONE, "--output", str(tmp_path / "run"), *quick]) == 0
    record = read_record(tmp_path / "run")
    metrics = record.results[0].metrics
    for name in ("latency_s", "front_end_s", "real_time_margin", "mean_power_w", "busy_share", "agreement_host"):
        assert metrics[name].value, f"{name}: {metrics[name].reason}"
    assert metrics["front_end_s"].value < metrics["latency_s"].value < 0.03  # type: ignore[operator]
    # what a battery sees by phases is what the ledger saw, and the microphone
    assert metrics["mean_current_a"].value * 1.8 == pytest.approx(  # type: ignore[operator]
        metrics["mean_power_w"].value + 650e-6 * 1.8,
        rel=0.03,  # type: ignore[operator]
    )
    assert metrics["false_reject_rate"].value is None
    assert "synthetic sound without wake words" in metrics["false_reject_rate"].reason
    said = capsys.readouterr().out
    assert "the device listened for 1.0 s" in said and "none missed" in said
    html = (tmp_path / "run" / "report.html").read_text()
    assert "Detections over time" in html and "Power over the recording" in html
    repeated(tmp_path, quick, record)


def repeated(tmp_path: Path, quick: list[str], first: RunRecord) -> None:
    assert main(["run", "wake-word", *ONE, "--output", str(tmp_path / "again"), *quick]) == 0
    again = read_record(tmp_path / "again").results[0]
    assert again.metrics == first.results[0].metrics
    assert again.details["stream"] == first.results[0].details["stream"]


@needs_wake_word
def test_a_board_without_a_microphone_says_so(tmp_path: Path) -> None:
    arguments = ["run", "wake-word", "--platform", "nucleo-u575zi-q", "--output", str(tmp_path / "run")]
    assert main([*arguments, "--set", "measure.loops=1", "--set", "workload.stream.emulate_s=1.0"]) == 0
    metrics = read_record(tmp_path / "run").results[0].metrics
    assert metrics["latency_s"].value and metrics["mean_current_a"].value
    assert "board.firmware.audio" in metrics["mean_power_w"].reason


@needs_wake_word
def test_own_recording_with_its_wake_words(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "me.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(synthetic_sound(1.0, 2).tobytes())
    mine = f"workload.stream.recordings=[{{path: {tmp_path}/me.wav, wake_words: [[0.2, 0.6]]}}]"
    quick = ["--set", "measure.loops=1", "--set", mine]
    assert main(["run", "wake-word", *ONE, "--output", str(tmp_path / "run"), *quick]) == 0
    result = read_record(tmp_path / "run").results[0]
    assert result.metrics["false_reject_rate"].value == 1.0
    assert result.metrics["false_accepts_per_s"].value == 0.0
    assert result.details["stream"]["recordings"][0]["misses_s"] == [0.2]


def reference_model() -> Path:
    found = assets.find("mlperf-tiny/models/str_ww_ref_model.tflite")
    if found is None:
        pytest.skip("no reference model: emulab assets pull, or set EMULAB_ASSETS")
    return found


def test_mlperf_scenario(tmp_path: Path) -> None:
    reference_model()
    quick = ["--set", "measure.loops=1", "--set", "workload.stream.emulate_s=1.6"]
    assert main(["run", "mlperf-sww", "--output", str(tmp_path / "run"), *quick]) == 0
    result = read_record(tmp_path / "run").results[0]
    assert result.details["stream"]["device"]["steps"] == 50
    assert result.metrics["real_time_margin"].value > 1.5  # type: ignore[operator]
    assert result.metrics["agreement_host"].value == 1.0


def test_absent_package_is_exit_2_with_the_line_that_installs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["run", "wake-word", *ONE, "--output", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "workload.model: the package 'pymicro_wakeword' is not installed; install it with: pip install" in lines[0]


def test_a_package_gives_its_own_files_only() -> None:
    with pytest.raises(InputError, match="has no file"):
        assets.resolve("package:emulab/../pyproject.toml", Path(), "workload.model")
    with pytest.raises(InputError, match="'no_such_package' is not installed; install it with: pip install"):
        assets.resolve("package:no_such_package/a.tflite", Path(), "workload.model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("workload.stream.front_end=mfcc", "front_end"),
        ("workload.stream.detection.threshold=2", "threshold"),
        ("workload.stream.detection.output=9", "stream.output: expected 0 to 0, found 9"),
        ("workload.stream.recordings=[{path: absent.wav}]", "absent.wav: no such file"),
        ("workload.stream.recordings=[{path: a.wav, wake_words: [[2, 1]]}]", "the end not before the start"),
    ],
)
@needs_wake_word
def test_wrong_streams_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    assert main(["run", "wake-word", *ONE, "--output", str(tmp_path / "run"), "--set", change]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines
