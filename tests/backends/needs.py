"""Skips of the tests that need one machine of QEMU."""

from __future__ import annotations

import pytest

from emulab.backends.qemu import install, machines
from emulab.errors import ToolError
from emulab.model.platform import Platform


def needs_machine(platform: Platform) -> None:
    """Skip where QEMU or a cross compiler is missing, or this QEMU has no such machine."""
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    try:
        qemu = install.find(machines.arch_of(platform))
    except ToolError as error:
        pytest.skip(f"{error}; {install.how_to_install()}")
    machine = platform.backends["qemu"].machine.partition(",")[0]
    if machine not in qemu.machines():
        pytest.skip(f"QEMU {qemu.version_text} has no {machine}: set EMULAB_QEMU to the folder of a newer one")
