"""Alignment by correlation: windows found on a trace whose clock is its own."""

from __future__ import annotations

import numpy as np
import pytest

from emulab.lab.align import correlate, match_edges


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


WINDOWS = [(10.0, 11.5), (13.0, 14.5), (16.0, 17.5)]
EDGES = [t + 0.02 for window in WINDOWS for t in window]


def pairs(edges):
    return [(edges[2 * i], edges[2 * i + 1]) for i in range(3)]


def test_edges_of_windows_with_pulses_before():
    assert match_edges(WINDOWS, [0.5, 8.0, 8.3, *EDGES]) == pairs(EDGES)


@pytest.mark.parametrize("lost", range(6))
def test_a_lost_edge_is_never_taken_for_another(lost):
    seen = [8.0, 8.3, *(e for i, e in enumerate(EDGES) if i != lost)]
    assert match_edges(WINDOWS, seen) is None


def test_an_extra_edge_after_the_windows():
    assert match_edges(WINDOWS, [*EDGES, 19.0]) == pairs(EDGES)


def test_edges_on_another_clock_are_the_last_ones():
    moved = [e + 1000 for e in EDGES]
    assert match_edges(WINDOWS, [3.0, *moved]) == pairs(moved)
    assert match_edges(WINDOWS, []) is None


def test_losses_of_a_simulated_monitor_do_not_depend_on_its_ticks():
    from emulab.lab.bench.imperfection import Imperfection

    flaws = Imperfection(lost=0.01, seed=5)
    whole = flaws.kept(0, 100_000)
    assert 0.007 < 1 - whole.mean() < 0.013
    parts = [flaws.kept(i, min(37, 10_000 - i)) for i in range(0, 10_000, 37)]
    assert np.array_equal(np.concatenate(parts), whole[:10_000])


SPANS = [(9.0, 11.7), (12.5, 14.7), (15.5, 17.7)]


def test_with_all_edges_there_a_slow_host_changes_nothing():
    late = [(10.4, 11.52), (13.0, 14.68), (16.6, 16.7)]
    trial = [8.0, 8.3]
    assert match_edges(late, [*trial, *EDGES]) is None
    assert match_edges(late, [*trial, *EDGES], SPANS, run=4) == pairs(EDGES)
    # The monitor's clock may begin elsewhere, and be a little fast.
    moved = [40.0 + t * 1.00005 for t in [*trial, *EDGES]]
    assert match_edges(late, moved, SPANS, run=4) == pairs(moved[2:])


@pytest.mark.parametrize("lost", range(8))
def test_with_an_edge_lost_and_a_slow_host_nothing_is_told(lost):
    late = [(10.4, 11.52), (13.0, 14.68), (16.6, 16.7)]
    seen = [e for i, e in enumerate([8.0, 8.3, *EDGES]) if i != lost]
    assert match_edges(late, seen, SPANS, run=4) is None


def test_edges_that_fit_no_window_are_not_taken_for_its():
    late = [(10.4, 11.52), (13.0, 14.68), (16.6, 16.7)]
    moved = [*EDGES[:2], *(e + 2.0 for e in EDGES[2:])]
    assert match_edges(late, moved, SPANS, run=3) is None
