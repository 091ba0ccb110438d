"""C toolchains for bare-metal firmware: zig (PyPI ``ziglang``, the default) and GNU, behind one protocol.

A toolchain turns :class:`CompileJob` into an object and objects into an ELF for a :class:`CompileTarget`, which is
derived from the platform's core alone. Output is reproducible: no path, time or debug information gets in.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from emulab.errors import InputError, ToolError

if TYPE_CHECKING:
    from emulab.model.soc import Core

ToolchainName = Literal["zig", "gnu"]
COMPILE_LIMIT_S = 120.0
"""Limit on one compiler run; the first link for a target also builds zig's compiler-rt (about 6 s)."""

_COMMON_FLAGS = (
    "-std=c11",
    "-fomit-frame-pointer",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    "-fno-strict-aliasing",
    # a fused multiply-add rounds once where the reference kernels round twice
    "-ffp-contract=off",
    "-fno-stack-protector",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    # a jump through a table looks like a call through a pointer, which hides the depth of the stack (stack.py)
    "-fno-jump-tables",
    "-g0",
    "-Wall",
    "-Wextra",
)


@dataclass(frozen=True, slots=True)
class CompileTarget:
    """What the compilers need to know of a core."""

    arch: Literal["arm", "riscv"]
    zig_flags: tuple[str, ...]
    gnu_flags: tuple[str, ...]

    @property
    def zig_link_flags(self) -> tuple[str, ...]:
        """As ``zig_flags``, but a plain core: zig's runtime library cannot be built for one with parts taken away."""
        return tuple(re.sub(r"=sifive_e31(-[mac])+", "=generic_rv32", flag) for flag in self.zig_flags)

    @property
    def gnu_link_flags(self) -> tuple[str, ...]:
        """As ``gnu_flags``, but the architecture as libraries are sorted by: without Zicsr and Zifencei."""
        return tuple(flag.removesuffix("_zicsr_zifencei") for flag in self.gnu_flags)

    @property
    def gnu_prefix(self) -> str:
        return "arm-none-eabi-" if self.arch == "arm" else "riscv64-unknown-elf-"


@dataclass(frozen=True, slots=True)
class CompileJob:
    """One C or assembler source to one object. *flags* come last and win."""

    source: Path
    output: Path
    include: tuple[Path, ...] = ()
    define: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ("-O2",)


@dataclass(frozen=True, slots=True)
class ToolchainStatus:
    """Whether a toolchain is here, which one, and how to get it."""

    found: bool
    version: str = ""
    reason: str = ""
    how_to_install: str = ""


# isa -> (zig cpu, gcc cpu); a core's own ``cpu: {zig, gcc}`` wins
_ARM_CPUS = {
    "armv6-m": ("cortex_m0plus", "cortex-m0plus"),
    "armv7-m": ("cortex_m3", "cortex-m3"),
    "armv7e-m": ("cortex_m4", "cortex-m4"),
    "armv8-m.base": ("cortex_m23", "cortex-m23"),
    "armv8-m.main": ("cortex_m33", "cortex-m33"),
    "armv8.1-m.main": ("cortex_m55", "cortex-m55"),
}


