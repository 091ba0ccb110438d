"""Fits parameters to observations: Gauss-Newton, with the parameters' own uncertainties as prior.

With the prior a problem with fewer observations than parameters is still well posed: what the observations do not say
stays as the platform's sources say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emulab.errors import InputError, ToolError

PRIOR = 0.3
"""Prior standard deviation of a parameter that states no uncertainty, as a part of its value (a guess, said so)."""
FLOOR = 0.005
"""Least standard deviation of an observation: the same firmware measured by two labs differs by up to 0.7 %."""
MAX_ITERATIONS = 8
STEP = 0.02


@dataclass(frozen=True, slots=True)
class Free:
    """A free parameter: dotted path in the platform, start value and prior standard deviation."""

    path: str
    value: float
    sigma: float
    unit: str = "1"

    @classmethod
    def of(cls, path: str, value: float, sigma: float | None, unit: str) -> Free:
        """With the stated uncertainty, else :data:`PRIOR` of the value (of one unit where the value is 0)."""
        return cls(path, value, sigma if sigma else PRIOR * (abs(value) or 1.0), unit)


@dataclass(frozen=True, slots=True)
class Observation:
    """A measured value; its standard deviation is at least :data:`FLOOR` of it."""

    name: str
    value: float
    sigma: float

    @classmethod
    def of(cls, name: str, value: float, sigma: float | None) -> Observation:
        return cls(name, value, max(sigma or 0.0, FLOOR * abs(value)))


@dataclass(frozen=True, slots=True)
class FitResult:
    """Fitted values with standard deviations, the model before and after, and how many times the model was run."""

    values: tuple[float, ...]
    sigmas: tuple[float, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]
    evaluations: int
    converged: bool


Model = Callable[[Sequence[float]], Mapping[str, float]]


def fit(free: Sequence[Free], observations: Sequence[Observation], model: Model) -> FitResult:
    """Values of *free* under which *model* (parameter values -> metrics by observation name) meets *observations*.

    Each step is checked and halved where it makes things worse. Parameters that start above 0 stay above 0. Raises
    InputError without parameters or observations, ToolError when the model does not give an observed metric.
    """
    import numpy as np

    if not free or not observations:
        raise InputError("calibrate: needs at least one free parameter and one measured metric")
    evaluations = 0
    start = np.asarray([p.value for p in free])
    prior = np.asarray([p.sigma for p in free])
    measured = np.asarray([o.value for o in observations])
    sigma = np.asarray([o.sigma for o in observations])

    def run(values: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        found = model([float(v) for v in values])
        missing = [o.name for o in observations if o.name not in found or not math.isfinite(found[o.name])]
        if missing:
            raise ToolError(f"calibrate: the emulated run gives no {missing[0]} to fit")
        return np.asarray([found[o.name] for o in observations])

    def cost(values: np.ndarray, predicted: np.ndarray) -> float:
        return float((((predicted - measured) / sigma) ** 2).sum() + (((values - start) / prior) ** 2).sum())

    values, predicted = start.copy(), run(start)
    first = predicted.copy()
    best, converged = cost(values, predicted), False
    jacobian = np.zeros((len(observations), len(free)))
    for _ in range(MAX_ITERATIONS):
        for k in range(len(free)):
            step = STEP * (abs(values[k]) or prior[k])
            moved = values.copy()
            moved[k] += step
            jacobian[:, k] = (run(moved) - predicted) / step
        weighted = jacobian / sigma[:, None]
        normal = weighted.T @ weighted + np.diag(prior**-2)
        gradient = weighted.T @ ((measured - predicted) / sigma) + (start - values) / prior**2
        delta = np.linalg.solve(normal, gradient)
        for _ in range(6):
            candidate = values + delta
            candidate = np.where((start > 0) & (candidate <= 0), values / 2, candidate)
            tried = run(candidate)
            if cost(candidate, tried) <= best:
                break
            delta = delta / 2
        else:
            converged = True
            break
        gained, best = best - cost(candidate, tried), cost(candidate, tried)
        values, predicted = candidate, tried
        if gained <= 1e-6 * max(best, 1e-3):
            converged = True
            break
    weighted = jacobian / sigma[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted + np.diag(prior**-2))
    names = [o.name for o in observations]
    return FitResult(
        values=tuple(float(v) for v in values),
        sigmas=tuple(float(s) for s in np.sqrt(np.diag(covariance))),
        before=dict(zip(names, (float(v) for v in first), strict=True)),
        after=dict(zip(names, (float(v) for v in predicted), strict=True)),
        evaluations=evaluations,
        converged=converged,
    )
