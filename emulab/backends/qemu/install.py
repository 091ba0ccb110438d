"""Find QEMU, tell its version and how to install it, and pick the plugin interface it speaks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from emulab.errors import ToolError

Arch = Literal["arm", "riscv"]

PROGRAMS: dict[Arch, str] = {"arm": "qemu-system-arm", "riscv": "qemu-system-riscv32"}
OLDEST = (6, 0)
_VERSION_LIMIT_S = 20.0

# First QEMU release with each version of the plugin interface (QEMU docs/devel/tcg-plugins).
_INTERFACES = (((9, 2), 4), ((9, 1), 3), ((8, 2), 2), ((0, 0), 1))


@dataclass(frozen=True, slots=True)
class Qemu:
    """One QEMU program."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def plugin_interface(self) -> int:
        """Version of the plugin interface to build the probe for; later versions still accept 4."""
        return next(api for first, api in _INTERFACES if self.version[:2] >= first)


def program(arch: Arch) -> str:
    """Path or name of QEMU for *arch*; ``$EMULAB_QEMU`` names a folder that is looked into first."""
    folder = os.environ.get("EMULAB_QEMU", "")
    if folder:
        candidate = Path(folder) / PROGRAMS[arch]
        if candidate.is_file():
            return str(candidate)
        raise ToolError(
            f"$EMULAB_QEMU: {candidate} does not exist; unset it or name the folder that holds {PROGRAMS[arch]}"
        )
    return shutil.which(PROGRAMS[arch]) or ""


def find(arch: Arch) -> Qemu:
    """QEMU for *arch*. ToolError where it is missing, does not start or is too old."""
    path = program(arch)
    if not path:
        raise ToolError(f"{PROGRAMS[arch]} is not on the PATH")
    return _identify(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _identify(path: str, changed_ns: int) -> Qemu:
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} does not start: {error}") from None
    match = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    if done.returncode or not match:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ToolError(f"{path} --version failed: {said[0] if said else f'exit status {done.returncode}'}")
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    if version[:2] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ToolError(f"{path} is QEMU {'.'.join(map(str, version))}; emulab needs {oldest} or newer")
    return Qemu(Path(path), version)


def how_to_install() -> str:
    """The one line that installs QEMU on this system."""
    if sys.platform == "darwin":
        return "brew install qemu"
    if sys.platform == "win32":
        return "winget install SoftwareFreedomConservancy.QEMU"
    for manager, line in (
        ("apt-get", "sudo apt-get install qemu-system-arm qemu-system-misc"),
        ("dnf", "sudo dnf install qemu-system-arm-core qemu-system-riscv-core"),
        ("pacman", "sudo pacman -S qemu-system-arm qemu-system-riscv"),
        ("zypper", "sudo zypper install qemu-arm qemu-extra"),
        ("apk", "sudo apk add qemu-system-arm qemu-system-riscv32"),
    ):
        if shutil.which(manager):
            return line
    return "see https://www.qemu.org/download/"
