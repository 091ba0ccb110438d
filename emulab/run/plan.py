"""Plan a run: the scenario's targets, narrowed or replaced by the command line, as a list of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulab.errors import InputError
from emulab.model.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Job:
    """One platform on one backend. ``argument`` is what followed the colon of ``--backend NAME:ARGUMENT``.

    ``variant`` names the model where the workload holds several.
    """

    platform: str
    backend: str
    argument: str = ""
    variant: str = ""

    @property
    def label(self) -> str:
        return "/".join(filter(None, (self.platform, self.backend, self.variant)))


def place_of(job: Job) -> str:
    """Name of the folder of a job's artifacts, in the run folder."""
    return job.label.replace("/", ".")


def split_backend(text: str) -> tuple[str, str]:
    """``name:argument`` -> (name, argument)."""
    name, _, argument = text.partition(":")
    if not name:
        raise InputError(f"--backend {text!r}: expected NAME or NAME:ARGUMENT")
    return name, argument


def plan(
    scenario: Scenario, platforms: Sequence[str] = (), backends: Sequence[str] = (), variants: Sequence[str] = ()
) -> list[Job]:
    """Jobs in the scenario's order, without repeats; the models of a workload that holds several side by side.

    ``platforms`` and ``backends`` narrow the matrix to what they name; names the matrix does not hold replace it.
    ``variants`` narrows the models; InputError for one that is not there.
    """
    known = scenario.workload.variants
    for name in variants:
        if name not in known:
            raise InputError(f"--variant {name!r}: the scenario's variants are: {', '.join(known) or 'none'}")
    models = [name for name in known if not variants or name in variants] or [""]
    matrix = [
        Job(platform, *split_backend(backend))
        for target in scenario.targets
        for platform in target.platforms
        for backend in target.backends
    ]
    wanted = [split_backend(backend) for backend in backends]
    jobs: list[Job] = []
    for platform in platforms or dict.fromkeys(job.platform for job in matrix):
        own = [(job.backend, job.argument) for job in matrix if job.platform == platform]
        fallback = list(dict.fromkeys((job.backend, job.argument) for job in matrix))
        for name, argument in wanted or own or fallback:
            jobs += [Job(str(platform), name, argument, model) for model in models]
    return list(dict.fromkeys(jobs))
