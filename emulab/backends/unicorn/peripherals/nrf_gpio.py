# ruff: noqa: RUF012  (register tables are constants)
"""Nordic nRF52 pins: GPIO and GPIOTE. nRF52840 Product Specification v1.7, 6.9 and 6.10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from emulab.backends.unicorn.peripherals.base import RegisterFile, register
from emulab.backends.unicorn.peripherals.nrf import NrfPeripheral

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec


@register("nrf-gpio")
class NrfGpio(RegisterFile):
    """Ports P0 and P1; inputs read what the board drives (``board.inputs``), else their pull, else low."""

    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        f"{key}_{port}": 0x300 * port + offset
        for port in (0, 1)
        for key, offset in {
            "OUT": 0x504, "OUTSET": 0x508, "OUTCLR": 0x50C, "IN": 0x510, "DIR": 0x514, "DIRSET": 0x518, "DIRCLR": 0x51C,
            "LATCH": 0x520, "DETECTMODE": 0x524, **{f"PIN_CNF{i}": 0x700 + 4 * i for i in range(32)},
        }.items()
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.listeners: list[NrfGpiote] = []
        self._latched = [0, 0]
        self._sensing: dict[tuple[int, int], bool] = {}
        """Pins that sense, and whether for the high level."""

    def start(self) -> None:
        self._levels = [0, 0]
        self._detected = False
        self._driven: dict[tuple[int, int], bool] = {}
        for pin, level in self.machine.platform.board.inputs.items():
            port, _, number = pin.upper().removeprefix("P").partition(".")
            if port in ("0", "1") and number.isdigit():
                self._driven[int(port), int(number)] = level

    def drive_pin(self, name: str, level: bool) -> bool:
        """The outside world drives pin *name* (``P0.09``); False if it is none of these."""
        port, _, number = name.removeprefix("P").partition(".")
        if port not in ("0", "1") or not number.isdigit():
            return False
        pin = int(port), int(number)
        before = self._input(pin[0]) >> pin[1] & 1
        self._driven[pin] = level
        if before != int(level):
            self._told(pin[0], pin[1], level, False)
        return True

    def set_output(self, port: int, pin: int, level: bool | None) -> None:
        """GPIOTE drives an output; None: the other level."""
        out = self.value[f"OUT_{port}"]
        new = not out >> pin & 1 if level is None else level
        self.value[f"DIR_{port}"] |= 1 << pin
        self.value[f"OUT_{port}"] = out & ~(1 << pin) | int(new) << pin
        self._changed(port)

    def read(self, offset: int, size: int) -> int:
        if offset in (0x510, 0x810):
            return self._input(int(offset == 0x810))
        return super().read(offset, size)

    def _input(self, port: int) -> int:
        value = self.value[f"OUT_{port}"] & self.value[f"DIR_{port}"]
        for pin in range(32):
            if not self.value[f"DIR_{port}"] >> pin & 1:
                pulled = self.value[f"PIN_CNF{pin}_{port}"] >> 2 & 3 == 3
                value |= int(self._driven.get((port, pin), pulled)) << pin
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        port = int(offset >= 0x800 and offset < 0xB00 and offset - 0x300 >= 0x504)
        word = offset - 0x300 * port
        out, direction = f"OUT_{port}", f"DIR_{port}"
        if word == 0x508:
            self.value[out] |= value
        elif word == 0x50C:
            self.value[out] &= ~value
        elif word == 0x518:
            self.value[direction] |= value
        elif word == 0x51C:
            self.value[direction] &= ~value
        else:
            super().write(offset, size, value)
            if 0x700 <= word < 0x780:
                pin = (word - 0x700) // 4
                self.value[direction] = (self.value[direction] & ~(1 << pin)) | (value & 1) << pin
                self._sensing.pop((port, pin), None)
                if value >> 17 & 1:
                    self._sensing[port, pin] = not value >> 16 & 1
        if word == 0x520:
            self.value[f"LATCH_{port}"] = self._latched[port] = self._latched[port] & ~value
        self._changed(port)

    def _changed(self, port: int) -> None:
        out, direction = f"OUT_{port}", f"DIR_{port}"
        for name, source in (("OUTSET", out), ("OUTCLR", out), ("DIRSET", direction), ("DIRCLR", direction)):
            self.value[f"{name}_{port}"] = self.value[source]
        levels = self.value[out] & self.value[direction]
        changed, self._levels[port] = levels ^ self._levels[port], levels
        for pin in range(32):
            if changed >> pin & 1:
                self._told(port, pin, bool(levels >> pin & 1), True)
        self._detect()

    def _told(self, port: int, pin: int, level: bool, by_firmware: bool) -> None:
        self.machine.pin_changed(f"P{port}.{pin:02d}", level, by_firmware)
        for listener in self.listeners:
            listener.pin_changed(port, pin, level)
        self._detect()

    def _detect(self) -> None:
        """DETECT: a pin has the level that its SENSE field asks for (6.9.1.1); its rising edge is GPIOTE's PORT event."""
        if not self._sensing and not self._detected:
            return
        sensed = [0, 0]
        for (port, pin), high in self._sensing.items():
            if self._input(port) >> pin & 1 == int(high):
                sensed[port] |= 1 << pin
        for port in (0, 1):
            self._latched[port] |= sensed[port]
            self.value[f"LATCH_{port}"] = self._latched[port]
        mode = self.value["DETECTMODE_0"] & 1
        detected = any(self._latched if mode else sensed)
        if detected and not self._detected:
            for listener in self.listeners:
                listener.fire("PORT")
        self._detected = detected


@register("nrf-gpiote")
class NrfGpiote(NrfPeripheral):
    """GPIO tasks and events: eight channels, and PORT for any pin that senses (6.10)."""

    tasks = {
        base + 4 * i: f"{name}{i}" for name, base in (("OUT", 0x00), ("SET", 0x30), ("CLR", 0x60)) for i in range(8)
    }
    events = {0x100 + 4 * i: f"IN{i}" for i in range(8)} | {0x17C: "PORT"}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {f"CONFIG{i}": 0x510 + 4 * i for i in range(8)}

    def start(self) -> None:
        ports = [p for p in self.machine.peripherals.values() if isinstance(p, NrfGpio)]
        self._gpio = ports[0] if ports else None
        if self._gpio is not None:
            self._gpio.listeners.append(self)

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if 0x510 <= offset < 0x530 and value & 3 == 3 and self._gpio is not None:
            self._gpio.set_output(value >> 13 & 1, value >> 8 & 0x1F, bool(value >> 20 & 1))

    def task(self, name: str) -> None:
        config = self.value[f"CONFIG{name[3:]}"]
        if config & 3 == 3 and self._gpio is not None:
            by_polarity = {1: True, 2: False, 3: None}.get(config >> 16 & 3)
            level = {"SET": True, "CLR": False}.get(name[:3], by_polarity)
            if name[:3] != "OUT" or config >> 16 & 3:
                self._gpio.set_output(config >> 13 & 1, config >> 8 & 0x1F, level)

    def pin_changed(self, port: int, pin: int, level: bool) -> None:
        """A pin has a new level."""
        for channel in range(8):
            config = self.value[f"CONFIG{channel}"]
            watched = config & 3 == 1 and (config >> 13 & 1, config >> 8 & 0x1F) == (port, pin)
            if watched and config >> 16 & 3 in (3, 1 if level else 2):
                self.fire(f"IN{channel}")
