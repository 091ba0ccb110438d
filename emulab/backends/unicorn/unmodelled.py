"""Registers of a peripheral that nobody modelled: plain storage, until firmware waits for one; then a guess, told in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.backends.unicorn.peripherals.base import Peripheral

POLLS = 64
"""Reads of one register in a row, from one place in the code, that are taken for waiting."""


class UnmodelledRegisters:
    """Lets firmware go on that polls a flag which no model will ever change.

    A register that was read POLLS times in a row by the same code answers with every bit inverted, so that a flag waited
    for is there and one waited out is gone, until it is written again. Only registers within a modelled peripheral are
    guessed at: where a board has nothing at all, the image is for another one, and the polling is the diagnosis.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last: tuple[str, int, int] = ("", -1, -1)
        self._reads = 0
        self._guessed: set[tuple[str, int]] = set()

    def read(self, peripheral: Peripheral, offset: int, stored: int) -> int:
        """Value of the word at *offset*, whose storage holds *stored*."""
        register = (peripheral.name, offset)
        if register not in self._guessed:
            key = (*register, self._machine.face.current)
            self._reads = self._reads + 1 if key == self._last else 1
            self._last = key
            if self._reads < POLLS:
                self._machine.poll.forget()  # no skipping to the next event: there may be none
                return stored
            self._guessed.add(register)
            self._machine.note(
                f"{peripheral.name}+{offset:#05x} ({peripheral.spec.base + offset:#010x}): not modelled and polled "
                f"{POLLS} times while {stored:#x}; answered as {stored ^ 0xFFFFFFFF:#010x} from then on, a guess"
            )
        return stored ^ 0xFFFFFFFF

    def written(self, peripheral: Peripheral, offset: int) -> None:
        """The word at *offset* is what was written to it, until it is waited for again."""
        self._guessed.discard((peripheral.name, offset))
        self._last = ("", -1, -1)
