"""Compile the probe's C sources on first use, with ``$CC`` or the compiler inside ziglang, cached by content."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from emulab.cache import KeyPart, fetch_or_build
from emulab.errors import ToolError

C_FOLDER = Path(__file__).resolve().parent / "c"
MEMSIM_SOURCES = ("memsim.c", "memsim_config.c")
PROBE_SOURCES = ("probe.c", "blocks.c", "addresses.c", *MEMSIM_SOURCES)
_LIMIT_S = 240.0


def compiler() -> list[str]:
    """Command of the C compiler: ``$CC`` if set, else ``python -m ziglang cc``; ToolError when there is neither."""
    own = os.environ.get("CC", "").strip()
    if own:
        return shlex.split(own)
    import importlib.util

    if importlib.util.find_spec("ziglang") is None:
        raise ToolError("the probe needs a C compiler: install one with `pip install ziglang`, or set CC")
    return [sys.executable, "-m", "ziglang", "cc"]


def library_suffix() -> str:
    return {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


def build_library(name: str, sources: Iterable[Path], headers: Iterable[Path] = (), flags: Iterable[str] = ()) -> Path:
    """Path of the shared library *name* made from *sources*.

    Built once per content of sources, headers, compiler and flags; two processes may ask at once. Raises ToolError
    with the compiler's first message when it does not compile.
    """
    import importlib.metadata
    import platform

    source_list, command = list(sources), compiler()
    base = [
        "-O3",
        "-fomit-frame-pointer",
        "-shared",
        "-fPIC",
        "-std=c11",
        "-Wall",
        "-Werror=implicit-function-declaration",
        *flags,
    ]
    if sys.platform.startswith("linux"):
        base.append("-Wl,-Bsymbolic")  # calls within the library go straight
    if "ziglang" in command:
        base.append("-mcpu=baseline")  # hosts that share a cache folder need not be alike
    file_name = name + library_suffix()
    version = importlib.metadata.version("ziglang") if "ziglang" in command else ""
    key: list[KeyPart] = [name, sys.platform, platform.machine(), *command[1:], version, *base, *source_list, *headers]
    if "ziglang" not in command:
        key.append(command[0])

    def build(folder: Path) -> None:
        include = sorted({f"-I{s.parent}" for s in source_list})
        arguments = [*command, *base, *include, "-o", str(folder / file_name), *map(str, source_list)]
        environment = dict(os.environ)
        if "ziglang" in command:  # zig's own cache: beside the entry, gone with it
            environment["ZIG_LOCAL_CACHE_DIR"] = environment["ZIG_GLOBAL_CACHE_DIR"] = str(folder / "zig")
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=_LIMIT_S, env=environment)
        except FileNotFoundError:
            raise ToolError(f"C compiler {command[0]!r} was not found; set CC or `pip install ziglang`") from None
        except subprocess.TimeoutExpired:
            raise ToolError(f"C compiler {command[0]!r} did not finish {name} within {_LIMIT_S:.0f} s") from None
        import shutil

        shutil.rmtree(folder / "zig", ignore_errors=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise ToolError(f"{name} does not compile with {' '.join(command)}: {lines[0] if lines else 'no message'}")

    return fetch_or_build("probe", key, build) / file_name


def probe_library() -> Path:
    """The probe core with its Unicorn hooks and the memory simulator."""
    names = (*PROBE_SOURCES, "unicorn_hook.c")
    return build_library("emulab_probe", [C_FOLDER / n for n in names], sorted(C_FOLDER.glob("*.h")))
