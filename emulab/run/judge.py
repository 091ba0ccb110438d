"""Judge: the scenario's expectations over the results, and the status that follows."""

from __future__ import annotations

from collections.abc import Sequence

from emulab.model.record import ExpectationResult, Result
from emulab.model.scenario import LoadedScenario


def judge(
    loaded: LoadedScenario, results: Sequence[Result], published: str = ""
) -> tuple[list[Result], list[ExpectationResult]]:
    """Evaluate every expectation on every result it applies to; a result that breaks one is ``failed``."""
    from emulab.run.expectations import evaluate

    expectations = evaluate(loaded, results, published)
    broken = {e.target for e in expectations if e.status == "failed"}
    judged = [
        r.model_copy(update={"status": "failed"})
        if r.status == "passed" and f"{r.platform}/{r.backend}" in broken
        else r
        for r in results
    ]
    return judged, expectations
