"""Parts on the board's buses: sensors that answer as the data sheet says. One part per file, found by its name.

A board (or an overlay) names them in ``board.parts``::

    accelerometer: {part: lis2dh12, bus: spi1, select: PE0, interrupt: PE1}

``part`` is both the model here and the power component in ``platforms/parts``; ``signal`` says what it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine


class SpiDevice(Protocol):
    """A slave on an SPI: selected, exchanges frames, deselected."""

    def select(self) -> None: ...

    def deselect(self) -> None: ...

    def exchange(self, sent: int, bits: int) -> int:
        """Take the master's frame, give the slave's."""


SpiFactory = Callable[["Machine", str, dict[str, Any]], SpiDevice]


def _models() -> dict[str, SpiFactory]:
    from emulab.backends.unicorn.parts.lis2dh12 import Lis2dh12

    return {"lis2dh12": Lis2dh12}


def make_spi_devices(machine: Machine, bus: str) -> dict[str, SpiDevice]:
    """Devices of the board's parts on *bus*, by chip-select pin (``PE0``). InputError names the part that is wrong."""
    devices: dict[str, SpiDevice] = {}
    for name, entry in machine.platform.board.parts.items():
        if entry.get("bus") != bus:
            continue
        place = f"platform {machine.platform.name!r}: board.parts.{name}"
        models = _models()
        if entry.get("part") not in models:
            raise InputError(f"{place}: no model of part {entry.get('part')!r}; models: {', '.join(models)}")
        pin = str(entry.get("select", "")).upper()
        if not pin:
            raise InputError(f"{place}: a part on an SPI needs `select:`, its chip-select pin")
        if pin in devices:
            raise InputError(f"{place}: pin {pin} already selects another part")
        devices[pin] = models[str(entry["part"])](machine, name, entry)
    return devices


def drive_pin(machine: Machine, pin: str, level: bool) -> None:
    """The part drives *pin* (``PE1``) of the processor; nothing happens where the machine has no such port."""
    for peripheral in machine.peripherals.values():
        drive = getattr(peripheral, "drive", None)
        if drive is not None and getattr(peripheral, "port", "") == pin[1:2]:
            drive(int(pin[2:]), level)
