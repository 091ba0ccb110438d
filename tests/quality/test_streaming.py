"""Recordings, detections and their verdict, by rules that can be counted by hand."""

from __future__ import annotations

import json
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.firmware.audio.stream import StreamOptions, StreamPlan, plan_stream
from emulab.firmware.codegen.generator import TensorDescription
from emulab.quality.streaming import detections, judge, read_wav, runner_list, synthetic_sound

SWW_IN = TensorDescription("in", (1, 30, 1, 40), "int8", 1200, 0.0037, -128)
SWW_OUT = TensorDescription("out", (1, 3), "int8", 3, 1 / 256, -128)
WAKE_IN = TensorDescription("in", (1, 3, 40), "int8", 120, 0.10196078568696976, -128)
WAKE_OUT = TensorDescription("out", (1, 1), "uint8", 1, 1 / 256, 0)


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def sww(**changed: object) -> tuple[StreamOptions, StreamPlan]:
    options = StreamOptions("lfbe", **{"threshold": 0.94921875, **changed})  # type: ignore[arg-type]
    return options, plan_stream(options, SWW_IN, SWW_OUT)


def test_a_window_of_features_that_moves_by_one() -> None:
    _, plan = sww()
    assert (plan.rows, plan.fresh_rows, plan.step_samples, plan.step_s) == (30, 1, 512, 0.032)
    assert plan.threshold == 115  # the reference device: above 115
    assert plan.inference_s(0) == pytest.approx(0.032)


def test_new_features_only_for_a_model_that_remembers() -> None:
    options = StreamOptions("micro", threshold=0.85, average=5)
    plan = plan_stream(options, WAKE_IN, WAKE_OUT)
    assert (plan.rows, plan.fresh_rows, plan.step_samples) == (3, 3, 480)
    # five hops until the first three rows, which are there at the end of the second step
    assert plan.inference_s(0) == pytest.approx(0.06)
    assert plan.threshold == 5 * 0.85 * 256 // 1


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (StreamOptions("lfbe"), TensorDescription("in", (1, 49), "int8", 49, 0.1, 0), "rows of 40 int8 features"),
        (StreamOptions("lfbe"), TensorDescription("in", (1, 40), "float32", 160, None, None), "takes float32"),
        (StreamOptions("lfbe", output=3), SWW_IN, "stream.output: expected 0 to 2, found 3"),
        (StreamOptions("lfbe", average=0), SWW_IN, "average 1 to 64"),
        (StreamOptions("lfbe", threshold=1.5), SWW_IN, "threshold 0 to 1"),
        (StreamOptions("mfcc"), SWW_IN, "front end 'mfcc' is unknown"),
    ],
)
def test_what_does_not_fit_is_one_line(options: StreamOptions, given: TensorDescription, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_stream(options, given, SWW_OUT)


def test_detection_needs_more_than_the_threshold_and_then_rests() -> None:
    options, plan = sww(refractory_s=0.1)
    assert plan.refractory == 3
    scores = np.array([115, 116, 127, 127, 127, 127, 0, 0, 0, 0, 127])
    assert detections(scores, options, plan) == [1, 5, 10]


def test_the_mean_of_several_scores_counts() -> None:
    options, plan = sww(average=2, threshold=0.75, refractory_s=0.0)
    # above 2 * (0.75 * 256 - 128) = 128
    assert plan.threshold == 128
    assert detections(np.array([127, 1, 127, 2, 126]), options, plan) == [3]


@given(st.lists(st.integers(-128, 127), max_size=60), st.integers(1, 8), st.integers(0, 10))
def test_detections_keep_their_distance(scores: list[int], average: int, rest: int) -> None:
    options, plan = sww(average=average, threshold=0.5, refractory_s=rest * 0.032)
    found = detections(np.array(scores, np.int64), options, plan)
    assert all(b - a > plan.refractory for a, b in pairwise(found))
    assert all(sum(scores[i + 1 - average : i + 1]) > 0 for i in found)


def test_verdict_counts_as_the_runner_does() -> None:
    words = [(1.0, 1.6), (4.0, 4.7), (7.0, 7.4)]
    verdict = judge([0.5, 1.2, 1.9, 3.0, 4.1, 9.5, 12.0, 12.9, 14.0], words, late_s=2.0)
    assert verdict.hits == (1.0, 4.0)
    assert verdict.delays == pytest.approx((-0.4, -0.6))  # both before their end
    assert verdict.misses == (7.0,)
    assert verdict.false_accepts == (0.5, 9.5, 12.0, 14.0)  # 3.0 is late but the first word's; 12.9 is 12.0 again


def test_wav_of_two_channels_gives_the_first(tmp_path: Path) -> None:
    both = np.stack([np.arange(100), -np.arange(100)], axis=1)
    samples = read_wav(write_wav(tmp_path / "a.wav", both.reshape(-1), channels=2))
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, np.arange(100))


def test_list_of_the_runner_names_recordings_and_windows(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", np.zeros(100))
    entries = [{"wav_file": "sd/long.wav", "length_sec": 1.0, "detection_windows": [[0.1, 0.4]]}]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    [(file, recording)] = runner_list(tmp_path / "list.json")
    assert file == tmp_path / "long.wav"
    assert recording.wake_words == [(0.1, 0.4)]
    for bad in ("{", "3", '[{"wav_file": "a.wav"}]', '[{"wav_file": "a.wav", "detection_windows": [[2, 1]]}]'):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(InputError, match=r"bad\.json"):
            runner_list(tmp_path / "bad.json")


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected 16 bits at 16000 Hz, found 16 bits at 44100 Hz"):
        read_wav(write_wav(tmp_path / "fast.wav", np.zeros(10), rate=44_100))
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    for name in ("no.wav", "absent.wav"):
        with pytest.raises(InputError, match=name):
            read_wav(tmp_path / name)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_a_damaged_wav_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    folder = tmp_path_factory.mktemp("wav")
    whole = write_wav(folder / "a.wav", np.arange(50)).read_bytes()
    (folder / "b.wav").write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        assert read_wav(folder / "b.wav").ndim == 1
    except InputError as error:
        assert "b.wav" in str(error)


def test_synthetic_sound_repeats_and_moves() -> None:
    one, again, other = synthetic_sound(1.5, 3), synthetic_sound(1.5, 3), synthetic_sound(1.5, 4)
    np.testing.assert_array_equal(one, again)
    assert len(one) == 24_000 and np.any(one != other)
    loudness = np.abs(one.astype(int)).reshape(-1, 1600).mean(axis=1)
    assert loudness.max() > 4 * loudness.min() > 0
