"""Compile generated C for the host, load it, run it; and run the same model in the reference interpreter."""

from __future__ import annotations

import ctypes
import itertools
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulab.cache import KeyPart, fetch_or_build
from emulab.firmware.codegen import GeneratedModel, KernelTarget, generate
from emulab.firmware.toolchain import zig_binary

# Every library its own name: a loader that knows a path does not load it again.
_serial = itertools.count()

Run = Callable[[NDArray[np.generic]], NDArray[np.generic]]


FLAGS = ("-fPIC", "-O1", "-g0", "-std=c11", "-Wall", "-Werror", "-Wno-unused-function", "-fno-strict-aliasing")


@cache
def zig() -> tuple[str, ...]:
    """The compiler of the ziglang package."""
    binary = zig_binary()
    assert binary is not None, "ziglang is a dependency of emulab"
    return binary, "cc"


@cache
def compiler() -> tuple[str, ...]:
    """For the host: `$CC` if set, else zig."""
    return tuple(shlex.split(os.environ["CC"])) if os.environ.get("CC") else zig()


def run_compiler(*arguments: str, command: tuple[str, ...] | None = None) -> None:
    """One run of zig, or of *command*; what the compiler says fails the test."""
    done = subprocess.run([*(command or zig()), *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]


@cache
def shared_object(
    source: Path, flags: tuple[str, ...], include: tuple[Path, ...], command: tuple[str, ...] | None = None
) -> str:
    """The object of a source that is the same in every model: compiled once for all processes of the session."""
    headers = sorted(header for folder in include for header in folder.glob("*.h"))
    command = command or zig()
    key: list[KeyPart] = [source.name, source, *headers, " ".join((*command, *flags))]

    def builder(folder: Path) -> None:
        where = (*(f"-I{d}" for d in include), str(source))
        run_compiler("-c", *flags, *where, "-o", str(folder / "shared.o"), command=command)

    return str(fetch_or_build("test-object", key, builder) / "shared.o")


def build(generated: GeneratedModel, library: Path, *flags: str) -> ctypes.CDLL:
    """Compile the model, link it with its kernels into a shared library and load it."""
    flags = (*FLAGS, *flags, *(f"-D{k}={v}" for k, v in generated.defines.items()))
    own = [s for s in generated.sources if s.parent == generated.include_dirs[0]]
    kernels = [
        shared_object(s, flags, generated.include_dirs[1:], compiler()) for s in generated.sources if s not in own
    ]
    include = [f"-I{d}" for d in generated.include_dirs]
    run_compiler("-shared", *flags, *include, *map(str, own), *kernels, "-o", str(library), command=compiler())
    return ctypes.CDLL(str(library))


class HostModel:
    """A generated model on the host: call it with inputs, get outputs."""

    def __init__(self, model: Path, target: KernelTarget, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="emulab-host-"))
        self.generated = generate(model, self.folder / target.value, target=target)
        self.library = build(self.generated, self.folder / target.value / f"model-{next(_serial)}.so")
        for name in ("emulab_model_input_at", "emulab_model_output_at"):
            getattr(self.library, name).restype = ctypes.c_void_p

    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        for i, (value, d) in enumerate(zip(inputs, self.generated.inputs, strict=True)):
            data = np.ascontiguousarray(value, d.dtype)
            assert data.nbytes == d.bytes
            ctypes.memmove(self.library.emulab_model_input_at(i), data.ctypes.data, d.bytes)
        self.library.emulab_model_run()
        outputs = []
        for i, d in enumerate(self.generated.outputs):
            raw = ctypes.string_at(self.library.emulab_model_output_at(i), d.bytes)
            outputs.append(np.frombuffer(raw, d.dtype).reshape(d.shape))
        return outputs


class Reference:
    """The TensorFlow Lite Micro interpreter."""

    def __init__(self, model: bytes, outputs: int = 1, arena_bytes: int | None = None) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.outputs = outputs
        self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes or len(model) * 10 + (1 << 20))

    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        for i, value in enumerate(inputs):
            self.interpreter.set_input(value, i)
        self.interpreter.invoke()
        return [np.array(self.interpreter.get_output(i)) for i in range(self.outputs)]
