"""What a peripheral model is: reads, writes, interrupt lines, time and clocks. Registered by the platform's ``type``.

Write a class, decorate it with :func:`register`, name its type in a platform file: nothing else needs to know it.
A third party's classes are found through the entry point group ``emulab.peripherals`` (a module that registers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

_TYPES: dict[str, type[Peripheral]] = {}

PeripheralT = TypeVar("PeripheralT", bound="type[Peripheral]")


def register(type_name: str) -> Callable[[PeripheralT], PeripheralT]:
    """Class decorator: this class models peripherals of type *type_name*."""

    def add(cls: PeripheralT) -> PeripheralT:
        _TYPES[type_name] = cls
        return cls

    return add


def peripheral_class(type_name: str) -> type[Peripheral]:
    """Class that models *type_name*; InputError names the closest known type."""
    from emulab.backends.unicorn.peripherals import load_all

    load_all()
    if type_name not in _TYPES:
        import difflib

        close = difflib.get_close_matches(type_name, _TYPES, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(_TYPES))}"
        raise InputError(f"peripheral type {type_name!r} is unknown to the embedded machine; {hint}")
    return _TYPES[type_name]


class Peripheral:
    """One instance on the bus. Subclasses override :meth:`read` and :meth:`write` (or see :class:`RegisterFile`)."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        self.machine, self.name, self.spec = machine, name, spec
        self.parameters: dict[str, Any] = spec.parameters
        self._driven_lines: dict[int, bool] = {}
        self.irqs: list[int] = [] if spec.irq is None else [spec.irq] if isinstance(spec.irq, int) else list(spec.irq)

    def start(self) -> None:
        """Called once when every peripheral exists."""

    def read(self, offset: int, size: int) -> int:
        """Value of the *size* bytes at *offset*."""
        raise NotImplementedError

    def write(self, offset: int, size: int, value: int) -> None:
        raise NotImplementedError

    def register_name(self, offset: int) -> str:
        """Name of the register at *offset* for diagnoses; empty if it is not modelled."""
        return ""

    def clock_changed(self) -> None:
        """The frequency of some clock changed; timers re-plan here."""

    @property
    def clock_hz(self) -> float:
        """Frequency of the clock that feeds this peripheral."""
        return self.machine.clocks.hz(self.spec.clock) if self.spec.clock else self.machine.core_hz

    def now(self) -> float:
        """Virtual time in seconds, exact to the cycle within a register access."""
        return self.machine.now()

    def after(self, delay_s: float, action: Callable[[], None]) -> Event:
        """Call *action* in *delay_s* seconds of virtual time; ``.cancel()`` the result to call it off."""
        return self.machine.after(delay_s, action)

    def irq(self, level: bool, line: int = 0) -> None:
        """Drive interrupt line number *line* of this peripheral (index into the platform's ``irq`` list)."""
        if self.irqs and self._driven_lines.get(line, False) != level:
            self._driven_lines[line] = level
            self.machine.core.set_line(self.irqs[min(line, len(self.irqs) - 1)], level, f"{self.name}.{line}")

    def note(self, text: str) -> None:
        """Say once, in the record, what a reader must know."""
        self.machine.note(f"{self.name}: {text}")

    def state(self, component: str, state: str) -> None:
        """Tell the energy ledger that *component* is in *state* now."""
        self.machine.power_state(component, state)


class Register:
    """One 32-bit register: which bits can be written, and what else a write does."""

    __slots__ = ("clear_on_one", "follows", "mirrors", "name", "offset", "ones", "reset", "self_clearing", "writable")

    def __init__(self, name: str, description: int | dict[str, Any]) -> None:
        given: dict[str, Any] = {"offset": description} if isinstance(description, int) else dict(description)
        self.name = name
        self.offset = int(given.pop("offset"))
        self.reset = int(given.pop("reset", 0))
        self.writable = int(given.pop("writable", 0xFFFFFFFF))
        self.clear_on_one = int(given.pop("clear_on_one", 0))
        self.self_clearing = int(given.pop("self_clearing", 0))
        self.ones = int(given.pop("ones", 0))
        self.follows = [(_bits(to), _bits(source)) for to, source in given.pop("follows", {}).items()]
        self.mirrors = [(_bits(to), *_field(source)) for to, source in given.pop("mirrors", {}).items()]
        if given:
            raise InputError(
                f"register {name}: unknown key {next(iter(given))!r}; known: offset, reset, writable, clear_on_one, "
                "self_clearing, ones, follows, mirrors"
            )

    def after_write(self, old: int, written: int) -> int:
        """Value the register holds after *written* was stored over *old*."""
        plain = self.writable & ~self.clear_on_one
        value = (old & ~plain) | (written & plain)
        value &= ~(written & self.clear_on_one)
        value &= ~self.self_clearing
        return self.settle(value)

    def settle(self, value: int) -> int:
        """Apply what follows from other bits: ready flags behind their enables, bits stuck at one."""
        for (to, mask), (source, _) in self.follows:
            value = (value & ~(mask << to)) | (((value >> source) & mask) << to)
        return (value | self.ones) & 0xFFFFFFFF


