"""Build a user's own firmware: C sources, the runtime's port and drivers, and a model where there is one -> ELF.

Unlike DUT firmware (``build.py``) it speaks no protocol: the sources define ``emulab_main`` and use what
``runtime/port/port.h``, ``runtime/drivers/emulab_drivers.h``, ``runtime/signal/emulab_signal.h``, ``emulab.h`` and the
generated ``model.h`` offer.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import emulab
from emulab.cache import KeyPart, cache_dir, fetch_or_build
from emulab.errors import InputError, ToolError
from emulab.firmware.build import RUNTIME
from emulab.firmware.image import Image, load_image
from emulab.firmware.linking import ram_bytes
from emulab.firmware.toolchain import CompileJob, LinkOverflow, compile_all, compile_target, load_toolchain

if TYPE_CHECKING:
    from emulab.model.platform import Platform

DRIVERS = {
    "stm32l4": ("stm32l4", ("interrupts_cortex_m.c", "radio_hci.c")),
    "nrf52840": ("nrf52840", ("interrupts_cortex_m.c", "wait_plain.c")),
    "fe310": ("fe310", ("interrupts_plic.c", "radio_hci.c", "wait_plain.c")),
}
"""SoC name prefix -> folder of ``runtime/drivers``, and the files beside the folders that its drivers stand on."""

STACK_BYTES = 4096


@dataclass(frozen=True)
class ApplicationFirmware:
    """What was built; ``flash_bytes`` is all that is loaded, ``ram_bytes`` .data and .bss without the stack."""

    elf: Path
    image: Image
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    toolchain: str


def build_application(
    sources: Sequence[Path],
    platform: Platform,
    *,
    model: Path | None = None,
    toolchain: str = "zig",
    optimise: str = "O2",
    kernels: str = "auto",
    stack_bytes: int = STACK_BYTES,
) -> ApplicationFirmware:
    """Build *sources* for *platform*, or take an equal image from the cache.

    Headers beside the sources are found. Raises InputError for a source that is missing or a program that does not fit,
    ToolError for a compiler that is absent or fails.
    """
    from emulab.firmware.board import firmware_spec, spec_summary

    for source in sources:
        if not source.is_file():
            raise InputError.at(source, "", "no such file; expected a C source of the application")
    if not sources:
        raise InputError("application.sources: expected at least one C file")
    firmware_spec(platform)
    tools, target = load_toolchain(toolchain), compile_target(platform.core)
    status = tools.status(target)
    if not status.found:
        raise ToolError(f"toolchain {toolchain}: {status.reason}; install it with: {status.how_to_install}")
    here = Path(__file__).parent
    runtime = sorted(p for p in RUNTIME.rglob("*") if p.suffix in (".c", ".h"))
    own = sorted({*sources, *(h for s in sources for h in s.parent.glob("*.h"))})
    code = [here / "application.py", here / "board.py", *sorted((here / "codegen").rglob("*.py"))]
    key: list[KeyPart] = [
        "application",
        *(part for p in own for part in (p.name, p)),
        model,
        json.dumps([optimise, kernels, stack_bytes, status.version, emulab.__version__]),
        json.dumps(spec_summary(platform), sort_keys=True, default=str),
        parts_header(platform),
        *code,
        *(part for p in runtime for part in (p.relative_to(here).as_posix(), p)),
    ]

    def builder(folder: Path) -> None:
        _build(sources, platform, model, toolchain, f"-{optimise}", kernels, stack_bytes, folder)

    entry = fetch_or_build("application", key, builder)
    image = load_image(entry / "firmware.elf")
    return ApplicationFirmware(
        entry / "firmware.elf", image, image.size_bytes, ram_bytes(image), stack_bytes, status.version
    )


def _build(
    sources: Sequence[Path],
    platform: Platform,
    model: Path | None,
    toolchain: str,
    optimise: str,
    kernels: str,
    stack_bytes: int,
    folder: Path,
) -> None:
    """Fill *folder* with ``firmware.elf``."""
    from emulab.firmware.board import (
        config_header,
        firmware_spec,
        init_source,
        linker_script,
        memory_regions,
        port_sources,
    )
    from emulab.firmware.build import kernel_target
    from emulab.firmware.codegen import generate

    tools, target, spec = load_toolchain(toolchain), compile_target(platform.core), firmware_spec(platform)
    regions = memory_regions(platform, spec)
    (folder / "emulab_config.h").write_text(config_header(platform, spec, baud=platform.board.console.baud, extra={}))
    (folder / "emulab_init.c").write_text(init_source(spec))
    (folder / "emulab_parts.h").write_text(parts_header(platform))
    own_libc = tools.needs_own_libc(target)
    libc = RUNTIME / "libc"
    include = [folder, RUNTIME, RUNTIME / "port", RUNTIME / "drivers", RUNTIME / "signal"]
    include += [*dict.fromkeys(source.parent for source in sources)]
    defines: tuple[tuple[str, str], ...] = ()
    jobs: list[tuple[Path, str, tuple[str, ...], tuple[tuple[str, str], ...]]] = []
    if model is not None:
        generated = generate(model, folder / "model", target=kernel_target(platform, kernels))
        include += generated.include_dirs
        defines = tuple(generated.defines.items())
        for source in generated.sources:
            group = "model" if source.parent == folder / "model" else "kernel"
            jobs.append((source, group, (optimise,), defines))
    if own_libc:
        include.append(libc / "include")
    rename = (("snprintf", "emulab_snprintf"), ("vsnprintf", "emulab_vsnprintf"))
    jobs += [(source, "app", (optimise,), rename) for source in sources]
    port = [folder / "emulab_init.c", *(RUNTIME / "port" / name for name in port_sources(platform, spec))]
    drivers = driver_sources(platform)
    own = (*rename, ("EMULAB_DRIVERS", "1")) if drivers else rename
    jobs += [(source, "runtime", ("-Os",), own) for source in [*port, *drivers]]
    jobs += [(source, "signal", (optimise,), ()) for source in sorted((RUNTIME / "signal").glob("*.c"))]
    library = sorted(libc.glob("*.c")) if own_libc else [libc / "format.c"]
    jobs += [(source, "libc", ("-Os", "-fno-builtin"), rename) for source in library]
    log = cache_dir() / "logs" / f"application-{sources[0].stem}-{platform.name}.log"
    compiled = [
        CompileJob(source, folder / f"__{group}__{index}_{source.stem}.o", tuple(include), define, flags)
        for index, (source, group, flags, define) in enumerate(jobs)
    ]
    objects = compile_all(tools, target, compiled, log)
    script = folder / "firmware.ld"
    script.write_text(linker_script(regions, stack_bytes))
    try:
        tools.link(target, objects, script, folder / "firmware.elf", log)
    except LinkOverflow as error:
        raise InputError(f"application {sources[0].name}: does not fit {platform.name}: {error}") from None
    for unneeded in objects:
        unneeded.unlink(missing_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)


def driver_sources(platform: Platform) -> list[Path]:
    """Sources of the drivers for the platform's SoC; none where there are none (only port.h is offered then)."""
    drivers = RUNTIME / "drivers"
    for prefix, (folder, common) in DRIVERS.items():
        if platform.soc.name.startswith(prefix):
            return [*(drivers / name for name in common), *sorted((drivers / folder).glob("*.c"))]
    return []