def compile_target(core: Core) -> CompileTarget:
    """Flags for *core*; the FPU of the platform decides the float ABI."""
    zig_cpu, gcc_cpu = core.cpu.get("zig", ""), core.cpu.get("gcc", "")
    if core.isa.startswith("rv"):
        extensions, *longer = core.isa.removeprefix("rv32i").split("_")
        abi = "ilp32f" if "f" in extensions and core.fpu != "none" else "ilp32"
        features = "".join(f"+{name}" for name in (*extensions, *longer))
        if zig_cpu in ("", "generic_rv32"):
            # Scheduled for no pipeline in particular, the loops of kernels spill a third of their registers.
            zig_cpu = "sifive_e31" + "".join(f"-{name}" for name in "mac" if name not in extensions)
        return CompileTarget(
            arch="riscv",
            zig_flags=(
                "-target",
                "riscv32-freestanding",
                f"-mcpu={zig_cpu}{features}+zicsr+zifencei",
                f"-mabi={abi}",
                "-mrelax",
            ),
            gnu_flags=(f"-march={core.isa}_zicsr_zifencei", f"-mabi={abi}", "-mcmodel=medany", "-mrelax"),
        )
    if core.isa not in _ARM_CPUS:
        raise InputError(f"core {core.name}: no compiler flags known for isa {core.isa!r}")
    defaults = _ARM_CPUS[core.isa]
    zig_cpu = (zig_cpu or defaults[0]).replace("-", "_")
    gcc_cpu = (gcc_cpu or defaults[1]).replace("_", "-")
    hard = core.fpu != "none"
    feature = ""
    gnu_fpu: tuple[str, ...] = ("-mfloat-abi=soft",)
    if hard:
        # VFPv4 on M4, FPv5 on M7, M33 and M55
        v4 = gcc_cpu == "cortex-m4"
        feature = "+vfp4d16sp" if v4 else "+fp_armv8d16" + ("" if core.fpu == "double" else "sp")
        name = "fpv4-sp-d16" if v4 else ("fpv5-d16" if core.fpu == "double" else "fpv5-sp-d16")
        gnu_fpu = ("-mfloat-abi=hard", "-mfpu=auto" if core.isa == "armv8.1-m.main" else f"-mfpu={name}")
    if core.isa == "armv8-m.main":
        feature += "+dsp" if core.dsp else "-dsp"
        if not core.dsp:
            gcc_cpu += "+nodsp"
    if core.isa == "armv8.1-m.main":
        feature += ("+mve_fp" if hard else "+mve") if core.mve else "-mve-mve_fp"
        if not core.mve:
            gcc_cpu += "+nomve"
    return CompileTarget(
        arch="arm",
        zig_flags=(
            "-target",
            "thumb-freestanding-eabihf" if hard else "thumb-freestanding-eabi",
            f"-mcpu={zig_cpu}{feature}",
        ),
        gnu_flags=("-mthumb", f"-mcpu={gcc_cpu}", *gnu_fpu),
    )


class Toolchain(Protocol):
    """One C toolchain."""

    name: ToolchainName

    def status(self, target: CompileTarget | None = None) -> ToolchainStatus:
        """Whether it can build for *target* (any target when None)."""

    def needs_own_libc(self, target: CompileTarget) -> bool:
        """Whether ``runtime/libc`` must be compiled in and its headers searched."""

    def compile(self, target: CompileTarget, job: CompileJob, log: Path | None = None) -> None:
        """Compile one file. ToolError: the first compiler error in one line, everything in *log*."""

    def link(
        self, target: CompileTarget, objects: Sequence[Path], script: Path, output: Path, log: Path | None = None
    ) -> None:
        """Link *objects* with *script*, dropping unused sections. LinkOverflow when a memory region is too small."""


class LinkOverflow(ToolError):
    """The program is larger than a memory region: (region, bytes too many) pairs."""

    def __init__(self, regions: Sequence[tuple[str, int]]) -> None:
        self.regions = tuple(regions)
        super().__init__("; ".join(f"region {name} overflows by {count} bytes" for name, count in regions))


