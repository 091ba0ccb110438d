"""Power monitors: packets against the published formula, every kind of loss counted, clear errors."""

from __future__ import annotations

import json
import os
import socket
import threading
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.errors import EmulabError, InputError, ToolError
from emulab.lab.power import MonitorOptions, monitor_names, open_monitor, otii
from emulab.lab.power import lpm01a_text as lpm
from emulab.lab.power import ppk2_packet as ppk
from emulab.lab.power.ina2xx import decode as ina_decode
from emulab.lab.power.joulescope import assemble

EXAMPLES = int(os.environ.get("EMULAB_FUZZ_EXAMPLES", "500"))
"""Mutated streams of 400 packets each; 2500 of them are a million packets."""
CAL = ppk.Modifiers(
    gs=(0.1, 0.2, 0.0, 0.05, 0.0),
    gi=(1.0, 0.99, 1.01, 1.0, 1.02),
    o=(3.0, 1.0, 0.0, 2.0, 1.0),
    s=(1e-8, 2e-8, 0.0, 1e-6, 0.0),
    i=(1e-8, -1e-8, 0.0, 2e-6, 0.0),
    ug=(1.0, 1.0, 1.0, 1.01, 0.99),
)


def stream(current, logic=1, drop=(), start=0):
    current = np.asarray(current, dtype=float)
    words = ppk.encode(current, np.arange(start, start + len(current)), np.full(len(current), logic), CAL, 3.0)
    keep = np.setdiff1d(np.arange(len(current)), np.asarray(list(drop), dtype=int))
    return np.frombuffer(words, "<u4")[keep].tobytes()


def test_formula_of_one_sample_by_hand():
    word = np.asarray([1000 | (2 << 14) | (5 << 18) | (0x81 << 24)] * 2, "<u4")
    word[1] += 1 << 18
    capture = ppk.decode(word.tobytes(), ppk.Modifiers(), 1.8)
    assert capture.values[0] == pytest.approx(1000 * 4 * (1.8 / 163840) / 10.15)
    assert capture.step_s == 1e-5


@pytest.mark.parametrize("amps", [2e-7, 5e-6, 4e-5, 3e-4, 5e-3, 2e-2, 0.1, 0.6])
def test_encode_and_decode_agree_in_every_range(amps):
    capture = ppk.decode(stream([amps] * 20), CAL, 3.0)
    assert capture.values == pytest.approx(np.full(20, amps), rel=0.004, abs=1.2e-7)


def test_metadata_round_trip_and_oddities():
    back = ppk.parse_metadata(CAL.text())
    assert (back.r, back.gs, back.o) == (CAL.r, CAL.gs, CAL.o)
    assert ppk.parse_metadata("R3: 0.0\nEND").r[3] == 0.94
    with pytest.raises(ToolError, match="O1"):
        ppk.parse_metadata("O1: nan\n")


def test_lost_samples_are_gaps():
    capture = ppk.decode(stream([0.01] * 300, drop=[10, 11, 12, 100, 200]), CAL, 3.0)
    assert capture.lost_samples == 5
    assert len(capture.values) == 300
    assert np.isnan(capture.values[[10, 11, 12, 100, 200]]).all()


def test_a_stall_of_a_multiple_of_64_is_seen_by_arrival():
    data = stream([0.01] * 60_000, drop=range(20_000, 20_000 + 64 * 400))
    arrivals = []
    for chunk in range(0, 60_000, 1000):
        if not 20_000 <= chunk < 45_600:
            sent = chunk + 1000 if chunk < 20_000 else max(0, min(chunk + 1000, 60_000) - 25_600)
            arrivals.append((4 * sent, chunk / 1e5 + 0.012))
    capture = ppk.decode(data, CAL, 3.0, arrivals=arrivals)
    assert capture.lost_samples == pytest.approx(25_600, abs=2000)
    assert ppk.decode(data, CAL, 3.0).lost_samples == 0  # the counter alone cannot know


