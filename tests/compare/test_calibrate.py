"""Calibration: the fit recovers what made the measurements, and the overlay is a platform that loads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emulab.compare.calibrate import Measured, calibrate, calibration_rows
from emulab.compare.fit import Free, Observation, fit
from emulab.errors import InputError, ToolError
from emulab.model.platform import load_platform
from emulab.model.quantity import Quantity
from emulab.model.record import Provenance, Result, RunRecord

BOARD = "nucleo-l4r5zi"
RUN = "power.components.core.states.run.per_hz_a"
REFILL = "core.timing.parameters.refill_direct"


def test_fit_recovers_a_nonlinear_model():
    truth = (3.0, 0.5)

    def model(p):
        return {"a": p[0] * 2 + p[1], "b": p[0] * p[1], "c": p[0] ** 2}

    free = [Free("x", 2.0, 5.0), Free("y", 1.0, 5.0)]
    result = fit(free, [Observation(k, v, 1e-3) for k, v in model(truth).items()], model)
    assert result.values == pytest.approx(truth, rel=1e-3)
    assert result.converged
    assert result.before["a"] == 5.0


def test_what_is_not_observed_stays_at_its_source():
    free = [Free("x", 2.0, 0.5), Free("y", 7.0, 0.5)]
    result = fit(free, [Observation("a", 3.0, 1e-3)], lambda p: {"a": p[0]})
    assert result.values == pytest.approx((3.0, 7.0), rel=1e-3)
    assert result.sigmas[1] == pytest.approx(0.5)
    assert result.sigmas[0] < 0.01


def test_a_tight_prior_outweighs_a_loose_measurement():
    result = fit([Free("x", 2.0, 0.01)], [Observation("a", 3.0, 1.0)], lambda p: {"a": p[0]})
    assert result.values[0] == pytest.approx(2.0, abs=0.001)


def test_fit_needs_something_to_fit():
    with pytest.raises(InputError):
        fit([], [Observation("a", 1, 1)], lambda p: {})
    with pytest.raises(ToolError, match="gives no a"):
        fit([Free("x", 1, 1)], [Observation("a", 1, 1)], lambda p: {"b": 1.0})


def scenario(name="kws"):
    workload = SimpleNamespace(name=name, mlperf_id="kws01")
    return SimpleNamespace(scenario=SimpleNamespace(name=name, workload=workload))


def physical(latency_s, energy_j, backend="hardware"):
    metrics = {
        "latency_s": Quantity(value=latency_s, unit="s", uncertainty=1e-6),
        "energy_per_inference_j": Quantity(value=energy_j, unit="J", uncertainty=1e-7),
    }
    result = Result(platform=BOARD, backend=backend, status="passed", metrics=metrics)
    provenance = Provenance(emulab="0", started_at="2026-02-03T10:00:00+00:00")
    return RunRecord(scenario={}, provenance=provenance, results=[result])


def toy(loaded, file, backend):
    """An emulator whose truth is known: latency follows the refill, energy the run current."""
    platform = load_platform(file).platform
    assert platform.name == BOARD
    refill = platform.core.timing.parameters["refill_direct"].value
    current = platform.power.components["core"].states["run"].per_hz_a.value * platform.board.clock_hz
    latency = (5.0e6 + 0.4e6 * refill) / platform.board.clock_hz
    return {
        "latency_s": Quantity(value=latency, unit="s"),
        "energy_per_inference_j": Quantity(value=latency * current * 1.8, unit="J"),
    }


def test_overlay_holds_the_truth_and_loads(tmp_path):
    clock = load_platform(BOARD).platform.board.clock_hz
    latency = (5.0e6 + 0.4e6 * 1.5) / clock
    runs = [physical(latency, latency * 1.8e-10 * clock * 1.8) for _ in range(3)]
    output = tmp_path / "mine.yaml"
    found = calibrate(BOARD, [Measured(scenario(), runs)], output, [REFILL, RUN], evaluate=toy, today="2026-02-04")
    platform = load_platform(output).platform
    refill = platform.core.timing.parameters["refill_direct"]
    current = platform.power.components["core"].states["run"].per_hz_a
    # The prior (the platform's own uncertainty) still has its say beside a measurement good to half a percent.
    assert refill.value == pytest.approx(1.5, abs=0.2)
    assert current.value == pytest.approx(1.8e-10, rel=0.02)
    assert "calibrated 2026-02-04" in current.source and "2026-02-03" in current.source
    assert current.uncertainty
    assert platform.name == BOARD
    assert found.result.after["kws: power_w"] == pytest.approx(1.8e-10 * clock * 1.8, rel=0.01)
    rows = calibration_rows(found)
    assert [row["what"] for row in rows] == [REFILL, RUN, "kws: latency_s", "kws: power_w"]
    shipped = load_platform(BOARD).platform
    assert shipped.core.timing.parameters["refill_direct"].value != refill.value


def test_defaults_and_published(tmp_path):
    item = Measured(scenario(), published="mlperf-tiny-v0.5/Nucleo-L4R5ZI")
    found = calibrate(BOARD, [item], tmp_path / "o.yaml", evaluate=toy)
    assert [p.path for p in found.free] == [RUN]
    assert "mlperf-tiny-v0.5" in (tmp_path / "o.yaml").read_text()


def test_what_is_wrong_is_said(tmp_path):
    item = Measured(scenario(), [physical(0.04, 1e-3)])
    with pytest.raises(InputError, match="has no 'refil' there"):
        calibrate(BOARD, [item], tmp_path / "o.yaml", ["core.timing.parameters.refil"], evaluate=toy)
    with pytest.raises(InputError, match="expected a number with source, found a str"):
        calibrate(BOARD, [item], tmp_path / "o.yaml", ["board.title"], evaluate=toy)
    with pytest.raises(InputError, match="no physical result"):
        calibrate(BOARD, [Measured(scenario(), [physical(1, 1, "unicorn")])], tmp_path / "o.yaml", evaluate=toy)
    precious = tmp_path / "precious.yaml"
    precious.write_text("a: 1\n")
    with pytest.raises(InputError, match="no calibration"):
        calibrate(BOARD, [item], precious, [RUN], evaluate=toy)
    with pytest.raises(InputError, match=r"expected a \.yaml"):
        calibrate(BOARD, [item], tmp_path / "o.txt", [RUN], evaluate=toy)
    assert precious.read_text() == "a: 1\n"


def test_a_latency_that_is_off_is_not_made_up_for_by_the_current(tmp_path):
    shipped = load_platform(BOARD).platform
    current = shipped.power.components["core"].states["run"].per_hz_a.value
    clock = shipped.board.clock_hz
    runs = [physical(0.06, 0.06 * current * clock * 1.8)]
    found = calibrate(BOARD, [Measured(scenario(), runs)], tmp_path / "o.yaml", [RUN], evaluate=toy)
    assert found.result.values[0] == pytest.approx(current, rel=1e-3)
