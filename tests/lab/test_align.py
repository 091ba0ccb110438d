"""Alignment by correlation: windows found on a trace whose clock is its own."""

from __future__ import annotations

import numpy as np
import pytest

from emulab.lab.align import correlate


@pytest.mark.parametrize("shift", [0.0, 0.731, 5.02])
@pytest.mark.parametrize("sign", [1, -1])
def test_shift_is_found(shift, sign):
    windows = [(10.0, 11.5), (13.0, 14.4), (15.7, 17.2)]
    rng = np.random.default_rng(1)
    times = np.arange(0, 30, 1e-3)
    current = 0.004 + 0.0004 * rng.standard_normal(len(times))
    for start, stop in windows:
        current[(times >= start + sign * shift) & (times < stop + sign * shift)] += 0.006
    current[500:520] = np.nan
    found = correlate(0.0, 1e-3, current, windows)
    assert found == pytest.approx(sign * shift, abs=0.003)


def test_one_window_alone():
    current = np.full(10_000, 0.002)
    current[4000:6000] = 0.01
    assert correlate(0.0, 1e-3, current, [(0.0, 2.0)]) == pytest.approx(4.0, abs=0.002)


def test_a_flat_or_short_trace_cannot_tell():
    assert correlate(0.0, 1e-3, np.full(5000, 0.01), [(1.0, 2.0)]) is None
    assert correlate(0.0, 1e-3, np.full(500, 0.01), [(1.0, 2.0)]) is None
    assert correlate(0.0, 1e-3, np.full(500, 0.01), []) is None
    assert correlate(0.0, 1e-3, np.empty(0), [(1.0, 2.0)]) is None
