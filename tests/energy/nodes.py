"""Small nodes for the tests of the energy room: a platform made of a dictionary, and shorthands."""

from __future__ import annotations

from typing import Any

from emulab.model.dutycycle import DutyCycle
from emulab.model.platform import Platform


def n(value: float, unit: str = "A") -> dict[str, Any]:
    return {"value": value, "unit": unit, "assumed": True}


def platform(power: dict[str, Any] | None = None, clock_hz: float = 1e6) -> Platform:
    """A platform with an MCU (run 10 mA, sleep 2 uA, 1 ms wake-up of 5 uC) and a radio, unless *power* says other."""
    return Platform.model_validate(
        {
            "core": {"name": "c", "isa": "armv7e-m", "timing": {"model": "cortex-m4"}},
            "soc": {
                "name": "s",
                "memories": {
                    "flash": {"base": 0, "size_bytes": 1024, "kind": "flash"},
                    "ram": {"base": 0x20000000, "size_bytes": 1024, "kind": "ram"},
                },
            },
            "board": {"name": "toy", "clock_hz": clock_hz, "console": {"peripheral": "uart"}},
            "power": power or toy_power(),
        }
    )


def toy_power(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "supply_v": n(3.0, "V"),
        "sleep_state": "sleep",
        "components": {
            "core": {
                "initial": "run",
                "states": {"run": {"current_a": n(10e-3)}, "sleep": {"current_a": n(2e-6)}},
                "transitions": [
                    {"from": "sleep", "to": "run", "time_s": n(1e-3, "s"), "charge_c": n(5e-6, "C")},
                ],
            },
            "radio": {
                "initial": "off",
                "states": {"off": {}, "rx": {"current_a": n(6e-3)}, "tx": {"current_a": n(20e-3)}},
                "active": "tx",
                "s_per_byte": n(8e-6, "s"),
                "uses": {
                    "beacon": {
                        "steps": [{"state": "rx", "time_s": n(1e-4, "s")}, {"state": "tx", "s_per_byte": n(8e-6, "s")}],
                        "repeat": 3,
                    }
                },
            },
        },
    }
    return {**base, **changes}


def cycle(**keys: Any) -> DutyCycle:
    return DutyCycle.model_validate(
        {"period_s": 10.0, "phases": [{"name": "work", "duration_s": 0.1}], "sleep": "sleep", **keys}
    )


def cell(**keys: Any) -> dict[str, Any]:
    """A custom battery of 1000 C with a flat 3 V, unless *keys* say other."""
    return {
        "type": "custom",
        "parameters": {
            "capacity_c": n(1000.0, "C"),
            "voltage": [{"depth": 0, "voltage_v": 3.0}, {"depth": 1, "voltage_v": 3.0}],
            "voltage_source": "assumed",
            **keys,
        },
    }
