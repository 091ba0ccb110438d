"""Schema of core and SoC: pipeline, memories, flash accelerator and caches, peripherals, clock.

Peripherals and timing models carry free ``parameters``: the code that implements the named ``type`` or
``model`` validates them, so that a third party can add one without touching this file.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from emulab.model.base import Schema
from emulab.model.quantity import PhysicalNumber

Isa = Literal[
    "armv6-m",
    "armv7-m",
    "armv7e-m",
    "armv8-m.base",
    "armv8-m.main",
    "armv8.1-m.main",
    "rv32imc",
    "rv32imac",
    "rv32imafc",
    "rv32imc_zba_zbb_zbs",
    "rv32imac_zba_zbb_zbs",
]


class TimingSpec(Schema):
    """Which pipeline model prices a block, with its physical parameters (each with source)."""

    model: str = Field(description="name of a timing model: cortex-m0plus, cortex-m4, cortex-m7, cortex-m33, e31, ...")
    parameters: dict[str, PhysicalNumber] = {}
    accuracy: PhysicalNumber | None = Field(
        default=None,
        description="relative error of cycle counts, one standard deviation: what was it measured on, or assumed",
    )


class Core(Schema):
    """The processor core, as the toolchain, the emulators and the timing model need it."""

    name: str
    isa: Isa
    fpu: Literal["none", "single", "double"] = "none"
    dsp: bool = False
    mve: bool = False
    mpu_regions: int = 0
    interrupt_priority_bits: int = 4
    cpu: dict[str, str] = Field(default={}, description="name of the core per tool: zig, gcc, unicorn, qemu, renode")
    timing: TimingSpec
    source: str = ""


class Memory(Schema):
    """One memory region. ``aliases`` are further bases under which the same bytes appear."""

    base: int = Field(ge=0)
    size_bytes: int = Field(gt=0)
    kind: Literal["flash", "ram", "tcm-instruction", "tcm-data", "rom", "external"]
    aliases: list[int] = []
    parameters: dict[str, Any] = Field(
        default={}, description="wait states and bus latencies, read by the timing model"
    )
    fill: int = Field(default=0, ge=0, le=255, description="content before anything is written: 0xFF for erased flash")
    data: dict[int, int] = Field(
        default={}, description="factory words at offsets (option bytes, unique id, calibration)"
    )
    source: str = ""


class Peripheral(Schema):
    """One peripheral instance: the type names its model, ``parameters`` is that model's business."""

    type: str
    base: int = Field(ge=0)
    size_bytes: int = 0x400
    irq: int | list[int] | None = None
    clock: str = Field(default="", description="name of the clock that feeds it, in the SoC's clock tree")
    parameters: dict[str, Any] = {}
    source: str = ""


class Soc(Schema):
    """The chip around the core."""

    name: str
    memories: dict[str, Memory]
    aliases: list[dict[str, int]] = Field(
        default=[],
        description="address ranges that mirror others (secure alias, boot alias): {base, size_bytes, target}",
    )
    memory_system: dict[str, Any] = Field(
        default={},
        description="flash accelerator, caches, prefetch, bus: read by emulab.timing (see emulab/timing/memory.py)",
    )
    peripherals: dict[str, Peripheral] = {}
    clocks: dict[str, Any] = Field(default={}, description="oscillators and clock tree, read by the machine")
    interrupts: int = Field(default=0, description="number of external interrupts")
    vector_base: int | None = Field(
        default=None, description="where the core fetches its vector table or first instruction"
    )
    source: str = ""