_PIN = re.compile(r"^(?:P([A-K])(\d+)|P([01])\.(\d+)|gpio0\.(\d+))$", re.IGNORECASE)


def parts_header(platform: Platform) -> str:
    """``emulab_parts.h``: where the board's parts are connected, as the drivers take it: ``EMULAB_SENSOR_SELECT`` is ``'E', 0``.

    InputError for a pin that is no pin.
    """
    lines = [
        "/* Where the parts on the board are connected. Generated. */",
        "#ifndef EMULAB_PARTS_H",
        "#define EMULAB_PARTS_H",
    ]
    for name, entry in platform.board.parts.items():
        macro = f"EMULAB_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"
        for key in ("select", "interrupt"):
            if key not in entry:
                continue
            found = _PIN.match(str(entry[key]))
            if found is None:
                raise InputError(
                    f"platform {platform.name!r}: board.parts.{name}.{key}: {entry[key]!r} is no pin; expected PE0, P1.12 or gpio0.9"
                )
            port = found[1] or found[3] or "0"
            number = next(n for n in (found[2], found[4], found[5]) if n)
            lines.append(f"#define {macro}_{key.upper()} '{port.upper()}', {int(number)}")
        if isinstance(entry.get("address"), int):
            lines.append(f"#define {macro}_ADDRESS {entry['address']:#04x}")
    return "\n".join([*lines, "#endif", ""])
