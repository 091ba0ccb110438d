"""The replay backend: recorded sessions through the same DUT client and procedures as any backend."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.replay import ReplayBackend, split_argument
from emulab.dut.client import DutClient, DutError
from emulab.dut.energy_mode import energy
from emulab.dut.procedures import AccuracySample, accuracy, performance
from emulab.errors import InputError
from emulab.lab.capture import Capture
from emulab.lab.captures import read_recording, recording
from emulab.lab.captures.session import RecordedSession, RecordedWindow

PLATFORM = SimpleNamespace(name="board", power=None)


def open_session(argument: str):
    return ReplayBackend().open(PLATFORM, None, SessionOptions(argument=argument))  # type: ignore[arg-type]


def client_of(session) -> DutClient:
    client = DutClient(session.console, session.clock, 2.0)
    client.sync()
    return client


def traces() -> list[str]:
    folder = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent")) / "traces"
    return sorted(f.name for f in [*folder.glob("*.ebin"), *folder.glob("*.results.json")])


@pytest.mark.parametrize("name", traces() or [pytest.param("", marks=pytest.mark.skip(
    reason="no recorded traces; set EMULAB_ASSETS to a folder with traces/"))])  # fmt: skip
def test_every_recorded_trace_gives_the_published_figures(name):
    path = Path(os.environ["EMULAB_ASSETS"]) / "traces" / name
    with open_session(str(path)) as session:
        client = client_of(session)
        assert client.mode == "energy"
        assert client.profile() == ("recorded", "")
        result, trace = energy(session, client, [b"\0"], loops=5, inferences=10, warmups=1, pin="PA9")
        timed = performance(client, [b"\0"], loops=5, inferences=10, warmups=1)
        recorded = read_recording(path)
    assert result.alignment == "gpio edges seen by the backend"
    published = recorded.reported["energy_per_inference_j"]
    count = result.windows[0].inferences
    sample = trace.step_s * result.power_w / count
    assert abs(result.energy_per_inference_j - published) <= max(1e-3 * published, sample)
    latency = recorded.reported["energy_mode_latency_s"]
    assert result.latency_s == pytest.approx(latency, abs=trace.step_s / count)
    assert timed.latency_s == pytest.approx(latency, abs=trace.step_s / count)


def own_recording(folder: Path) -> Path:
    samples = 400
    capture = Capture(0.0, 1e-3, np.full(samples, 0.02), "A", 1.8, source="ppk2")
    lines: list[tuple[float, str, str]] = []

    def said(when, command, answer):
        lines.append((when, ">", command + "%"))
        lines.extend((when + 0.001 * (i + 1), "<", text) for i, text in enumerate(answer))

    said(0.0, "name", ["m-name-dut-[lab board]", "m-ready"])
    said(0.01, "profile", ["m-profile-[ULPMark]", "m-model-[kws01]", "m-ready"])
    for value in (1, 2):
        said(0.02, "db load 2", ["m-[Expecting 2 bytes]", "m-ready"])
        said(0.03, f"db {value:02x}00", ["m-load-done", "m-ready"])
        answer = ["m-warmup-start-0", "m-warmup-done", "m-infer-start-1", "m-lap-us-10", "m-lap-us-40010"]
        said(0.04, "infer 1 0", [*answer, "m-infer-done", f"m-results-[0.{value}00]", "m-ready"])
    for index in range(2):
        start = 0.1 + 0.1 * index
        laps = [f"m-lap-us-{round(start * 1e6)}", f"m-lap-us-{round(start * 1e6) + 80000}"]
        answer = ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2", *laps, "m-infer-done", "m-results-[0.5]"]
        said(start, "infer 2 1", [*answer, "m-ready"])
    windows = tuple(RecordedWindow(0.1 + 0.1 * i, 0.18 + 0.1 * i, 2, (0.5,)) for i in range(2))
    recording.write(folder, RecordedSession("bench", capture, windows, tuple(lines), platform="board"))
    return folder


def test_own_recording_answers_all_three_modes(tmp_path):
    with open_session(str(own_recording(tmp_path / "r"))) as session:
        client = client_of(session)
        assert client.mode == "performance"
        assert (client.name(), client.profile()[1]) == ("lab board", "kws01")
        assert performance(client, [b"\1\0"], loops=2, inferences=2).latency_s == pytest.approx(0.04)
        outputs = accuracy(client, [AccuracySample("b", b"\2\0"), AccuracySample("a", b"\1\0")])
        assert [o.results for o in outputs] == [[0.2], [0.1]]
        result, _ = energy(session, client, [b"\1\0"], loops=2, inferences=2, pin="D7")
        assert result.energy_per_inference_j == pytest.approx(0.02 * 1.8 * 0.04)
        assert session.details()["recorded_modes"] == ["performance", "energy", "accuracy"]


def test_an_input_that_was_not_recorded_is_said(tmp_path):
    with open_session(str(own_recording(tmp_path / "r"))) as session, pytest.raises(DutError, match="not recorded"):
        accuracy(client_of(session), [AccuracySample("c", b"\7\0")])


def test_windows_start_again_after_the_last(tmp_path):
    with open_session(str(own_recording(tmp_path / "r"))) as session:
        result = performance(client_of(session), [b"\1\0"], loops=5, inferences=2)
    assert statistics.median(w.latency_s for w in result.windows) == pytest.approx(0.04)
    assert len(result.windows) == 5


def test_power_recordings_are_taken_at_the_supply_of_the_platform(tmp_path):
    samples = {"samples": [1e-5] * 100, "timestamps": [["1", 10], ["2", 60]]}
    (tmp_path / "r.json").write_text(json.dumps([{"infer": {"iterations": 5, "results": [1.0]}, "power": samples}]))
    for argument, volts in ((f"{tmp_path}/r.json,voltage_v=3", 3.0), (f"{tmp_path}/r.json", 1.0)):
        with open_session(argument) as session:
            trace = session.power_meter.capture()
            assert trace.voltage_v == volts
            assert float(trace.mean_a[0]) == pytest.approx(0.01 / volts)
            result, _ = energy(session, client_of(session), [b"\0"], loops=1, inferences=1, pin="x")
            assert result.energy_per_inference_j == pytest.approx(1e-4)


def test_what_was_no_measurement_is_none_when_replayed(tmp_path):
    from dataclasses import replace

    from emulab.errors import ToolError
    from emulab.lab.captures import read_recording, recording

    folder = own_recording(tmp_path / "r")
    whole = read_recording(folder)
    assert whole.capture is not None
    broken = replace(whole, capture=replace(whole.capture, incomplete="the monitor's line is gone"))
    recording.write(tmp_path / "broken", broken)
    with open_session(str(tmp_path / "broken")) as session:
        client = client_of(session)
        assert performance(client, [b"\1\0"], loops=2, inferences=2).latency_s == pytest.approx(0.04)
        with pytest.raises(ToolError, match="capture incomplete: the monitor's line is gone; PATH,incomplete=take"):
            energy(session, client, [b"\1\0"], loops=2, inferences=2, pin="D7")
    with open_session(f"{tmp_path}/broken,incomplete=take") as session:
        result, _ = energy(session, client_of(session), [b"\1\0"], loops=2, inferences=2, pin="D7")
        assert result.energy_per_inference_j == pytest.approx(0.02 * 1.8 * 0.04)
        assert any("capture incomplete" in note for note in session.notes())
    with pytest.raises(InputError, match="incomplete=yes"):
        open_session(f"{tmp_path}/broken,incomplete=yes")


def test_wrong_arguments(tmp_path):
    backend = load_backend("replay")
    assert backend.available().available
    with pytest.raises(InputError, match="name the recording"):
        open_session("")
    with pytest.raises(InputError, match="no such recording"):
        open_session("nowhere.ebin")
    with pytest.raises(InputError, match="unknown option 'volts'"):
        open_session(f"{tmp_path},volts=3")
    other = SimpleNamespace(name="other", power=None)
    with pytest.raises(InputError, match="recorded on 'board', the scenario asks for 'other'"):
        ReplayBackend().open(other, None, SessionOptions(argument=str(own_recording(tmp_path / "r"))))  # type: ignore[arg-type]


def test_argument_keeps_commas_of_a_path():
    assert split_argument("a,b.ebin,inferences=5") == ("a,b.ebin", {"inferences": "5"})
    assert split_argument("a,b.ebin") == ("a,b.ebin", {})
