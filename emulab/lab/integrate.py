"""Energy between two instants of a current trace, with what is missing counted and never filled with zeros."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from emulab.errors import ToolError


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """Charge and energy of a window.

    Lost buckets count at the mean of those that came (``coverage``: which part came); ``uncertainty_j`` holds the
    error of that and of the window's ends, one bucket at each end (rectangular distribution).
    """

    energy_j: float
    charge_c: float
    duration_s: float
    coverage: float
    lost: int
    uncertainty_j: float


def integrate(
    start_s: float, step_s: float, current_a: Any, voltage_v: float, from_s: float, to_s: float
) -> WindowEnergy:
    """Integrate *current_a* (ampere per bucket, NaN where lost) at *voltage_v* from *from_s* to *to_s*.

    Bucket *i* covers ``start_s + i * step_s`` for ``step_s``; buckets at the ends count in part. Raises ToolError when
    the window is empty, lies outside of the trace, or nothing of it was captured.
    """
    import numpy as np

    values = np.asarray(current_a, dtype=np.float64)
    if not (math.isfinite(from_s) and math.isfinite(to_s)) or to_s <= from_s:
        raise ToolError(f"power trace: the window from {from_s:g} s to {to_s:g} s is empty")
    first, last = (from_s - start_s) / step_s, (to_s - start_s) / step_s
    slack = 1.0 + 1e-9 * abs(last)
    if first < -slack or last > len(values) + slack:
        raise ToolError(
            f"power trace: the window from {from_s:g} s to {to_s:g} s lies outside of the trace, which covers "
            f"{start_s:g} s to {start_s + len(values) * step_s:g} s"
        )
    first, last = max(first, 0.0), min(last, float(len(values)))
    low, high = math.floor(first), min(math.ceil(last), len(values))
    piece = values[low:high]
    weight = np.ones(len(piece))
    if len(piece):
        weight[0] -= first - low
        weight[-1] -= high - last
    present = np.isfinite(piece)
    covered = float(weight[present].sum())
    if covered <= 0:
        raise ToolError(f"power trace: nothing was captured from {from_s:g} s to {to_s:g} s")
    mean = float((piece[present] * weight[present]).sum() / covered)
    duration = to_s - from_s
    charge = mean * duration
    spread = float(piece[present].std()) if present.sum() > 1 else 0.0
    missing = 1.0 - covered / float(weight.sum())
    # What is missing is known to the spread of a single bucket over the root of their number; each end to a bucket.
    lost = int((~present).sum())
    error_lost = spread * step_s * math.sqrt(lost)
    error_ends = abs(mean) * step_s / math.sqrt(6.0)
    return WindowEnergy(
        energy_j=charge * voltage_v,
        charge_c=charge,
        duration_s=duration,
        coverage=1.0 - missing,
        lost=lost,
        uncertainty_j=math.hypot(error_lost, error_ends) * voltage_v,
    )
