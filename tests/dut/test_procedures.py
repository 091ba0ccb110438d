"""Performance, accuracy and energy procedures over a scripted DUT."""

from __future__ import annotations

import pytest
from fakes import FakeClock, FakeDut, FakeMeter

from emulab.dut.client import DutClient
from emulab.dut.energy_mode import energy
from emulab.dut.procedures import AccuracySample, accuracy, performance, sliding_windows
from emulab.errors import InputError, ToolError


class FakeSession:
    def __init__(self, dut: FakeDut, meter: FakeMeter | None) -> None:
        self.dut, self.power_meter, self.console, self.clock = dut, meter, dut, dut.clock

    def gpio_edges(self, pin: str):
        return [edge for edge in self.dut.edges if edge.pin == pin]


def ready(dut: FakeDut) -> DutClient:
    client = DutClient(dut, dut.clock, 1.0)
    client.sync()
    return client


def test_performance_in_emulation_uses_short_windows():
    dut = FakeDut(latency_us=43_420)
    result = performance(ready(dut), [b"a", b"b"], loops=5, inferences=2, warmups=1)
    assert result.latency_s == pytest.approx(0.04342, abs=1e-9)
    assert result.latency_uncertainty_s == pytest.approx(0, abs=1e-9)
    assert result.throughput_hz == pytest.approx(1 / 0.04342)
    assert [w.results[0] for w in result.windows] == [97.0, 98.0, 97.0, 98.0, 97.0]
    assert [h for h in dut.heard if h.startswith("infer")] == ["infer 2 1"] * 5
    assert any("lasts 0.087 s" in v for v in result.violations)


def test_performance_on_a_board_fills_ten_seconds():
    dut = FakeDut(clock=FakeClock("wall"), latency_us=1_234)
    result = performance(ready(dut), [b"a"], warmups=10, window_s=10.0)
    assert all(10.0 <= w.elapsed_s < 12.0 for w in result.windows)
    assert result.violations == []
    assert result.latency_s == pytest.approx(1.234e-3)


def test_performance_takes_the_median():
    dut = FakeDut()
    laps = iter([40_000, 99_000, 41_000, 39_000, 40_500])

    def vary(command, answer):
        if command.startswith("db load"):
            dut.latency_us = next(laps)

    dut.hook = vary
    result = performance(ready(dut), [b"a"], inferences=10, warmups=0)
    assert result.latency_s == pytest.approx(0.0405)
    assert result.latency_uncertainty_s > 0.02


def test_a_timer_that_stands_still_is_an_error():
    dut = FakeDut(latency_us=0)
    with pytest.raises(ToolError, match="timer running"):
        performance(ready(dut), [b"a"], inferences=2)


def test_performance_needs_inputs():
    with pytest.raises(InputError):
        performance(ready(FakeDut()), [])


def test_accuracy_runs_each_sample_once():
    dut = FakeDut()
    outputs = accuracy(ready(dut), [AccuracySample(f"s{i}", bytes([i, 0])) for i in range(4)])
    assert [(o.name, o.results) for o in outputs] == [(f"s{i}", [float(i), 2.0]) for i in range(4)]
    assert dut.heard.count("infer 1 0") == 4


def test_ad01_slides_and_averages():
    dut = FakeDut(model=lambda data: [float(data[0])])
    data = bytes([1] * 512 + [2] * 512 + [3] * 512 + [9] * 2048)
    outputs = accuracy(ready(dut), [AccuracySample("a", data, size=2560, stride=512)])
    assert outputs[0].windows == [[1.0], [2.0], [3.0]]
    assert outputs[0].results == [2.0]
    assert dut.heard.count("infer 1 0") == 3


def test_sliding_windows_like_the_runner():
    assert [w[0] for w in sliding_windows(bytes(range(10)), 4, 3)] == [0, 3, 6]
    with pytest.raises(InputError, match="holds no window"):
        list(sliding_windows(b"abc", 4, 1))


def test_result_vectors_of_changing_length_are_an_error():
    dut = FakeDut(model=lambda data: [0.0] * data[0])
    with pytest.raises(ToolError, match="2 results, expected 1"):
        accuracy(ready(dut), [AccuracySample("a", b"\1"), AccuracySample("b", b"\2")])


def test_energy_between_gpio_edges():
    dut = FakeDut(energy_mode=True, latency_us=43_500)
    session = FakeSession(dut, FakeMeter(dut.clock, current_a=0.01826, voltage_v=1.8))
    result, trace = energy(session, ready(dut), [b"a"], inferences=250, warmups=1, pin="PA9")
    assert result.alignment == "gpio edges seen by the backend"
    assert result.energy_per_inference_j == pytest.approx(0.01826 * 1.8 * 0.0435)
    assert result.latency_s == pytest.approx(0.0435)
    assert result.power_w == pytest.approx(0.01826 * 1.8)
    assert result.violations == []
    assert trace.voltage_v == 1.8


def test_energy_by_timestamps_where_no_pin_is_seen():
    dut = FakeDut(latency_us=43_500)
    session = FakeSession(dut, FakeMeter(dut.clock))
    result, _ = energy(session, ready(dut), [b"a"], loops=2, inferences=2, warmups=0)
    assert result.alignment == "timestamps of the DUT"
    assert len(result.violations) == 5


def test_energy_needs_a_meter():
    dut = FakeDut()
    with pytest.raises(ToolError, match="no power meter"):
        energy(FakeSession(dut, None), ready(dut), [b"a"], inferences=1)


def test_energy_by_correlation_where_the_trace_has_its_own_clock():
    dut = FakeDut(latency_us=43_500)
    meter = FakeMeter(dut.clock)
    session = FakeSession(dut, meter)
    client = ready(dut)

    def capture():
        import numpy as np

        from emulab.backends.base import CurrentTrace

        current = np.full(20_000, 0.002)
        for start, stop in windows:
            current[round((start + 5) * 1e3) : round((stop + 5) * 1e3)] = 0.01
        return CurrentTrace(100.0, 1e-3, current, voltage_v=2.0)

    windows: list = []
    meter.capture = capture
    result, _ = energy(
        session,
        client,
        [b"a"],
        loops=3,
        inferences=20,
        warmups=3,
        on_window=lambda w: windows.append((w.start_s, w.stop_s)),
    )
    assert result.alignment == "correlation of activity and current"
    assert result.energy_per_inference_j == pytest.approx(0.01 * 2.0 * 0.0435, rel=5e-3)
