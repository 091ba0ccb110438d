"""From a platform to start-up code: what is generated, and what of a platform file is refused."""

from __future__ import annotations

from typing import Any

import pytest

from emulab.errors import InputError
from emulab.firmware.board import (
    FirmwareSpec,
    config_header,
    firmware_spec,
    init_source,
    linker_script,
    memory_regions,
)
from emulab.model.base import validate
from emulab.model.platform import Platform, load_platform


def board(name: str = "nucleo-l4r5zi", **firmware: Any) -> Platform:
    platform = load_platform(name).platform
    merged = {**platform.board.firmware, **firmware}
    changed = platform.board.model_copy(update={"firmware": {k: v for k, v in merged.items() if v is not None}})
    return platform.model_copy(update={"board": changed})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uart": {"driver": "usart", "base": 0, "clock_hz": 1}}, "uart driver 'usart' is unknown; known: stm32"),
        ({"timer": {"driver": "rtc", "hz": 120000000}}, "timer driver 'rtc' is unknown"),
        ({"timer": {"driver": "mtime", "hz": 1}}, "needs `mtime: {base, hz}`"),
        ({"timer": {"driver": "dwt", "hz": 80000000}}, "sets the core to 80000000 Hz, but board.clock_hz is 120000000"),
        ({"timestamp": {"driver": "x", "base": 0, "pin": 1}}, "timestamp driver 'x' is unknown"),
        ({"uart": {"driver": "nrf-uarte", "base": 0, "clock_hz": 1}}, "needs tx_pin and rx_pin"),
        ({"init": [{"write": 1}]}, "step 'write' takes value"),
        ({"init": [{"wait": 1, "mask": 1}]}, "step 'wait' takes mask and value"),
        ({"init": [{"set": 1, "clear": 2, "mask": 1}]}, "exactly one of"),
        ({"init": [{"set": 2**32, "mask": 1}]}, "less than 4294967296"),
        ({"inti": []}, "unknown key 'inti'; did you mean 'init'?"),
        ({"flash": "rom"}, "no memory 'rom'"),
        ({"ram": "dtcm"}, "no memory 'dtcm'"),
    ],
)
def test_wrong_firmware_section(change: dict[str, Any], message: str) -> None:
    platform = board(**change)
    with pytest.raises(InputError) as caught:
        memory_regions(platform, firmware_spec(platform))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "nucleo-l4r5zi" in str(caught.value)


def test_without_firmware_section() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    bare = platform.model_copy(update={"board": platform.board.model_copy(update={"firmware": {}})})
    with pytest.raises(InputError, match="cannot build firmware for it; give an image"):
        firmware_spec(bare)


def test_adjoining_ram_is_one_region() -> None:
    platform = board()
    flash, ram = memory_regions(platform, firmware_spec(platform))
    assert (ram.base, ram.size_bytes, ram.memories) == (0x20000000, 640 * 1024, ("sram1", "sram2", "sram3"))
    assert (flash.base, flash.size_bytes) == (0x08000000, 2 * 1024 * 1024)
    chosen = board(ram="sram2")
    assert memory_regions(chosen, firmware_spec(chosen))[1].base == 0x20030000


def test_flash_begins_where_the_core_boots() -> None:
    platform = board("hifive1-revb")
    flash, ram = memory_regions(platform, firmware_spec(platform))
    assert (flash.base, flash.size_bytes) == (0x20010000, 0x3F0000)
    assert (ram.base, ram.size_bytes) == (0x80000000, 16384)
    script = linker_script((flash, ram), 1008)
    assert "ORIGIN = 0x20010000, LENGTH = 4128768" in script
    # data begins where the stack ends
    assert "ORIGIN = 0x800003F0, LENGTH = 15376" in script and "emulab_stack_high = 0x800003F0" in script


def test_init_steps_become_register_accesses_in_order() -> None:
    steps = [
        {"set": 0x40021058, "mask": 0x10},
        {"clear": 0x4, "mask": 0x1},
        {"write": 0x8, "value": 0},
        {"wait": 0xC, "mask": 0x3, "value": 0x2},
        {"delay_cycles": 120},
    ]
    spec = validate(FirmwareSpec, {**load_platform("nucleo-l4r5zi").platform.board.firmware, "init": steps}, "x")
    body = init_source(spec).split("{", 1)[1]
    expected = [
        "EMULAB_REGISTER(0x40021058u) |= 0x00000010u;",
        "EMULAB_REGISTER(4u) &= ~1u;",
        "EMULAB_REGISTER(8u) = 0u;",
        "while ((EMULAB_REGISTER(0x0000000Cu) & 3u) != 2u)",
        "turns = 60u",
    ]
    places = [body.index(text) for text in expected]
    assert places == sorted(places)


def test_header_of_a_low_power_uart_and_a_polled_one() -> None:
    platform = board()
    header = config_header(platform, firmware_spec(platform), baud=115200, extra={"EMULAB_DUT_NAME": '"x"'})
    for line in (
        "#define EMULAB_UART_BASE 0x40008000u",
        "#define EMULAB_UART_LOW_POWER 1",
        "#define EMULAB_UART_IRQ 70",
        "#define EMULAB_INTERRUPTS 95",
        "#define EMULAB_TIMESTAMP_STM32_GPIO 1",
        '#define EMULAB_DUT_NAME "x"',
    ):
        assert line in header.splitlines()
    riscv = board("generic-rv32", plic=None)
    assert "EMULAB_UART_IRQ" not in config_header(riscv, firmware_spec(riscv), baud=9600, extra={})
