"""Evaluates a scenario's expectations: the one notion of check of run, compare and baseline.

``min`` and ``max`` of ``limit`` bound the value itself; of ``baseline``, ``published`` or ``physical`` they bound the
ratio of value and reference. ``within`` bounds the deviation from the reference on both sides. What cannot be
evaluated is ``unavailable`` and says why; it is never passed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emulab.errors import InputError
from emulab.model.metrics import METRICS
from emulab.model.quantity import Quantity
from emulab.model.record import ExpectationResult, Result, RunRecord
from emulab.model.scenario import Expectation, Scenario
from emulab.run.published import find_published

PHYSICAL_BACKENDS = ("hardware", "replay")


@dataclass(frozen=True)
class References:
    """What ``of:`` may refer to. ``published`` maps a platform to a key, ``model`` is the model's MLPerf id."""

    baseline: RunRecord | None = None
    baseline_reason: str = "no baseline was given; name one with `baseline:` in the scenario"
    physical: Sequence[Result] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    def find(self, of: str, result: Result, metric: str) -> tuple[Quantity | None, str]:
        """The reference quantity for *metric* of *result*, or None and the reason."""
        if of == "baseline":
            if self.baseline is None:
                return None, self.baseline_reason
            same = [r for r in self.baseline.results if r.label == result.label]
            return _pick(same, metric, f"the baseline has no result of {result.label}")
        if of == "physical":
            same = [r for r in self.physical if (r.platform, r.variant) == (result.platform, result.variant)]
            return _pick(same, metric, f"no physical run of {result.platform} is at hand")
        key = self.published.get(result.platform, "")
        if not key:
            return None, f"the scenario names no published result for {result.platform}"
        try:
            metrics = find_published(key, self.model).metrics()
        except InputError as error:
            return None, str(error)
        if metric not in metrics:
            return None, f"{key} does not state {metric}"
        return metrics[metric], ""


def _pick(results: Sequence[Result], metric: str, none: str) -> tuple[Quantity | None, str]:
    if not results:
        return None, none
    for result in results:
        quantity = result.metrics.get(metric)
        if quantity is not None and quantity.value is not None:
            return quantity, ""
    quantity = results[0].metrics.get(metric)
    if quantity is not None:
        return None, f"the reference has no {metric}: {quantity.reason}"
    return None, f"the reference has no {metric}"


def references(
    scenario: Scenario,
    results: Sequence[Result],
    baseline: RunRecord | None = None,
    physical: Sequence[Result] | None = None,
) -> References:
    """References of a scenario; physical results default to those among *results*."""
    if physical is None:
        physical = [r for r in results if r.backend in PHYSICAL_BACKENDS]
    workload = scenario.workload
    return References(
        baseline=baseline,
        physical=physical,
        published=scenario.published,
        model=workload.mlperf_id or workload.name,
    )


def applies(expectation: Expectation, result: Result) -> bool:
    """True when the expectation's target holds *result*; see :func:`targets_of`."""
    return not expectation.target or expectation.target in targets_of(result)


def targets_of(result: Result) -> tuple[str, ...]:
    """Targets that name *result*: its platform, its backend on that, and with several models its variant as well."""
    names = [result.platform, f"{result.platform}/{result.backend}"]
    if result.variant:
        names += [result.variant, f"{result.platform}/{result.variant}", result.label]
    return tuple(names)


