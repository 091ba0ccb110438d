"""The MLPerf Tiny DUT protocol: host client, measurement procedures, interface board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.dut.client import DutClient, DutError, DutReset, InferResult
    from emulab.dut.energy_mode import EnergyResult, energy
    from emulab.dut.procedures import (
        AccuracyOutput,
        AccuracySample,
        MeasuredWindow,
        PerformanceResult,
        accuracy,
        performance,
    )

_WHERE = {
    **dict.fromkeys(("DutClient", "DutError", "DutReset", "InferResult"), "client"),
    **dict.fromkeys(("EnergyResult", "energy"), "energy_mode"),
    **dict.fromkeys(
        ("AccuracyOutput", "AccuracySample", "MeasuredWindow", "PerformanceResult", "accuracy", "performance"),
        "procedures",
    ),
}

__all__ = [
    "AccuracyOutput",
    "AccuracySample",
    "DutClient",
    "DutError",
    "DutReset",
    "EnergyResult",
    "InferResult",
    "MeasuredWindow",
    "PerformanceResult",
    "accuracy",
    "energy",
    "performance",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"emulab.dut.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
