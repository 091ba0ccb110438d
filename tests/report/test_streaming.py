"""What is said and drawn of a stream: words, times, and nothing where nothing was heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emulab.model.quantity import Quantity
from emulab.model.record import Provenance, Result, RunRecord
from emulab.report.markdown import markdown
from emulab.report.streaming import figures, lines

HEARD: dict[str, Any] = {
    "threshold": 0.9,
    "recordings": [
        {
            "name": "me.wav",
            "length_s": 10.0,
            "wake_words_s": [[1.0, 1.6], [4.0, 4.7]],
            "score": [0.1, 0.95, 0.2],
            "score_step_s": 3.0,
            "detections_s": [1.4, 8.0],
            "hits": 1,
            "misses_s": [4.0],
            "false_accepts_s": [8.0],
        }
    ],
    "device": {
        "length_s": 10.0,
        "supply_v": 1.8,
        "steps": 312,
        "missed_steps": 2,
        "detections_s": [1.4],
        "scores_compared": 312,
        "most_apart_steps": 1,
    },
}


def record(stream: dict[str, Any], **artifacts: str) -> RunRecord:
    metrics = {"mean_power_w": Quantity(value=0.02, unit="W", kind="modelled")}
    result = Result(
        platform="board",
        backend="unicorn",
        status="passed",
        details={"stream": stream} if stream else {},
        metrics=metrics,
        artifacts=artifacts,
    )
    return RunRecord(scenario={"name": "s"}, provenance=Provenance(emulab="0"), results=[result])


def test_lines_say_what_was_found_missed_and_false() -> None:
    first, second = lines(record(HEARD).results[0])
    assert first == (
        "me.wav, 10.0 s: detected at 1.40, 8.00 s; 1 of 2 wake words (missed at 4.00 s), falsely at 8.00 s"
    )
    assert second == (
        "the device listened for 10.0 s: 312 steps, 2 missed; detected at 1.40 s; "
        "312 scores at most 1 of 256 steps from the host's"
    )
    assert "1 of 2 wake words" in markdown(record(HEARD))


def test_without_a_stream_there_is_nothing() -> None:
    silent = record({})
    assert lines(silent.results[0]) == []
    assert figures(silent, Path()) == []


def test_figures_hold_score_words_and_power(tmp_path: Path) -> None:
    (tmp_path / "stream.csv").write_text(
        "Timestamp(ms),Current(uA),Min(uA),Max(uA)\n0,1000,900,1100\n10,2000,900,2100\n"
    )
    score, power = figures(record(HEARD, stream_trace="stream.csv"), tmp_path)
    names = [trace["name"] for trace in score["data"]]
    assert names == ["wake word", "score", "detected (host)", "false accept", "missed", "detected (device)"]
    assert score["data"][1]["x"] == [3.0, 6.0, 9.0]
    assert power["data"][1]["y"] == [1.8 * 0.001, 1.8 * 0.002]
    assert power["data"][1]["x"] == [0.0, 0.01]


def test_a_host_that_cannot_run_the_model_says_so() -> None:
    cannot = {"threshold": 0.9, "recordings": [{"name": "a.wav", "length_s": 1.0, "wake_words_s": [], "reason": "why"}]}
    assert lines(record(cannot).results[0]) == ["a.wav, 1.0 s: why"]
    assert figures(record(cannot), Path()) == []
