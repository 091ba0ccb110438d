"""What every flash loader is to emulab, and the one table of those there are.

A loader writes an image, verifies it and lets the board run. Which chip it is comes from the platform's
``backends.hardware`` options. Programs are run without a shell, with a limit, and what they said last is in the error.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from emulab.errors import BackendUnavailable, InputError, ToolError
from emulab.plugins import Registry

LIMIT_S = 180.0
AGAIN = "run again, or give --flash-retries N"


@dataclass(frozen=True)
class FlashJob:
    """What to write and where. ``base`` is the load address of a BIN; ``options`` are the platform's for this
    loader."""

    image: Path
    format: str
    base: int | None = None
    probe: str = ""
    """Serial number of the debug probe (or port, or drive), where there are several."""
    options: Mapping[str, str] = field(default_factory=dict)

    def option(self, key: str, loader: str, example: str) -> str:
        """An option the loader cannot do without. InputError says where to put it."""
        value = self.options.get(key, "")
        if not value:
            raise InputError(
                f"--flash {loader}: the platform does not say {key!r}; add backends.hardware.options.{key}, "
                f"e.g. {example}"
            )
        return str(value)


@runtime_checkable
class FlashLoader(Protocol):
    """Writes an image to a board and verifies it."""

    def flash(self, job: FlashJob) -> str:
        """Write, verify, reset. Gives one line for the record. Raises ToolError or InputError."""


_LOADERS = Registry(
    "emulab.flash_loaders",
    {
        "pyocd": "emulab.lab.flash.pyocd:PyOcd",
        "openocd": "emulab.lab.flash.openocd:OpenOcd",
        "stm32cubeprogrammer": "emulab.lab.flash.stm32cube:Stm32CubeProgrammer",
        "jlink": "emulab.lab.flash.jlink:JLink",
        "esptool": "emulab.lab.flash.esptool:EspTool",
        "uf2": "emulab.lab.flash.uf2:Uf2",
    },
)
loader_names = _LOADERS.names


def open_loader(name: str) -> FlashLoader:
    """The loader called *name*; InputError names the closest one."""
    try:
        loader: FlashLoader = _LOADERS.load(name, f"--flash {name}: no such loader")()
    except (ImportError, AttributeError) as error:
        raise ToolError(f"--flash {name}: it does not load: {error}") from None
    return loader


def flash_with_retries(loader: FlashLoader, job: FlashJob, name: str, retries: int = 0) -> list[str]:
    """Flash *job*; where that is interrupted or not verified, again up to *retries* times. Lines for the record.

    Raises what the last attempt did. Wrong input and a missing tool are not tried again.
    """
    said: list[str] = []
    for attempt in range(retries + 1):
        try:
            return [*said, loader.flash(job)]
        except BackendUnavailable:
            raise
        except KeyboardInterrupt:
            raise ToolError(f"--flash {name}: interrupted; the board's flash is not whole: {AGAIN}") from None
        except ToolError as error:
            if attempt == retries:
                raise ToolError(f"{error} (tried {attempt + 1} times)" if attempt else str(error)) from None
            said.append(f"flashed again, attempt {attempt + 2} of {retries + 1}: {error}")
    raise AssertionError("at least one attempt returns or raises")


def find_program(names: Sequence[str], loader: str, how_to_install: str) -> str:
    """Path of the first program of *names* that is installed. BackendUnavailable otherwise."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise BackendUnavailable("hardware", f"--flash {loader}: {names[0]} is not on the path", how_to_install)


def run_program(command: Sequence[str], loader: str, limit_s: float = LIMIT_S, stdin: str | None = None) -> str:
    """Run a loader's program; its output. ToolError when it fails or takes too long, with the line that says why."""
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"--flash {loader}: no end after {limit_s:g} s; flashing was interrupted, the board's flash is not whole: "
            f"check the cable and {AGAIN}"
        ) from None
    except OSError as error:
        raise ToolError(f"--flash {loader}: {command[0]} cannot be run: {error}") from None
    if done.returncode < 0:
        raise ToolError(
            f"--flash {loader}: ended by signal {-done.returncode}; flashing was interrupted, the board's flash is not "
            f"whole: {AGAIN}"
        )
    if done.returncode:
        raise ToolError(f"--flash {loader}: failed ({done.returncode}): {telling_line(done.stdout)}; {AGAIN}")
    return done.stdout


def telling_line(output: str) -> str:
    """The line of a program's output that says what went wrong: the first with an error word, else the last.

    Notes and warnings are passed over, and a line that says error goes before one that says that something failed.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    grave = [line for line in lines if not line.lower().startswith(("note", "warning", "info"))]
    for words in (("error",), ("fail", "cannot", "no device", "not found", "unable")):
        for line in grave:
            if any(word in line.lower() for word in words):
                return line[:200]
    return lines[-1][:200] if lines else "it said nothing"


def require_line(output: str, words: Sequence[str], loader: str) -> None:
    """ToolError unless the output confirms the verification with one of *words*."""
    if not any(word.lower() in output.lower() for word in words):
        raise ToolError(
            f"--flash {loader}: the write was not verified ({telling_line(output)}); "
            f"the flash may not be whole: {AGAIN}"
        )
