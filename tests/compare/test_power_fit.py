"""Prices of activity from a power trace: known ones are found again, and what a user may give wrongly is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.compare import power_fit as pf
from emulab.errors import InputError
from emulab.lab.capture import Capture
from emulab.lab.captures import RecordedSession
from emulab.lab.captures.session import RecordedWindow

ASSETS, FIRMWARE = Path(os.environ.get("EMULAB_ASSETS", "-")), Path(os.environ.get("EMULAB_FIRMWARE", "-"))


def steps(seed: int, layers: int = 9) -> dict[str, np.ndarray]:
    """Rates that change from layer to layer."""
    random = np.random.default_rng(seed)
    bounds = np.sort(random.choice(np.arange(10, pf.BINS - 10), layers - 1, replace=False))
    return {
        event: np.repeat(random.uniform(0, top, layers), np.diff([0, *bounds, pf.BINS]))
        for event, top in zip(pf.EVENTS, (0.5, 0.6, 0.05), strict=True)
    }


def counted(seed: int = 1, period_s: float = 28.8e-3) -> pf.Timeline:
    rates = steps(seed)
    return pf.Timeline(period_s, 160e6, rates, {event: float(rate.mean()) for event, rate in rates.items()})


def power(timeline: pf.Timeline, base_w: float, prices_w: dict[str, float]) -> np.ndarray:
    return base_w + sum(prices_w[event] * timeline.rates[event] for event in pf.EVENTS)


PRICES = {"mac": 9e-3, "ram": 3e-3, "flash_array_read": 80e-3}


def test_prices_are_found_again_whatever_the_phase() -> None:
    """Two builds at different mean power, sampled each millisecond, each trace begun anywhere."""
    pairs = []
    for seed, phase, scale in ((1, 0, 1.0), (2, 117, 1.3)):
        timeline = counted(seed)
        seen = pf.smoothed(power(timeline, 20e-3, PRICES), round(pf.BINS * 1e-3 / timeline.period_s))
        pairs.append((timeline, pf.Trace(timeline.period_s, 1e-3, np.roll(seen, phase) * scale, 1.8)))
    alone = pf.fit(pairs[:1])
    assert alone.base_w == pytest.approx(20e-3, rel=1e-9)
    assert alone.event_w == pytest.approx(PRICES, rel=1e-9)
    assert alone.residual_w < 1e-12 and alone.shifts == (0,)
    both = pf.fit(pairs)
    assert both.shifts == (0, 117)
    # the second draws 1.3 times as much throughout: the same prices at the scale of the first
    assert both.base_w == pytest.approx(20e-3, rel=1e-6)
    assert both.event_w == pytest.approx(PRICES, rel=1e-6)


def test_a_price_is_never_below_nothing() -> None:
    timeline = counted(3)
    falling = power(timeline, 30e-3, {"mac": 9e-3, "ram": -5e-3, "flash_array_read": 0.0})
    found = pf.fit([(timeline, pf.Trace(timeline.period_s, 1e-4, falling, 1.8))])
    assert found.event_w["ram"] == 0.0 and found.event_w["mac"] > 0 and found.residual_w > 1e-6


@given(st.integers(0, 2**16), st.integers(1, 40))
def test_smoothing_keeps_the_mean_and_turns_with_the_phase(seed: int, width: int) -> None:
    values = np.random.default_rng(seed).uniform(size=pf.BINS)
    assert pf.smoothed(values, width).mean() == pytest.approx(values.mean(), rel=1e-12)
    turned = pf.smoothed(np.roll(values, 17), width)
    assert np.allclose(turned, np.roll(pf.smoothed(values, width), 17), rtol=0, atol=1e-12)


def recorded(lost: bool = False, drift: tuple[float, ...] = (1.0, 1.0008)) -> tuple[pf.Timeline, RecordedSession]:
    """Windows of a hundred inferences, by a board whose clock is a little off and drifts between them."""
    timeline = counted(4)
    level = power(timeline, 20e-3, PRICES)
    samples, windows = [], []
    for factor in drift:
        period = timeline.period_s * 1.0011 * factor
        start = len(samples)
        fine = np.arange(int(100 * period / 1e-5)) * 1e-5
        phase = (fine % period) / period
        own = level[np.minimum((phase * pf.BINS).astype(int), pf.BINS - 1)]
        own = own[: len(own) // 100 * 100].reshape(-1, 100).mean(1)
        samples += list(own) + [16e-3] * 20
        windows.append(RecordedWindow(start * 1e-3, (start + len(own)) * 1e-3, round(len(own) * 1e-3 / period)))
    values = np.array(samples) / 1.8
    if lost:
        values[5::97] = np.nan
    capture = Capture(0.0, 1e-3, values, "A", 1.8, source="board.csv")
    return timeline, RecordedSession("board.csv", capture, tuple(windows))


@pytest.mark.parametrize("lost", [False, True])
def test_a_recording_is_folded_on_each_windows_own_period(lost: bool) -> None:
    timeline, session = recorded(lost)
    trace = pf.read_trace(session)
    assert trace.period_s == pytest.approx(timeline.period_s * 1.0011 * 1.0004, rel=2e-4)
    assert trace.power_w.mean() == pytest.approx(power(timeline, 20e-3, PRICES).mean(), rel=2e-3)
    found = pf.fit([(timeline, trace)])
    assert found.event_w["mac"] == pytest.approx(9e-3, rel=0.1)
    assert found.residual_w < 0.2 * found.spread_w


def test_what_no_price_can_come_from_is_told() -> None:
    timeline, session = recorded()
    flat = pf.Trace(timeline.period_s, 1e-3, np.full(pf.BINS, 20e-3), 1.8)
    with pytest.raises(InputError, match="does not vary"):
        pf.fit([(timeline, flat)])
    with pytest.raises(InputError, match="no power capture"):
        pf.read_trace(RecordedSession("log.txt", None, session.windows))
    short = tuple(RecordedWindow(w.start_s, w.stop_s, 3) for w in session.windows)
    with pytest.raises(InputError, match="no window of ten inferences"):
        pf.read_trace(RecordedSession("board.csv", session.capture, short))
    assert session.capture is not None
    unknown = Capture(0.0, 1e-3, session.capture.values, "A", 0.0, source="board.csv")
    with pytest.raises(InputError, match="--voltage"):
        pf.read_trace(RecordedSession("board.csv", unknown, session.windows))


def test_the_command_tells_what_is_wrong_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = str(tmp_path / "absent")
    base = ["--platform", "nucleo-u575zi-q", "--firmware", absent, "--input", absent]
    assert pf.main([*base, "--trace", absent, "--trace", absent]) == 2
    assert pf.main([*base, "--trace", absent]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "as often as the others" in lines[0] and "no such file" in lines[1]


KWS = {
    "nucleo-u575zi-q": ("v1.3_STMicroelectronics_NUCLEO_U575ZI_Q_kws", 1.8),
    "nucleo-l4r5zi-p": ("v1.3_STMicroelectronics_NUCLEO_L4R5ZI-P_kws", 3.0),
}


@pytest.mark.parametrize("platform", KWS)
def test_a_boards_own_trace_gives_the_prices_of_its_platform(
    platform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped prices come from this command: within three standard errors (U575: of two traces together)."""
    from emulab.model.platform import load_platform

    name, voltage = KWS[platform]
    image, trace = FIRMWARE / f"{name}_energy.hex", ASSETS / "traces" / f"{name}.results.json"
    inputs = sorted((ASSETS / "mlperf-tiny" / "eval" / "kws01").glob("*.bin"))
    if not (image.is_file() and trace.is_file() and inputs):
        pytest.skip(f"needs EMULAB_FIRMWARE with {image.name}, and EMULAB_ASSETS with its power trace and kws01")
    output = tmp_path / "prices.yaml"
    given_ = ["--firmware", str(image), "--input", str(inputs[0]), "--trace", str(trace), "--voltage", str(voltage)]
    assert pf.main(["--platform", platform, *given_, "-o", str(output)]) == 0
    import yaml

    found = yaml.safe_load(output.read_text())["run"]
    power_ = load_platform(platform).platform.power
    assert power_ is not None
    run = power_.components[power_.mcu].states[power_.run_state]
    assert run.per_hz_a is not None
    assert found["per_hz_a"]["value"] == pytest.approx(run.per_hz_a.value, rel=0.05)
    for event, price in found["per_activity"].items():
        assert abs(price["value"] - run.per_activity[event].value) < 3 * price["uncertainty"], event
    assert "counted" in capsys.readouterr().err
    json.dumps(found)