def test_a_host_that_is_late_to_the_end_invents_no_loss():
    data = stream([0.01] * 200_000)
    arrivals = [(4 * (i + 1000), (i + 1000) / 1e5 + 0.001) for i in range(0, 150_000, 1000)]
    late = [*arrivals, (4 * 170_000, 2.4), (4 * 200_000, 2.41)]
    assert ppk.decode(data, CAL, 3.0, arrivals=late).lost_samples > 0  # as far as arrivals can tell
    assert ppk.decode(data, CAL, 3.0, arrivals=late, stopped_s=2.002).lost_samples == 0
    # What is missing is missing all the same: 25 600 samples before a stall, the end in time.
    gone = [(n, t + 0.256 * (n > 4 * 80_000)) for n, t in arrivals]
    found = ppk.decode(data, CAL, 3.0, arrivals=[*gone, (4 * 200_000, 2.6)], stopped_s=2.258)
    assert found.lost_samples == pytest.approx(25_600, abs=2000)


def test_arrival_jitter_and_clock_error_invent_no_loss():
    rng = np.random.default_rng(3)
    data = stream([0.01] * 200_000)
    arrivals = [
        (4 * (i + 1000), (i + 1000) / 1e5 * (1 + 50e-6) + rng.exponential(0.004)) for i in range(0, 200_000, 1000)
    ]
    assert ppk.decode(data, CAL, 3.0, arrivals=arrivals).lost_samples == 0


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_lost_bytes_are_resynchronised(cut):
    data = stream([0.01] * 400)
    capture = ppk.decode(data[:802] + data[802 + cut :], CAL, 3.0)
    good = capture.values[np.isfinite(capture.values)]
    assert good == pytest.approx(np.full(len(good), 0.01), rel=0.01)
    assert len(good) >= 380
    assert capture.notes


def test_range_switches_overloads_and_edges():
    current = np.r_[np.full(50, 1e-6), np.full(50, 0.02), np.full(50, 1e-6)]
    logic = np.r_[np.ones(40), np.zeros(60), np.ones(50)].astype(int)
    words = ppk.encode(current, np.arange(150), logic, CAL, 3.0)
    capture = ppk.decode(words, CAL, 3.0, start_s=2.0)
    assert capture.range_switches == 2
    assert [(n, round((t - 2.0) * 1e5)) for n, t in capture.marks] == [("falling", 40), ("rising", 100)]
    assert ppk.decode(stream([9.0] * 20), CAL, 3.0).overloads == 20


def test_nothing_is_an_error():
    for data in (b"", b"\x00", b"\x01\x02\x03"):
        with pytest.raises(ToolError, match="no samples"):
            ppk.decode(data, CAL, 3.0)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.lists(st.integers(0, 399), max_size=20))