def run_tool(command: Sequence[str], limit_s: float, cwd: Path, extra_env: dict[str, str] | None = None) -> str:
    """Run a compiler with a limit, in its own process group, which ends with us; returns what it printed."""
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0", **(extra_env or {})}
    with subprocess.Popen(
        list(command),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end_group(process)
            raise ToolError(f"{Path(command[0]).name} did not finish within {limit_s:.0f} s") from None
        except BaseException:
            _end_group(process)
            raise
    if process.returncode != 0:
        raise _Failed(output, process.returncode)
    return output


class _Failed(Exception):
    def __init__(self, output: str, code: int) -> None:
        super().__init__(output)
        self.output, self.code = output, code


def _end_group(process: subprocess.Popen[str]) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.wait()


def first_error(output: str) -> str:
    """The line of a compiler's output that says what is wrong, without its path."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"\berror:", r"undefined (symbol|reference)", r"overflowed"):
        for line in lines:
            if re.search(pattern, line):
                return re.sub(r"^(?:\S*/)?([^/\s]+:\d+)", r"\1", line)[:300]
    return lines[-1][:300] if lines else "no output"


_OVERFLOW = re.compile(
    r"section '?[^']*'? will not fit in region '(?P<lld>[^']+)': overflowed by (?P<lld_bytes>\d+) bytes"
    r"|region `(?P<gnu>[^']+)' overflowed by (?P<gnu_bytes>\d+) bytes"
)


_ROOM_BYTES = 1 << 20
"""A compiler that has less to write to may end without a word."""


def _fail(what: str, failure: _Failed, log: Path | None) -> ToolError:
    worst: dict[str, int] = {}
    for match in _OVERFLOW.finditer(failure.output):
        region = match["lld"] or match["gnu"]
        worst[region] = max(worst.get(region, 0), int(match["lld_bytes"] or match["gnu_bytes"]))
    if worst:
        return LinkOverflow(list(worst.items()))
    where = ""
    if log is not None:
        if not failure.output.strip() and shutil.disk_usage(log.parents[1]).free < _ROOM_BYTES:
            return ToolError(f"{what}: the disk of {log.parents[1]} is full; free some space or set EMULAB_CACHE")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(failure.output, encoding="utf-8")
        where = f"; full log: {log}"
    return ToolError(f"{what}: {first_error(failure.output)}{where}")


def _job_flags(job: CompileJob) -> list[str]:
    return [
        *(f"-I{folder}" for folder in job.include),
        *(f"-D{name}={value}" for name, value in job.define),
        # whatever __FILE__ or an assertion prints must not depend on where the build ran
        f"-ffile-prefix-map={job.source.parent}=.",
        *job.flags,
    ]


class ZigToolchain:
    """Clang, lld and compiler-rt as PyPI's ``ziglang`` ships them; no C library for bare metal."""

    name: ToolchainName = "zig"

    def status(self, target: CompileTarget | None = None) -> ToolchainStatus:
        install = "pip install ziglang"
        binary = zig_binary()
        if binary is None:
            return ToolchainStatus(False, reason="the Python package ziglang is not installed", how_to_install=install)
        try:
            version = run_tool([binary, "version"], 20.0, Path.cwd()).strip()
        except (ToolError, _Failed, OSError) as error:
            return ToolchainStatus(False, reason=f"{binary} does not run: {error}", how_to_install=install)
        return ToolchainStatus(True, version=f"zig {version}")

    def needs_own_libc(self, target: CompileTarget) -> bool:
        return True

    def compile(self, target: CompileTarget, job: CompileJob, log: Path | None = None) -> None:
        command = [
            "-c",
            *target.zig_flags,
            *_COMMON_FLAGS,
            "-fno-sanitize=undefined",
            *_job_flags(job),
            str(job.source),
            "-o",
            str(job.output),
        ]
        self._run(f"compiling {job.source.name} with zig", command, job.output.parent, log)

    def link(
        self, target: CompileTarget, objects: Sequence[Path], script: Path, output: Path, log: Path | None = None
    ) -> None:
        command = [
            *target.zig_link_flags,
            # not -nostdlib: that would leave compiler-rt (64-bit division, soft float) out as well
            "-nostartfiles",
            "-Wl,--gc-sections",
            "-g",  # zig strips every symbol without it; objects carry no debug information
            "-Wl,--build-id=none",
            "-Wl,-e,emulab_reset",
            "-T",
            str(script),
            *map(str, objects),
            "-o",
            str(output),
        ]
        self._run("linking with zig", command, output.parent, log)

    def _run(self, what: str, arguments: Sequence[str], cwd: Path, log: Path | None) -> None:
        from emulab.cache import cache_dir

        binary = zig_binary()
        if binary is None:
            raise ToolError("zig is missing: the Python package ziglang is not installed; pip install ziglang")
        cache = cache_dir() / "zig"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            run_tool(
                [binary, "cc", *arguments],
                COMPILE_LIMIT_S,
                cwd,
                {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)},
            )
        except _Failed as failure:
            raise _fail(what, failure, log) from None
        except OSError as error:
            raise ToolError(f"{what}: {error.strerror or error}: {error.filename or cache}") from None


_GNU_PACKAGES = {
    "arm": "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv": "apt install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
}


