"""Human units that comparisons and reports share; inside emulab everything is SI."""

from __future__ import annotations

SHARES = ("accuracy", "agreement", "stall_share", "busy_share", "false_reject_rate")
"""Beginnings of the metrics that are parts of one and read as percent."""
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
DAY_S = 86400.0
YEAR_S = 365.25 * DAY_S


def engineering(value: float, unit: str, digits: int = 4) -> str:
    """``0.01234, 's'`` -> ``12.34 ms``."""
    if value == 0:
        return f"0 {unit}".strip()
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor * 0.99999:
            return f"{value / factor:.{digits}g} {prefix}{unit}".strip()
    return f"{value:.{digits}g} {unit}".strip()


def duration(value: float) -> str:
    """Seconds as a person would say them."""
    if value >= 2 * YEAR_S:
        return f"{value / YEAR_S:.1f} years"
    if value >= 2 * DAY_S:
        return f"{value / DAY_S:.{1 if value < 9.95 * DAY_S else 0}f} days"
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    return engineering(value, "s")
