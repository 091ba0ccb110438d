"""Clock trees and register behaviours, as the platform files describe them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulab.backends.unicorn.clocks import ClockTree, parse_field
from emulab.backends.unicorn.peripherals.base import Register
from emulab.backends.unicorn.session import UnicornSession
from emulab.errors import InputError
from emulab.model.platform import load_platform, platform_names


def test_pll_of_the_l4r5_gives_120_mhz() -> None:
    soc = load_platform("nucleo-l4r5zi").platform.soc
    values = {"CR": 0x63, "CSR": 0x600, "PLLCFGR": 0x01003C01, "CFGR": 0x0C, "CCIPR": 0, "BDCR": 0}
    tree = ClockTree(soc.clocks, {}, lambda _p, register: values[register])
    assert tree.hz("core") == 120e6
    values["CFGR"] = 0x8C  # AHB divided by two
    tree.invalidate()
    assert tree.hz("core") == 60e6
    assert "rcc.PLLCFGR" in tree.depends_on


def test_field_that_is_none_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not a register field"):
        parse_field("rcc.CFGR")


def test_register_behaviours() -> None:
    ready = Register("CR", {"offset": 0, "follows": {17: 16, "3:2": "1:0"}, "ones": 0x8000})
    assert ready.after_write(0, 0x10002) == 0x3800A
    assert ready.after_write(0x3800A, 0) == 0x8000
    flags = Register("SR", {"offset": 0, "clear_on_one": 0xF})
    assert flags.after_write(0xF, 0x5) == 0xA
    pulse = Register("KR", {"offset": 0, "self_clearing": 1})
    assert pulse.after_write(0, 3) == 2
    with pytest.raises(InputError, match="unknown key 'folows'"):
        Register("CR", {"offset": 0, "folows": {}})


def test_every_board_of_the_machine_has_a_clock_after_reset_and_reaches_its_own(
    thumb: Callable[..., UnicornSession],
) -> None:
    """The start-up steps of the platform file set the clock the board names."""
    for name in platform_names():
        platform = load_platform(name).platform
        steps = platform.board.firmware.get("init", [])
        if not steps or platform.soc.vector_base != 0x08000000 or "rcc" not in platform.soc.peripherals:
            continue
        machine = thumb([0xE7FE], platform=name).machine
        for step in steps:
            if "set" in step:
                machine.bus_write(step["set"], 4, machine.bus_read(step["set"], 4) | step["mask"])
            elif "clear" in step:
                machine.bus_write(step["clear"], 4, machine.bus_read(step["clear"], 4) & ~step["mask"])
            elif "write" in step:
                machine.bus_write(step["write"], 4, step["value"])
            elif "wait" in step:
                assert machine.bus_read(step["wait"], 4) & step["mask"] == step["value"], (name, step)
        assert machine.core_hz == pytest.approx(platform.board.clock_hz), name
        console = machine.peripherals[platform.board.console.peripheral]
        assert console.clock_hz == pytest.approx(platform.board.firmware["uart"]["clock_hz"]), name
        assert not machine.notes, (name, machine.notes)
