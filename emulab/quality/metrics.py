"""Figures of quality from labels and answers: top-1, confusion, per class, AUC, Wilson interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from emulab.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a proportion or an area, both ends included."""

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: how many samples, how many found (recall), how much of what was called so is so (precision).

    ``recall`` is None for a class without samples, ``precision`` for one that was never answered, ``f1`` for both.
    """

    name: str
    samples: int
    correct: int
    answered: int

    @property
    def recall(self) -> float | None:
        return self.correct / self.samples if self.samples else None

    @property
    def precision(self) -> float | None:
        return self.correct / self.answered if self.answered else None

    @property
    def f1(self) -> float | None:
        both = self.samples + self.answered
        return 2 * self.correct / both if both else None


def argmax(values: Sequence[float]) -> int:
    """Index of the greatest value, the first of equals, as the reference runner counts. InputError if empty or NaN."""
    if not len(values):
        raise InputError("an answer without values has no class")
    best = 0
    for index, value in enumerate(values):
        if math.isnan(value):
            raise InputError(f"answer {index} is not a number")
        if value > values[best]:
            best = index
    return best


def confusion_matrix(labels: Sequence[int], answers: Sequence[int], classes: int) -> list[list[int]]:
    """Counts, true class down, answered class across. InputError for a class that is not in 0 .. classes - 1."""
    _same_length(labels, answers)
    table = [[0] * classes for _ in range(classes)]
    for label, answer in zip(labels, answers, strict=True):
        if not (0 <= label < classes and 0 <= answer < classes):
            raise InputError(f"class {answer if 0 <= label < classes else label} is not one of {classes} classes")
        table[label][answer] += 1
    return table


def per_class(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> list[ClassFigures]:
    """Figures of every class of a confusion matrix."""
    return [
        ClassFigures(name, sum(confusion[i]), confusion[i][i], sum(row[i] for row in confusion))
        for i, name in enumerate(names)
    ]


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion, without continuity correction; (0, 1) without trials.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. It assumes independent trials: overlapping windows of one
    recording are not, and give an interval that is too narrow.
    """
    if not 0 <= successes <= trials or not 0 < level < 1:
        raise InputError(f"Wilson interval: {successes} of {trials} at level {level} makes no sense")
    if trials == 0:
        return Interval(0.0, 1.0, level)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = successes / trials
    centre = p + z * z / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == trials else (centre + half) / scale
    return Interval(low, high, level)


def auc(positive: Sequence[int | bool], scores: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, a tie counted half.

    Exact: computed from ranks in integers (equal to the trapezoid rule over all thresholds). InputError unless both
    kinds occur and every score is a number.
    """
    _same_length(positive, scores)
    if any(math.isnan(score) for score in scores):
        raise InputError("AUC: a score is not a number")
    positives = sum(1 for kind in positive if kind)
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise InputError(f"AUC needs both kinds, found {positives} positive and {negatives} negative samples")
    twice = below = 0
    ordered = sorted(zip(scores, positive, strict=True), key=lambda pair: pair[0])
    index = 0
    while index < len(ordered):
        stop = index
        while stop < len(ordered) and ordered[stop][0] == ordered[index][0]:
            stop += 1
        tied = sum(1 for _, kind in ordered[index:stop] if kind)
        apart = stop - index - tied
        twice += tied * (2 * below + apart)
        below += apart
        index = stop
    return twice / (2 * positives * negatives)


def roc(positive: Sequence[int | bool], scores: Sequence[float]) -> list[tuple[float, float]]:
    """Points (false-positive rate, true-positive rate) from (0, 0) to (1, 1), one per distinct score."""
    _same_length(positive, scores)
    positives = sum(1 for kind in positive if kind)
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise InputError(f"ROC needs both kinds, found {positives} positive and {negatives} negative samples")
    points = [(0.0, 0.0)]
    true = false = 0
    ordered = sorted(zip(scores, positive, strict=True), key=lambda pair: -pair[0])
    for index, (value, kind) in enumerate(ordered):
        true, false = (true + 1, false) if kind else (true, false + 1)
        if index + 1 == len(ordered) or ordered[index + 1][0] != value:
            points.append((false / negatives, true / positives))
    return points


def auc_interval(area: float, positives: int, negatives: int, level: float = 0.95) -> Interval:
    """Confidence interval of an AUC after Hanley and McNeil (Radiology 143 (1982) 29), cut to 0 .. 1."""
    if positives < 1 or negatives < 1 or not 0 <= area <= 1:
        raise InputError(f"AUC interval: area {area} of {positives} and {negatives} samples makes no sense")
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(max(variance, 0.0) / (positives * negatives))
    return Interval(max(0.0, area - half), min(1.0, area + half), level)


def _same_length(a: Sequence[object], b: Sequence[object]) -> None:
    if len(a) != len(b):
        raise InputError(f"{len(a)} labels for {len(b)} answers")