def evaluate(
    expectations: Sequence[Expectation],
    results: Sequence[Result],
    refs: References | None = None,
    judge_physical: bool = False,
) -> list[ExpectationResult]:
    """Evaluate every expectation on every result it applies to, in order.

    ``of: physical`` is not asked of physical results themselves, unless *judge_physical* (two boards compared). An
    expectation that applies to no result is ``unavailable``.
    """
    refs = refs or References()
    outcome: list[ExpectationResult] = []
    for expectation in expectations:
        chosen = [r for r in results if applies(expectation, r)]
        if expectation.of == "physical" and not judge_physical:
            chosen = [r for r in chosen if r.backend not in PHYSICAL_BACKENDS]
        if not chosen:
            target = expectation.target or "any target"
            outcome.append(
                ExpectationResult(
                    metric=expectation.metric,
                    target=expectation.target,
                    of=expectation.of,
                    bound=bound_text(expectation, ""),
                    status="unavailable",
                    message=f"no result of {target} to hold it against",
                )
            )
        outcome += [_evaluate_one(expectation, result, refs) for result in chosen]
    return outcome


def bound_text(expectation: Expectation, unit: str) -> str:
    """What was asked, in words: ``max 0.01 s``, ``within 5 % of published``, ``max 1.1 x baseline``."""
    shown = "" if unit in ("1", "") else f" {unit}"
    if expectation.within is not None:
        return f"within {expectation.within * 100:g} % of {expectation.of}"
    word, value = ("min", expectation.min) if expectation.min is not None else ("max", expectation.max)
    return f"{word} {value:g}{shown}" if expectation.of == "limit" else f"{word} {value:g} x {expectation.of}"


def _evaluate_one(expectation: Expectation, result: Result, refs: References) -> ExpectationResult:
    target = result.label
    quantity = result.metrics.get(expectation.metric)
    unit = quantity.unit if quantity else ""

    def outcome(
        status: Literal["passed", "failed", "unavailable"],
        message: str,
        reference: float | None = None,
        deviation: float | None = None,
    ) -> ExpectationResult:
        return ExpectationResult(
            metric=expectation.metric,
            target=target,
            of=expectation.of,
            bound=bound_text(expectation, unit),
            value=quantity.value if quantity else None,
            reference=reference,
            deviation=deviation,
            status=status,
            message=message,
        )

    if quantity is None:
        return outcome("unavailable", _missing(expectation.metric, result))
    if quantity.value is None:
        return outcome("unavailable", f"{target}: no {expectation.metric}: {quantity.reason}")
    value, reference, deviation = quantity.value, None, None
    if expectation.of == "limit":
        measure = value
    else:
        found, reason = refs.find(expectation.of, result, expectation.metric)
        if found is None or found.value is None:
            return outcome("unavailable", f"{target}: {reason}")
        if found.unit != unit:
            return outcome("unavailable", f"{target}: {expectation.metric} is in {unit}, its reference in {found.unit}")
        reference = found.value
        if reference == 0:
            if value != 0 and expectation.within is not None:
                return outcome("failed", f"{target}: {expectation.metric} is {value:g}, the reference is 0", reference)
            measure, deviation = (1.0, 0.0) if value == 0 else (float("inf"), None)
        else:
            measure, deviation = value / reference, value / reference - 1
    if expectation.within is not None:
        held = deviation is not None and abs(deviation) <= expectation.within
    elif expectation.min is not None:
        held = measure >= expectation.min
    else:
        held = expectation.max is not None and measure <= expectation.max
    text = f"{value:g}{'' if unit == '1' else ' ' + unit}"
    if reference is not None and deviation is not None:
        text += f", {deviation * 100:+.2f} % of {expectation.of} {reference:g}"
    return outcome(
        "passed" if held else "failed",
        "" if held else f"{target}: {expectation.metric} is {text}",
        reference,
        deviation,
    )


def _missing(metric: str, result: Result) -> str:
    target = result.label
    if result.status in ("error", "unavailable", "skipped"):
        return f"{target}: {result.status}: {result.message}"
    # A known one is not misspelt: this run has none, as of a given image the RAM it was linked for.
    close = [] if metric in METRICS else difflib.get_close_matches(metric, result.metrics, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{target}: the run gave no {metric}{hint}"


def failed(outcomes: Sequence[ExpectationResult]) -> list[ExpectationResult]:
    """Those that do not hold."""
    return [outcome for outcome in outcomes if outcome.status == "failed"]
