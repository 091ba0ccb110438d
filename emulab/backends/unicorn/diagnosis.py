"""Say what firmware that does not answer is doing: asleep, polling, looping on itself, on another board's addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import FirmwareFault

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

_NO_PERIPHERAL = "no peripheral is modelled there"


def self_loop(machine: Machine) -> bool:
    """The next instruction is a branch to itself."""
    engine = machine.engine
    try:
        code = machine.peek(engine.pc, 4)
    except FirmwareFault:
        return False
    if engine.is_arm:
        return code[:2] == b"\xfe\xe7" or code == b"\xff\xf7\xfe\xbf"
    return code == b"\x6f\x00\x00\x00" or code[:2] == b"\x01\xa0"


def is_over(machine: Machine) -> bool:
    """Nothing but a reset can end what the core does: a branch to itself with interrupts masked, or none of them enabled."""
    return self_loop(machine) and machine.core.deaf()


def waits_for(machine: Machine) -> str:
    """What the firmware does that takes so long."""
    if machine.asleep and machine.core.sleeping:
        return "sleeps with no wake-up source due"
    if machine.blocked:
        return machine.blocked
    if machine.poll.repeating:
        return machine.poll.description()
    if self_loop(machine):
        masked = " with interrupts masked or none enabled" if is_over(machine) else ""
        return f"loops on itself{masked} (an error handler, or the end of the program)"
    return "runs"


def foreign_addresses(machine: Machine) -> str:
    """Accesses to addresses where this board has nothing: mostly an image for another one. Empty without any."""
    found = [note for note in machine.notes if note.endswith(_NO_PERIPHERAL)]
    if not found:
        return ""
    rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
    first = found[0].split(":")[0]
    return f"; {machine.platform.name} has nothing at some addresses it used ({first}{rest}): is the image for another board?"