def test_mutated_ppk2_streams(noise, position, drop):
    data = bytearray(stream([0.01] * 400, drop=drop))
    data[position : position + len(noise) // 4] = noise
    try:
        capture = ppk.decode(bytes(data), CAL, 3.0)
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert capture.lost_samples == int(np.isnan(capture.values).sum())
        assert not np.isinf(capture.values).any()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_no_capture_or_a_counted_one(data):
    try:
        capture = ppk.decode(data, CAL, 3.0)
    except EmulabError:
        return
    assert capture.lost_samples == int(np.isnan(capture.values).sum())


# -- LPM01A ---------------------------------------------------------------------------------------------------


def lpm_text(samples, drop=(), events=(), end=True):
    lines = ["TimeStamp: 000s 000ms, buff 00%"]
    for i, value in enumerate(samples):
        if i in events:
            lines.append(f"event {sorted(events).index(i):02d} ris")
        if i not in drop:
            lines.append(lpm.encode_sample(value))
        if (i + 1) % 1000 == 0:
            lines.append(f"TimeStamp: {(i + 1) // 1000:03d}s 000ms, buff 00%")
    return "\r\n".join([*lines, *(["PowerShield > Acquisition completed"] if end else [])]) + "\r\n"


def test_sample_of_the_manual():
    assert lpm.decode_sample("6409-07") == pytest.approx(640.9e-6)
    assert lpm.encode_sample(640.9e-6) == "6409-07"
    assert lpm.decode_sample("640-07") is None


@given(st.floats(1e-12, 1e3))
def test_samples_round_trip(value):
    assert lpm.decode_sample(lpm.encode_sample(value)) == pytest.approx(value, rel=6e-4)


def test_lpm01a_capture_with_losses_and_events():
    capture = lpm.decode(lpm_text([15.4e-6] * 3000, drop=range(500, 520), events=(1000, 2000)), 1000, 3.0, 1.0)
    assert capture.lost_samples == 20
    assert len(capture.values) == 3000
    assert capture.energy(1.5, 3.5).energy_j == pytest.approx(2 * 15.4e-3, rel=1e-6)
    assert [t for _, t in capture.marks] == pytest.approx([2.0, 3.0])
    assert not capture.incomplete and not capture.notes


def test_lpm01a_events_are_numbered_and_lost_ones_said():
    text = lpm_text([15.4e-6] * 3000, events=(1000, 2000))
    capture = lpm.decode(text.replace("event 01", "event 03"), 1000, 3.0)
    assert capture.notes == ("LPM01A: 2 events (edges of the timestamp pin) were lost",)
    assert lpm.decode(text.replace("event 00", "event 99").replace("event 01", "event 00"), 1000, 3.0).notes == ()


def test_lpm01a_trouble_is_said():
    assert "not confirmed" in lpm.decode(lpm_text([1e-6] * 10, end=False), 1000, 3.0).incomplete
    over = lpm.decode(lpm_text([1e-6] * 10, end=False) + "error: overcurrent detected\r\n", 1000, 3.0)
    assert "overcurrent" in over.incomplete
    assert over.overloads == 1
    with pytest.raises(ToolError, match="no samples"):
        lpm.decode("PowerShield > ack start\r\n", 1000, 3.0)
    torn = lpm.decode("1540-08\r\n15\r\n40-081540-08\r\nAcquisition completed", 1000, 3.0)
    assert torn.lost_samples == 2


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=30), st.integers(0, 400))
def test_mutated_lpm01a_text(insert, position):
    text = lpm_text([15.4e-6] * 40, events=(3,))
    try:
        capture = lpm.decode(text[:position] + insert + text[position:], 1000, 3.0)
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        finite = capture.values[np.isfinite(capture.values)]
        assert (finite >= 0).all()


# -- others ---------------------------------------------------------------------------------------------------


def test_ina2xx_lines():
    text = "".join(f"{i * 1000},{0.01},{1.8},{0 if 20 <= i < 30 else 1}\n" for i in range(50) if i not in (7, 8))
    capture = ina_decode("# bridge\n" + text + "garbage\n123", 0.0)
    assert (capture.lost_samples, capture.voltage_v, len(capture.values)) == (2, pytest.approx(1.8), 50)
    assert [n for n, _ in capture.marks] == ["falling", "rising"]
    assert "1 lines" in capture.notes[0]
    with pytest.raises(ToolError, match="expected microseconds"):
        ina_decode("hello\nworld\n", 1.8)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_ina2xx_text(text):
    try:
        capture = ina_decode(text, 1.8)
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert capture.step_s > 0


def test_js220_blocks_are_placed_by_sample_id():
    blocks = [{"sample_id": 1000, "decimate_factor": 10, "data": [1.0] * 10}, {"sample_id": 1150, "decimate_factor": 10,
              "data": [2.0] * 5}]  # fmt: skip
    values, first = assemble(blocks, 1e5)
    assert (first, len(values), int(np.isnan(values).sum())) == (100, 20, 5)


