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

    @property
    def sleeps_by_its_clock(self) -> bool:
        """Whether ``-icount sleep=off`` tells right how long the core slept (7.2 counts a periodic timer's sleep twice)."""
        return self.version[:2] >= (10, 0)

    def machines(self) -> frozenset[str]:
        """Names of the machines this QEMU has. ToolError where it does not tell."""
        return _machines(str(self.path), self.path.stat().st_mtime_ns)


def program(arch: Arch, folder: str = "") -> str:
    """Path of QEMU for *arch*: in *folder* (``--qemu``), else in ``$EMULAB_QEMU``, else on the PATH; empty if none."""
    for given, origin in ((folder, "--qemu"), (os.environ.get("EMULAB_QEMU", ""), "$EMULAB_QEMU")):
        if given:
            candidate = Path(given).expanduser() / PROGRAMS[arch]
            if candidate.is_file():
                return str(candidate.resolve())
            raise ToolError(
                f"{origin}: {candidate} does not exist; name the folder that holds {PROGRAMS[arch]}, or leave it out"
            )
    return shutil.which(PROGRAMS[arch]) or ""


def find(arch: Arch, folder: str = "") -> Qemu:
    """QEMU for *arch*. ToolError where it is missing, does not start or is too old."""
    path = program(arch, folder)
    if not path:
        raise ToolError(f"{PROGRAMS[arch]} is not on the PATH")
    return _identify(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _machines(path: str, changed_ns: int) -> frozenset[str]:
    done = _run(path, "-machine", "help")
    if done.returncode:
        raise ToolError(f"{path} -machine help failed: {(done.stderr or done.stdout).strip()[:120]}")
    return frozenset(line.split()[0] for line in done.stdout.splitlines()[1:] if line.strip())


def _run(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} does not start: {error}") from None


@lru_cache(maxsize=8)
def _identify(path: str, changed_ns: int) -> Qemu:
    done = _run(path, "--version")
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
