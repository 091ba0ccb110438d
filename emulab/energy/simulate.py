"""Simulate a scenario's duty cycle: windows from a run record in, tables and files out.

What the command line prints comes from :func:`summary_rows` and :func:`breakdown_rows`; several simulations side by
side are several rows of the one and several columns of the other.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.energy.duty import DutyCycleResult, Mode, Study, run_study
from emulab.energy.steps import ComputeWindow
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.energy.montecarlo import Distribution
    from emulab.model.dutycycle import Battery, DutyCycle, Phase
    from emulab.model.platform import Platform
    from emulab.model.record import Result, RunRecord
    from emulab.model.scenario import LoadedScenario

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}

LONGEST_S = 100 * UNITS_S["y"]
"""Longer than any store keeps its charge; a harvester's profile is followed piece by piece that long."""


def parse_duration(text: str) -> float:
    """``365d``, ``12h``, ``90min``, ``30s``, ``2w``, ``1y`` (365 days) or plain seconds, in seconds.

    >>> parse_duration("1.5h")
    5400.0
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*([a-z]*)\s*", text)
    unit = match[2] or "s" if match else ""
    if match is None or unit not in UNITS_S:
        raise InputError(f"--for {text}: expected a number and one of {', '.join(UNITS_S)}, e.g. 365d")
    seconds = float(match[1]) * UNITS_S[unit]
    if not 0 < seconds <= LONGEST_S:
        raise InputError(f"--for {text}: expected a time above 0 and at most {LONGEST_S / UNITS_S['y']:g}y")
    return seconds


@dataclass(frozen=True)
class Simulation:
    """One simulated duty cycle and what it was of."""

    label: str
    platform: str
    result: DutyCycleResult
    windows: Mapping[str, ComputeWindow]
    distribution: Distribution | None = None
    period_s: float | None = None
    battery: str | None = None
    assumed: Mapping[str, float] = field(default_factory=dict)
    """Time in s of each window that a phase assumes, since it was not measured."""


def windows_of_result(result: Result, platform: Platform) -> dict[str, ComputeWindow]:
    """Windows of one result as compute phases: per inference, the median over occurrences.

    Energy is what was measured or charged where there is some, else that of the energy model. The metrics
    ``latency_s`` and ``energy_per_inference_j`` stand in for the window ``inference`` where no window was recorded.
    """
    from emulab.energy.windows import energy_per_inference

    found: dict[str, ComputeWindow] = {}
    for name in dict.fromkeys(window.name for window in result.windows):
        own = [window for window in result.windows if window.name == name]
        energies: list[float] = []
        for window in own:
            if window.energy_j is not None:
                energies.append(window.energy_j / max(window.inferences, 1))
            else:
                value = energy_per_inference(platform, window).value
                energies += [value] if value is not None else []
        latency_s = statistics.median(window.latency_s for window in own)
        found[name] = ComputeWindow(latency_s, statistics.median(energies) if energies else None)
    latency = result.metrics.get("latency_s")
    if latency is not None and latency.value:
        energy = result.metrics.get("energy_per_inference_j")
        known = found.get("inference")
        found["inference"] = ComputeWindow(
            latency.value, energy.value if energy is not None and energy.value else known.energy_j if known else None
        )
    return found


def result_of(record: RunRecord, platform: str) -> Result:
    """The first usable result of *platform* in a record; InputError says which platforms it holds."""
    for result in record.results:
        if result.platform == platform and result.status in ("passed", "failed") and (result.windows or result.metrics):
            return result
    held = ", ".join(dict.fromkeys(f"{r.platform} ({r.status})" for r in record.results)) or "none"
    raise InputError(f"the run record has no result of platform {platform!r}; it holds {held}")


def needed_windows(cycle: DutyCycle) -> set[str]:
    """Windows that phases ``run``."""
    return {phase.run for phase in _phases(cycle) if phase.run}


def check_cycle(loaded: LoadedScenario, platform: Platform) -> None:
    """Say what is wrong with the duty cycle on *platform* before its windows are measured. InputError with the place."""
    cycle = loaded.scenario.duty_cycle
    if cycle is None:
        raise InputError.at(loaded.file, "duty_cycle", "required to simulate; see docs/energy.md")
    try:
        Study(platform, cycle, {name: ComputeWindow(1e-9) for name in needed_windows(cycle)}, folder=loaded.folder)
    except InputError as error:
        if str(error).startswith("duty_cycle"):
            raise InputError(f"{loaded.file}: {error}") from None
        raise


def assumed_windows(cycle: DutyCycle, windows: Mapping[str, ComputeWindow]) -> dict[str, float]:
    """Windows that phases ``run`` but nobody measured, and the time in s that their phase assumes."""
    return {p.run: p.duration_s for p in _phases(cycle) if p.run and p.run not in windows and p.duration_s}


def _phases(cycle: DutyCycle) -> Iterator[Phase]:
    """All phases, those of events and those side by side included."""

    def walk(phases: Sequence[Phase]) -> Iterator[Phase]:
        for phase in phases:
            yield phase
            yield from walk(phase.parallel)

    yield from walk(cycle.phases)
    for event in cycle.events:
        yield from walk(event.phases)
    if cycle.watchdog is not None:
        yield from walk(cycle.watchdog.restart)


def simulate_scenario(
    loaded: LoadedScenario,
    platform: Platform,
    windows: Mapping[str, ComputeWindow] | None = None,
    *,
    label: str = "",
    duration_s: float | None = None,
    seed: int | None = None,
    mode: Mode = "auto",
    monte_carlo: int = 0,
    workers: int = 1,
) -> Simulation:
    """Simulate the scenario's duty cycle on *platform*, with *windows* for its compute phases.

    ``monte_carlo``: that many draws of the tolerances besides. InputError where the scenario has no duty cycle.
    """
    cycle = loaded.scenario.duty_cycle
    if cycle is None:
        raise InputError.at(loaded.file, "duty_cycle", "required to simulate; see docs/energy.md")
    chosen = loaded.scenario.seed if seed is None else seed
    study = Study(platform, cycle, windows or {}, folder=loaded.folder)
    result = run_study(study, duration_s=duration_s, seed=chosen, mode=mode)
    distribution = None
    if monte_carlo:
        from emulab.energy.montecarlo import monte_carlo as draw

        distribution = draw(platform, cycle, windows or {}, samples=monte_carlo, seed=chosen, workers=workers)
    battery = None if cycle.battery is None else _cells(cycle.battery)
    return Simulation(
        label or platform.name,
        platform.name,
        result,
        dict(windows or {}),
        distribution,
        cycle.period_s,
        battery,
        assumed_windows(cycle, windows or {}),
    )


def _cells(battery: Battery) -> str:
    """``2 x aa-lithium``: what the battery is made of."""
    number = battery.series * battery.parallel
    return battery.type if number == 1 else f"{number} x {battery.type}"


def human_time(seconds: float | None) -> str:
    """A life span as a person reads it: ``2.3 years``, ``41 days``, ``7.2 h``."""
    if seconds is None:
        return "-"
    if math.isinf(seconds):
        return "does not end"
    for limit, divisor, unit in ((2 * 31536000, 31557600.0, "years"), (2 * 86400, 86400.0, "days"), (0, 3600.0, "h")):
        if seconds >= limit:
            return f"{seconds / divisor:.3g} {unit}"
    return f"{seconds:.3g} s"


def human(value: float, unit: str) -> str:
    """A quantity with a metric prefix, three digits: ``12.3 µA``."""
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def summary_rows(simulations: Sequence[Simulation]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): one row per simulation, what a reader asks first."""
    headers = ["what", "battery life", "mean current", "mean power", "peak", "energy per day", "jobs", "how"]
    rows = []
    for item in simulations:
        r = item.result
        life = human_time(r.battery_life_s)
        if item.distribution is not None and item.distribution.life_s:
            low, high = item.distribution.quantile(0.05), item.distribution.quantile(0.95)
            life += f" ({human_time(low)} to {human_time(high)}, 90 %)"
        current = human(r.mean_current_a, "A")
        if r.interval:
            current += f" +- {r.interval:.2g} (99 %)"
        how = r.mode + (f"; {r.battery_end}" if r.battery_end else "")
        if r.watchdog_resets >= 0.5:
            how += f"; {r.watchdog_resets:.0f} watchdog resets"
        per_day = human(r.energy_j / r.duration_s * 86400, "J")
        rows.append(
            [
                item.label,
                life,
                current,
                human(r.mean_power_w, "W"),
                human(r.peak_current_a, "A"),
                per_day,
                f"{r.jobs:.0f}",
                how,
            ]
        )
    return headers, rows


