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


def describe_error(machine: Machine, error: int, exception: int) -> str:
    """One line: what the firmware did, which address it touched, what is nearest there."""
    address = machine.engine.invalid[1]
    if error in _ERRORS:
        text = "the firmware " + _ERRORS[error].format(address=address)
    elif exception:
        text = f"the processor raises exception {exception} (undefined instruction or bad state)"
    else:
        text = f"the emulator stops with error {error}"
    if error in (6, 7) and 0x20000000 <= address < 0x60000000:
        text += "; is the image for another board?"
    return text
