"""The Python API: load, run, simulate, compare, sweep; typed results that turn into data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.compare.records import Comparison
    from emulab.energy.simulate import Simulation
    from emulab.model.quantity import Quantity
    from emulab.model.record import ExpectationResult, Result, RunRecord
    from emulab.model.scenario import LoadedScenario
    from emulab.sweep.engine import SweepResult

Reference = "str | Path | LoadedScenario"


@dataclass(frozen=True)
class Run:
    """A finished run: its record, where it lies, and the exit code it stands for."""

    record: RunRecord
    folder: Path
    exit_code: int

    @property
    def ok(self) -> bool:
        """Whether every expectation holds and nothing failed."""
        return self.exit_code == 0

    @property
    def results(self) -> list[Result]:
        return self.record.results

    @property
    def metrics(self) -> dict[str, Quantity]:
        """Metrics of the only result; ValueError where there are several."""
        if len(self.record.results) != 1:
            labels = ", ".join(r.label for r in self.record.results)
            raise ValueError(
                f"this run has several results ({labels}); use .result(platform, backend, variant).metrics"
            )
        return self.record.results[0].metrics

    @property
    def expectations(self) -> list[ExpectationResult]:
        return self.record.expectations

    def result(self, platform: str, backend: str | None = None, variant: str | None = None) -> Result:
        """The result of one target; KeyError names what there is."""
        for item in self.record.results:
            if item.platform == platform and backend in (None, item.backend) and variant in (None, item.variant):
                return item
        asked = "/".join(filter(None, (platform, backend or "*", variant)))
        raise KeyError(f"{asked}; there is {[r.label for r in self.results]}")

    def to_dataframe(self) -> Any:
        """One row per target and metric: platform, backend, metric, value, unit, kind, source (needs pandas)."""
        import pandas

        rows = [
            {
                "platform": r.platform,
                "backend": r.backend,
                "variant": r.variant,
                "status": r.status,
                "metric": name,
                "value": q.value,
                "unit": q.unit,
                "kind": q.kind,
                "source": q.source,
            }
            for r in self.record.results
            for name, q in r.metrics.items()
        ]
        return pandas.DataFrame(rows)


def load(scenario: str | Path, set: Iterable[str] = ()) -> LoadedScenario:
    """Load a scenario (folder, file or shipped name) with ``KEY=VALUE`` overrides. Raises InputError."""
    from emulab.model.scenario import load_scenario

    return load_scenario(scenario, set)


def _loaded(scenario: str | Path | LoadedScenario, overrides: Iterable[str]) -> LoadedScenario:
    from emulab.errors import InputError

    if isinstance(scenario, str | Path):
        return load(scenario, overrides)
    if list(overrides):
        raise InputError("set= goes with a scenario's name or file; for a loaded one give it to load()")
    return scenario


def _listed(value: str | Sequence[str] | None) -> Sequence[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def run(
    scenario: str | Path | LoadedScenario,
    *,
    platform: str | Sequence[str] | None = None,
    backend: str | Sequence[str] | None = None,
    firmware: str | Path | None = None,
    output: str | Path | None = None,
    set: Iterable[str] = (),
    use_cache: bool = True,
    **backend_options: Any,
) -> Run:
    """Run a scenario; platform and backend narrow or replace its targets, as on the command line.

    ``output`` is the run folder (default: below ``runs/``). ``backend_options`` are those of the hardware backend
    (serial, power, flash, record). Raises EmulabError when nothing could be run.
    """
    from emulab.run.engine import RunOptions, run_scenario

    options = RunOptions(
        platforms=_listed(platform),
        backends=_listed(backend),
        firmware=None if firmware is None else Path(firmware),
        output=None if output is None else Path(output),
        use_cache=use_cache,
        extra=backend_options,
    )
    outcome = run_scenario(_loaded(scenario, set), options)
    return Run(outcome.record, outcome.folder, outcome.exit_code)


def sweep(
    scenario: str | Path,
    vary: dict[str, Sequence[Any]] | Sequence[str],
    *,
    where: Sequence[str] = (),
    pareto: Sequence[str] = (),
    platform: str | Sequence[str] | None = None,
    backend: str | Sequence[str] | None = None,
    set: Iterable[str] = (),
    sample: int | None = None,
    seed: int = 0,
    workers: int = 0,
    cluster: str | None = None,
    output: str | Path | None = None,
    resume: bool = False,
) -> SweepResult:
    """Evaluate many variants. ``vary`` maps keys to values, or is a list of ``KEY=SPEC`` as on the command line."""
    import json

    from emulab.sweep.engine import SweepOptions
    from emulab.sweep.engine import sweep as run_sweep

    if isinstance(vary, dict):
        axes = [
            f"{key}=" + ",".join(json.dumps(value, default=str) for value in values) for key, values in vary.items()
        ]
    else:
        axes = list(vary)
    options = SweepOptions(
        vary=axes,
        where=where,
        pareto=pareto,
        platforms=_listed(platform),
        backends=_listed(backend),
        overrides=list(set),
        sample=sample,
        seed=seed,
        workers=workers,
        cluster=cluster,
        output=None if output is None else Path(output),
        resume=resume,
    )
    return run_sweep(scenario, options)


def simulate(
    scenario: str | Path | LoadedScenario,
    *,
    platform: str | None = None,
    duration_s: float | None = None,
    windows: Run | None = None,
    seed: int | None = None,
    monte_carlo: int = 0,
    set: Iterable[str] = (),
) -> Simulation:
    """Simulate a scenario's duty cycle on one platform (default: its first), for *duration_s* (default: a year).

    Compute windows come from *windows*, a finished run, else the model is run for them on the embedded machine.
    """
    from emulab.energy.simulate import check_cycle, needed_windows, result_of, simulate_scenario, windows_of_result
    from emulab.errors import InputError
    from emulab.model.platform import load_platform
    from emulab.run.execute import compute_windows
    from emulab.run.plan import plan

    loaded = _loaded(scenario, set)
    cycle = loaded.scenario.duty_cycle
    if cycle is None:
        raise InputError.at(loaded.file, "duty_cycle", "required to simulate; see: emulab schema")
    job = plan(loaded.scenario, [platform] if platform else [])[0]
    board = load_platform(job.platform).platform
    check_cycle(loaded, board)
    if windows is not None:
        found = windows_of_result(result_of(windows.record, job.platform), board)
    else:
        found = compute_windows(loaded, job, needed_windows(cycle))
    return simulate_scenario(loaded, board, found, duration_s=duration_s, seed=seed, monte_carlo=monte_carlo)


def compare(
    emulated: str | Path | Run,
    physical: str | Path | Run | None = None,
    *,
    published: str = "",
    allow_different: bool = False,
) -> Comparison:
    """Compare a run with a physical one (a Run, or a run folder), or with the published result under a key."""
    from emulab.compare.records import compare_records
    from emulab.model.record import read_record

    def record(item: str | Path | Run) -> RunRecord:
        return item.record if isinstance(item, Run) else read_record(Path(item))

    return compare_records(record(emulated), None if physical is None else record(physical), published, allow_different)
