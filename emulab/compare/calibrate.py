"""Fits a platform's free energy and timing parameters to physical runs, and writes them as an overlay file.

The overlay extends the shipped platform, which is never touched, and is given as ``--platform FILE``. Each number in it
says from which runs and when it was fitted.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulab.compare.fit import FitResult, Free, Observation, fit
from emulab.errors import InputError
from emulab.model.platform import Platform, load_platform
from emulab.model.quantity import PhysicalNumber, Quantity
from emulab.model.record import RunRecord, write_text
from emulab.model.scenario import LoadedScenario
from emulab.run.published import find_published

METRICS = ("latency_s", "power_w")
"""What is fitted. Power, not energy: a latency that is off must not be made up for by the current."""
PHYSICAL_BACKENDS = ("hardware", "replay")


@dataclass(frozen=True)
class Measured:
    """What was measured for one scenario: physical runs of it, or a published result's key."""

    scenario: LoadedScenario
    runs: Sequence[RunRecord] = ()
    published: str = ""
    label: str = ""


@dataclass(frozen=True)
class Calibration:
    """What was fitted, the overlay that holds it, and how well it fits."""

    free: tuple[Free, ...]
    observations: tuple[Observation, ...]
    result: FitResult
    overlay: Path


Evaluate = Callable[[LoadedScenario, Path, str], Mapping[str, Quantity]]


def run_emulated(scenario: LoadedScenario, platform_file: Path, backend: str) -> Mapping[str, Quantity]:
    """Metrics of the scenario on the platform of *platform_file*; nothing is written but the cache."""
    from emulab.run.execute import evaluate_job
    from emulab.run.plan import Job, split_backend

    name, argument = split_backend(backend)
    return evaluate_job(scenario, Job(str(platform_file), name, argument)).metrics


def calibrate(
    platform: str,
    measured: Sequence[Measured],
    output: Path,
    free: Sequence[str] = (),
    backend: str = "unicorn",
    evaluate: Evaluate = run_emulated,
    today: str | None = None,
) -> Calibration:
    """Fit *free* (dotted paths of the platform; default :func:`default_free`) and write the overlay to *output*.

    Raises InputError when a path is no number of the platform, nothing was measured, or *output* would overwrite a
    file that is not a calibration.
    """
    loaded = load_platform(platform)
    observations, sources = _observations(loaded.platform, measured)
    energy = any(o.name.endswith("power_w") for o in observations)
    timing = any(o.name.endswith("latency_s") for o in observations)
    paths = list(free) or default_free(loaded.platform, timing, energy)
    if not paths:
        raise InputError(
            f"calibrate: platform {platform!r} assumes nothing that these runs could fit; name --free PATH"
        )
    parameters = tuple(_parameter(loaded.platform, path) for path in paths)
    _check_output(output)
    with tempfile.TemporaryDirectory(prefix="emulab-calibrate-") as scratch:
        made = 0

        def model(values: Sequence[float]) -> Mapping[str, float]:
            nonlocal made
            made += 1
            # A new name each time: platforms are cached by name within a process.
            file = Path(scratch) / f"trial{made}.yaml"
            file.write_text(overlay_text(platform, parameters, values, None, "trial", "trial"), encoding="utf-8")
            found: dict[str, float] = {}
            for item in measured:
                for metric, quantity in with_power(evaluate(item.scenario, file, backend)).items():
                    if quantity.value is not None:
                        found[f"{item.scenario.scenario.name}: {metric}"] = quantity.value
            return found

        result = fit(parameters, observations, model)
    date = today or datetime.now(UTC).date().isoformat()
    write_text(output, overlay_text(platform, parameters, result.values, result.sigmas, "; ".join(sources), date))
    return Calibration(parameters, tuple(observations), result, output)


def _observations(platform: Platform, measured: Sequence[Measured]) -> tuple[list[Observation], list[str]]:
    found: list[Observation] = []
    sources: list[str] = []
    for item in measured:
        scenario = item.scenario.scenario
        per_metric: dict[str, list[Quantity]] = {}
        if item.published:
            row = find_published(item.published, scenario.workload.mlperf_id or scenario.workload.name)
            per_metric = {name: [q] for name, q in row.metrics().items() if name in METRICS}
            sources.append(f"{row.key} {row.model} ({row.source})")
        for record in item.runs:
            for result in record.results:
                if result.backend not in PHYSICAL_BACKENDS or result.platform != platform.name:
                    continue
                metrics = with_power(result.metrics)
                for metric in METRICS:
                    quantity = metrics.get(metric)
                    if quantity is not None and quantity.value is not None:
                        per_metric.setdefault(metric, []).append(quantity)
                sources.append(f"{scenario.name} on {result.backend}, {record.provenance.started_at or 'undated'}")
        for metric, quantities in per_metric.items():
            values = [q.value for q in quantities if q.value is not None]
            own = max((q.uncertainty or 0.0 for q in quantities), default=0.0)
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            found.append(Observation.of(f"{scenario.name}: {metric}", statistics.median(values), max(own, spread)))
    if not found:
        raise InputError(
            f"calibrate: no physical result of {platform.name!r} with {' or '.join(METRICS)}; "
            "give runs of --backend hardware or replay, or --published KEY"
        )
    return found, list(dict.fromkeys(sources))


