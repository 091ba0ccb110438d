"""Link firmware: stack as deep as the code needs, constants where the board wants them, refusal with numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import DoesNotFit
from emulab.firmware.image import Image, load_image
from emulab.firmware.toolchain import LinkOverflow

if TYPE_CHECKING:
    from emulab.firmware.board import Region
    from emulab.firmware.build import BuildOptions
    from emulab.firmware.codegen import GeneratedModel
    from emulab.firmware.toolchain import CompileTarget, Toolchain
    from emulab.model.platform import Platform

LEAST_STACK_BYTES = 1024
_INTERRUPT_HANDLERS = ("emulab_uart_interrupt", "emulab_audio_interrupt", "emulab_timer_interrupt", "emulab_trap_entry")


@dataclass(frozen=True)
class Link:
    """All that linking needs."""

    model: Path
    platform: Platform
    options: BuildOptions
    toolchain: Toolchain
    target: CompileTarget
    generated: GeneratedModel
    regions: tuple[Region, Region]
    objects: list[Path]
    elf: Path
    log: Path

    def run(self, stack_bytes: int, in_ram: list[str]) -> Image:
        from emulab.firmware.board import linker_script

        script = self.elf.with_suffix(".ld")
        script.write_text(linker_script(self.regions, stack_bytes, in_ram))
        try:
            self.toolchain.link(self.target, self.objects, script, self.elf, self.log)
        except LinkOverflow as error:
            raise _does_not_fit(self.model, self.platform, stack_bytes, self.generated, self.regions, error) from None
        return load_image(self.elf)


@dataclass(frozen=True)
class Linked:
    """What linking decided."""

    static_stack_bytes: int | None
    stack_bytes: int
    in_ram: list[str]


def link_firmware(link: Link) -> Linked:
    """Link, and link again when the first shows how much stack is needed or which constants RAM has room for."""
    from emulab.firmware.board import firmware_spec
    from emulab.firmware.placement import choose, constants_of

    wanted = link.options.stack_bytes
    first = wanted if wanted is not None else LEAST_STACK_BYTES
    image = link.run(first, [])
    bound = _static_stack(image, link.platform)
    stack = wanted
    if stack is None:
        stack = 4096 if bound is None else max(LEAST_STACK_BYTES, -(-bound * 5 // 4 // 64) * 64)
    in_ram: list[str] = []
    place = link.options.constants
    if place == "auto":
        place = firmware_spec(link.platform).constants
    if place == "ram":
        free = link.regions[1].size_bytes - stack - ram_bytes(image) - 64
        objects = [path for path in link.objects if path.name == "__model__model.o"]
        constants = [c for path in objects for c in constants_of(path, link.generated.layers)]
        in_ram = choose(constants, free)
    if stack != first or in_ram:
        link.run(stack, in_ram)
    return Linked(bound, stack, in_ram)


def ram_bytes(image: Image) -> int:
    return sum(s.size for s in image.sections if s.kind in ("data", "bss"))


def _static_stack(image: Image, platform: Platform) -> int | None:
    from emulab.firmware.stack import StackUnknown, static_stack

    handlers = [name for name in _INTERRUPT_HANDLERS if name in image.symbols]
    try:
        return static_stack(image, interrupts=handlers, fpu=platform.core.fpu != "none")
    except StackUnknown:
        return None


def _does_not_fit(
    model: Path,
    platform: Platform,
    stack_bytes: int,
    generated: GeneratedModel,
    regions: tuple[Region, Region],
    overflow: LinkOverflow,
) -> DoesNotFit:
    by_name = {region.name: region for region in regions}
    parts = []
    needed: dict[str, float] = {}
    for name, excess in overflow.regions:
        region = by_name["FLASH" if name == "FLASH" else "RAM"]
        shares = {"weights": generated.weight_bytes}
        if region.name != "FLASH":
            shares = {"arena": generated.arena_bytes, "stack": stack_bytes}
        # code, or input, front end and console: without it the shares seem not to add up
        shares["all else"] = region.size_bytes + excess - sum(shares.values())
        of_it = ", ".join(f"{what} {size}" for what, size in shares.items())
        key, other = ("flash_bytes", 0) if region.name == "FLASH" else ("ram_bytes", stack_bytes)
        needed[key] = region.size_bytes + excess - other
        parts.append(
            f"{region.name.lower()} needs {region.size_bytes + excess} bytes ({of_it}) and has {region.size_bytes} "
            f"({' + '.join(region.memories)})"
        )
    return DoesNotFit(f"{model}: does not fit {platform.name}: {'; '.join(parts)}", needed)
