"""The sweep: variants -> chunks -> pool -> journal -> table, Pareto front, report."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.sweep.journal import Journal, variant_key
from emulab.sweep.memory import Memory, open_memory
from emulab.sweep.pareto import front
from emulab.sweep.point import Task, flatten
from emulab.sweep.pool import make_pool
from emulab.sweep.space import parse_axis, parse_constraint, variants

if TYPE_CHECKING:
    from emulab.model.scenario import Scenario

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class SweepOptions:
    """What is varied, and where it runs."""

    vary: Sequence[str]
    where: Sequence[str] = ()
    sample: int | None = None
    seed: int = 0
    overrides: Sequence[str] = ()
    platforms: Sequence[str] = ()
    backends: Sequence[str] = ()
    pareto: Sequence[str] = ()
    workers: int = 0
    cluster: str | None = None
    resume: bool = False
    output: Path | None = None
    remember: bool = True
    """Take rows of equal variants from the cache, and keep new ones there."""


@dataclass
class SweepResult:
    """The table of a sweep, in variant order, with the indices of its Pareto front."""

    rows: list[dict[str, Any]]
    folder: Path
    keys: list[str]
    pareto: list[str] = field(default_factory=list)
    front: list[int] = field(default_factory=list)

    @property
    def violations(self) -> list[dict[str, Any]]:
        """Rows that break an expectation."""
        return [row for row in self.rows if row.get("violates")]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Rows that could not be evaluated."""
        return [row for row in self.rows if row.get("status") == "error"]

    def to_dataframe(self) -> Any:
        """The table as a pandas DataFrame (pandas is the caller's to install)."""
        import pandas

        return pandas.DataFrame(self.rows)


def sweep(
    scenario: str | Path, options: SweepOptions, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> SweepResult:
    """Evaluate all variants of *scenario*; finished ones are in the journal at once and never run again on resume."""
    from emulab.model.scenario import find_scenario, load_scenario

    file = find_scenario(scenario).resolve()
    loaded = load_scenario(file, options.overrides)  # a broken scenario ends the sweep before it starts
    axes = [parse_axis(text, file.parent, options.seed) for text in options.vary]
    if not axes:
        raise InputError("sweep: nothing varies; give --vary KEY=a,b or KEY=lo:hi:logN")
    space = variants(axes, [parse_constraint(text) for text in options.where], options.sample, options.seed)
    if not space:
        raise InputError("sweep: no variant satisfies --where")
    folder = options.output or Path("runs") / f"sweep-{file.parent.name}"
    identity = _identity(file, options)
    journal = Journal(folder / JOURNAL, identity, options.resume)
    tasks = [
        Task(
            key=variant_key(variant),
            scenario=str(file),
            overrides=tuple(options.overrides),
            platforms=tuple(options.platforms),
            backends=tuple(options.backends),
            variant=variant,
        )
        for variant in space
    ]
    todo = [t for t in tasks if t.key not in journal.rows or journal.rows[t.key].get("retry")]
    for task in todo:
        journal.rows.pop(task.key, None)
    names = _backends(loaded.scenario, options, space)
    memory = open_memory(loaded, names) if options.remember else Memory(None)
    for task in todo:
        row = memory.find(task)
        if row is not None:
            journal.add(task.key, row)
    todo = [task for task in todo if task.key not in journal.rows]
    on_progress(len(tasks) - len(todo), len(tasks))
    workers = options.workers or os.cpu_count() or 1
    pool = make_pool(min(workers, max(1, len(todo) // 4)) if not options.cluster else workers, options.cluster)
    done = len(tasks) - len(todo)
    try:
        for rows in pool.map(chunked(todo, workers)):
            for key, row in rows:
                journal.add(key, row)
            done += len(rows)
            on_progress(done, len(tasks))
    finally:
        pool.close()
        journal.close()
        memory.keep((task, journal.rows[task.key]) for task in todo if task.key in journal.rows)
    flat = [{"variant": index, **row} for index, task in enumerate(tasks) for row in flatten(journal.rows[task.key])]
    result = SweepResult(flat, folder, [axis.key for axis in axes], list(options.pareto))
    result.front = front(flat, options.pareto) if options.pareto else []
    from emulab.sweep.table import write_tables

    write_tables(result)
    return result


def _backends(scenario: Scenario, options: SweepOptions, space: Sequence[dict[str, Any]]) -> set[str]:
    """Names of all backends that the sweep may use."""
    named = {str(variant["backend"]) for variant in space if "backend" in variant} or set(options.backends)
    named = named or {backend for target in scenario.targets for backend in target.backends}
    return {name.partition(":")[0] for name in named}


def chunked(tasks: Sequence[Task], workers: int) -> list[list[Task]]:
    """Chunks small enough to balance and to lose little, large enough to keep the pool's overhead down."""
    size = max(1, min(64, len(tasks) // (workers * 8)))
    return [list(tasks[i : i + size]) for i in range(0, len(tasks), size)]


def _identity(file: Path, options: SweepOptions) -> str:
    parts = {
        "scenario": hashlib.sha256(file.read_bytes()).hexdigest(),
        "vary": list(options.vary),
        "where": list(options.where),
        "sample": options.sample,
        "seed": options.seed,
        "set": list(options.overrides),
        "platforms": list(options.platforms),
        "backends": list(options.backends),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
