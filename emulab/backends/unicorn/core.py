"""What the machine asks of a core model: reset, interrupts, sleep, exceptions. One implementation per architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine


class Core(Protocol):
    """The architecture's exception model around Unicorn's instruction execution."""

    sleeping: bool

    def device_ranges(self) -> list[tuple[int, int]]:
        """Address ranges (base, size) in which accesses go to device models."""

    def reset(self) -> None:
        """Registers and program counter as after reset."""

    def initial_stack(self) -> int:
        """Stack pointer the image starts with; 0 where it sets its own."""

    def resume_pc(self) -> int:
        """Where execution goes on."""

    def set_resume_pc(self, pc: int) -> None: ...

    def set_line(self, number: int, level: bool, driver: str) -> None:
        """A peripheral (*driver*) drives external interrupt *number*; a line is the OR of its drivers."""

    def take_interrupts(self) -> None:
        """Enter the handler of the most urgent interrupt if it can be taken now."""

    def exception(self, number: int) -> None:
        """Unicorn raised exception *number* and stopped."""

    def guarded(self, block: int, instruction: int, address: int) -> None:
        """Instruction number *instruction* of the block that is about to run may not access *address*."""

    def stopped(self, error: int) -> None:
        """Unicorn stopped by itself: sleep instruction, or *error*."""

    def sleep_state(self) -> str:
        """``sleep`` or ``deep-sleep``, for the energy ledger."""

    def wakes(self) -> bool:
        """Whether something is pending that ends a sleep, masked or not."""

    def deaf(self) -> bool:
        """Whether no interrupt can be taken now or ever, unless what runs now changes that."""

    def woken(self) -> None:
        """The sleep ended."""

    def clock_changed(self) -> None: ...


def make_core(machine: Machine) -> Core:
    """The core model of the machine's platform."""
    if machine.engine.is_arm:
        from emulab.backends.unicorn.cortexm import CortexM

        return CortexM(machine)
    from emulab.backends.unicorn.riscv import RiscV

    return RiscV(machine)
