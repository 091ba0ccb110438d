"""From a platform to what its firmware is compiled with: the config header, the board's set-up code, the linker script.

``board.firmware`` of the platform says which drivers to use and which registers to write; this file checks it and
writes C from it. Nothing here knows a vendor: drivers are files of ``runtime/port`` chosen by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from emulab.errors import InputError
from emulab.model.base import Schema, validate

if TYPE_CHECKING:
    from emulab.model.platform import Platform

STACK_PATTERN = 0x3CC35AA5
"""What the start-up code paints unused stack with; also the value of the symbol ``emulab_stack_pattern``."""

UART_DRIVERS = {
    "stm32-usart": "uart_stm32.c",
    "stm32-usart-v1": "uart_stm32_v1.c",
    "nrf-uarte": "uart_nrf_uarte.c",
    "sifive-uart": "uart_sifive.c",
    "ns16550": "uart_ns16550.c",
    "cmsdk-uart": "uart_cmsdk.c",
    "nrf-uart": "uart_nrf.c",
    "opentitan-uart": "uart_opentitan.c",
}
TIMER_DRIVERS = {
    "dwt": "timer_dwt.c",
    "systick": "timer_systick.c",
    "mcycle": "timer_mcycle.c",
    "mtime": "timer_mtime.c",
}
AUDIO_DRIVERS = {"stm32-sai": "audio_stm32_sai.c", "nrf-pdm": "audio_nrf_pdm.c"}
_AUDIO_NEEDS = {"stm32-sai": ("dma", "mux", "request"), "nrf-pdm": ("clock_pin", "data_pin")}
TIMESTAMP_DRIVERS = {"stm32-gpio", "nrf-gpio", "sifive-gpio"}

Word = int


class Step(Schema):
    """One step of the board's set-up: one of set, clear, write, wait (each a register address), delay_cycles."""

    set: Word | None = Field(default=None, ge=0, lt=2**32)
    clear: Word | None = Field(default=None, ge=0, lt=2**32)
    write: Word | None = Field(default=None, ge=0, lt=2**32)
    wait: Word | None = Field(default=None, ge=0, lt=2**32)
    delay_cycles: int | None = Field(default=None, gt=0, lt=2**24)
    mask: Word | None = Field(default=None, ge=0, lt=2**32)
    value: Word | None = Field(default=None, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check(self) -> Step:
        kinds = [k for k in ("set", "clear", "write", "wait", "delay_cycles") if getattr(self, k) is not None]
        if len(kinds) != 1:
            raise ValueError("a step is exactly one of set, clear, write, wait, delay_cycles")
        need = {
            "set": ["mask"],
            "clear": ["mask"],
            "write": ["value"],
            "wait": ["mask", "value"],
            "delay_cycles": [],
        }[kinds[0]]
        if [k for k in ("mask", "value") if getattr(self, k) is not None] != need:
            raise ValueError(f"step {kinds[0]!r} takes {' and '.join(need) or 'nothing else'}")
        return self


class UartSpec(Schema):
    """The console UART: driver, base address, input clock, interrupt (without: polled), driver-specific pins."""

    driver: str
    base: Word
    clock_hz: int = Field(gt=0)
    irq: int | None = Field(default=None, ge=0)
    low_power: bool = False
    tx_pin: int | None = None
    rx_pin: int | None = None


class TimerSpec(Schema):
    """What microseconds are counted with."""

    driver: str
    hz: int = Field(gt=0)
    unlock: bool = Field(default=False, description="DWT behind a lock (Cortex-M7)")


class TimestampSpec(Schema):
    """The GPIO of the energy-mode timestamp."""

    driver: str
    base: Word
    pin: int = Field(ge=0, lt=32)


class AudioSpec(Schema):
    """The microphone's interface, and its DMA channel or pins; ``init`` is written by streaming firmware only."""

    driver: str
    base: Word
    irq: int = Field(ge=0)
    dma: Word | None = None
    mux: Word | None = None
    request: int | None = Field(default=None, ge=0, lt=256)
    clock_pin: int | None = Field(default=None, ge=0, lt=64)
    data_pin: int | None = Field(default=None, ge=0, lt=64)
    init: list[Step] = Field(default=[])


class MtimeSpec(Schema):
    """A CLINT: base address and rate of mtime."""

    base: Word
    hz: int = Field(gt=0)


class PlicSpec(Schema):
    """A PLIC whose context 0 is machine mode of hart 0."""

    base: Word


class FirmwareSpec(Schema):
    """``board.firmware``: what emulab's own start-up code needs to know of a board."""

    init: list[Step] = Field(default=[])
    uart: UartSpec
    timer: TimerSpec
    timestamp: TimestampSpec | None = None
    audio: AudioSpec | None = None
    mtime: MtimeSpec | None = None
    plic: PlicSpec | None = None
    caches: bool = Field(default=False, description="turn on the core's own caches (Cortex-M7)")
    constants: Literal["flash", "ram"] = Field(
        default="flash", description="ram: copy the model's most read constants to RAM, as far as it has room"
    )
    flash: str | None = Field(default=None, description="memory the code is linked to; default: where the core boots")
    ram: str | None = Field(default=None, description="memory for data and stack; default: the largest")

    @model_validator(mode="after")
    def _check(self) -> FirmwareSpec:
        if self.uart.driver not in UART_DRIVERS:
            raise ValueError(f"uart driver {self.uart.driver!r} is unknown; known: {', '.join(UART_DRIVERS)}")
        if self.timer.driver not in TIMER_DRIVERS:
            raise ValueError(f"timer driver {self.timer.driver!r} is unknown; known: {', '.join(TIMER_DRIVERS)}")
        if self.timestamp and self.timestamp.driver not in TIMESTAMP_DRIVERS:
            known = ", ".join(sorted(TIMESTAMP_DRIVERS))
            raise ValueError(f"timestamp driver {self.timestamp.driver!r} is unknown; known: {known}")
        if self.audio and self.audio.driver not in AUDIO_DRIVERS:
            raise ValueError(f"audio driver {self.audio.driver!r} is unknown; known: {', '.join(AUDIO_DRIVERS)}")
        for key in _AUDIO_NEEDS[self.audio.driver] if self.audio else ():
            if getattr(self.audio, key) is None:
                raise ValueError(f"audio driver {self.audio.driver!r} needs {key}")  # type: ignore[union-attr]
        if self.timer.driver == "mtime" and self.mtime is None:
            raise ValueError("timer driver 'mtime' needs `mtime: {base, hz}`")
        if self.uart.driver in ("nrf-uart", "nrf-uarte") and (self.uart.tx_pin is None or self.uart.rx_pin is None):
            raise ValueError(f"uart driver {self.uart.driver!r} needs tx_pin and rx_pin")
        return self


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of memory the linker may use."""

    name: Literal["FLASH", "RAM"]
    base: int
    size_bytes: int
    memories: tuple[str, ...]


def firmware_spec(platform: Platform) -> FirmwareSpec:
    """The checked ``board.firmware`` of *platform*; InputError when firmware cannot be built for it."""
    if not platform.board.firmware:
        raise InputError(
            f"platform {platform.name}: no `board.firmware`, so emulab cannot build firmware for it; give an image"
        )
    spec = validate(FirmwareSpec, platform.board.firmware, f"platform {platform.name}: board.firmware")
    if spec.timer.driver in ("dwt", "mcycle", "systick") and spec.timer.hz != round(platform.board.clock_hz):
        raise InputError(
            f"platform {platform.name}: board.firmware sets the core to {spec.timer.hz} Hz, "
            f"but board.clock_hz is {platform.board.clock_hz:.0f}; change both"
        )
    return spec


def memory_regions(platform: Platform, spec: FirmwareSpec) -> tuple[Region, Region]:
    """Flash from where the core boots, and the largest stretch of adjoining RAM. InputError if there is none."""
    flashes = platform.memory_of_kind("flash", "external")
    boot = platform.soc.vector_base
    if spec.flash is not None:
        name = spec.flash
        if name not in platform.soc.memories:
            raise InputError(f"platform {platform.name}: board.firmware.flash: no memory {name!r}")
    else:
        found = [n for n, m in flashes.items() if boot is None or m.base <= boot < m.base + m.size_bytes]
        if not found:
            raise InputError(f"platform {platform.name}: no flash holds the boot address; set board.firmware.flash")
        name = found[0]
    memory = platform.soc.memories[name]
    base = boot if boot is not None and memory.base <= boot < memory.base + memory.size_bytes else memory.base
    flash = Region("FLASH", base, memory.base + memory.size_bytes - base, (name,))
    if spec.ram is not None:
        if spec.ram not in platform.soc.memories:
            raise InputError(f"platform {platform.name}: board.firmware.ram: no memory {spec.ram!r}")
        chosen = platform.soc.memories[spec.ram]
        return flash, Region("RAM", chosen.base, chosen.size_bytes, (spec.ram,))
    rams = sorted(platform.memory_of_kind("ram", "tcm-data").items(), key=lambda item: item[1].base)
    runs: list[Region] = []
    for ram_name, ram in rams:
        if runs and runs[-1].base + runs[-1].size_bytes == ram.base:
            last = runs.pop()
            runs.append(Region("RAM", last.base, last.size_bytes + ram.size_bytes, (*last.memories, ram_name)))
        else:
            runs.append(Region("RAM", ram.base, ram.size_bytes, (ram_name,)))
    if not runs:
        raise InputError(f"platform {platform.name}: no memory of kind ram")
    return flash, max(runs, key=lambda r: (r.size_bytes, -r.base))


def port_sources(platform: Platform, spec: FirmwareSpec) -> list[str]:
    """Files of ``runtime/port`` the platform needs."""
    core = "core_riscv.c" if platform.core.isa.startswith("rv") else "core_cortex_m.c"
    return [
        "start.c",
        core,
        "console.c",
        UART_DRIVERS[spec.uart.driver],
        TIMER_DRIVERS[spec.timer.driver],
        "timestamp.c",
    ]


def _unsigned(value: int) -> str:
    return f"0x{value:08X}u" if value > 9 else f"{value}u"


def c_text(text: str, what: str) -> str:
    """A C string literal of *text*; InputError unless it is short, printable ASCII without brackets or quotes."""
    if not re.fullmatch(r"[A-Za-z0-9 ._+:/-]{1,48}", text):
        raise InputError(f"{what} {text!r}: expected 1 to 48 letters, digits, blanks or ._+:/-")
    return f'"{text}"'


def config_header(platform: Platform, spec: FirmwareSpec, *, baud: int, extra: dict[str, str]) -> str:
    """``emulab_config.h``: the platform in macros."""
    define: dict[str, str] = {
        "EMULAB_CORE_CLOCK_HZ": f"{round(platform.board.clock_hz)}u",
        "EMULAB_INTERRUPTS": str(max(platform.soc.interrupts, (spec.uart.irq or 0) + 1)),
        "EMULAB_UART_BASE": _unsigned(spec.uart.base),
        "EMULAB_UART_CLOCK_HZ": f"{spec.uart.clock_hz}u",
        "EMULAB_UART_BAUD": f"{baud}u",
        "EMULAB_TIMER_HZ": f"{spec.timer.hz}u",
    }
    if spec.uart.irq is not None and (spec.plic is not None or not platform.core.isa.startswith("rv")):
        define["EMULAB_UART_IRQ"] = str(spec.uart.irq)
    if spec.uart.low_power:
        define["EMULAB_UART_LOW_POWER"] = "1"
    for name, pin in (("TX", spec.uart.tx_pin), ("RX", spec.uart.rx_pin)):
        if pin is not None:
            define[f"EMULAB_UART_{name}_PIN"] = f"{pin}u"
    if spec.timer.driver == "systick":
        define["EMULAB_TIMER_SYSTICK"] = "1"
    if spec.caches:
        define["EMULAB_CORE_CACHES"] = "1"
    if spec.timer.unlock:
        define["EMULAB_TIMER_UNLOCK"] = "1"
    if spec.timestamp is not None:
        define[f"EMULAB_TIMESTAMP_{spec.timestamp.driver.upper().replace('-', '_')}"] = "1"
        define["EMULAB_TIMESTAMP_BASE"] = _unsigned(spec.timestamp.base)
        define["EMULAB_TIMESTAMP_PIN"] = str(spec.timestamp.pin)
    if spec.mtime is not None:
        define["EMULAB_MTIME_BASE"] = _unsigned(spec.mtime.base)
        if spec.timer.driver == "mtime":
            define["EMULAB_TIMER_HZ"] = f"{spec.mtime.hz}u"
    if spec.plic is not None:
        define["EMULAB_PLIC_BASE"] = _unsigned(spec.plic.base)
    define.update(extra)
    lines = [
        "/* SPDX-License-Identifier: MIT-0 */",
        f"/* Generated from platform {re.sub(r'[^A-Za-z0-9._-]', '_', platform.name)}; do not edit. */",
        "#ifndef EMULAB_CONFIG_H",
        "#define EMULAB_CONFIG_H",
        *(f"#define {name} {value}" for name, value in define.items()),
        "#endif",
        "",
    ]
    return "\n".join(lines)


def audio_defines(spec: FirmwareSpec) -> dict[str, str]:
    """Macros of the microphone's driver; none where the board has no microphone."""
    if spec.audio is None:
        return {}
    audio = spec.audio
    define = {
        "EMULAB_STREAM_AUDIO": "1",
        "EMULAB_AUDIO_BASE": _unsigned(audio.base),
        "EMULAB_AUDIO_IRQ": str(audio.irq),
    }
    for name in ("dma", "mux", "request", "clock_pin", "data_pin"):
        value = getattr(audio, name)
        if value is not None:
            define[f"EMULAB_AUDIO_{name.upper()}"] = _unsigned(value)
    return define


def init_source(spec: FirmwareSpec, audio: bool = False) -> str:
    """``emulab_init.c``: the steps of ``board.firmware.init`` as C, and those of the microphone where it is used."""
    body: list[str] = []
    for step in [*spec.init, *(spec.audio.init if audio and spec.audio else [])]:
        if step.set is not None:
            body.append(f"EMULAB_REGISTER({_unsigned(step.set)}) |= {_unsigned(step.mask or 0)};")
        elif step.clear is not None:
            body.append(f"EMULAB_REGISTER({_unsigned(step.clear)}) &= ~{_unsigned(step.mask or 0)};")
        elif step.write is not None:
            body.append(f"EMULAB_REGISTER({_unsigned(step.write)}) = {_unsigned(step.value or 0)};")
        elif step.wait is not None:
            body.append(
                f"while ((EMULAB_REGISTER({_unsigned(step.wait)}) & {_unsigned(step.mask or 0)}) != "
                f"{_unsigned(step.value or 0)})\n        ;"
            )
        else:
            # two instructions per turn at least: the wait is never shorter than asked for
            body.append(
                f"for (volatile uint32_t turns = {max(1, (step.delay_cycles or 0) // 2)}u; turns; turns--)\n        ;"
            )
    lines = [
        "/* SPDX-License-Identifier: MIT-0 */",
        "/* Generated from board.firmware.init of the platform; do not edit. */",
        '#include "port.h"',
        "",
        "void emulab_board_init(void)",
        "{",
        *(f"    {line}" for line in body),
        "}",
        "",
    ]
    return "\n".join(lines)


GROUPS = ("model", "kernel", "libc")
"""Objects named ``__<group>__*.o`` get output sections of their own, so that flash can be told by origin."""


def linker_script(regions: tuple[Region, Region], stack_bytes: int, in_ram: Sequence[str] = ()) -> str:
    """The linker script. The stack lies at the low end of RAM: overflowing it leaves the memory and faults.

    It is no section, so that the image's footprint is what the program fills; *stack_bytes* is a multiple of 16.
    *in_ram* are sections of the model's object that are copied to RAM at start.
    """
    flash, ram = regions
    stack_high = ram.base + stack_bytes
    # .data stands before the read-only sections: the first pattern that matches a section takes it
    copied = f"    *__model__*.o({' '.join(in_ram)})\n" if in_ram else ""
    grouped = "\n".join(
        f"  .{kind}.{group} : {{ *__{group}__*.o(.{kind} .{kind}.*{extra}) . = ALIGN(4); }} > FLASH"
        for group in GROUPS
        for kind, extra in (("text", ""), ("rodata", " .srodata .srodata.*"))
    )
    return f"""/* SPDX-License-Identifier: MIT-0 */
/* Generated from the platform's memories; do not edit. */
ENTRY(emulab_reset)
MEMORY
{{
  FLASH (rx) : ORIGIN = 0x{flash.base:08X}, LENGTH = {flash.size_bytes}
  RAM (rwx) : ORIGIN = 0x{stack_high:08X}, LENGTH = {max(ram.size_bytes - stack_bytes, 0)}
}}
emulab_stack_low = 0x{ram.base:08X};
emulab_stack_high = 0x{stack_high:08X};
emulab_stack_pattern = 0x{STACK_PATTERN:08X};
SECTIONS
{{
  .start : {{ KEEP(*(.vectors)) KEEP(*(.text.emulab_reset)) . = ALIGN(4); }} > FLASH
  .data : ALIGN(8)
  {{
    emulab_data_start = .;
    __global_pointer$ = . + 0x800;
{copied}    *(.sdata .sdata.* .data .data.*)
    . = ALIGN(8);
    emulab_data_end = .;
  }} > RAM AT> FLASH
  emulab_data_load = LOADADDR(.data);
{grouped}
  .text : {{ *(.text .text.*) . = ALIGN(4); }} > FLASH
  .rodata : {{ *(.rodata .rodata.* .srodata .srodata.*) . = ALIGN(8); }} > FLASH
  .bss (NOLOAD) : ALIGN(16)
  {{
    emulab_bss_start = .;
    *(.sbss .sbss.* .bss .bss.* COMMON)
    . = ALIGN(8);
    emulab_bss_end = .;
  }} > RAM
  /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab* .eh_frame* .comment .note* .debug*) }}
}}
"""


def spec_summary(platform: Platform) -> dict[str, Any]:
    """What of a platform a built firmware depends on, for the cache key."""
    return {
        "core": platform.core.model_dump(mode="json", include={"isa", "fpu", "dsp", "mve", "cpu"}),
        "memories": {name: (m.base, m.size_bytes, m.kind) for name, m in sorted(platform.soc.memories.items())},
        "interrupts": platform.soc.interrupts,
        "vector_base": platform.soc.vector_base,
        "clock_hz": platform.board.clock_hz,
        "baud": platform.board.console.baud,
        "firmware": platform.board.firmware,
        "name": platform.name,
    }
