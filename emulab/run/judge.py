"""Judge: the scenario's expectations over the results, and the status that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emulab.model.record import ExpectationResult, Result, RunRecord, read_record
from emulab.model.scenario import Expectation, LoadedScenario
from emulab.run.expectations import PHYSICAL_BACKENDS, evaluate, references, targets_of


def judge(
    loaded: LoadedScenario, results: Sequence[Result], published: str = ""
) -> tuple[list[Result], list[ExpectationResult]]:
    """Evaluate every expectation on every result it applies to; a result that breaks one is ``failed``.

    ``published`` is a key that stands for every platform (``--published``). Raises InputError when the scenario's
    baseline cannot be read.
    """
    if not loaded.scenario.expectations:
        return list(results), []
    baseline = read_baseline(loaded)
    refs = references(loaded.scenario, results, baseline)
    if baseline is None and loaded.scenario.baseline is not None:
        absent = f"{loaded.path(loaded.scenario.baseline)} is not there; make it with: emulab baseline update"
        refs = replace(refs, baseline_reason=absent)
    if published:
        refs = replace(refs, published={result.platform: published for result in results})
    finished = [r for r in results if r.status in ("passed", "failed")]
    expectations = evaluate(_asked(loaded, results), finished, refs)
    broken = {e.target for e in expectations if e.status == "failed"}
    judged = [
        r.model_copy(update={"status": "failed"}) if r.status == "passed" and r.label in broken else r for r in results
    ]
    return judged, expectations


def _asked(loaded: LoadedScenario, results: Sequence[Result]) -> list[Expectation]:
    """Expectations but those of the scenario's targets that this run was narrowed away from.

    ``of: physical`` is asked where this run holds emulated and physical results; else it waits for ``emulab compare``.
    """
    compared = len({r.backend in PHYSICAL_BACKENDS for r in results}) > 1
    run = {part for r in results for part in targets_of(r)}
    declared = {p for t in loaded.scenario.targets for p in t.platforms}
    return [
        e
        for e in loaded.scenario.expectations
        if (not e.target or e.target in run or e.target.partition("/")[0] not in declared)
        and (compared or e.of != "physical")
    ]


def read_baseline(loaded: LoadedScenario) -> RunRecord | None:
    """The scenario's baseline record; None where it names none or the file is not there yet."""
    if loaded.scenario.baseline is None:
        return None
    file = loaded.path(loaded.scenario.baseline)
    return read_record(file) if file.exists() else None
