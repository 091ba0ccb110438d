"""Schema of power: components, their states and transitions.

A component is in one state at a time. The current of a state is
``current_a + per_hz_a * clock_hz + per_activity[name] * rate`` at the component's supply; a transition takes
time and charge. All of it with source.
"""

from __future__ import annotations

from pydantic import Field

from emulab.model.base import Schema
from emulab.model.quantity import PhysicalNumber


class PowerState(Schema):
    """Current drawn in one state of a component."""

    current_a: PhysicalNumber | None = None
    per_hz_a: PhysicalNumber | None = Field(
        default=None, description="ampere per hertz of the component's clock"
    )
    per_activity: dict[str, PhysicalNumber] = Field(
        default={}, description="charge in coulomb per event: flash_read, sram_access, instruction, ..."
    )


class PowerTransition(Schema):
    """Cost of going from one state to another."""

    from_state: str = Field(alias="from")
    to_state: str = Field(alias="to")
    time_s: PhysicalNumber
    charge_c: PhysicalNumber | None = None


class PowerComponent(Schema):
    """One consumer: the core in its modes, flash, a peripheral, a sensor, a radio, leakage."""

    initial: str
    states: dict[str, PowerState]
    transitions: list[PowerTransition] = []
    supply: str = Field(
        default="", description="name of the regulator that feeds it; empty: straight from the board supply"
    )


class Regulator(Schema):
    """A converter between supply and components. An LDO passes current; an SMPS passes power by its efficiency."""

    kind: str = "ldo"
    output_v: PhysicalNumber
    efficiency: PhysicalNumber | None = None
    quiescent_a: PhysicalNumber | None = None


class Power(Schema):
    """The power side of a platform."""

    supply_v: PhysicalNumber
    components: dict[str, PowerComponent] = {}
    regulators: dict[str, Regulator] = {}
