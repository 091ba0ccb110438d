"""Compile the bare-metal C library for the host, every public name prefixed, so that it meets the host's own."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import emulab.firmware
from emulab.firmware.toolchain import zig_binary

LIBC = Path(emulab.firmware.__file__).parent / "runtime" / "libc"

_UNARY = ["expf", "exp2f", "expm1f", "logf", "log2f", "log10f", "tanhf", "sqrtf"]
_UNARY += ["floorf", "ceilf", "truncf", "roundf", "rintf", "fabsf"]
_BINARY = ["powf", "fminf", "fmaxf", "fmodf", "copysignf"]


def public_names() -> list[str]:
    names: list[str] = []
    for header in ("string.h", "stdlib.h", "stdio.h", "math.h"):
        text = (LIBC / "include" / header).read_text()
        names += re.findall(r"^(?!#)[\w *]*?\b(\w+)\([^;]*\)\s*(?:__attribute__.*)?;?$", text, re.MULTILINE)
    return sorted(set(names))


def build(folder: Path) -> ctypes.CDLL:
    rename = "".join(f"#define {n} emu_{n}\n" for n in public_names())
    (folder / "rename.h").write_text("#define fabs emu_fabs\n" + rename.replace("#define fabs emu_fabs\n", ""))
    loops = ["#include <math.h>"]
    loops += [
        f"void map_{n}(const float *x, float *y, int n) {{ for (int i = 0; i < n; i++) y[i] = {n}(x[i]); }}"
        for n in _UNARY
    ]
    loops += [
        f"void map_{n}(const float *x, const float *z, float *y, int n)"
        f"{{ for (int i = 0; i < n; i++) y[i] = {n}(x[i], z[i]); }}"
        for n in _BINARY
    ]
    (folder / "loops.c").write_text("\n".join(loops) + "\n")
    library = folder / "libemu.so"
    binary = zig_binary()
    assert binary is not None, "ziglang is a dependency of emulab"
    subprocess.run(
        [
            binary,
            "cc",
            "-shared",
            "-fPIC",
            "-O2",
            "-fno-builtin",
            "-ffp-contract=off",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{LIBC / 'include'}",
            "-include",
            str(folder / "rename.h"),
            *map(str, sorted(LIBC.glob("*.c"))),
            str(folder / "loops.c"),
            "-o",
            str(library),
        ],
        check=True,
        timeout=120,
    )
    return ctypes.CDLL(str(library))
