"""Readers of recorded captures: right values from good files, one clear line from bad ones, never a crash."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulab.errors import EmulabError, InputError, ToolError
from emulab.lab.capture import Capture, concatenate
from emulab.lab.captures import csv_table, ebin, read_recording, recording, results_txt
from emulab.lab.captures.session import RecordedSession, RecordedWindow
from emulab.lab.integrate import integrate


def ebin_bytes(samples, rate=1000.0):
    return b"\xf1" + struct.pack("<f", rate) + np.asarray(samples, "<f4").tobytes()


def test_ebin_with_timestamps_and_results(tmp_path):
    (tmp_path / "a.ebin").write_bytes(ebin_bytes([10.0] * 100 + [30.0] * 100))
    (tmp_path / "a.timestamps.json").write_text("[0.01, 0.05, 0.08, 0.12, 0.18]")
    (tmp_path / "a.results.txt").write_text(
        "x:   Energy/Inf.  :   150.0 uJ/inf.\nx:   # Inferences :   2\nx:   Runtime  :  0.030 sec.\n"
        "x:   # Inferences :   2\nx:   Runtime  :  0.060 sec.\nx: Median energy cost is 150.0 uJ/inf.\n"
    )
    session = read_recording(tmp_path / "a.ebin")
    assert [(w.start_s, w.stop_s, w.inferences) for w in session.windows] == [(0.05, 0.08, 2), (0.12, 0.18, 2)]
    assert session.capture is not None
    assert session.capture.energy(0.05, 0.08).energy_j == pytest.approx(30 * 10e-6)
    assert session.capture.energy(0.095, 0.105).energy_j == pytest.approx(5 * 10e-6 + 5 * 30e-6)
    assert session.reported == {
        "energy_per_inference_j": pytest.approx(150e-6),
        "energy_mode_latency_s": pytest.approx(0.0225),
    }


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\xf1\x00", "not an .ebin"),
        (ebin_bytes([1.0], rate=0), "sample rate"),
        (ebin_bytes([1.0], rate=float("nan")), "sample rate"),
        (ebin_bytes([1.0, 2.0])[:-1], "cut off"),
        (ebin_bytes([-1.0]), "negative"),
    ],
)
def test_bad_ebin(tmp_path, data, match):
    (tmp_path / "a.ebin").write_bytes(data)
    with pytest.raises(InputError, match=match):
        read_recording(tmp_path / "a.ebin")


@pytest.mark.parametrize("stamps", ["[]", "[0.1]", "[0.2, 0.1]", '["x", 1]', "{}", "[0.0, 9.0]", "[1", "[NaN, 1]"])
def test_bad_timestamps(tmp_path, stamps):
    (tmp_path / "a.ebin").write_bytes(ebin_bytes([1.0] * 500))
    (tmp_path / "a.timestamps.json").write_text(stamps)
    with pytest.raises(InputError):
        read_recording(tmp_path / "a.ebin", {"inferences": "1"})


def test_ebin_without_inference_count_says_what_to_give(tmp_path):
    (tmp_path / "a.ebin").write_bytes(ebin_bytes([1.0] * 500))
    (tmp_path / "a.timestamps.json").write_text("[0.1, 0.2]")
    with pytest.raises(InputError, match=",inferences=100"):
        read_recording(tmp_path / "a.ebin")
    assert read_recording(tmp_path / "a.ebin", {"inferences": "4"}).windows[0].latency_s == pytest.approx(0.025)


def trial(**over):
    base = {
        "infer": {"results": [0.1, 0.9], "iterations": 5, "warmups": 1},
        "power": {"samples": [1e-5] * 100, "timestamps": [["1", 3], ["2", 20], ["3", 70]]},
    }
    return {**base, **over}


def test_runner_json(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps([trial(), trial(), {"error": "error 2"}]))
    session = read_recording(tmp_path / "r.json", {"voltage_v": "3.0"})
    assert [w.start_s for w in session.windows] == pytest.approx([0.02, 0.12])
    assert session.windows[0].results == (0.1, 0.9)
    assert session.capture is not None
    assert len(session.capture.values) == 200
    energy = session.capture.energy(session.windows[1].start_s, session.windows[1].stop_s)
    assert energy.energy_j == pytest.approx(50e-5)
    assert energy.charge_c == pytest.approx(50e-5 / 3)


def test_runner_json_of_performance_mode(tmp_path):
    data = [{"infer": {"results": [1.0], "iterations": 10, "start_time": 1_000_000, "end_time": 1_500_000}}]
    (tmp_path / "r.json").write_text(json.dumps(data))
    session = read_recording(tmp_path / "r.json")
    assert session.capture is None
    assert session.windows[0].latency_s == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "list of trials"),
        ({"infer": {}}, "list of trials"),
        ([trial(infer={"iterations": 0})], "iterations"),
        ([trial(infer={"iterations": 5, "results": ["x"]})], "finite numbers"),
        ([trial(power={"samples": [-1.0], "timestamps": []})], "negative"),
        ([trial(power={"samples": [1.0], "timestamps": [["1", 0]]})], "at least two"),
        ([trial(power={"samples": [1.0], "timestamps": [["1", 0], ["1", 5]]})], "no window"),
        ([trial(power={"samples": [1.0], "timestamps": [["1", 1], ["1", 0]]})], "no window"),
        ([{"infer": {"iterations": 3}}], "start_time"),
    ],
)
def test_bad_runner_json(tmp_path, data, match):
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=match):
        read_recording(tmp_path / "r.json")


PPK2 = "Timestamp(ms),Current(uA),D0-D7\n" + "".join(
    f"{i / 100:.5f},{1000 + i},{'00000000' if 20 <= i < 22 or 70 <= i < 72 else '10000000'}\n" for i in range(100)
)
JOULESCOPE = "#time,current,voltage\n" + "".join(f"{i * 1e-3:.6f},{0.01},{1.8}\n" for i in range(100))
OTII = '"Timestamp (s)","Main Current - Arc (A)","Main Voltage - Arc (V)"\n' + "".join(
    f"{i * 2.5e-4:.6f},{0.005},{3.3}\n" for i in range(100)
)


def test_ppk2_csv_with_logic_pin():
    capture = csv_table.parse(PPK2, "a.csv", 1.8)
    assert capture.step_s == pytest.approx(1e-5)
    assert capture.values[3] == pytest.approx(1003e-6)
    assert [n for n, _ in capture.marks] == ["falling", "rising", "falling", "rising"]
    assert capture.marks[0][1] == pytest.approx(0.2e-3)


def test_lost_samples_are_gaps_never_zeros():
    lines = PPK2.splitlines(keepends=True)
    capture = csv_table.parse("".join(lines[:11] + lines[16:]), "a.csv", 1.8)
    assert capture.lost_samples == 5
    assert np.isnan(capture.values[10:15]).all()
    assert len(capture.values) == 100
    assert "5 of 100 samples lost" in capture.summary()[0]


def test_joulescope_and_otii_csv():
    js, otii = csv_table.parse(JOULESCOPE, "a.csv"), csv_table.parse(OTII, "b.csv")
    assert (js.voltage_v, js.step_s) == (pytest.approx(1.8), pytest.approx(1e-3))
    assert js.energy(0.01, 0.02).energy_j == pytest.approx(0.01 * 1.8 * 0.01)
    assert otii.voltage_v == pytest.approx(3.3)
    assert otii.values[0] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("header", "factor"),
    [("time [s],i (mA)", 1e-3), ("t (us);x (uA)", 1e-6), ("t (ms)\tI (nA)", 1e-9), ("t (s),p (mW)", 1e-3)],
)
def test_any_csv_that_names_its_units(header, factor):
    delimiter = next(d for d in ",;\t" if d in header)
    text = header + "\n" + "".join(f"{i}{delimiter}{2.0}\n" for i in range(10))
    capture = csv_table.parse(text, "a.csv")
    assert capture.values[0] == pytest.approx(2 * factor)
    assert capture.quantity == ("W" if "W" in header else "A")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n", "no header"),
        ("time (s),current (A)\n0,1\n", "at least two"),
        ("time (s),current (A)\n0,1\n0,2\n", "ascend"),
        ("time (s),current (A)\n0,1\n1,x\n", "line 3"),
        ("time (s),current (A)\n0,1\n1,inf\n", "line 3"),
        ("time (s),current (A)\n0,1\n1\n", "line 3"),
        ("time (s),current (A)\n0,1\n1e-6,1\n2e-6,1\n1000,2\n", "missing"),
    ],
)
def test_bad_csv(text, match):
    with pytest.raises(InputError, match=match):
        csv_table.parse(text, "a.csv")


def test_own_recording_round_trip(tmp_path):
    capture = Capture(
        0.5, 1e-4, np.array([0.01, np.nan, 0.02]), "A", 1.8, (("falling", 0.5001),), 1, 2, 3, "cable", "ppk2"
    )
    session = RecordedSession(
        "bench",
        capture,
        (RecordedWindow(0.5001, 0.5002, 3, (0.25,)),),
        ((0.1, ">", "name%"), (0.2, "<", "m-name-dut-[x y]")),
        {"latency_s": 0.04},
        "board",
        "ab",
        "cd",
        ("note",),
    )
    recording.write(tmp_path / "rec", session)
    back = read_recording(tmp_path / "rec")
    assert back.capture is not None
    np.testing.assert_allclose(back.capture.values, capture.values, rtol=1e-6)
    assert back.console == session.console
    assert (back.windows, back.platform, back.notes) == (session.windows, "board", ("note",))
    assert (back.capture.lost_samples, back.capture.range_switches, back.capture.incomplete) == (1, 2, "cable")


def test_damaged_recordings_are_said(tmp_path):
    with pytest.raises(InputError, match="--record"):
        read_recording(tmp_path)
    session = RecordedSession("bench", Capture(0, 1e-3, np.ones(4), "A", 1.0))
    recording.write(tmp_path, session)
    (tmp_path / "trace.npz").write_bytes(b"PK\x03\x04junk")
    with pytest.raises(InputError, match=r"trace\.npz"):
        read_recording(tmp_path)
    (tmp_path / "recording.json").write_text('{"recording_version": 1}')
    with pytest.raises(InputError, match="damaged"):
        read_recording(tmp_path)


def test_results_txt_of_both_runners():
    new = results_txt.parse("Elapsed time  : 10.886\n  Inferences    : 250\n  Energy/Inf    : 1431.422 uJ/inf\n"
                            "Median energy cost is 1430.6681 uJ/inf.")  # fmt: skip
    assert new.figures() == {
        "energy_per_inference_j": pytest.approx(1430.6681e-6),
        "energy_mode_latency_s": pytest.approx(0.043544),
    }


def test_integration_counts_parts_of_buckets_and_scales_for_what_is_lost():
    values = np.array([1.0, 1.0, np.nan, 1.0, 3.0])
    whole = integrate(0.0, 0.1, values, 2.0, 0.05, 0.4)
    assert whole.charge_c == pytest.approx(0.35)
    assert whole.lost == 1
    assert whole.coverage == pytest.approx(2.5 / 3.5)
    assert integrate(0.0, 0.1, values, 2.0, 0.41, 0.44).energy_j == pytest.approx(3 * 0.03 * 2)
    for window in ((0.4, 0.4), (0.3, 0.9), (-1.0, 0.2), (0.21, 0.29), (0.0, float("nan"))):
        with pytest.raises(ToolError):
            integrate(0.0, 0.1, values, 2.0, *window)


def test_concatenation_keeps_windows_in_place():
    a = Capture(0.0, 1e-3, np.ones(10), marks=(("x", 0.002),), lost_samples=1)
    both, offsets = concatenate([a, a])
    assert offsets == pytest.approx([0.0, 0.01])
    assert [t for _, t in both.marks] == pytest.approx([0.002, 0.012])
    assert both.lost_samples == 2
    with pytest.raises(ToolError):
        concatenate([a, Capture(0.0, 2e-3, np.ones(10))])


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.data())
def test_energy_adds_up_over_any_cut(values, data):
    trace = np.array(values)
    end = len(values) * 0.1
    cut = data.draw(st.floats(0.01, end - 0.01)) if end > 0.03 else end / 2
    whole = integrate(0.0, 0.1, trace, 1.0, 0.0, end).energy_j
    parts = integrate(0.0, 0.1, trace, 1.0, 0.0, cut).energy_j + integrate(0.0, 0.1, trace, 1.0, cut, end).energy_j
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-12)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 199), st.integers(0, 255))
def test_mutated_ebin_is_a_value_or_a_clear_error(tail, position, value):
    data = bytearray(ebin_bytes([1.0, 2.0, 3.0]) + tail)
    if position < len(data):
        data[position] = value
    try:
        capture = ebin.decode(bytes(data), "a.ebin")
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert capture.step_s > 0
        finite = capture.values[np.isfinite(capture.values)]
        assert (finite >= 0).all()
        assert capture.lost_samples == len(capture.values) - len(finite)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([PPK2[:900], JOULESCOPE[:700], OTII[:700]]), st.integers(0, 899), st.text(max_size=6))
def test_mutated_csv_is_a_value_or_a_clear_error(text, position, insert):
    mutated = text[:position] + insert + text[position + 1 :]
    try:
        capture = csv_table.parse(mutated, "a.csv")
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert capture.step_s > 0
        assert not np.isinf(capture.values).any()


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-5, 200) | st.floats() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["infer", "power", "samples", "timestamps", "iterations", "results"]), inner),
                    max_leaves=12))  # fmt: skip
def test_any_json_is_a_session_or_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("json") / "r.json"
    path.write_text(json.dumps([data, trial()]))
    try:
        session = read_recording(path)
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert all(w.stop_s > w.start_s and w.inferences > 0 for w in session.windows)
