"""Pareto fronts: which variants no other variant beats in every objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HIGHER_IS_BETTER = {"accuracy_top1", "auc", "battery_life_s", "accuracy_top1_golden", "auc_golden"}


def better(metric: str) -> int:
    """+1 where more is better (accuracy, battery life), -1 where less is."""
    return 1 if metric in HIGHER_IS_BETTER else -1


def front(rows: Sequence[dict[str, Any]], objectives: Sequence[str]) -> list[int]:
    """Indices of the rows on the front, in row order. Rows that lack an objective are never on it."""
    import numpy as np

    usable = [i for i, row in enumerate(rows) if all(isinstance(row.get(o), int | float) for o in objectives)]
    if not usable or not objectives:
        return []
    points = np.array([[-better(o) * float(rows[i][o]) for o in objectives] for i in usable])
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    if len(objectives) <= 2:
        best, last = float("inf"), None
        for position in order:
            point = tuple(points[position])
            if point[-1] < best or point == last:
                kept.append(int(position))
                best, last = min(best, point[-1]), point
    else:
        chosen = np.empty((0, len(objectives)))
        for position in order:
            point = points[position]
            dominated = len(chosen) and bool(np.any(np.all(chosen <= point, axis=1) & np.any(chosen < point, axis=1)))
            if not dominated:
                kept.append(int(position))
                chosen = np.vstack([chosen, point])
    return sorted(usable[position] for position in kept)
