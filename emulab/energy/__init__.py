"""Energy: power components and states, charge ledger, battery, duty cycle. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.energy.duty import ComputeWindow, DutyCycleResult, simulate_duty_cycle
    from emulab.energy.ledger import Ledger
    from emulab.energy.network import Network, platform_ledger, platform_network
    from emulab.energy.windows import energy_per_inference, window_energy

_HOME = {
    "ComputeWindow": "duty",
    "DutyCycleResult": "duty",
    "Ledger": "ledger",
    "Network": "network",
    "energy_per_inference": "windows",
    "platform_ledger": "network",
    "platform_network": "network",
    "simulate_duty_cycle": "duty",
    "window_energy": "windows",
}

__all__ = [
    "ComputeWindow",
    "DutyCycleResult",
    "Ledger",
    "Network",
    "energy_per_inference",
    "platform_ledger",
    "platform_network",
    "simulate_duty_cycle",
    "window_energy",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"emulab.energy.{_HOME[name]}"), name)
    raise AttributeError(f"module 'emulab.energy' has no attribute {name!r}")
