"""Parts on the board's buses: sensors that answer as the data sheet says. One part per file, found by its name.

A board (or an overlay) names them in ``board.parts``::

    accelerometer: {part: lis2dh12, bus: spi1, select: PE0, interrupt: PE1}
    radio: {part: nrf52840-radio, bus: usart3}

``part`` is both the model here and the power component in ``platforms/parts``; ``signal`` says what it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine


class SpiDevice(Protocol):
    """A slave on an SPI: selected, exchanges frames, deselected."""

    @property
    def only_answers(self) -> bool:
        """The next frame does nothing but give its answer: no pin, no power state, no event comes of it."""

    def select(self) -> None: ...

    def deselect(self) -> None: ...

    def exchange(self, sent: int, bits: int) -> int:
        """Take the master's frame, give the slave's."""


class I2cDevice(Protocol):
    """A target on an I2C bus: addressed, takes or gives bytes, until the stop."""

    def start(self, reading: bool) -> bool:
        """A start or repeated start with its address; False: not acknowledged."""

    def put(self, byte: int) -> bool:
        """Take a byte; False: not acknowledged."""

    def get(self) -> int: ...

    def stop(self) -> None: ...


class SerialDevice(Protocol):
    """Whatever is at the other end of a UART."""

    def received(self, byte: int) -> None:
        """A byte of the processor is complete."""


def _models(kind: str) -> dict[str, Callable[..., Any]]:
    from emulab.backends.unicorn.parts.hci import HciController
    from emulab.backends.unicorn.parts.lis2dh12 import Lis2dh12

    models: dict[str, dict[str, Callable[..., Any]]] = {
        "spi": {"lis2dh12": Lis2dh12},
        "i2c": {"lis2dh12": Lis2dh12},
        "uart": {"nrf52840-radio": HciController},
    }
    return models[kind]


def _entries(machine: Machine, bus: str, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(place, name, entry) of the board's parts on *bus*; InputError for a part without a model for that kind of bus."""
    for name, entry in machine.platform.board.parts.items():
        if entry.get("bus") != bus:
            continue
        place = f"platform {machine.platform.name!r}: board.parts.{name}"
        models = _models(kind)
        if entry.get("part") not in models:
            raise InputError(f"{place}: no model of part {entry.get('part')!r} on {bus}; models: {', '.join(models)}")
        yield place, name, entry


def make_spi_devices(machine: Machine, bus: str) -> dict[str, SpiDevice]:
    """Devices of the board's parts on *bus*, by chip-select pin (``PE0``). InputError names the part that is wrong."""
    devices: dict[str, SpiDevice] = {}
    for place, name, entry in _entries(machine, bus, "spi"):
        pin = str(entry.get("select", "")).upper()
        if not pin:
            raise InputError(f"{place}: a part on an SPI needs `select:`, its chip-select pin")
        if pin in devices:
            raise InputError(f"{place}: pin {pin} already selects another part")
        devices[pin] = _models("spi")[entry["part"]](machine, name, entry)
    return devices


class SpiSlaves:
    """The board's parts on one SPI; ``selected`` is the one whose chip-select pin firmware holds low."""

    def __init__(self, machine: Machine, bus: str, catch_up: Callable[[], None] | None = None) -> None:
        self.by_pin = make_spi_devices(machine, bus)
        self.selected: SpiDevice | None = None
        self._catch_up = catch_up
        if self.by_pin:
            machine.pin_listeners.append(self._pin)

    def _pin(self, pin: str, _time_s: float, level: bool) -> None:
        device = self.by_pin.get(pin.upper())
        if device is None:
            return
        if self._catch_up is not None:
            self._catch_up()
        if not level:
            self.selected = device
            device.select()
        elif self.selected is device:
            device.deselect()
            self.selected = None


def make_i2c_devices(machine: Machine, bus: str) -> dict[int, I2cDevice]:
    """Devices of the board's parts on *bus*, by 7-bit address."""
    devices: dict[int, I2cDevice] = {}
    for place, name, entry in _entries(machine, bus, "i2c"):
        address = entry.get("address")
        if not isinstance(address, int) or not 0x08 <= address <= 0x77:
            raise InputError(f"{place}: a part on an I2C bus needs `address:`, 0x08 to 0x77")
        if address in devices:
            raise InputError(f"{place}: address {address:#04x} is already taken")
        devices[address] = _models("i2c")[entry["part"]](machine, name, entry)
    return devices


def make_serial_device(machine: Machine, port: str) -> SerialDevice | None:
    """What the board's parts put at the other end of UART *port*; None where there is nothing."""
    found = list(_entries(machine, port, "uart"))
    if len(found) > 1:
        raise InputError(f"{found[1][0]}: {found[0][1]!r} is already on {port}")
    for _, name, entry in found:
        device: SerialDevice = _models("uart")[entry["part"]](machine, name, entry)
        return device
    return None


def drive_pin(machine: Machine, pin: str, level: bool) -> None:
    """The part drives *pin* (``PE1``, ``P0.09``, ``gpio0.9``); nothing happens where the machine has no such pin."""
    for peripheral in machine.peripherals.values():
        drive = getattr(peripheral, "drive_pin", None)
        if drive is not None and drive(pin.upper(), level):
            return