def _bits(field: int | str) -> tuple[int, int]:
    """``17`` or ``"3:2"`` as (shift, mask)."""
    if isinstance(field, int):
        return field, 1
    high, _, low = str(field).partition(":")
    if not low:
        return int(high), 1
    return int(low), (1 << (int(high) - int(low) + 1)) - 1


class RegisterFile(Peripheral):
    """A peripheral described register by register.

    ``layout`` (class) and ``parameters.registers`` (platform file) name the registers. A subclass adds behaviour
    with methods ``read_NAME(value) -> value`` and ``write_NAME(old, new)`` (called after the value was stored).
    An access to an offset without a name is kept as plain storage and noted once.
    """

    layout: ClassVar[dict[str, int | dict[str, Any]]] = {}

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        described: dict[str, Any] = dict(self.layout)
        for key, over in self.parameters.get("registers", {}).items():
            old = described.get(key)
            described[key] = {**old, **over} if isinstance(old, dict) and isinstance(over, dict) else over
        array = self.parameters.get("array")
        if array:
            for i in range(array["count"]):
                described[f"{array['name']}{i}"] = array["offset"] + i * array.get("stride", 4)
        self.registers = {key: Register(key, value) for key, value in described.items()}
        self.value: dict[str, int] = {key: r.settle(r.reset) for key, r in self.registers.items()}
        self._at = {r.offset: r for r in self.registers.values()}
        self._readers = {k: getattr(self, f"read_{k}") for k in self.registers if hasattr(self, f"read_{k}")}
        self._writers = {k: getattr(self, f"write_{k}") for k in self.registers if hasattr(self, f"write_{k}")}
        self._storage: dict[int, int] = {}

    def register_name(self, offset: int) -> str:
        found = self._at.get(offset & ~3)
        return found.name if found else ""

    def read(self, offset: int, size: int) -> int:
        found = self._at.get(offset & ~3)
        if found is None:
            self.machine.unmodelled(self, offset, False)
            value = self.machine.unmodelled_registers.read(self, offset & ~3, self._storage.get(offset & ~3, 0))
        else:
            value = self.value[found.name]
            for (to, mask), name, (source, _) in found.mirrors:
                value = (value & ~(mask << to)) | (((self.value[name] >> source) & mask) << to)
            reader = self._readers.get(found.name)
            if reader is not None:
                value = reader(value)
        if size == 4:
            return value
        return (value >> (8 * (offset & 3))) & ((1 << (8 * size)) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        found = self._at.get(offset & ~3)
        old = self.value[found.name] if found else self._storage.get(offset & ~3, 0)
        if size != 4:
            shift, mask = 8 * (offset & 3), (1 << (8 * size)) - 1
            keep = old & ~found.clear_on_one if found else old
            value = (keep & ~(mask << shift)) | ((value & mask) << shift)
        if found is None:
            self.machine.unmodelled(self, offset, True)
            self._storage[offset & ~3] = value
            self.machine.unmodelled_registers.written(self, offset & ~3)
            return
        self.store(found, old, value)

    def store(self, register: Register, old: int, written: int) -> None:
        """Store *written* and do what follows from it."""
        new = register.after_write(old, written)
        self.value[register.name] = new
        writer = self._writers.get(register.name)
        if writer is not None:
            writer(old, written if register.clear_on_one or register.self_clearing else new)
        self.machine.register_written(self, register.name, old, self.value[register.name], written)

    def set_bits(self, name: str, mask: int, on: bool = True) -> None:
        """Hardware sets or clears bits of a register."""
        if on:
            self.value[name] |= mask
        else:
            self.value[name] &= ~mask


def _field(text: str) -> tuple[str, tuple[int, int]]:
    """``CR3[17:16]`` as register name and (shift, mask)."""
    name, _, bits = text.partition("[")
    return name, _bits(bits.rstrip("]"))


@register("registers")
class PlainRegisters(RegisterFile):
    """Registers whose whole behaviour is in the platform file; ``memory_system`` fields reach the memory simulator."""

    def start(self) -> None:
        self._settings: list[tuple[str, str, int, int]] = []
        for setting, field in self.parameters.get("memory_system", {}).items():
            text, _, bits = str(field).partition("[")
            self._settings.append((setting, text, *_bits(bits.rstrip("]"))))
        for setting, name, shift, mask in self._settings:
            if not setting.endswith("invalidate"):
                self.machine.memory_setting(setting, (self.value[name] >> shift) & mask)

    def store(self, register: Register, old: int, written: int) -> None:
        super().store(register, old, written)
        for setting, name, shift, mask in self._settings:
            if name == register.name:
                value = (written if setting.endswith("invalidate") else self.value[name]) >> shift & mask
                if not setting.endswith("invalidate") or value:
                    self.machine.memory_setting(setting, value)