def with_power(metrics: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Metrics with ``power_w``, from energy and latency where it is not there itself."""
    found = dict(metrics)
    energy, latency = metrics.get("energy_per_inference_j"), metrics.get("latency_s")
    if "power_w" in found or energy is None or latency is None or energy.value is None or not latency.value:
        return found
    power = energy.value / latency.value
    sigma = None if energy.uncertainty is None else energy.uncertainty / latency.value
    found["power_w"] = Quantity(value=power, unit="W", kind=energy.kind, uncertainty=sigma, source=energy.source)
    return found


def default_free(platform: Platform, timing: bool, energy: bool) -> list[str]:
    """What is fitted when nobody says: the MCU's run current, and timing parameters that the platform only assumes."""
    paths = []
    if timing:
        paths += [
            f"core.timing.parameters.{name}"
            for name, number in platform.core.timing.parameters.items()
            if number.assumed
        ]
    if energy and platform.power is not None:
        power = platform.power
        component = getattr(power, "mcu", "") or next(iter(power.components), "")
        state = getattr(power, "run_state", "") or "run"
        entry = power.components.get(component)
        found = entry.states.get(state) if entry is not None else None
        for key in ("per_hz_a", "current_a"):
            if found is not None and getattr(found, key) is not None:
                paths.append(f"power.components.{component}.states.{state}.{key}")
                break
    return paths


def _parameter(platform: Platform, path: str) -> Free:
    node: Any = platform
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else getattr(node, part, None)
        if node is None:
            raise InputError(f"calibrate: --free {path}: platform {platform.name!r} has no {part!r} there")
    if not isinstance(node, PhysicalNumber):
        raise InputError(f"calibrate: --free {path}: expected a number with source, found a {type(node).__name__}")
    return Free.of(path, node.value, node.uncertainty, node.unit)


def overlay_text(
    platform: str,
    parameters: Sequence[Free],
    values: Sequence[float],
    sigmas: Sequence[float] | None,
    source: str,
    date: str,
) -> str:
    """The overlay: it extends *platform* and holds the parameters with their values, uncertainty and source."""
    import yaml

    extends = str(Path(platform).resolve()) if platform.endswith((".yaml", ".yml")) else f"boards/{platform}"
    data: dict[str, Any] = {"extends": [extends]}
    for index, parameter in enumerate(parameters):
        node = data
        *path, last = parameter.path.split(".")
        for part in path:
            node = node.setdefault(part, {})
        number: dict[str, Any] = {"value": values[index], "unit": parameter.unit}
        if sigmas is not None:
            number["uncertainty"] = sigmas[index]
        number["source"] = f"calibrated {date}, was {parameter.value:g}: {source}"
        node[last] = number
    head = f"# Calibration of {platform}, {date}. Use it as --platform FILE; the shipped platform is unchanged.\n"
    return head + str(yaml.safe_dump(data, sort_keys=False, width=110, allow_unicode=True))


def _check_output(output: Path) -> None:
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"calibrate: --output {output}: expected a .yaml file")
    if output.is_file() and not output.read_text(encoding="utf-8", errors="replace").startswith("# Calibration of "):
        raise InputError(f"calibrate: --output {output}: the file is there and is no calibration; choose another name")


def calibration_rows(calibration: Calibration) -> list[dict[str, str]]:
    """Rows for a printed table: parameters, then measured metrics before and after."""
    rows = [
        {
            "what": parameter.path,
            "before": f"{parameter.value:.5g} {parameter.unit}",
            "after": f"{value:.5g} ± {sigma:.2g} {parameter.unit}",
            "measured": "",
        }
        for parameter, value, sigma in zip(
            calibration.free, calibration.result.values, calibration.result.sigmas, strict=True
        )
    ]
    for observation in calibration.observations:
        before, after = calibration.result.before[observation.name], calibration.result.after[observation.name]
        rows.append(
            {
                "what": observation.name,
                "before": f"{before:.5g} ({(before / observation.value - 1) * 100:+.2f} %)",
                "after": f"{after:.5g} ({(after / observation.value - 1) * 100:+.2f} %)",
                "measured": f"{observation.value:.5g} ± {observation.sigma:.2g}",
            }
        )
    return rows