class FakeJs220:
    published: list = []  # noqa: RUF012

    def __init__(self):
        self.callbacks = {}

    def device_paths(self):
        return ["u/js220/000123"]

    def open(self, path, mode):
        self.mode = mode

    def publish(self, topic, value):
        if topic.endswith("s/gpi/0/ctrl") and value == 1:
            for name, data in (("s/i", [0.01] * 100), ("s/v", [1.8] * 100), ("s/gpi/0", [1] * 50 + [0] * 50)):
                topic = f"u/js220/000123/{name}/!data"
                self.callbacks[topic](topic, {"sample_id": 20, "decimate_factor": 20, "data": data})

    def subscribe(self, topic, flags, callback):
        self.callbacks[topic] = callback

    def unsubscribe(self, topic, callback):
        assert self.callbacks.pop(topic) is callback

    def close(self, path):
        pass

    def finalize(self):
        pass


def test_js220_driver(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", types.SimpleNamespace(Driver=FakeJs220))
    monitor = open_monitor("js220", MonitorOptions(address="000123", clock=lambda: 5.0))
    monitor.start()
    monitor.stop()
    capture = monitor.capture()
    monitor.close()
    assert capture.voltage_v == pytest.approx(1.8)
    assert capture.marks == (("falling", pytest.approx(5.0005)),)
    with pytest.raises(ToolError, match="expected one device, found none"):
        open_monitor("js220", MonitorOptions(address="999"))


def otii_server(replies):
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.sendall(b'{"type":"information","info":"connected"}\r\n')
            rest = b""
            while True:
                data = connection.recv(4096)
                if not data:
                    return
                rest += data
                while b"\r\n" in rest:
                    line, _, rest = rest.partition(b"\r\n")
                    request = json.loads(line)
                    answer = replies(request["cmd"], request.get("data", {}))
                    kind = "error" if answer is None else "response"
                    body = {"type": kind, "cmd": request["cmd"], "trans_id": request["trans_id"], "data": answer or {}}
                    connection.sendall(b'{"type":"progress"}\r\n' + json.dumps(body).encode() + b"\r\n")

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def test_otii_over_its_tcp_server():
    def replies(command, data):
        if command == "otii_get_devices":
            return {"devices": [{"device_id": "A1", "type": "Arc", "name": "x"}]}
        if command == "otii_get_active_project":
            return {"project_id": 7}
        if command == "project_get_last_recording":
            return {"recording_id": 3}
        if command == "recording_get_channel_data_count":
            return {"count": {"mc": 5, "mv": 5, "i1": 2}[data["channel"]]}
        if command == "recording_get_channel_data":
            if data["channel"] == "i1":
                return {"values": [{"timestamp": 0.001, "value": False}, {"timestamp": 0.002, "value": True}]}
            return {"interval": 2.5e-4, "values": [0.02 if data["channel"] == "mc" else 3.3] * min(2, data["count"])}
        return {"ok": True}

    monitor = open_monitor(
        "otii", MonitorOptions(address=f"127.0.0.1:{otii_server(replies)}", voltage_v=3.3, clock=lambda: 1.0)
    )
    monitor.start()
    monitor.stop()
    capture = monitor.capture()
    monitor.close()
    assert (len(capture.values), capture.voltage_v, capture.step_s) == (5, pytest.approx(3.3), 2.5e-4)
    assert capture.marks == (("falling", 1.001), ("rising", 1.002))
    with pytest.raises(ToolError, match="no Arc or Ace"):
        open_monitor("otii", MonitorOptions(address=f"127.0.0.1:{otii_server(lambda c, d: {'devices': []})}"))
    with pytest.raises(ToolError, match="otii_get_devices"):
        open_monitor("otii", MonitorOptions(address=f"127.0.0.1:{otii_server(lambda c, d: None)}"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["timestamp", "value"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(st.sampled_from(["values", "interval", "timestamp", "count"]), JSON, max_size=4))
def test_otii_answers_of_any_shape(data):
    """Numbers as they were sent, or one line that says what is wrong; what is no finite number is a lost sample."""
    for parse in (otii.analog, otii.changes, lambda d: otii.whole(d.get("count", 0), "count")):
        try:
            found = parse(data)
        except EmulabError as error:
            assert "\n" not in str(error)
            continue
        if isinstance(found, otii.Analog):
            sent = data.get("values", [])
            assert len(found.values) == len(sent)
            for a, b in zip(found.values, sent, strict=True):
                assert a == float(b) if np.isfinite(a) else abs(b) > 1e300 or not np.isfinite(float(b))


def test_csv_file_of_another_program(tmp_path):
    monitor = open_monitor("csv", MonitorOptions(address=str(tmp_path / "a.csv"), voltage_v=1.8))
    with pytest.raises(ToolError, match="cannot be read"):
        monitor.capture()
    (tmp_path / "a.csv").write_text("time (s),current (mA)\n0,10\n0.1,20\n")
    assert monitor.capture().values[1] == pytest.approx(0.02)


def test_what_is_wrong_with_the_option_is_said():
    assert {"ppk2", "lpm01a", "js220", "otii", "ina2xx", "csv"} <= set(monitor_names())
    with pytest.raises(InputError, match="did you mean 'ppk2'"):
        open_monitor("ppk3", MonitorOptions())
    with pytest.raises(InputError, match="ppk2:/dev"):
        open_monitor("ppk2", MonitorOptions(voltage_v=3.0))
    with pytest.raises(InputError, match=r"0\.8 V to 5 V"):
        open_monitor("ppk2", MonitorOptions(address="/dev/x"))
    with pytest.raises(InputError, match=r"1\.8 V to 3\.3 V"):
        open_monitor("lpm01a", MonitorOptions(address="/dev/x", voltage_v=5))
    with pytest.raises(ToolError, match="no such port"):
        open_monitor("ppk2", MonitorOptions(address="/dev/does-not-exist", voltage_v=3.0))
    with pytest.raises(ToolError, match="cannot be reached"):
        open_monitor("otii", MonitorOptions(address="127.0.0.1:1"))


# -- statistics -----------------------------------------------------------------------------------------------


def test_statistics_of_current_and_of_power():
    from emulab.lab.capture import Capture

    values = np.full(1000, 0.01)
    values[500:] = 0.03
    values[10:20] = np.nan
    found = Capture(5.0, 1e-3, values, "A", 3.0).statistics()
    assert (found.duration_s, found.lost) == (pytest.approx(1.0), 10)
    assert (found.min_a, found.max_a) == (0.01, 0.03)
    assert found.energy_j == pytest.approx(3.0 * found.charge_c) and found.mean_a == pytest.approx(found.charge_c)
    part = Capture(5.0, 1e-3, values, "A", 3.0).statistics(5.5, 6.0)
    assert (part.mean_a, part.charge_c, part.lost) == (pytest.approx(0.03), pytest.approx(0.015), 0)
    power = Capture(0.0, 1e-3, values * 3.0, "W", 3.0).statistics(0.5, 1.0)
    assert (power.mean_a, power.energy_j) == (pytest.approx(0.03), pytest.approx(0.045))
    unknown = Capture(0.0, 1e-3, values, "A").statistics()
    assert np.isnan(unknown.energy_j) and unknown.charge_c == pytest.approx(found.charge_c)
    with pytest.raises(ToolError, match="nothing was captured"):
        Capture(0.0, 1e-3, np.full(5, np.nan), "A", 3.0).statistics()


def test_what_there_is_on_a_bench(capsys):
    """Every monitor, loader and console form, with its option as it is typed."""
    from emulab.cli import main
    from emulab.lab.flash import loader_names
    from emulab.lab.power import monitor_names

    assert main(["list", "bench", "--json"]) == 0
    options = [row["option"] for row in json.loads(capsys.readouterr().out)]
    for option, names in (("--power", monitor_names()), ("--flash", loader_names())):
        for name in names:
            assert any(text.startswith(f"{option} {name}") for text in options), name
    assert any(text.startswith("--serial rtt:") for text in options)
