"""What a power monitor delivered: samples on a regular grid, and all that went wrong, counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emulab.errors import ToolError
from emulab.lab.integrate import WindowEnergy, integrate


@dataclass(frozen=True, slots=True)
class Statistics:
    """A stretch of a capture in a few numbers; currents are NaN where power was captured at an unknown supply.

    ``lost`` counts samples that did not come: mean and charge are those of the samples that did.
    """

    duration_s: float
    mean_a: float
    min_a: float
    max_a: float
    charge_c: float
    energy_j: float
    lost: int


@dataclass(frozen=True)
class Capture:
    """Samples of one capture. Sample *i* covers ``start_s + i * step_s``; NaN where a sample was lost.

    ``values`` are ampere (``quantity="A"``) or watt (``"W"``, monitors that deliver energy per sample).
    ``voltage_v`` is the supply, 0 where it is not known. ``marks`` are named instants on the same clock.
    ``incomplete`` says why a capture ended early (cable pulled, overload, buffer), empty where it did not.
    """

    start_s: float
    step_s: float
    values: Any
    quantity: Literal["A", "W"] = "A"
    voltage_v: float = 0.0
    marks: tuple[tuple[str, float], ...] = ()
    lost_samples: int = 0
    range_switches: int = 0
    overloads: int = 0
    incomplete: str = ""
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def stop_s(self) -> float:
        """End of the last sample."""
        return self.start_s + len(self.values) * self.step_s

    def energy(self, from_s: float, to_s: float) -> WindowEnergy:
        """Energy between two instants. ToolError when a current capture has no supply voltage."""
        if self.quantity == "A" and self.voltage_v <= 0:
            raise ToolError(
                f"{self.source or 'capture'}: supply voltage is not known, so energy is not; give voltage_v"
            )
        volts = self.voltage_v if self.quantity == "A" else 1.0
        found = integrate(self.start_s, self.step_s, self.values, volts, from_s, to_s)
        if self.quantity == "W":
            charge = found.charge_c / self.voltage_v if self.voltage_v > 0 else float("nan")
            found = replace(found, charge_c=charge)
        return found

    def statistics(self, from_s: float | None = None, to_s: float | None = None) -> Statistics:
        """Statistics between two instants (default: all of it). ToolError when the stretch holds no sample; energy is
        NaN where a current was captured at an unknown supply."""
        import numpy as np

        begin = self.start_s if from_s is None else from_s
        end = self.stop_s if to_s is None else to_s
        volts = 1.0 if self.quantity == "W" else self.voltage_v or float("nan")
        found = integrate(self.start_s, self.step_s, self.values, volts, begin, end)
        low, high = (round((when - self.start_s) / self.step_s) for when in (begin, end))
        piece = np.asarray(self.values[max(0, low) : max(high, low + 1)], dtype=np.float64)
        to_ampere = 1.0
        if self.quantity == "W":
            to_ampere = 1.0 / self.voltage_v if self.voltage_v > 0 else float("nan")
        charge = found.charge_c * to_ampere
        low_a, high_a = float(np.nanmin(piece)) * to_ampere, float(np.nanmax(piece)) * to_ampere
        mean = charge / found.duration_s
        return Statistics(found.duration_s, mean, low_a, high_a, charge, found.energy_j, found.lost)

    def current(self, voltage_v: float = 0.0) -> tuple[Any, float]:
        """(ampere per sample, supply voltage): measured, or power divided by the supply (*voltage_v* if unknown).

        A power capture whose supply nobody knows comes out as at 1 V, so that energy stays right.
        """
        if self.quantity == "A":
            return self.values, self.voltage_v or voltage_v
        volts = self.voltage_v or voltage_v or 1.0
        return self.values / volts, volts

    def summary(self) -> list[str]:
        """What a reader of the record must know of this capture; empty when nothing went wrong."""
        said = list(self.notes)
        if self.lost_samples:
            total = max(len(self.values), 1)
            said.append(f"power monitor: {self.lost_samples} of {total} samples lost ({self.lost_samples / total:.2%})")
        if self.range_switches:
            said.append(f"power monitor: {self.range_switches} range switches")
        if self.overloads:
            said.append(f"power monitor: {self.overloads} samples in overload; energy there is a lower bound")
        if self.incomplete:
            said.append(f"power monitor: capture incomplete: {self.incomplete}")
        return said


def concatenate(captures: list[Capture]) -> tuple[Capture, list[float]]:
    """Captures one after the other on one clock, and the offset each one's own clock got. All of one step and
    quantity."""
    import numpy as np

    if not captures:
        raise ToolError("no capture to put together")
    first = captures[0]
    offsets, position = [], 0
    for one in captures:
        if (one.quantity, one.voltage_v) != (first.quantity, first.voltage_v) or abs(
            one.step_s - first.step_s
        ) > 1e-9 * first.step_s:
            raise ToolError("captures of different rate, quantity or supply cannot be put together")
        offsets.append(first.start_s + position * first.step_s - one.start_s)
        position += len(one.values)
    return (
        replace(
            first,
            values=np.concatenate([one.values for one in captures]),
            marks=tuple((n, t + o) for one, o in zip(captures, offsets, strict=True) for n, t in one.marks),
            lost_samples=sum(one.lost_samples for one in captures),
            range_switches=sum(one.range_switches for one in captures),
            overloads=sum(one.overloads for one in captures),
            incomplete="; ".join(one.incomplete for one in captures if one.incomplete),
        ),
        offsets,
    )
