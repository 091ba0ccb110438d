"""What every power monitor is to emulab, and the one table of those there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emulab.errors import InputError, ToolError
from emulab.lab.capture import Capture


@dataclass(frozen=True)
class MonitorOptions:
    """What a monitor is opened with. ``address`` is what follows the colon of ``--power NAME:ADDRESS``."""

    address: str = ""
    voltage_v: float = 0.0
    """Supply voltage: set where the monitor supplies the board, taken for energy where it only measures current."""
    pin: int = 0
    """Logic input that watches the board's timestamp pin."""
    source: bool = True
    """The monitor supplies the board (source meter); False: it sits in the supply (ampere meter)."""
    clock: Callable[[], float] | None = None
    """The session's clock, so that captures are on it."""
    extra: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class PowerMonitor(Protocol):
    """A monitor, opened. ``capture`` gives what came between ``start`` and ``stop``, whole or marked incomplete."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def capture(self) -> Capture: ...

    def close(self) -> None: ...


MONITORS = {
    "ppk2": "emulab.lab.power.ppk2:Ppk2",
    "lpm01a": "emulab.lab.power.lpm01a:Lpm01a",
    "js220": "emulab.lab.power.joulescope:Js220",
    "otii": "emulab.lab.power.otii:Otii",
    "ina2xx": "emulab.lab.power.ina2xx:Ina2xx",
    "csv": "emulab.lab.power.csv_file:CsvFile",
}


def monitor_names() -> dict[str, str]:
    """Name -> ``module:class`` of all monitors, built in and from entry points ``emulab.power_monitors``."""
    from importlib.metadata import entry_points

    return {**MONITORS, **{point.name: point.value for point in entry_points(group="emulab.power_monitors")}}


def open_monitor(name: str, options: MonitorOptions) -> PowerMonitor:
    """Open the monitor called *name*. InputError names the closest one; ToolError says why it cannot be opened."""
    import difflib
    from importlib import import_module

    names = monitor_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(names))}"
        raise InputError(f"--power {name}: no such monitor; {hint}")
    module, _, attribute = names[name].partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ToolError(f"--power {name}: its driver does not load: {error}") from None
    monitor: PowerMonitor = factory(options)
    return monitor