class GnuToolchain:
    """``arm-none-eabi-gcc`` with newlib, ``riscv64-unknown-elf-gcc`` with picolibc, from PATH."""

    name: ToolchainName = "gnu"

    def status(self, target: CompileTarget | None = None) -> ToolchainStatus:
        prefixes = [target.gnu_prefix] if target else ["arm-none-eabi-", "riscv64-unknown-elf-"]
        arches = [target.arch] if target else ["arm", "riscv"]
        versions, missing, hints = [], [], []
        for prefix, arch in zip(prefixes, arches, strict=True):
            version = _gcc_version(prefix + "gcc")
            if version:
                versions.append(version)
            else:
                missing.append(prefix + "gcc")
                hints.append(_GNU_PACKAGES[arch])
        reason = f"{' and '.join(missing)} not on PATH" if missing else ""
        return ToolchainStatus(not missing, ", ".join(versions), reason, " && ".join(hints))

    def needs_own_libc(self, target: CompileTarget) -> bool:
        return self._libc_flags(target) is None

    def _libc_flags(self, target: CompileTarget) -> tuple[str, ...] | None:
        """Flags that select the installed C library; None when there is none."""
        gcc = target.gnu_prefix + "gcc"
        if target.arch == "arm":
            return () if _gcc_file(gcc, target.gnu_flags, "libc.a") else None
        return ("--specs=picolibc.specs",) if _gcc_file(gcc, (), "picolibc.specs") else None

    def compile(self, target: CompileTarget, job: CompileJob, log: Path | None = None) -> None:
        command = [
            target.gnu_prefix + "gcc",
            "-c",
            *target.gnu_flags,
            *(self._libc_flags(target) or ()),
            *_COMMON_FLAGS,
            *_job_flags(job),
            str(job.source),
            "-o",
            str(job.output),
        ]
        self._run(f"compiling {job.source.name} with {command[0]}", command, job.output.parent, log)

    def link(
        self, target: CompileTarget, objects: Sequence[Path], script: Path, output: Path, log: Path | None = None
    ) -> None:
        libc = self._libc_flags(target)
        command = [
            target.gnu_prefix + "gcc",
            *target.gnu_link_flags,
            *(libc or ()),
            "-nostartfiles",
            *(() if libc is not None else ("-nostdlib",)),
            "-Wl,--gc-sections,--strip-debug,--build-id=none,--no-warn-rwx-segments",
            "-Wl,-e,emulab_reset",
            f"-T{script}",
            *map(str, objects),
            *(("-lm", "-lc") if libc is not None else ()),
            "-lgcc",
            "-o",
            str(output),
        ]
        self._run(f"linking with {command[0]}", command, output.parent, log)

    def _run(self, what: str, command: Sequence[str], cwd: Path, log: Path | None) -> None:
        if shutil.which(command[0]) is None:
            arch = "arm" if command[0].startswith("arm") else "riscv"
            raise ToolError(f"{command[0]} is not on PATH; install it with: {_GNU_PACKAGES[arch]}")
        try:
            run_tool(command, COMPILE_LIMIT_S, cwd)
        except _Failed as failure:
            raise _fail(what, failure, log) from None
        except OSError as error:
            raise ToolError(f"{what}: {error.strerror or error}") from None


def zig_binary() -> str | None:
    """Path of the zig program of the installed ``ziglang`` package, None without it."""
    from importlib.util import find_spec

    spec = find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        return None
    for name in ("zig", "zig.exe"):
        binary = Path(next(iter(spec.submodule_search_locations))) / name
        if binary.is_file():
            return str(binary)
    return None


@lru_cache
def _gcc_version(gcc: str) -> str:
    path = shutil.which(gcc)
    if path is None:
        return ""
    try:
        return run_tool([path, "--version"], 20.0, Path.cwd()).splitlines()[0]
    except (ToolError, _Failed, OSError, IndexError):
        return ""


@lru_cache
def _gcc_file(gcc: str, flags: tuple[str, ...], name: str) -> str:
    """Where gcc finds *name*, empty when it does not (it then echoes the bare name)."""
    try:
        answer = run_tool([gcc, *flags, f"-print-file-name={name}"], 20.0, Path.cwd()).strip()
    except (ToolError, _Failed, OSError):
        return ""
    return answer if os.sep in answer and Path(answer).exists() else ""


_TOOLCHAINS: dict[str, Callable[[], Toolchain]] = {"zig": ZigToolchain, "gnu": GnuToolchain}


def toolchain_names() -> list[str]:
    return list(_TOOLCHAINS)


def load_toolchain(name: str = "zig") -> Toolchain:
    """The toolchain called *name* (``zig`` or ``gnu``); InputError for another name."""
    if name not in _TOOLCHAINS:
        raise InputError(f"toolchain {name!r} is unknown; known: {', '.join(_TOOLCHAINS)}")
    return _TOOLCHAINS[name]()


def compile_all(
    toolchain: Toolchain, target: CompileTarget, jobs: Iterable[CompileJob], log: Path | None = None
) -> list[Path]:
    """Compile *jobs*, as many at a time as there are processors; the objects in the order of the jobs."""
    ordered = list(jobs)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        pending = [pool.submit(toolchain.compile, target, job, log) for job in ordered]
        try:
            for future in pending:
                future.result()
        except BaseException:
            for future in pending:
                future.cancel()
            raise
    return [job.output for job in ordered]
