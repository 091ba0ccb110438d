"""``emulab doctor``: which backends and tools are here, and the one line that gets a missing one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console

    rows = [*_backends(), *_bench(), *_tools()]
    if args.json:
        import json

        print(json.dumps(rows, indent=1))
        return 0
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="emulab doctor", title_justify="left")
    for heading in ("what", "name", "here", "version", "what to do"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        here = "[green]yes[/]" if row["here"] == "yes" else "[yellow]no[/]"
        table.add_row(row["what"], row["name"], here, escape(row["version"]), escape(row["hint"]))
    console().print(table)
    return 0


def _backends() -> list[dict[str, str]]:
    from emulab.backends.base import backend_names, load_backend
    from emulab.errors import BackendUnavailable

    rows = []
    for name in backend_names():
        try:
            state = load_backend(name).available()
        except BackendUnavailable as error:
            rows.append({"what": "backend", "name": name, "here": "no", "version": "", "hint": error.reason})
            continue
        hint = "" if state.available else "; ".join(t for t in (state.reason, state.how_to_install) if t)
        here = "yes" if state.available else "no"
        rows.append({"what": "backend", "name": name, "here": here, "version": state.version, "hint": hint})
    return rows


def _bench() -> list[dict[str, str]]:
    """What the hardware backend uses where it is asked to: packages, and programs of the flash loaders."""
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    rows = []
    for package, use in (("pyocd", "--flash pyocd and --serial rtt"), ("esptool", "--flash esptool"),
                         ("pyjoulescope_driver", "--power js220")):  # fmt: skip
        try:
            found, hint = version(package), ""
        except PackageNotFoundError:
            found, hint = "", f"for {use}: pip install 'emulab[hardware]'"
        here = "yes" if found else "no"
        rows.append({"what": "bench", "name": package, "here": here, "version": found, "hint": hint})
    for program, use in (("openocd", "--flash openocd"), ("STM32_Programmer_CLI", "--flash stm32cubeprogrammer"),
                         ("JLinkExe", "--flash jlink")):  # fmt: skip
        here = "yes" if shutil.which(program) else "no"
        hint = "" if here == "yes" else f"for {use}: put it on the PATH"
        rows.append({"what": "bench", "name": program, "here": here, "version": "", "hint": hint})
    return rows


def _tools() -> list[dict[str, str]]:
    from emulab.cache import cache_dir
    from emulab.firmware.toolchain import load_toolchain, toolchain_names
    from emulab.run.assets import folders

    rows = []
    for name in toolchain_names():
        state = load_toolchain(name).status()
        hint = "" if state.found else "; ".join(t for t in (state.reason, state.how_to_install) if t)
        found = "yes" if state.found else "no"
        rows.append({"what": "toolchain", "name": name, "here": found, "version": state.version, "hint": hint})
    usable = _writable(cache_dir())
    hint = "" if usable else "cannot be written: set EMULAB_CACHE to a folder that can"
    rows.append(
        {"what": "cache", "name": str(cache_dir()), "here": "yes" if usable else "no", "version": "", "hint": hint}
    )
    for folder in folders():
        here = os.path.isdir(folder)
        hint = "" if here else "emulab assets pull, or set EMULAB_ASSETS"
        rows.append(
            {"what": "assets", "name": str(folder), "here": "yes" if here else "no", "version": "", "hint": hint}
        )
    return rows


def _writable(folder: Path) -> bool:
    """Whether *folder* can be written, or made where it is not there yet. Nothing is made."""
    place = next((p for p in (folder, *folder.parents) if os.path.exists(p)), None)
    return place is not None and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
