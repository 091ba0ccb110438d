"""Vibration of a rotor on bearings, simulated: what an accelerometer on its housing measures, well or with a fault.

From what the textbooks say of each fault: imbalance, once per turn; misalignment, twice per turn; looseness, many
harmonics and halves. Speed, load, severity, neighbouring machines and sensor noise are drawn anew for each stretch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONDITIONS = ("normal", "imbalance", "misalignment", "looseness")


def acceleration(
    condition: int, random: np.random.Generator, samples: int = 512, rate_hz: float = 1344.0
) -> NDArray[np.float64]:
    """One stretch of acceleration in g, (samples,), of a machine in ``CONDITIONS[condition]``."""
    import numpy as np

    time = np.arange(samples) / rate_hz
    turn_hz = random.uniform(24.0, 50.0)
    load = random.uniform(0.5, 1.5)

    def tone(order: float, amplitude: float) -> NDArray[np.float64]:
        return amplitude * np.sin(2 * np.pi * order * turn_hz * time + random.uniform(0, 2 * np.pi))

    x = (
        tone(1, random.uniform(0.01, 0.05))
        + tone(2, random.uniform(0.005, 0.025))
        + tone(3, random.uniform(0.0, 0.015))
    )
    for _ in range(int(random.integers(0, 3))):  # neighbouring machines
        x = x + random.uniform(0, 0.04) * np.sin(
            2 * np.pi * random.uniform(15, 600) * time + random.uniform(0, 2 * np.pi)
        )
    severity = load * random.uniform(0.06, 0.35)
    if condition == 1:
        x = x + tone(1, severity)
    elif condition == 2:
        x = (
            x
            + tone(2, severity)
            + tone(1, 0.4 * severity * random.uniform())
            + tone(3, 0.3 * severity * random.uniform())
        )
    elif condition == 3:
        for order in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6):
            x = x + tone(order, 0.45 * severity * random.uniform(0.3, 1.0))
    result: NDArray[np.float64] = x + random.normal(scale=random.uniform(0.005, 0.03), size=samples)
    return result


class Rotor:
    """A machine that is listened to again and again: *stretches* different ones in turn, then from the first again.

    ``condition`` is one of :data:`CONDITIONS`, or a list of them that the stretches take in turn; ``seed`` draws them.
    """

    LENGTH = 1024

    def __init__(self, place: str, given: dict[str, Any], rate_hz: float = 1344.0) -> None:
        known = {"condition", "stretches", "seed"}
        unknown = next((key for key in given if key not in known), None)
        if unknown is not None:
            raise InputError(f"{place}: unknown key {unknown!r}; known: {', '.join(sorted(known))}")
        condition = given.get("condition", "normal")
        names = [condition] if isinstance(condition, str) else list(condition)
        wrong = next((name for name in names if name not in CONDITIONS), None)
        if wrong is not None or not names:
            raise InputError(
                f"{place}.condition: expected {', '.join(CONDITIONS)}, or a list of them, found {condition!r}"
            )
        count, seed = given.get("stretches", 12), given.get("seed", 0)
        for key, value, least in (("stretches", count, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 100_000:
                raise InputError(f"{place}.{key}: expected a whole number from {least} to 100000, found {value!r}")
        self.conditions, self.stretches, self.seed, self.rate_hz = names, count, seed, rate_hz
        self._played: dict[int, NDArray[np.float64]] = {}

    def value_g(self, stretch: int, number: int) -> float:
        """Acceleration at sample *number* of the *stretch*-th time the sensor was switched on."""
        import numpy as np

        index = stretch % self.stretches
        if index not in self._played:
            condition = CONDITIONS.index(self.conditions[index % len(self.conditions)])
            random = np.random.default_rng([self.seed, index])
            self._played[index] = acceleration(condition, random, self.LENGTH, self.rate_hz)
        return float(self._played[index][number % self.LENGTH])
