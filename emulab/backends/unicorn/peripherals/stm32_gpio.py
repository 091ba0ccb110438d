# ruff: noqa: RUF012  (register tables are constants)
"""STM32 GPIO port and EXTI: RM0432 chapters 8 and 16; RM0456 chapters 13 and 23."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.backends.unicorn.peripherals.base import RegisterFile, register

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.model.soc import Peripheral as Spec


@register("stm32-gpio")
class Gpio(RegisterFile):
    """One port of 16 pins. Inputs read what the board drives (``board.inputs``), else their pull, else low."""

    layout = {
        "MODER": {"offset": 0x00, "reset": 0xFFFFFFFF}, "OTYPER": 0x04, "OSPEEDR": 0x08, "PUPDR": 0x0C,
        "IDR": {"offset": 0x10, "writable": 0}, "ODR": {"offset": 0x14, "writable": 0xFFFF},
        "BSRR": {"offset": 0x18, "self_clearing": 0xFFFFFFFF}, "LCKR": 0x1C, "AFRL": 0x20, "AFRH": 0x24,
        "BRR": {"offset": 0x28, "self_clearing": 0xFFFFFFFF}, "HSLVR": 0x2C, "SECCFGR": 0x30,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.port = str(self.parameters.get("port", name[-1])).upper()
        self.value["MODER"] = self.parameters.get("moder_reset", self.value["MODER"])
        self.value["PUPDR"] = self.parameters.get("pupdr_reset", 0)
        self._driven: dict[int, bool] = {}
        for pin, level in machine.platform.board.inputs.items():
            if pin.upper().startswith(f"P{self.port}") and pin[2:].isdigit():
                self._driven[int(pin[2:])] = level
        self._levels = 0

    def drive_pin(self, name: str, level: bool) -> bool:
        """The outside world drives pin *name* (``PE1``); False if it is none of this port."""
        if not name.startswith(f"P{self.port}") or not name[2:].isdigit() or int(name[2:]) > 15:
            return False
        self.drive(int(name[2:]), level)
        return True

    def drive(self, pin: int, level: bool) -> None:
        """The outside world drives *pin*."""
        before = self.read_IDR(0)
        self._driven[pin] = level
        if (before >> pin & 1) != int(level):
            self.machine.pin_changed(f"P{self.port}{pin}", level, False)

    def read_IDR(self, _: int) -> int:
        value = 0
        mode, pull, output = self.value["MODER"], self.value["PUPDR"], self.value["ODR"]
        for pin in range(16):
            kind = mode >> (2 * pin) & 3
            if kind == 1:
                level = bool(output >> pin & 1)
            elif kind == 3:
                level = False
            else:
                level = self._driven.get(pin, (pull >> (2 * pin) & 3) == 1)
            value |= level << pin
        return value

    def write_MODER(self, _old: int, _new: int) -> None:
        self._outputs()

    def write_ODR(self, _old: int, _new: int) -> None:
        self._outputs()

    def write_BSRR(self, _old: int, written: int) -> None:
        self.value["ODR"] = (self.value["ODR"] & ~(written >> 16)) | (written & 0xFFFF)
        self._outputs()

    def write_BRR(self, _old: int, written: int) -> None:
        self.value["ODR"] &= ~(written & 0xFFFF)
        self._outputs()

    def _outputs(self) -> None:
        """Report level changes of pins that are outputs."""
        mode = self.value["MODER"]
        levels = 0
        for pin in range(16):
            if mode >> (2 * pin) & 3 == 1 and self.value["ODR"] >> pin & 1:
                levels |= 1 << pin
        changed = levels ^ self._levels
        self._levels = levels
        for pin in range(16):
            if changed >> pin & 1:
                self.machine.pin_changed(f"P{self.port}{pin}", bool(levels >> pin & 1), True)


@register("stm32-exti")
class Exti(RegisterFile):
    """External interrupts 0 to 15, edges of pins. ``parameters.layout``: ``pending`` (PR1), ``core`` (H7) or ``edges`` (RPR1, FPR1)."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        edges = spec.parameters.get("layout") == "edges"
        if edges:
            layout: dict[str, int] = {
                "RTSR1": 0x00, "FTSR1": 0x04, "SWIER1": 0x08, "RPR1": 0x0C, "FPR1": 0x10, "SECCFGR1": 0x14, "PRIVCFGR1": 0x18,
                "RTSR2": 0x20, "FTSR2": 0x24, "SWIER2": 0x28, "RPR2": 0x2C, "FPR2": 0x30,
                "EXTICR1": 0x60, "EXTICR2": 0x64, "EXTICR3": 0x68, "EXTICR4": 0x6C, "LOCKR": 0x70,
                "IMR1": 0x80, "EMR1": 0x84, "IMR2": 0x90, "EMR2": 0x94,
            }  # fmt: skip
        elif spec.parameters.get("layout") == "core":
            layout = {
                "RTSR1": 0x00, "FTSR1": 0x04, "SWIER1": 0x08, "D3PMR1": 0x0C, "RTSR2": 0x20, "FTSR2": 0x24, "SWIER2": 0x28,
                "IMR1": 0x80, "EMR1": 0x84, "PR1": 0x88, "IMR2": 0x90, "EMR2": 0x94, "PR2": 0x98, "IMR3": 0xA0, "EMR3": 0xA4,
            }  # fmt: skip
        else:
            layout = {
                "IMR1": 0x00, "EMR1": 0x04, "RTSR1": 0x08, "FTSR1": 0x0C, "SWIER1": 0x10, "PR1": 0x14,
                "IMR2": 0x20, "EMR2": 0x24, "RTSR2": 0x28, "FTSR2": 0x2C, "SWIER2": 0x30, "PR2": 0x34,
            }  # fmt: skip
        described: dict[str, object] = dict(layout)
        for key in ("PR1", "PR2", "RPR1", "FPR1", "RPR2", "FPR2"):
            if key in layout:
                described[key] = {"offset": layout[key], "clear_on_one": 0xFFFFFFFF}
        self.layout = described  # type: ignore[misc,assignment]
        super().__init__(machine, name, spec)
        self.edges = edges
        machine.exti = self

    def _select(self, line: int) -> int:
        """Port number chosen for *line*."""
        where = self.parameters.get("select", "")
        if not where:
            return self.value[f"EXTICR{line // 4 + 1}"] >> (8 * (line % 4)) & 0xF
        peripheral, _, prefix = where.partition(".")
        return self.machine.register_value(peripheral, f"{prefix}{line // 4 + 1}") >> (4 * (line % 4)) & 0xF

    def pin_changed(self, port: str, pin: int, level: bool) -> None:
        if "ABCDEFGHIJK".find(port) != self._select(pin):
            return
        if self.value["RTSR1" if level else "FTSR1"] >> pin & 1:
            self._pend(pin, level)

    def _pend(self, line: int, rising: bool) -> None:
        name = ("RPR1" if rising else "FPR1") if self.edges else "PR1"
        self.value[name] |= 1 << line
        self._update()

    def _update(self) -> None:
        pending = (self.value["RPR1"] | self.value["FPR1"]) if self.edges else self.value["PR1"]
        pending &= self.value["IMR1"]
        for number in dict.fromkeys(self.irqs):
            lines = sum(1 << i for i, n in enumerate(self.irqs) if n == number)
            self.machine.core.set_line(number, bool(pending & lines), self.name)

    def write_SWIER1(self, old: int, new: int) -> None:
        for line in range(16):
            if new & ~old & (1 << line):
                self._pend(line, True)

    def write_PR1(self, _old: int, _written: int) -> None:
        self._update()

    write_RPR1 = write_FPR1 = write_IMR1 = write_PR1
