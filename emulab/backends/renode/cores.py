"""Cores that Renode executes only in part: what firmware is built for instead, and images that would go wrong.

Renode 1.16 decodes Armv8.1-M in part: Helium's shifts of 64 bits fault, and the zero register of CSEL, CSINC and CSET is
taken for the PC, so that an image goes on with wrong numbers (tlib, arch/arm/translate.c). Code for Armv8-M Mainline, which
such a core executes too, holds neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

_IN_PART = "armv8.1-m.main"
_INSTEAD = "armv8-m.main"
_V8_1_M_MAINLINE = 21
"""Tag_CPU_arch of the ABI for the Arm architecture, addenda (IHI 0045), 3.3.5.2."""


def executed_in_part(platform: Platform) -> bool:
    return platform.core.isa == _IN_PART


def buildable(platform: Platform) -> Platform:
    """*platform* with a core whose code Renode executes, for building firmware."""
    if not executed_in_part(platform):
        return platform
    names = {tool: name for tool, name in platform.core.cpu.items() if tool not in ("zig", "gcc")}
    core = platform.core.model_copy(update={"isa": _INSTEAD, "mve": False, "cpu": names})
    return platform.model_copy(update={"core": core})


def check_image(image: Image, platform: Platform) -> None:
    """InputError where *image* says that it is compiled for what Renode executes in part."""
    if executed_in_part(platform) and _cpu_arch(image) == _V8_1_M_MAINLINE:
        raise InputError.at(
            image.path,
            "",
            f"compiled for Armv8.1-M, of which Renode executes shifts and conditional selects wrongly; "
            f"compile it for Armv8-M Mainline (-mcpu=cortex-m33), or run {platform.name} with --backend qemu",
        )


def _cpu_arch(image: Image) -> int | None:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import ARMAttributesSection

    with image.path.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if isinstance(section, ARMAttributesSection):
                for vendor in section.iter_subsections():
                    for scope in vendor.iter_subsubsections():
                        for attribute in scope.iter_attributes("TAG_CPU_ARCH"):
                            return int(attribute.value)
    return None