def breakdown_rows(simulations: Sequence[Simulation], by: str = "component") -> tuple[list[str], list[list[str]]]:
    """(headers, rows): energy per day and share, by ``component`` or ``phase``; a pair of columns per simulation."""
    tables = [
        item.result.energy_by_component if by == "component" else item.result.energy_by_phase for item in simulations
    ]
    names = list(dict.fromkeys(name for table in tables for name in table))
    headers = [by] + [word for item in simulations for word in (f"{item.label} per day", "share")]
    rows = []
    for name in names:
        row = [name]
        for item, table in zip(simulations, tables, strict=True):
            energy = table.get(name, 0.0)
            share = energy / item.result.energy_j if item.result.energy_j else 0.0
            row += [human(energy / item.result.duration_s * 86400, "J"), f"{share:.1%}"]
        rows.append(row)
    return headers, rows


def as_data(item: Simulation) -> dict[str, Any]:
    """A simulation as plain data for JSON; times in s, energies in J."""
    r = item.result
    data: dict[str, Any] = {
        "schema_version": 1,
        "label": item.label,
        "platform": item.platform,
        "mode": r.mode,
        "period_s": item.period_s,
        "battery": item.battery,
        "duration_s": r.duration_s,
        "jobs": r.jobs,
        "supply_v": r.supply_v,
        "mean_current_a": r.mean_current_a,
        "mean_current_interval": r.interval,
        "mean_power_w": r.mean_power_w,
        "peak_current_a": r.peak_current_a,
        "energy_j": r.energy_j,
        "energy_by_component_j": r.energy_by_component,
        "energy_by_phase_j": r.energy_by_phase,
        "time_by_phase_s": r.time_by_phase,
        "battery_life_s": r.battery_life_s if r.battery_life_s != math.inf else None,
        "battery_end": r.battery_end,
        "longest_wait_s": r.longest_wait_s,
        "watchdog_resets": r.watchdog_resets,
        "windows": {
            name: {"latency_s": window.latency_s, "energy_j": window.energy_j} for name, window in item.windows.items()
        },
    }
    if item.assumed:
        data["assumed_windows_s"] = dict(item.assumed)
    if r.uptime is not None:
        data["uptime"] = {"share": r.uptime.share, "brown_outs": r.uptime.brown_outs, "lowest_v": r.uptime.lowest_v}
    if item.distribution is not None:
        data["monte_carlo"] = item.distribution.as_data()
    return data


def write_simulations(
    simulations: Sequence[Simulation], folder: Path, *, csv: bool = True, parquet: bool = False
) -> list[Path]:
    """Write ``simulation.json`` and one cycle's current trace per simulation into *folder*; returns the files."""
    from emulab.energy.trace import write_csv, write_parquet
    from emulab.model.record import write_text

    files = []
    for item in simulations:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", item.label) or "simulation"
        if item.result.trace is not None:
            if csv:
                files.append(write_csv(item.result.trace, folder / f"{stem}.cycle.csv"))
            if parquet:
                files.append(write_parquet(item.result.trace, folder / f"{stem}.cycle.parquet"))
    text = json.dumps([as_data(item) for item in simulations], indent=2) + "\n"
    files.append(write_text(folder / "simulation.json", text))
    return files
