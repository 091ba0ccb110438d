"""What every power monitor is to emulab, and the one table of those there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emulab.errors import ToolError
from emulab.lab.capture import Capture
from emulab.plugins import Registry


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
    """A monitor, opened. ``capture`` gives what came between ``start`` and ``stop``, whole or marked incomplete; the
    fourth verb of a bench, statistics, is the capture's own (:meth:`Capture.statistics`)."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def capture(self) -> Capture: ...

    def close(self) -> None: ...


_MONITORS = Registry(
    "emulab.power_monitors",
    {
        "ppk2": "emulab.lab.power.ppk2:Ppk2",
        "lpm01a": "emulab.lab.power.lpm01a:Lpm01a",
        "js220": "emulab.lab.power.joulescope:Js220",
        "otii": "emulab.lab.power.otii:Otii",
        "ina2xx": "emulab.lab.power.ina2xx:Ina2xx",
        "csv": "emulab.lab.power.csv_file:CsvFile",
    },
)
monitor_names = _MONITORS.names


def open_monitor(name: str, options: MonitorOptions) -> PowerMonitor:
    """Open the monitor called *name*. InputError names the closest one; ToolError says why it cannot be opened."""
    try:
        factory = _MONITORS.load(name, f"--power {name}: no such monitor")
    except (ImportError, AttributeError) as error:
        raise ToolError(f"--power {name}: its driver does not load: {error}") from None
    monitor: PowerMonitor = factory(options)
    return monitor
