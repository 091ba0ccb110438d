"""Battery life as a distribution: draw the tolerances of every current, charge and capacity, and simulate each draw.

A number with ``uncertainty`` is drawn from a normal distribution of that width (cut just above zero), any other from one of
``tolerance`` relative width. Every draw has a generator of its own, spawned from seed and number, so that the result
does not depend on how many processes share the work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulab.energy.steps import ComputeWindow

if TYPE_CHECKING:
    from emulab.model.dutycycle import DutyCycle
    from emulab.model.platform import Platform

DRAWN_UNITS = ("A", "A/Hz", "C", "ohm", "F")
TOLERANCE = 0.1


@dataclass(frozen=True)
class Distribution:
    """Samples of battery life (s, infinite where it does not end) and mean current (A), in the order drawn."""

    life_s: tuple[float, ...]
    mean_current_a: tuple[float, ...]
    seed: int
    tolerance: float

    def quantile(self, share: float, of: str = "life_s") -> float:
        """The value that *share* of the samples do not exceed (linear between samples)."""
        values = sorted(getattr(self, of))
        position = share * (len(values) - 1)
        low = int(position)
        high = min(low + 1, len(values) - 1)
        if values[low] == values[high]:
            return float(values[low])
        return float(values[low] + (values[high] - values[low]) * (position - low))

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON: 5, 50 and 95 percent quantiles."""
        data: dict[str, Any] = {"samples": len(self.mean_current_a), "seed": self.seed, "tolerance": self.tolerance}
        for name in ("life_s", "mean_current_a"):
            if getattr(self, name):
                values = {f"p{round(share * 100):02d}": self.quantile(share, name) for share in (0.05, 0.5, 0.95)}
                data[name] = {key: value if value != float("inf") else None for key, value in values.items()}
        return data


def perturb(data: Any, generator: Any, tolerance: float) -> Any:
    """A copy of schema data with every physical number of a drawn unit redrawn, in the order of the data."""
    if isinstance(data, Mapping):
        if "value" in data and "unit" in data:
            width = data.get("uncertainty")
            if width is None:
                width = tolerance * abs(data["value"]) if data["unit"] in DRAWN_UNITS else 0.0
            drawn = data["value"] + width * float(generator.standard_normal())
            if data["unit"] == "1":
                drawn = min(drawn, math.nextafter(1.0, 0.0))
            # what may not be nothing, a capacity say, is not drawn as nothing either
            return {**data, "value": max(drawn, 1e-6 * max(data["value"], 0.0))}
        return {key: perturb(value, generator, tolerance) for key, value in data.items()}
    if isinstance(data, list):
        return [perturb(value, generator, tolerance) for value in data]
    return data


def draw_one(
    platform: Platform,
    cycle: DutyCycle,
    windows: Mapping[str, ComputeWindow],
    seed: int,
    number: int,
    tolerance: float,
) -> tuple[float | None, float]:
    """(battery life, mean current) of the *number*-th draw; the life is None without a battery."""
    import numpy

    from emulab.energy.battery import Store
    from emulab.energy.duty import Study
    from emulab.energy.network import require_power
    from emulab.energy.parts import board_parts, cycle_parts, load_cell
    from emulab.model.power import Cell, Power, PowerComponent

    generator = numpy.random.default_rng(numpy.random.SeedSequence([seed, number]))

    def again(schema: Any, kind: type) -> Any:
        return kind.model_validate(perturb(schema.model_dump(exclude_none=True, by_alias=True), generator, tolerance))  # type: ignore[attr-defined]

    power = require_power(platform)
    drawn = platform.model_copy(update={"power": again(power, Power)})
    parts = {**board_parts(platform), **cycle_parts(cycle.parts)}
    spread = power.accuracy.value if power.accuracy else tolerance
    factor = max(1 + spread * float(generator.standard_normal()), 0.0)
    costs = {
        name: ComputeWindow(
            cost.latency_s,
            None if cost.energy_j is None else cost.energy_j * factor,
            None if cost.charge_c is None else cost.charge_c * factor,
        )
        for name, cost in windows.items()
    }
    study = Study(
        drawn,
        cycle,
        costs,
        parts={name: again(part, PowerComponent) for name, part in parts.items()},
        store=Store(again(load_cell(cycle.battery), Cell), cycle.battery) if cycle.battery else None,
    )
    mean_a = study.budget.rate(study.expected()).current_a
    return (study.life().life_s if study.store is not None else None), mean_a


def _draw_many(arguments: tuple[Any, ...], numbers: range) -> list[tuple[float | None, float]]:
    platform, cycle, windows, seed, tolerance = arguments
    return [draw_one(platform, cycle, windows, seed, number, tolerance) for number in numbers]


def monte_carlo(
    platform: Platform,
    cycle: DutyCycle,
    windows: Mapping[str, ComputeWindow | Sequence[float | None]],
    *,
    samples: int = 200,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    workers: int = 1,
) -> Distribution:
    """Draw *samples* nodes and simulate each in the mean; *workers* processes give the same result as one."""
    costs = {name: ComputeWindow.of(value) for name, value in windows.items()}
    arguments = (platform, cycle, costs, seed, tolerance)
    if workers <= 1 or samples < 2:
        drawn = _draw_many(arguments, range(samples))
    else:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        size = -(-samples // workers)
        chunks = [range(first, min(first + size, samples)) for first in range(0, samples, size)]
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            drawn = [pair for part in pool.map(_draw_many, [arguments] * len(chunks), chunks) for pair in part]
    lives = tuple(life for life, _ in drawn if life is not None)
    return Distribution(lives, tuple(current for _, current in drawn), seed, tolerance)
