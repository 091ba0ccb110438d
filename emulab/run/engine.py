"""The run engine: from a loaded scenario to a run record in a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulab.errors import BackendUnavailable, DoesNotFit, EmulabError, InputError, ToolError
from emulab.model.quantity import Quantity
from emulab.model.record import Result, RunRecord, Status
from emulab.model.scenario import LoadedScenario
from emulab.run.folder import run_folder
from emulab.run.plan import Job, place_of, plan

Progress = Callable[[str, str], None]
"""Called with (job label, what is being done)."""


@dataclass(frozen=True)
class RunOptions:
    """How a scenario is run. Empty ``platforms`` and ``backends``: the scenario's own targets."""

    platforms: Sequence[str] = ()
    backends: Sequence[str] = ()
    variants: Sequence[str] = ()
    firmware: Path | None = None
    firmware_base: int | None = None
    output: Path | None = None
    allow_commands: bool = False
    use_cache: bool = True
    accuracy: bool = True
    """Whether the model is judged (accuracy, robustness, streams); else only its windows are measured."""
    golden: bool = False
    """Run the float model on the targets as well, and say where the quantised one parts from it."""
    published: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Backend options of the command line: serial, power, flash, record, renode."""
    command: str = ""


@dataclass
class RunOutcome:
    """A record, where it lies, and the exit code it stands for."""

    record: RunRecord
    folder: Path
    exit_code: int


def _quiet(label: str, step: str) -> None:
    return None


def run_scenario(loaded: LoadedScenario, options: RunOptions | None = None, progress: Progress = _quiet) -> RunOutcome:
    """Run every job of the scenario and write ``run.json`` (and its artifacts) to the run folder.

    A job that cannot run does not stop the others: its result says ``error`` or ``unavailable`` and why. When there
    is only one job, its error is raised as it is.
    """
    from emulab.run.judge import judge

    options = options or RunOptions()
    golden: frozenset[str] = frozenset()
    if options.golden:
        from emulab.run.golden import with_golden

        loaded, golden = with_golden(loaded)
    scenario = loaded.scenario
    jobs = plan(scenario, options.platforms, options.backends, options.variants)
    started, clock = datetime.now(UTC), time.monotonic()
    places = [place_of(job) for job in jobs]
    with run_folder(options.output, scenario.name, started, places) as folder:
        results, errors, hashes, wall_s = _execute_all(loaded, jobs, options, golden, folder, progress)
        # What a scenario asks, it asks of what will ship, not of the float model beside it.
        judged, expectations = judge(loaded, [r for r in results if r.variant not in golden], options.published)
        by_label = {result.label: result for result in judged}
        results = [by_label.get(result.label, result) for result in results]
        wall_s["total"] = round(time.monotonic() - clock, 3)
        from emulab.run.provenance import collect

        record = RunRecord(
            scenario=scenario.model_dump(mode="json", by_alias=True, exclude_none=True),
            provenance=collect(hashes, scenario.seed, started, wall_s, options.command),
            results=results,
            expectations=expectations,
        )
        record.write(folder)
    return RunOutcome(record, folder, exit_code(errors, record))


def _execute_all(
    loaded: LoadedScenario,
    jobs: Sequence[Job],
    options: RunOptions,
    golden: frozenset[str],
    folder: Path,
    progress: Progress,
) -> tuple[list[Result], list[EmulabError], dict[str, str], dict[str, float]]:
    """Results of all jobs, what went wrong in some, hashes and wall times; raises where no job gave anything."""
    from emulab.run.execute import execute
    from emulab.run.golden import agreement_of

    results: list[Result] = []
    errors: list[EmulabError] = []
    misfits: list[EmulabError] = []
    hashes: dict[str, str] = {}
    wall_s: dict[str, float] = {}
    for job in jobs:
        begin = time.monotonic()
        try:
            result, job_hashes = execute(loaded, job, options, folder, progress)
            hashes.update(job_hashes)
            if options.golden and job.variant not in golden:
                more = agreement_of(loaded.variant(job.variant), lambda what, name=job.label: progress(name, what))  # type: ignore[misc]
                result = result.model_copy(update={"details": {**result.details, **more}})
        except BackendUnavailable as error:
            errors.append(error)
            result = _without(job, "unavailable", error)
        except DoesNotFit as error:
            # Of models side by side, that one is too large is an answer.
            if not job.variant:
                errors.append(error)
            result = _without(job, "skipped" if job.variant else "error", error)
            result = result.model_copy(update={"metrics": needed(error)})
            misfits.append(error)
        except EmulabError as error:
            errors.append(error)
            result = _without(job, "error", error)
        results.append(result)
        wall_s[job.label] = round(time.monotonic() - begin, 3)
    if errors and len(errors) == len(jobs):
        raise errors[0]
    if len(misfits) == len(jobs):
        raise misfits[0]
    return results, errors, hashes, wall_s


def _without(job: Job, status: Status, error: EmulabError) -> Result:
    return Result(platform=job.platform, backend=job.backend, variant=job.variant, status=status, message=str(error))


def needed(error: DoesNotFit) -> dict[str, Quantity]:
    """Flash and RAM of a model that does not fit, as far as linking told."""
    return {
        name: Quantity(value=value, unit="B", kind="emulated", source="what the link would need; it does not fit")
        for name, value in error.needed.items()
    }


def exit_code(errors: Sequence[EmulabError], record: RunRecord) -> int:
    """0 all expectations hold, else the gravest: tool failure, wrong input, broken expectation."""
    if any(isinstance(error, ToolError) for error in errors):
        return 3
    if any(isinstance(error, InputError) for error in errors):
        return 2
    return 1 if any(item.status != "passed" for item in record.expectations) else 0


__all__ = ["Job", "RunOptions", "RunOutcome", "exit_code", "run_scenario"]
