"""One point of a sweep: a variant evaluated to flat rows. This is what worker processes import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from emulab.errors import EmulabError, InputError
from emulab.sweep.space import assignments

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A variant of a scenario, as it travels to a worker."""

    key: str
    scenario: str
    overrides: tuple[str, ...]
    platforms: tuple[str, ...]
    backends: tuple[str, ...]
    variant: dict[str, Any]


@lru_cache(maxsize=8)
def _scenario_data(file: str, mtime_ns: int) -> dict[str, Any]:
    from emulab.model.files import read_yaml

    return read_yaml(Path(file))


def evaluate(task: Task) -> Row:
    """Evaluate one variant.

    Gives ``{"variant": ..., "results": [...], "status": ...}``; each result holds platform, backend, status, metric
    values and the names of the expectations it breaks. What is wrong with one variant is told in its row, it does not
    end the sweep.
    """
    from emulab.model.base import validate
    from emulab.model.scenario import LoadedScenario, Scenario, apply_overrides
    from emulab.run.execute import evaluate_job
    from emulab.run.judge import judge
    from emulab.run.plan import plan

    row: Row = {"variant": task.variant, "results": [], "status": "passed", "message": ""}
    try:
        file = Path(task.scenario)
        overrides, platforms, backends = assignments(task.variant)
        data = _scenario_data(str(file), file.stat().st_mtime_ns)
        data = apply_overrides(data, [*task.overrides, *overrides])
        loaded = LoadedScenario(validate(Scenario, data, file), file, data)
        results = []
        for job in plan(loaded.scenario, platforms or task.platforms, backends or task.backends):
            results.append(evaluate_job(loaded, job))
        results, expectations = judge(loaded, results)
    except InputError as error:
        return {**row, "status": "error", "message": str(error)}
    except EmulabError as error:
        return {**row, "status": "error", "message": str(error), "retry": True}
    for result in results:
        label = result.label
        broken = sorted({e.metric for e in expectations if e.target == label and e.status == "failed"})
        row["results"].append(
            {
                "platform": result.platform,
                "backend": result.backend,
                **({"model": result.variant} if result.variant else {}),
                "status": result.status,
                "message": result.message,
                "violates": broken,
                "metrics": {name: quantity.value for name, quantity in result.metrics.items()},
            }
        )
    statuses = [result["status"] for result in row["results"]]
    row["status"] = next((s for s in ("error", "failed", "unavailable", "skipped") if s in statuses), "passed")
    return row


def evaluate_chunk(tasks: Sequence[Task]) -> list[tuple[str, Row]]:
    """Evaluate tasks in order; a worker's unit of work."""
    return [(task.key, evaluate(task)) for task in tasks]


def flatten(row: Row) -> list[dict[str, Any]]:
    """A journal row as table rows: one per result, varied keys first."""
    base = dict(row["variant"])
    if not row["results"]:
        return [{**base, "status": row["status"], "message": row["message"]}]
    flat = []
    for result in row["results"]:
        flat.append(
            {
                **base,
                "platform": result["platform"],
                "backend": result["backend"],
                **({"model": result["model"]} if "model" in result else {}),
                "status": result["status"],
                "violates": ",".join(result["violates"]),
                "message": result["message"],
                **result["metrics"],
            }
        )
    return flat
