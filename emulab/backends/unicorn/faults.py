"""Say in words why Unicorn stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

_ERRORS = {
    6: "reads {address:#010x}, where there is no memory (bus fault)",
    7: "writes {address:#010x}, where there is no memory (bus fault)",
    8: "jumps to {address:#010x}, where there is no memory",
    10: "meets an undefined instruction",
    12: "writes {address:#010x}, which is read-only memory",
    13: "reads {address:#010x}, which is protected",
    14: "executes from {address:#010x}, which is not executable",
}

_NEAR_STACK = 512
_EXCEPTIONS = {
    1: "meets an undefined instruction",
    3: "jumps to {pc:#010x}, where there is no code (a peripheral, or nothing)",
    4: "accesses {address:#010x} in a way the processor does not allow (data abort)",
    17: "uses the floating-point unit without having switched it on (CPACR)",
    18: "jumps to an address without the Thumb bit (INVSTATE)",
    19: "lets the stack grow beyond its limit (MSPLIM or PSPLIM)",
    22: "makes an unaligned access that the processor is set up to refuse",
}
"""Unicorn's exception numbers of the M profile, as QEMU's target/arm has them."""


def describe_error(machine: Machine, error: int, exception: int) -> str:
    """One line: what the firmware did, which address it touched, what is nearest there."""
    address = machine.engine.invalid[1]
    if error in _ERRORS:
        text = "the firmware " + _ERRORS[error].format(address=address)
    elif exception in _EXCEPTIONS:
        text = "the firmware " + _EXCEPTIONS[exception].format(address=address, pc=machine.engine.pc)
    elif exception:
        text = f"the processor raises exception {exception} (undefined instruction or bad state)"
    else:
        text = f"the emulator stops with error {error}"
    stack = machine.engine.registers[13 if machine.engine.is_arm else 2]
    if error in (6, 7, 12) and -_NEAR_STACK <= address - stack <= _NEAR_STACK:
        text += f"; the stack pointer is there ({stack:#010x}): the stack has run out, or was never set up"
    elif error in (6, 7) and 0x20000000 <= address < 0x60000000:
        text += "; is the image for another board?"
    return text
