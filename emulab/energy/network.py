"""The power network of a node: components behind regulators, all fed from one supply.

A regulator turns the current its components draw into a current of the supply: a linear one passes it on, a switching
one passes the power on by its efficiency. Each component is charged its share; what the regulator itself draws is a
component of its own, ``regulator.NAME``, so that the components always sum to the supply side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from emulab.energy.component import Component, interpolate
from emulab.errors import InputError
from emulab.model.power import PowerComponent, PowerState
from emulab.model.quantity import PhysicalNumber

if TYPE_CHECKING:
    from emulab.energy.ledger import Ledger
    from emulab.energy.trace import Trace
    from emulab.model.platform import Platform
    from emulab.model.power import Power, Regulator

QUIESCENT = "regulator."


class Rail:
    """What a regulator makes of the currents behind it."""

    def __init__(self, name: str, schema: Regulator) -> None:
        self.name, self.schema = name, schema
        self.output_v = schema.output_v.value
        self.linear = not schema.efficiency_points
        self._points = [(math.log(p.current_a), p.efficiency.value) for p in schema.efficiency_points]

    def factor(self, load_a: float, supply_v: float) -> float:
        """Supply current per ampere of load, at a total load of *load_a*."""
        if self.schema.kind == "ldo":
            return 1.0
        if self._points:
            lowest, highest = self._points[0], self._points[-1]
            x = math.log(load_a) if load_a > 0 else lowest[0]
            efficiency = interpolate(self._points, min(max(x, lowest[0]), highest[0]))
        else:
            assert self.schema.efficiency is not None
            efficiency = self.schema.efficiency.value
        return self.output_v / (efficiency * supply_v)


class Network:
    """Components by name, the rails they hang on, and the supply voltage.

    ``upstream`` is a further regulator between battery and board (``supply_v`` is then the battery's voltage).
    """

    def __init__(
        self,
        power: Power,
        parts: Mapping[str, PowerComponent] | None = None,
        *,
        clock_hz: float = 0.0,
        supply_v: float | None = None,
        counted: Iterable[str] = (),
        upstream: Regulator | None = None,
    ) -> None:
        self.power = power
        self.nominal_v = power.supply_v.value
        self.supply_v = self.nominal_v if supply_v is None else supply_v
        self.rails = {name: Rail(name, schema) for name, schema in power.regulators.items()}
        self.upstream = Rail("upstream", upstream) if upstream else None
        schemas = {**power.components, **(parts or {})}
        regulators = {**power.regulators, **({"upstream": upstream} if upstream else {})}
        for name, regulator in regulators.items():
            if regulator.quiescent_a:
                schemas[QUIESCENT + name] = PowerComponent(
                    initial="on", states={"on": PowerState(current_a=regulator.quiescent_a)}
                )
        counting = set(counted)
        self.components: dict[str, Component] = {}
        for name, schema in schemas.items():
            rail = self.rails.get(schema.supply) if schema.supply else None
            volts = rail.output_v if rail else self._board_v()
            self.components[name] = Component(
                name,
                schema,
                supply_v=volts,
                clock_hz=clock_hz,
                reference_v=rail.output_v if rail else self.nominal_v,
                counted=name in counting,
            )
        self.members: dict[str, list[Component]] = {rail: [] for rail in self.rails}
        for component in self.components.values():
            if component.schema.supply in self.members:
                self.members[component.schema.supply].append(component)

    def _board_v(self) -> float:
        return self.upstream.output_v if self.upstream else self.supply_v

    @property
    def linear(self) -> bool:
        """Whether each component's share is independent of what the others draw."""
        return all(rail.linear for rail in self.rails.values()) and (self.upstream is None or self.upstream.linear)

    @property
    def voltage_dependent(self) -> bool:
        """Whether the current depends on the supply voltage at all."""
        if self.upstream is not None:
            return self.upstream.schema.kind == "smps"
        if any(rail.schema.kind == "smps" and self.members[name] for name, rail in self.rails.items()):
            return True
        return any(
            state.voltage_exponent != 0.0
            for component in self.components.values()
            if not component.schema.supply
            for state in component.schema.states.values()
        )

    def set_supply(self, supply_v: float) -> None:
        """Change the supply voltage; components straight on the supply follow."""
        if not (math.isfinite(supply_v) and supply_v > 0):
            raise InputError(f"supply voltage must be above 0 V, not {supply_v!r}")
        self.supply_v = supply_v
        for component in self.components.values():
            if not component.schema.supply:
                component.supply_v = self._board_v()

    def component(self, name: str) -> Component:
        """The component called *name*; InputError with the names there are."""
        try:
            return self.components[name]
        except KeyError:
            known = ", ".join(self.components)
            raise InputError(f"no power component {name!r}; components: {known}") from None

    def factors(self, currents: Mapping[str, float]) -> dict[str, float]:
        """Supply ampere per component ampere, per rail name ('' is the board supply)."""
        factors: dict[str, float] = {"": 1.0}
        board = 0.0
        for name, rail in self.rails.items():
            load = 0.0 if rail.linear else math.fsum(currents[c.name] for c in self.members[name])
            factors[name] = rail.factor(load, self._board_v())
        if self.upstream is not None:
            if not self.upstream.linear:
                board = math.fsum(
                    current * factors[self.components[name].schema.supply] for name, current in currents.items()
                )
            gain = self.upstream.factor(board, self.supply_v)
            factors = {name: factor * gain for name, factor in factors.items()}
        return factors

    def supply_currents(self, currents: Mapping[str, float]) -> dict[str, float]:
        """Share of the supply current per component, from the currents at their own supplies."""
        factors = self.factors(currents)
        return {
            name: current * (1.0 if name == QUIESCENT + "upstream" else factors[self.components[name].schema.supply])
            for name, current in currents.items()
        }


def require_power(platform: Platform) -> Power:
    """The power side of a platform; InputError where the platform describes none."""
    if platform.power is None or not platform.power.components:
        raise InputError(
            f"platform {platform.name!r} describes no power components; add a `power:` section (see platforms/power/)"
        )
    return platform.power


def platform_network(
    platform: Platform,
    parts: Mapping[str, PowerComponent] | None = None,
    *,
    clock_hz: float | None = None,
    supply_v: float | None = None,
    counted: Iterable[str] = (),
    upstream: Regulator | None = None,
) -> Network:
    """The network of a platform with its board's parts and further *parts* at a core clock (default: the board's)."""
    from emulab.energy.parts import board_parts

    power = require_power(platform)
    return Network(
        power,
        {**board_parts(platform), **(parts or {})},
        clock_hz=platform.board.clock_hz if clock_hz is None else clock_hz,
        supply_v=supply_v,
        counted=counted,
        upstream=upstream,
    )


def platform_ledger(
    platform: Platform, *, counted: Iterable[str] = (), trace: Trace | None = None, time_s: float = 0.0
) -> Ledger:
    """The ledger of a platform, for whoever drives its components (see :class:`emulab.energy.ledger.Ledger`)."""
    from emulab.energy.ledger import Ledger

    return Ledger(platform_network(platform, counted=counted), time_s=time_s, trace=trace)


def number(value: float, unit: str, source: str = "") -> PhysicalNumber:
    """A physical number made by code: with *source*, else assumed."""
    return PhysicalNumber(value=value, unit=unit, source=source, assumed=not source)
