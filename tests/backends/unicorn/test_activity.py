"""What the machine counts for whoever charges energy: the same events as a window's profile tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulab.backends.unicorn.session import UnicornSession
from emulab.backends.unicorn.windows import profile_between, take_snapshot
from emulab.energy.windows import profile_activity

LOOP = [
    0x2120,  # movs r1, #32
    0x4A03,  # ldr  r2, [pc, #12]
    0x6813,  # ldr  r3, [r2]
    0x6013,  # str  r3, [r2]
    0x3901,  # subs r1, #1
    0xD1FB,  # bne  ldr r3
    0xE7FE,  # b    .
    0x0000,
    0x0000,
    0x2000,  # RAM
]
NAMES = ("instruction", "load", "store", "ram_read", "ram_write", "flash_read", "flash_write", "flash_array_read")


@pytest.mark.parametrize("platform", ["nucleo-l4r5zi", "nucleo-u575zi-q"])
def test_counts_are_those_of_the_profile(thumb: Callable[..., UnicornSession], platform: str) -> None:
    session = thumb(LOOP, platform=platform)
    machine = session.machine
    before = take_snapshot(machine)
    assert not any(machine.activity(NAMES).values())
    machine.env.run(until=1e-3)
    counts = machine.activity(NAMES)
    profile = profile_between(machine, before, take_snapshot(machine))
    told = profile_activity(session.platform, profile)
    assert counts == {name: told[name] for name in NAMES}
    assert (counts["ram_read"], counts["ram_write"], counts["flash_read"]) == (32, 32, 1)
    assert counts["flash_array_read"] > 0
    assert machine.activity(("mac",)) == {"mac": 0}
