"""Finds windows in a trace: by the edges of the timestamp pin that the monitor saw, and, where its clock has nothing in
common with the host's, by correlation of activity and current."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MIN_CONTRAST = 0.05
"""Least difference between windows and pauses, as a part of the mean, that a correlation is trusted at."""


DURATION_ERROR = 0.02
DURATION_SLACK_S = 0.05
"""How much longer or shorter two edges may be apart than the host saw: its lines come late, clocks differ."""
NEAR_S = 0.5
CLOCK_ERROR = 2e-4
"""Greatest difference of rate between the monitor's clock and the host's."""

Span = tuple[float, float]


def match_edges(
    windows: Sequence[Span],
    falling: Sequence[float],
    spans: Sequence[Span] = (),
    run: int = 0,
) -> list[Span] | None:
    """The two *falling* edges of each window, whose times the host knows only roughly; None when they cannot be told.

    *spans* are the host's times between which each window must lie (command sent, command done) and *run* how many
    windows were run since the capture began, those before *windows* included. With twice as many edges as that none
    is missing, and the last ones are these windows', however late the host saw their lines. Else each window is sought
    near its own time and with its own length. On another clock they are the last two per window (before are pulses of
    the boot and of trial windows), if that gives every window its length.
    """
    last = list(falling[-2 * len(windows) :])
    pairs = list(zip(last[::2], last[1::2], strict=False))
    if windows and len(spans) == len(windows) <= run and len(falling) == 2 * run and _fit(pairs, spans):
        return pairs
    found = []
    for window in windows:
        near = [
            (abs(a - window[0]), a, b)
            for index, a in enumerate(falling)
            for b in falling[index + 1 : index + 4]
            if abs(a - window[0]) < NEAR_S and _alike((a, b), window)
        ]
        if not near:
            break
        _, start, stop = min(near)
        found.append((start, stop))
    if windows and len(found) == len(windows):
        return found
    if windows and len(last) == 2 * len(windows) and all(map(_alike, pairs, windows)):
        return pairs
    return None


def _fit(pairs: Sequence[Span], spans: Sequence[Span]) -> bool:
    """Is there one shift between the two clocks with which every pair lies within its span?"""
    slack = 2e-3 + CLOCK_ERROR * (spans[-1][1] - spans[0][0])
    least = max(span[0] - pair[0] for pair, span in zip(pairs, spans, strict=True))
    most = min(span[1] - pair[1] for pair, span in zip(pairs, spans, strict=True))
    return least <= most + slack


def _alike(pair: Span, window: Span) -> bool:
    expected = window[1] - window[0]
    return abs((pair[1] - pair[0]) - expected) <= max(DURATION_ERROR * expected, DURATION_SLACK_S)


def correlate(
    start_s: float, step_s: float, current_a: Any, windows: Sequence[Span], max_bins: int = 200_000
) -> float | None:
    """Seconds to add to *windows* so that they lie on the trace's busy stretches; None where the trace cannot tell.

    The current is binned (at most *max_bins*), the windows are a pattern of ones, and the shift with the greatest
    difference between mean current inside and outside is taken. The pattern must lie within the trace.
    """
    import numpy as np

    values = np.asarray(current_a, dtype=np.float64)
    if not len(windows) or not len(values):
        return None
    values = np.where(np.isfinite(values), values, np.nanmean(values) if np.isfinite(values).any() else 0.0)
    group = max(1, -(-len(values) // max_bins))
    cut = len(values) - len(values) % group
    binned = values[:cut].reshape(-1, group).mean(axis=1)
    bin_s = step_s * group
    first, last = windows[0][0], windows[-1][1]
    span = round((last - first) / bin_s)
    if span < 1 or span > len(binned):
        return None
    total = np.concatenate([[0.0], np.cumsum(binned)])
    shifts = np.arange(len(binned) - span + 1)
    inside = np.zeros(len(shifts))
    count = 0
    for begin, end in windows:
        low, high = (
            round((begin - first) / bin_s),
            max(round((end - first) / bin_s), round((begin - first) / bin_s) + 1),
        )
        inside += total[np.minimum(shifts + high, len(binned))] - total[shifts + low]
        count += high - low
    around = total[shifts + span] - total[shifts]
    if span > count:
        contrast = inside / count - (around - inside) / (span - count)
    else:
        outside = len(binned) - span
        if outside <= 0:
            return None
        contrast = inside / count - (total[-1] - inside) / outside
    best = int(np.argmax(contrast))
    if contrast[best] < MIN_CONTRAST * abs(float(binned.mean())):
        return None
    return start_s + best * bin_s - first
