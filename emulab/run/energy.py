"""Energy of a result: per inference from the window, and over the scenario's duty cycle to battery life."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Result
from emulab.model.scenario import LoadedScenario
from emulab.run.expectations import PHYSICAL_BACKENDS
from emulab.run.windows import INFERENCE_WINDOW

if TYPE_CHECKING:
    from emulab.model.platform import Platform


def add_energy(loaded: LoadedScenario, platform: Platform, result: Result, folder: Path | None) -> Result:
    """Add ``energy_per_inference_j``, ``power_w``, and with a duty cycle ``battery_life_s`` and ``mean_current_a``."""
    metrics = dict(result.metrics)
    details: dict[str, Any] = dict(result.details)
    artifacts = dict(result.artifacts)
    windows = [w for w in result.windows if w.name == INFERENCE_WINDOW]
    latency = metrics.get("latency_s")
    energy = metrics.get("energy_per_inference_j")
    if result.backend in PHYSICAL_BACKENDS and energy is None:
        # A model's figure would stand among measured ones, and be taken for a second witness when runs are compared.
        metrics["energy_per_inference_j"] = energy = unavailable("J", "no power was measured; name a monitor: --power")
        windows = []
    if platform.power is None:
        reason = f"platform {platform.name!r} has no power data"
        if energy is None:
            metrics["energy_per_inference_j"] = unavailable("J", reason)
        if loaded.scenario.duty_cycle is not None:
            metrics["battery_life_s"] = unavailable("s", reason)
        return result.model_copy(update={"metrics": metrics})
    from emulab.energy import energy_per_inference, simulate_duty_cycle
    from emulab.energy.simulate import windows_of_result
    from emulab.energy.steps import ComputeWindow
    from emulab.energy.trace import write_csv

    if (energy is None or energy.value is None) and windows:
        per_window = [energy_per_inference(platform, window) for window in windows]
        values = [q.value for q in per_window if q.value is not None]
        if values:
            energy = per_window[0].model_copy(update={"value": statistics.median(values)})
            metrics["energy_per_inference_j"] = energy
    if (
        energy is not None
        and energy.value is not None
        and latency is not None
        and latency.value
        and "power_w" not in metrics
    ):
        sigma = None if energy.uncertainty is None else energy.uncertainty / latency.value
        metrics["power_w"] = Quantity(
            value=energy.value / latency.value, unit="W", kind=energy.kind, uncertainty=sigma, source=energy.source
        )
    cycle = loaded.scenario.duty_cycle
    if cycle is not None and latency is not None and latency.value is not None:
        if energy is None or energy.value is None:
            metrics["battery_life_s"] = unavailable("s", "there is no energy per inference to simulate with")
        else:
            compute = {
                **windows_of_result(result, platform),
                INFERENCE_WINDOW: ComputeWindow(latency.value, energy.value),
            }
            outcome = simulate_duty_cycle(
                platform, cycle, compute, folder=loaded.folder, seed=loaded.scenario.seed, trace=folder is not None
            )
            metrics["battery_life_s"] = outcome.battery_life()
            metrics["mean_current_a"] = Quantity(
                value=outcome.mean_current_a, unit="A", kind="modelled", source=f"duty cycle, {outcome.mode}"
            )
            share = cycle.period_s / outcome.duration_s
            details["energy_by_component_j"] = {k: v * share for k, v in outcome.energy_by_component.items()}
            details["energy_by_phase_j"] = {k: v * share for k, v in outcome.energy_by_phase.items()}
            if folder is not None and outcome.trace is not None:
                write_csv(outcome.trace, folder / "duty_cycle.csv")
                artifacts["current_trace"] = "duty_cycle.csv"
    return result.model_copy(update={"metrics": metrics, "details": details, "artifacts": artifacts})
