"""Schema of power: components with states and transitions, regulators, and parts that boards and scenarios share.

A component is in one state at a time. The current a state draws from the component's supply is

    (current_a + per_hz_a * clock_hz + points(clock_hz) + sum(per_activity[k] * rate_k))
        * (supply_v / at_v) ** voltage_exponent

where ``rate_k`` are events per second: counted by a profile, or ``typical_activity[k] * clock_hz`` where nobody
counted. A transition takes time and charge. Every number has its source.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from emulab.model.base import Schema
from emulab.model.quantity import PhysicalNumber

Activity = Literal[
    "instruction",
    "cycle",
    "stall_cycle",
    "flash_read",
    "flash_array_read",
    "flash_write",
    "ram_read",
    "ram_write",
    "load",
    "store",
    "mac",
    "branch",
]
"""Events a window profile can count; ``per_activity`` prices them in coulomb per event.

Reads and writes of a memory are the core's data accesses; ``flash_array_read`` is a read of the flash array behind its
buffers and caches, code or data, one width of the array (16 bytes on STM32U5, 32 on STM32L4+).
"""


class ClockPoint(Schema):
    """Current at one clock, as data sheets tabulate it; interpolated linearly, extrapolated by the end slopes."""

    clock_hz: float = Field(gt=0)
    current_a: PhysicalNumber


class PowerState(Schema):
    """Current drawn in one state of a component."""

    current_a: PhysicalNumber | None = None
    per_hz_a: PhysicalNumber | None = Field(default=None, description="ampere per hertz of the component's clock")
    points: list[ClockPoint] = Field(default=[], description="current at clock points, interpolated linearly")
    per_activity: dict[Activity, PhysicalNumber] = Field(
        default={}, description="charge in coulomb per event: flash_read, ram_read, instruction, ..."
    )
    typical_activity: dict[Activity, PhysicalNumber] = Field(
        default={}, description="events per clock cycle, used where nothing counted them"
    )
    voltage_exponent: float = Field(
        default=0.0,
        ge=-2,
        le=3,
        description="how the current follows the supply: 0 linear regulator, -1 DC/DC (constant power), 1 resistive",
    )
    at_v: float | None = Field(
        default=None, gt=0, description="supply at which the figures hold; default: the platform's supply_v"
    )
    description: str = ""

    @model_validator(mode="after")
    def _check(self) -> PowerState:
        clocks = [point.clock_hz for point in self.points]
        if clocks != sorted(set(clocks)):
            raise ValueError("`points` must be in order of rising clock_hz, each clock once")
        unpriced = sorted(set(self.typical_activity) - set(self.per_activity))
        if unpriced:
            raise ValueError(f"typical_activity names {unpriced[0]!r}, which per_activity does not price")
        return self


class PowerTransition(Schema):
    """Cost of going from one state to another; ``*`` stands for any state, the most specific entry counts."""

    from_state: str = Field(alias="from")
    to_state: str = Field(alias="to")
    time_s: PhysicalNumber
    charge_c: PhysicalNumber | None = Field(
        default=None, description="charge over the whole transition; default: the current of the state entered"
    )


class UseStep(Schema):
    """One step of a use: a state for ``time_s + s_per_byte * bytes + s_per_sample * samples`` seconds."""

    state: str
    time_s: PhysicalNumber | None = None
    s_per_byte: PhysicalNumber | None = None
    s_per_sample: PhysicalNumber | None = None


class Use(Schema):
    """Something a duty cycle can have a component do (``use: radio.advertise``): steps, then back to where it was."""

    steps: list[UseStep] = Field(min_length=1)
    repeat: int = Field(default=1, ge=1, description="how often the steps are done, e.g. 3 advertising channels")
    lead: list[UseStep] = Field(default=[], description="steps done once, before")
    tail: list[UseStep] = Field(default=[], description="steps done once, after")
    mcu: str = Field(default="", description="MCU mode meanwhile; empty: as it is")
    then: str = Field(default="", description="state afterwards; empty: the state before")
    description: str = ""


class PowerComponent(Schema):
    """One consumer: the core in its modes, flash, a peripheral, a sensor, a radio, leakage."""

    initial: str
    states: dict[str, PowerState] = Field(min_length=1)
    transitions: list[PowerTransition] = []
    supply: str = Field(
        default="", description="name of the regulator that feeds it; empty: straight from the board supply"
    )
    active: str = Field(
        default="", description="state a plain `use` puts it in; default: `active`, else the only state not initial"
    )
    s_per_byte: PhysicalNumber | None = Field(default=None, description="time a plain `use` takes per byte")
    s_per_sample: PhysicalNumber | None = Field(default=None, description="time a plain `use` takes per sample")
    uses: dict[str, Use] = {}
    description: str = ""

    @model_validator(mode="after")
    def _check(self) -> PowerComponent:
        named = [("initial", self.initial), *(("active", s) for s in [self.active] if s)]
        for transition in self.transitions:
            named += [("transitions.from", transition.from_state), ("transitions.to", transition.to_state)]
        for name, use in self.uses.items():
            named += [(f"uses.{name}", step.state) for step in (*use.lead, *use.steps, *use.tail)]
            named += [(f"uses.{name}.then", use.then)] if use.then else []
        for place, state in named:
            if state not in self.states and not (state == "*" and place.startswith("transitions")):
                raise ValueError(f"{place}: no state {state!r}; states: {', '.join(self.states)}")
        return self

    @property
    def active_state(self) -> str:
        """State a plain ``use`` puts the component in; empty where it cannot be told."""
        if self.active:
            return self.active
        if "active" in self.states:
            return "active"
        others = [state for state in self.states if state != self.initial]
        return others[0] if len(others) == 1 else ""


class EfficiencyPoint(Schema):
    """Efficiency of a converter at one load."""

    current_a: float = Field(gt=0, description="output current")
    efficiency: PhysicalNumber


class Regulator(Schema):
    """A converter between supply and components. An LDO passes current; an SMPS passes power by its efficiency."""

    kind: Literal["ldo", "smps"] = "ldo"
    output_v: PhysicalNumber
    efficiency: PhysicalNumber | None = Field(default=None, description="of an SMPS, 0 to 1, at any load")
    efficiency_points: list[EfficiencyPoint] = Field(
        default=[], description="of an SMPS against load; interpolated over the logarithm of the current"
    )
    quiescent_a: PhysicalNumber | None = None
    dropout_v: PhysicalNumber | None = Field(default=None, description="least input minus output of an LDO")

    @model_validator(mode="after")
    def _check(self) -> Regulator:
        if self.kind == "smps" and self.efficiency is None and not self.efficiency_points:
            raise ValueError("an smps needs `efficiency` or `efficiency_points`")
        if self.output_v.value <= 0:
            raise ValueError(f"output_v must be above 0, not {self.output_v.value:g}")
        for name in ("quiescent_a", "dropout_v"):
            given: PhysicalNumber | None = getattr(self, name)
            if given is not None and given.value < 0:
                raise ValueError(f"{name} must be at least 0, not {given.value:g}")
        if self.kind == "ldo" and (self.efficiency is not None or self.efficiency_points):
            raise ValueError("an ldo has no efficiency: it passes the current")
        loads = [point.current_a for point in self.efficiency_points]
        if loads != sorted(set(loads)):
            raise ValueError("`efficiency_points` must be in order of rising current_a")
        figures = [p.efficiency.value for p in self.efficiency_points]
        figures += [self.efficiency.value] if self.efficiency else []
        if any(not 0 < figure <= 1 for figure in figures):
            raise ValueError("efficiency must be above 0 and at most 1")
        return self


class DeepSleep(Schema):
    """Which MCU state a deep sleep is: a field of a register that firmware sets before it waits for an interrupt."""

    register_address: int = Field(ge=0)
    mask: int = Field(gt=0, description="bits of the register that count; the lowest of them is bit 0 of the value")
    states: dict[int, str] = Field(description="value of the field -> MCU state; any other value: sleep_state")
    source: str = ""


class Power(Schema):
    """The power side of a platform."""

    supply_v: PhysicalNumber
    minimum_v: PhysicalNumber | None = Field(default=None, description="supply below which the board browns out")
    maximum_v: PhysicalNumber | None = Field(default=None, description="supply that the board still bears")
    restart_v: PhysicalNumber | None = Field(
        default=None, description="supply at which it starts again; default: minimum_v"
    )
    mcu: str = Field(default="core", description="component that `run`, `state` and `sleep` drive")
    run_state: str = Field(default="run", description="state of the MCU while it executes a window")
    sleep_state: str = Field(default="", description="MCU state between jobs, where a duty cycle does not say")
    deep_sleep: DeepSleep | None = Field(
        default=None, description="how firmware chooses its deep sleep; none: sleep_state"
    )
    modes: dict[str, dict[str, str]] = Field(
        default={}, description="MCU state -> states of further components that go with it"
    )
    components: dict[str, PowerComponent] = {}
    regulators: dict[str, Regulator] = {}
    accuracy: PhysicalNumber | None = Field(
        default=None, description="relative standard deviation of modelled energy, where it was checked"
    )

    @model_validator(mode="after")
    def _check(self) -> Power:
        for name, component in self.components.items():
            if component.supply and component.supply not in self.regulators:
                raise ValueError(f"components.{name}.supply: no regulator {component.supply!r}")
        if self.minimum_v and self.maximum_v and self.minimum_v.value >= self.maximum_v.value:
            raise ValueError("minimum_v must be below maximum_v")
        if not self.components:
            return self
        if self.mcu not in self.components:
            raise ValueError(f"mcu: no component {self.mcu!r}; components: {', '.join(self.components)}")
        if self.run_state not in self.components[self.mcu].states:
            raise ValueError(f"run_state: {self.mcu!r} has no state {self.run_state!r}")
        if self.sleep_state and self.sleep_state not in self.components[self.mcu].states:
            raise ValueError(f"sleep_state: {self.mcu!r} has no state {self.sleep_state!r}")
        for state in self.deep_sleep.states.values() if self.deep_sleep else ():
            if state not in self.components[self.mcu].states:
                raise ValueError(f"deep_sleep.states: {self.mcu!r} has no state {state!r}")
        for mode, states in self.modes.items():
            if mode not in self.components[self.mcu].states:
                raise ValueError(f"modes: {self.mcu!r} has no state {mode!r}")
            for name, state in states.items():
                if name not in self.components or state not in self.components[name].states:
                    raise ValueError(f"modes.{mode}.{name}: no such component or state {state!r}")
        return self


class VoltagePoint(Schema):
    """Open-circuit voltage (and internal resistance) at a depth of discharge, 0 full to 1 empty."""

    depth: float = Field(ge=0, le=1)
    voltage_v: float = Field(gt=0)
    resistance_ohm: float | None = Field(default=None, ge=0)


class LoadPoint(Schema):
    """Share of the nominal capacity that a cell delivers at a constant load."""

    current_a: float = Field(gt=0)
    fraction: float = Field(gt=0, le=1.2)


class TemperaturePoint(Schema):
    """Share of the capacity, and factor on the internal resistance, at a temperature."""

    temperature_degc: float
    fraction: float = Field(gt=0, le=1.2)
    resistance_factor: float = Field(default=1.0, gt=0)


class Cell(Schema):
    """An energy store: a primary or rechargeable cell, or a supercapacitor (``capacitance_f``)."""

    capacity_c: PhysicalNumber | None = Field(default=None, description="nominal capacity in coulomb (1 mAh = 3.6 C)")
    capacitance_f: PhysicalNumber | None = None
    full_v: PhysicalNumber | None = Field(default=None, description="of a supercapacitor: rated (full) voltage")
    leakage_ohm: PhysicalNumber | None = Field(default=None, description="of a supercapacitor: parallel resistance")
    resistance_ohm: PhysicalNumber | None = Field(default=None, description="internal resistance")
    cut_off_v: PhysicalNumber | None = None
    voltage: list[VoltagePoint] = Field(default=[], description="open-circuit voltage against depth of discharge")
    load: list[LoadPoint] = []
    temperature: list[TemperaturePoint] = []
    self_discharge_per_year: PhysicalNumber | None = Field(
        default=None, description="share of the remaining charge lost per year"
    )
    rechargeable: bool = False
    voltage_source: str = Field(default="", description="where the curves come from")

    @model_validator(mode="after")
    def _check(self) -> Cell:
        if (self.capacity_c is None) == (self.capacitance_f is None):
            raise ValueError("give exactly one of capacity_c (a cell) and capacitance_f (a supercapacitor)")
        if self.capacitance_f is not None and self.full_v is None:
            raise ValueError("a supercapacitor needs full_v")
        for name in ("capacity_c", "capacitance_f", "full_v", "leakage_ohm"):
            given: PhysicalNumber | None = getattr(self, name)
            if given is not None and given.value <= 0:
                raise ValueError(f"{name} must be above 0, not {given.value:g}")
        for name in ("resistance_ohm", "cut_off_v", "self_discharge_per_year"):
            given = getattr(self, name)
            if given is not None and given.value < 0:
                raise ValueError(f"{name} must be at least 0, not {given.value:g}")
        if self.self_discharge_per_year is not None and self.self_discharge_per_year.value >= 1:
            raise ValueError("self_discharge_per_year must be below 1: it is the share lost in a year")
        if self.capacity_c is not None:
            depths = [point.depth for point in self.voltage]
            if len(depths) < 2 or depths != sorted(set(depths)) or depths[0] != 0 or depths[-1] != 1:
                raise ValueError("`voltage` needs points of rising depth from 0 to 1")
        if (self.load or self.temperature or self.voltage) and not self.voltage_source:
            raise ValueError("curves need `voltage_source:` (document and figure, or `assumed`)")
        return self


class Part(Schema):
    """A sensor, radio, LED, store or converter that boards and scenarios share: ``platforms/parts/NAME.yaml``."""

    schema_version: Literal[1] = 1
    name: str
    title: str = ""
    kind: Literal["sensor", "radio", "led", "battery", "harvester", "other"] = "other"
    component: PowerComponent | None = None
    cell: Cell | None = None
    source: str = ""

    @model_validator(mode="after")
    def _check(self) -> Part:
        if (self.component is None) == (self.cell is None):
            raise ValueError("give exactly one of `component` and `cell`")
        return self
