"""Energy of a measured or emulated window: the board with its MCU running, plus what the profile counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emulab.energy.network import platform_network, require_power
from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable

if TYPE_CHECKING:
    from emulab.energy.network import Network
    from emulab.model.platform import Platform
    from emulab.model.record import WindowRecord
    from emulab.probe.profile import Profile, WindowProfile

FLASH_KINDS = ("flash", "external", "rom")


def _by_kind(platform: Platform, regions: dict[str, int], kinds: tuple[str, ...], inside: bool) -> int:
    memories = platform.soc.memories
    return sum(
        count for name, count in regions.items() if name in memories and (memories[name].kind in kinds) is inside
    )


ARRAY_READS = "_reads"
"""How the memory model's counters of reads of a flash array end; caches and buffers count hits and misses."""


def profile_activity(platform: Platform, profile: Profile) -> dict[str, float]:
    """Counted events of *profile* under the names that ``per_activity`` prices, but for classes of instructions.

    Reads and writes are the core's data accesses, by memory kind; ``flash_array_read`` where a memory model counted.
    """
    reads = {name: region.reads for name, region in profile.regions.items()}
    writes = {name: region.writes for name, region in profile.regions.items()}
    arrays = [count for name, count in profile.misses.items() if name.endswith(ARRAY_READS)]
    counts: dict[str, float] = {
        "cycle": profile.cycles,
        "instruction": profile.instructions,
        "stall_cycle": profile.stall_cycles,
        "flash_read": _by_kind(platform, reads, FLASH_KINDS, True),
        "flash_write": _by_kind(platform, writes, FLASH_KINDS, True),
        "ram_read": _by_kind(platform, reads, FLASH_KINDS, False),
        "ram_write": _by_kind(platform, writes, FLASH_KINDS, False),
        "load": sum(reads.values()),
        "store": sum(writes.values()),
    }
    return counts | ({"flash_array_read": sum(arrays)} if profile.misses else {})


def window_activity(platform: Platform, window: WindowRecord | WindowProfile) -> dict[str, float]:
    """Counted events of a window under the names that ``per_activity`` prices; empty where nothing was counted.

    ``mac`` is multiply-accumulate instructions, counted where the window has instruction classes, its own or those of
    its layers (which are per inference); the others as :func:`profile_activity` says. A record without ``activity``,
    as older ones are, tells cycles, instructions and stalls only.
    """
    profile = getattr(window, "profile", None)
    if profile is not None:
        counts = profile_activity(platform, profile)
    elif getattr(window, "cycles", None):
        counts = {
            "cycle": window.cycles or 0,  # type: ignore[union-attr]
            "instruction": window.instructions or 0,  # type: ignore[union-attr]
            "stall_cycle": window.stall_cycles or 0,  # type: ignore[union-attr]
        } | dict(window.activity)  # type: ignore[union-attr]
    else:
        return {}
    if not counts["cycle"]:
        return {}
    own: dict[str, int] = getattr(window, "instruction_classes", {})
    layers = [row.instruction_classes for row in getattr(window, "layers", []) if row.instruction_classes]
    if own:
        counts["mac"] = own.get("mac", 0)
    elif layers:
        counts["mac"] = sum(row.get("mac", 0) for row in layers) * max(window.inferences, 1)
    return counts


def _idle_fraction(window: WindowRecord | WindowProfile) -> float:
    profile = getattr(window, "profile", None)
    if profile is None or not profile.idle_cycles:
        return 0.0
    return float(profile.idle_cycles / max(profile.cycles + profile.idle_cycles, 1))


def run_currents(network: Network, state: str | None = None) -> dict[str, float]:
    """Share of the supply current per component while the MCU is in *state* (default: running), the rest at rest."""
    power = network.power
    mode = power.run_state if state is None else state
    states = {power.mcu: mode, **power.modes.get(mode, {})}
    return network.supply_currents(
        {name: component.current_a(states.get(name)) for name, component in network.components.items()}
    )


def window_charges(platform: Platform, window: WindowRecord | WindowProfile) -> dict[str, float]:
    """Charge in coulomb per component over the whole window, at the nominal supply."""
    charged = getattr(window, "charge_c", None)
    if charged:
        return dict(charged)
    duration_s = window.stop_s - window.start_s
    activity = window_activity(platform, window)
    power = require_power(platform)
    network = platform_network(platform, counted=[power.mcu] if activity else [])
    idle = _idle_fraction(window)
    charges = {name: current * duration_s * (1 - idle) for name, current in run_currents(network).items()}
    if idle and "sleep" in power.components[power.mcu].states:
        for name, current in run_currents(network, "sleep").items():
            charges[name] += current * duration_s * idle
    if activity:
        core = network.component(power.mcu)
        typical = power.components[power.mcu].states[power.run_state].typical_activity
        cycles = activity["cycle"]
        counts: dict[str, float] = {str(name): share.value * cycles for name, share in typical.items()}
        counts.update(activity)
        extra = core.activity_charge_c(counts, power.run_state)
        charges[power.mcu] += (
            extra
            * network.factors({name: component.current_a() for name, component in network.components.items()})[
                core.schema.supply
            ]
        )
    return charges


def window_energy(platform: Platform, window: WindowRecord | WindowProfile) -> Quantity:
    """Energy of the whole window in joule at the board's nominal supply (divide by ``inferences`` for one).

    Where the backend charged the components as firmware ran (``charge_c``), that; else the MCU running for the window's
    duration plus the counted activity. ``unavailable`` with the reason where the platform has no power data.
    """
    try:
        power = require_power(platform)
    except InputError as error:
        return unavailable("J", str(error))
    if window.stop_s <= window.start_s:
        return unavailable("J", f"window {window.name!r} has no duration")
    charge_c = math.fsum(window_charges(platform, window).values())
    energy_j = charge_c * power.supply_v.value
    counted = "charged as firmware ran" if getattr(window, "charge_c", None) else "run current over the window"
    if window_activity(platform, window) and power.components[power.mcu].states[power.run_state].per_activity:
        counted += " with counted activity"
    run = power.components[power.mcu].states[power.run_state]
    figures = [run.current_a, run.per_hz_a, *(point.current_a for point in run.points)]
    source = next((figure.source for figure in figures if figure and figure.source), "")
    return Quantity(
        value=energy_j,
        unit="J",
        kind="modelled",
        uncertainty=energy_j * power.accuracy.value if power.accuracy else None,
        source=f"{counted} at {power.supply_v.value:g} V" + (f"; {source}" if source else ""),
    )


def energy_per_inference(platform: Platform, window: WindowRecord | WindowProfile) -> Quantity:
    """Energy of one inference in joule: :func:`window_energy` over the window's inferences."""
    whole = window_energy(platform, window)
    if whole.value is None:
        return whole
    n = max(window.inferences, 1)
    return whole.model_copy(
        update={
            "value": whole.value / n,
            "uncertainty": None if whole.uncertainty is None else whole.uncertainty / n,
        }
    )
