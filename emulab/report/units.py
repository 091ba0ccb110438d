"""Human units, for printing only; inside emulab everything is SI."""

from __future__ import annotations

from emulab.compare.units import DAY_S, SHARES, YEAR_S, duration, engineering
from emulab.model.quantity import Quantity

__all__ = ["DAY_S", "YEAR_S", "duration", "engineering", "show", "size"]


def size(value: float) -> str:
    """Bytes with binary prefixes as linkers count them."""
    if value < 1024:
        return f"{value:.0f} B"
    if value < 1024 * 1024:
        return f"{value / 1024:.1f} KB"
    return f"{value / 1024 / 1024:.2f} MB"


def show(metric: str, quantity: Quantity) -> str:
    """A metric's value for a table; a dash where there is none."""
    value = quantity.value
    if value is None:
        return "–"
    if metric == "false_accepts_per_s":
        return f"{value * 3600:.4g} / h"
    if metric == "real_time_margin":
        return f"{value:.3g} x"
    if metric.startswith(SHARES):
        return f"{value * 100:.1f} %"
    if metric.startswith("auc"):
        return f"{value:.3f}"
    if metric.endswith("battery_life_s"):
        return duration(value)
    if quantity.unit == "B":
        return size(value)
    if quantity.unit in ("cycle", "instruction"):
        return engineering(value, "").strip() if value >= 1e4 else f"{value:.0f}"
    if quantity.unit == "1":
        return f"{value:.4g}"
    return engineering(value, quantity.unit)
