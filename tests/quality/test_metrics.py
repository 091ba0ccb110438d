"""Metrics against hand-computed figures, published intervals and brute force."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.quality.metrics import argmax, auc, auc_interval, confusion_matrix, per_class, roc, wilson


def test_argmax_takes_the_first_of_equals() -> None:
    assert argmax([0.1, 0.4, 0.4]) == 1
    for bad in ([], [0.1, math.nan]):
        with pytest.raises(InputError):
            argmax(bad)


def test_confusion_and_figures_per_class() -> None:
    table = confusion_matrix([0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 1], 4)
    assert table == [[1, 1, 0, 0], [1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    a, b, c, d = per_class(table, ["a", "b", "c", "d"])
    assert (a.recall, a.precision, a.f1) == (0.5, 0.5, 0.5)
    assert (b.recall, b.precision) == (2 / 3, 0.5)
    assert (c.recall, c.precision, c.f1) == (0.0, None, 0.0)
    assert (d.recall, d.precision, d.f1) == (None, None, None)


@pytest.mark.parametrize(("labels", "answers"), [([0], [3]), ([5], [0]), ([-1], [0]), ([0, 1], [0])])
def test_confusion_refuses_what_is_no_class(labels: list[int], answers: list[int]) -> None:
    with pytest.raises(InputError):
        confusion_matrix(labels, answers, 3)


def test_wilson_against_published_values() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    for successes, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        interval = wilson(successes, trials)
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    with pytest.raises(InputError):
        wilson(3, 2)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_mirrors(pair: tuple[int, int]) -> None:
    successes, trials = pair
    interval, mirror = wilson(successes, trials), wilson(trials - successes, trials)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirror.high, abs=1e-12)


scored = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40).filter(
    lambda rows: len({kind for kind, _ in rows}) == 2
)


@given(scored)
def test_auc_equals_brute_force_and_the_trapezoid(rows: list[tuple[bool, int]]) -> None:
    kinds, scores = [kind for kind, _ in rows], [float(score) for _, score in rows]
    up = [s for k, s in zip(kinds, scores, strict=True) if k]
    down = [s for k, s in zip(kinds, scores, strict=True) if not k]
    wins = sum((a > b) + 0.5 * (a == b) for a in up for b in down)
    assert auc(kinds, scores) == wins / (len(up) * len(down))
    curve = roc(kinds, scores)
    area = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(curve))
    assert area == pytest.approx(auc(kinds, scores), abs=1e-12)
    assert curve[0] == (0.0, 0.0) and curve[-1] == (1.0, 1.0)


@given(scored)
def test_auc_of_negated_scores_is_the_complement(rows: list[tuple[bool, int]]) -> None:
    kinds, scores = [kind for kind, _ in rows], [float(score) for _, score in rows]
    assert auc(kinds, scores) + auc(kinds, [-s for s in scores]) == pytest.approx(1.0)


def test_auc_refuses_one_kind_and_what_is_no_number() -> None:
    with pytest.raises(InputError, match="both kinds"):
        auc([1, 1], [0.0, 1.0])
    with pytest.raises(InputError, match="not a number"):
        auc([0, 1], [0.0, math.nan])


def test_auc_interval_by_hand() -> None:
    # Area 0.75, two of each: Q1 = 0.6, Q2 = 9/14, variance (0.1875 + 0.0375 + 0.0803571) / 4.
    interval = auc_interval(0.75, 2, 2, level=0.6826894921)
    assert interval.low == pytest.approx(0.75 - 0.0763393**0.5, abs=1e-6)
    assert interval.high == 1.0
    assert auc_interval(1.0, 5, 5).high == 1.0
    with pytest.raises(InputError):
        auc_interval(0.5, 0, 5)
