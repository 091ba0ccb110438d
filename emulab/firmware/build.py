"""Build firmware: model + platform -> ELF that speaks the DUT protocol, with its memory told by section and layer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import emulab
from emulab.cache import KeyPart, cache_dir, fetch_or_build
from emulab.errors import InputError, ToolError
from emulab.firmware import vibration
from emulab.firmware.audio.stream import StreamOptions, StreamPlan, plan_stream, stream_header
from emulab.firmware.image import Image, load_image
from emulab.firmware.linking import Link, link_firmware, ram_bytes
from emulab.firmware.toolchain import CompileJob, compile_all, compile_target, load_toolchain

if TYPE_CHECKING:
    from emulab.firmware.codegen import GeneratedModel, KernelTarget
    from emulab.firmware.codegen.arena import Allocation
    from emulab.firmware.codegen.generator import LayerInfo, TensorDescription
    from emulab.firmware.toolchain import CompileTarget, Toolchain
    from emulab.model.platform import Platform

RUNTIME = Path(__file__).parent / "runtime"
PROFILE = "emulab DUT firmware 1"

InputFormat = Literal["tensor", "uint8", "float32"]
_OWN_MODULES = ("build", "board", "toolchain", "stack", "placement", "linking", "vibration")
"""What a build depends on beside the runtime and the code generator."""
_FORMATS: dict[str, InputFormat] = {"ic01": "uint8", "vww01": "uint8", "ad01": "float32"}


@dataclass(frozen=True)
class BuildOptions:
    """How firmware is built. ``scenario.build`` holds the same keys."""

    model_id: str = "model"
    """What the DUT answers to ``profile%``: kws01, ic01, ad01, vww01 or a name of your own."""
    mode: Literal["performance", "energy"] = "performance"
    toolchain: str = "zig"
    optimise: str = "O2"
    kernels: str = "auto"
    """Kernels of the model: auto (what the core offers), or a KernelTarget value such as portable."""
    input_format: str = "auto"
    """What the host sends: tensor (the bytes of the model's input), uint8 (pixels, for an int8 model) or float32."""
    result: str = "auto"
    """values (the output, dequantised) or mse (mean square error between input and output); auto: mse for ad01."""
    stack_bytes: int | None = None
    """Stack to reserve, a multiple of 16; None: a quarter more than the static bound, 4096 where there is no bound."""
    constants: str = "auto"
    """Where the model's constants lie: flash, ram (the most read, as many as fit) or auto (as the board asks)."""
    front_end: str = ""
    """What stands between the samples that the host sends and the model; the scenario's workload.front_end."""
    stream: StreamOptions | None = None
    """A stream of samples through an audio front end, instead of one input per inference."""
    baud: int | None = None
    name: str = "emulab"
    """What the DUT answers to ``name%``."""


@dataclass(frozen=True)
class FirmwareLayer:
    """One operator of the model as linked."""

    index: int
    op: str
    symbol: str
    address: int
    code_bytes: int
    weight_bytes: int
    macs: int
    output_shape: tuple[int, ...]

    @property
    def flash_bytes(self) -> int:
        """Its own function and its constants; kernels that layers share are counted once, in ``.text.kernel``."""
        return self.code_bytes + self.weight_bytes


@dataclass(frozen=True)
class Firmware:
    """What was built. ``flash_bytes`` is everything loaded, ``ram_bytes`` .data and .bss, both without stack."""

    elf: Path
    image: Image
    options: BuildOptions
    layers: tuple[FirmwareLayer, ...]
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    input_format: InputFormat
    input_bytes: int
    """Bytes the host sends per inference."""
    flash_by_section: Mapping[str, int]
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    weight_bytes: int
    stack_bytes: int
    """Stack reserved; what is used is measured while running."""
    static_stack_bytes: int | None
    """Deepest call chain, from the machine code; None where an indirect call or recursion hides it."""
    constants_in_ram: tuple[str, ...]
    """Sections of the model's constants that the start-up code copies to RAM."""
    arena: tuple[Allocation, ...]
    """Where every buffer of the arena lies, and during which operators it is alive."""
    baud: int
    toolchain: str

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)


def build(
    model_path: Path | str,
    platform: Platform,
    *,
    workdir: Path | None = None,
    options: BuildOptions | None = None,
) -> Firmware:
    """Build DUT firmware for *platform* from a ``.tflite`` model, or take an equal one from the cache.

    With *workdir* the ELF is copied there as ``firmware.elf``. Equal inputs give equal bytes. Raises InputError for a
    model that is unsupported or does not fit the platform's flash or RAM, ToolError for a compiler that fails.
    """
    from emulab.firmware.board import firmware_spec

    options = options or BuildOptions()
    model = Path(model_path)
    if not model.is_file():
        raise InputError.at(model, "", "no such file; expected a .tflite model")
    _check(options, platform)
    firmware_spec(platform)
    toolchain = load_toolchain(options.toolchain)
    target = compile_target(platform.core)
    status = toolchain.status(target)
    if not status.found:
        raise ToolError(f"toolchain {options.toolchain}: {status.reason}; install it with: {status.how_to_install}")
    key = _key(model, platform, options, status.version)

    def builder(folder: Path) -> None:
        _build(model, platform, options, toolchain, target, status.version, folder)

    entry = fetch_or_build("firmware", key, builder)
    elf = entry / "firmware.elf"
    if workdir is not None:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            beside = workdir / ".firmware.elf.new"
            shutil.copyfile(elf, beside)
            elf = beside.rename(workdir / "firmware.elf")
        except OSError as error:
            raise ToolError(f"{workdir}: cannot write firmware.elf: {error.strerror or error}") from None
    return _load(entry, elf, platform, options)


def _check(options: BuildOptions, platform: Platform) -> None:
    from emulab.firmware.board import c_text

    c_text(options.model_id, "build.model_id")
    c_text(options.name, "build.name")
    for name, value, known in (
        ("mode", options.mode, ("performance", "energy")),
        ("optimise", options.optimise, ("O0", "O1", "O2", "O3", "Os", "Oz")),
        ("input_format", options.input_format, ("auto", "tensor", "uint8", "float32")),
        ("result", options.result, ("auto", "values", "mse")),
        ("constants", options.constants, ("auto", "flash", "ram")),
        ("front_end", options.front_end, ("", vibration.NAME)),
    ):
        if value not in known:
            raise InputError(f"build.{name}: expected one of {', '.join(known)}, found {value!r}")
    stack = options.stack_bytes
    if stack is not None and (not isinstance(stack, int) or not 512 <= stack <= 1 << 20 or stack % 16):
        raise InputError(f"build.stack_bytes: expected a multiple of 16 from 512 to {1 << 20}, found {stack!r}")
    if options.baud is not None and not 300 <= options.baud <= 10_000_000:
        raise InputError(f"build.baud: expected 300 to 10000000, found {options.baud!r}")
    if options.mode == "energy" and "timestamp" not in platform.board.firmware:
        raise InputError(f"platform {platform.name}: energy mode needs board.firmware.timestamp, a pin for timestamps")


def kernel_target(platform: Platform, wanted: str = "auto") -> KernelTarget:
    """The kernels for the platform's core; InputError for a name that is none."""
    from emulab.firmware.codegen import KernelTarget

    if wanted != "auto":
        try:
            return KernelTarget(wanted)
        except ValueError:
            known = ", ".join(["auto", *(t.value for t in KernelTarget)])
            raise InputError(f"build.kernels: expected one of {known}, found {wanted!r}") from None
    if platform.core.isa.startswith("rv"):
        return KernelTarget.RV32IM
    if platform.core.mve:
        return KernelTarget.ARM_MVE
    return KernelTarget.ARM_DSP if platform.core.dsp else KernelTarget.PORTABLE


def _key(model: Path, platform: Platform, options: BuildOptions, toolchain: str) -> list[KeyPart]:
    from emulab.firmware.board import spec_summary

    here = Path(__file__).parent
    folders = (RUNTIME, here / "codegen", here / "audio")
    sources = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".c", ".h", ".py"))
    return [
        model,
        json.dumps(dataclasses.asdict(options), sort_keys=True),
        json.dumps(spec_summary(platform), sort_keys=True, default=str),
        toolchain,
        emulab.__version__,
        *(here / f"{name}.py" for name in _OWN_MODULES),
        *(part for p in sources for part in (p.relative_to(here).as_posix(), p)),
    ]


def input_format(options: BuildOptions, generated: GeneratedModel) -> InputFormat:
    """What the host sends for this model; InputError when the model's input cannot be made from it."""
    wanted = options.input_format
    dtype = generated.input.dtype
    if wanted == "auto":
        wanted = _FORMATS.get(options.model_id, "tensor")
        if dtype == "float32":
            wanted = "tensor"
    if dtype not in {"uint8": ("int8",), "float32": ("int8", "float32")}.get(wanted, (dtype,)):
        raise InputError(f"build.input_format: {wanted} does not suit a model whose input is {dtype}")
    return wanted  # type: ignore[return-value]


def _input_bytes(generated: GeneratedModel, form: InputFormat) -> int:
    elements = 1
    for size in generated.input.shape:
        elements *= size
    return {"tensor": generated.input.bytes, "uint8": elements, "float32": 4 * elements}[form]


def _sent_bytes(generated: GeneratedModel, form: InputFormat, options: BuildOptions, stream: StreamPlan | None) -> int:
    if stream is not None:
        return 2 * stream.step_samples
    return vibration.SENT_BYTES if options.front_end else _input_bytes(generated, form)


def _build(
    model: Path,
    platform: Platform,
    options: BuildOptions,
    toolchain: Toolchain,
    target: CompileTarget,
    version: str,
    folder: Path,
) -> None:
    """Fill *folder*: firmware.elf, firmware.json and the generated C."""
    from emulab.firmware.board import audio_defines, config_header, firmware_spec, init_source, memory_regions
    from emulab.firmware.codegen import generate

    spec = firmware_spec(platform)
    regions = memory_regions(platform, spec)
    generated = generate(model, folder / "model", target=kernel_target(platform, options.kernels))
    if len(generated.inputs) > 1:
        names = ", ".join(t.name for t in generated.inputs)
        raise InputError(f"{model}: has {len(generated.inputs)} inputs ({names}); the DUT protocol sends one")
    form = input_format(options, generated)
    mse = options.result == "mse" or (options.result == "auto" and options.model_id == "ad01")
    if mse and generated.input.shape != generated.output.shape:
        raise InputError(
            f"{model}: build.result mse compares input and output, but their shapes are {generated.input.shape} and "
            f"{generated.output.shape}"
        )
    extra = _dut_defines(platform, options, form, mse)
    stream = None
    if options.stream is not None:
        stream = plan_stream(options.stream, generated.input, generated.output)
        extra.update({"EMULAB_STREAM": "1", "EMULAB_AUDIO_STEP": f"{stream.step_samples}u", **audio_defines(spec)})
        (folder / "emulab_frontend.h").write_text(stream_header(options.stream, stream))
    if options.front_end:
        vibration.check_model(model, generated.input)
        vibration.write_headers(folder, generated.input)
        extra["EMULAB_DUT_ENVELOPE"] = "1"
    (folder / "emulab_config.h").write_text(config_header(platform, spec, baud=_baud(platform, options), extra=extra))
    (folder / "emulab_init.c").write_text(init_source(spec, audio=stream is not None))
    log = cache_dir() / "logs" / f"build-{model.stem}-{platform.name}.log"
    jobs = _jobs(platform, options, generated, toolchain, target, folder)
    if stream is not None:
        jobs += _stream_jobs(platform, options, stream, folder, jobs[0])
    if options.front_end:
        jobs += _front_end_jobs(options, folder, jobs[0])
    objects = compile_all(toolchain, target, jobs, log)
    linked = link_firmware(
        Link(model, platform, options, toolchain, target, generated, regions, objects, folder / "firmware.elf", log)
    )
    for unneeded in objects:
        unneeded.unlink(missing_ok=True)
    described = {
        "static_stack_bytes": linked.static_stack_bytes,
        "stack_bytes": linked.stack_bytes,
        "constants_in_ram": linked.in_ram,
        "layers": [dataclasses.asdict(layer) for layer in generated.layers],
        "inputs": [dataclasses.asdict(t) for t in generated.inputs],
        "outputs": [dataclasses.asdict(t) for t in generated.outputs],
        "input_format": form,
        "input_bytes": _sent_bytes(generated, form, options, stream),
        "arena_bytes": generated.arena_bytes,
        "arena": [dataclasses.asdict(a) for a in generated.arena.allocations],
        "weight_bytes": generated.weight_bytes,
        "toolchain": version,
    }
    (folder / "firmware.json").write_text(json.dumps(described, indent=1, default=int) + "\n")


def _baud(platform: Platform, options: BuildOptions) -> int:
    return options.baud if options.baud is not None else platform.board.console.baud


def _dut_defines(platform: Platform, options: BuildOptions, form: InputFormat, mse: bool) -> dict[str, str]:
    from emulab.firmware.board import c_text

    define = {
        "EMULAB_DUT_NAME": c_text(options.name, "build.name"),
        "EMULAB_DUT_PROFILE": c_text(PROFILE, "profile"),
        "EMULAB_DUT_MODEL": c_text(options.model_id, "build.model_id"),
    }
    if options.mode == "energy":
        define["EMULAB_DUT_ENERGY"] = "1"
    if form != "tensor":
        define[f"EMULAB_DUT_INPUT_{form.upper()}"] = "1"
    if mse:
        define["EMULAB_DUT_RESULT_MSE"] = "1"
    return define


def _jobs(
    platform: Platform,
    options: BuildOptions,
    generated: GeneratedModel,
    toolchain: Toolchain,
    target: CompileTarget,
    folder: Path,
) -> list[CompileJob]:
    from emulab.firmware.board import firmware_spec, port_sources

    libc = RUNTIME / "libc"
    own_libc = toolchain.needs_own_libc(target)
    headers = (libc / "include",) if own_libc else ()
    defines = tuple(generated.defines.items())
    # our own formatting everywhere: a hosted printf would bring a heap with it
    rename = (("snprintf", "emulab_snprintf"), ("vsnprintf", "emulab_vsnprintf"))
    optimise, small = f"-{options.optimise}", "-Os"
    places = (RUNTIME / name for name in ("port", "dut", "audio", "vibration"))
    include = (folder, RUNTIME, *places, *generated.include_dirs, *headers)
    # no folder of this build's own among them: the compiler's cache tells an object by the words of its command
    shared = (*(d for d in generated.include_dirs if d.parent != folder), *headers)

    def job(source: Path, group: str, flags: tuple[str, ...], define: tuple[tuple[str, str], ...] = ()) -> CompileJob:
        where = shared if group in ("kernel", "libc") else include
        return CompileJob(source, folder / f"__{group}__{source.stem}.o", where, define, flags)

    jobs = [
        job(source, "model" if source.parent == folder / "model" else "kernel", (optimise,), defines)
        for source in generated.sources
    ]
    names = port_sources(platform, firmware_spec(platform))
    own = [folder / "emulab_init.c", *(RUNTIME / "port" / name for name in names)]
    own += [RUNTIME / "dut" / name for name in ("commands.c", "inference.c")]
    # what runs between the timestamps is the model and its mathematics; everything else is built for size
    jobs += [job(source, "runtime", (small,), rename) for source in own]
    library = sorted(libc.glob("*.c")) if own_libc else [libc / "format.c"]
    fast = ("math.c", "transcendental.c")
    for source in library:
        jobs.append(job(source, "libc", (optimise if source.name in fast else small, "-fno-builtin"), rename))
    return jobs


def _stream_jobs(
    platform: Platform, options: BuildOptions, stream: StreamPlan, folder: Path, like: CompileJob
) -> list[CompileJob]:
    from emulab.firmware.board import AUDIO_DRIVERS, firmware_spec

    audio = firmware_spec(platform).audio
    sources = {RUNTIME / "audio" / stream.front_end.source: "kernel", RUNTIME / "audio" / "stream.c": "runtime"}
    if audio is not None:
        sources[RUNTIME / "port" / AUDIO_DRIVERS[audio.driver]] = "runtime"
    return [
        CompileJob(source, folder / f"__{group}__{source.stem}.o", like.include, like.define, (f"-{options.optimise}",))
        for source, group in sources.items()
    ]


def _front_end_jobs(options: BuildOptions, folder: Path, like: CompileJob) -> list[CompileJob]:
    include = (*like.include, *(source.parent for source in vibration.SOURCES))
    flags = (f"-{options.optimise}",)
    return [
        CompileJob(source, folder / f"__kernel__{source.stem}.o", include, (*like.define, *vibration.DEFINES), flags)
        for source in vibration.SOURCES
    ]


def _load(entry: Path, elf: Path, platform: Platform, options: BuildOptions) -> Firmware:
    from emulab.firmware.codegen.arena import Allocation
    from emulab.firmware.codegen.generator import LayerInfo, TensorDescription

    described: dict[str, Any] = json.loads((entry / "firmware.json").read_text())
    image = load_image(elf)
    infos = [LayerInfo(**{**d, "output_shape": tuple(d["output_shape"])}) for d in described["layers"]]
    by_section = {s.name: s.size for s in image.sections if s.in_file}
    return Firmware(
        elf=elf,
        image=image,
        options=options,
        layers=tuple(_layer(image, info) for info in infos),
        inputs=tuple(TensorDescription(**{**d, "shape": tuple(d["shape"])}) for d in described["inputs"]),
        outputs=tuple(TensorDescription(**{**d, "shape": tuple(d["shape"])}) for d in described["outputs"]),
        input_format=described["input_format"],
        input_bytes=described["input_bytes"],
        flash_by_section=by_section,
        flash_bytes=image.size_bytes,
        ram_bytes=ram_bytes(image),
        arena_bytes=described["arena_bytes"],
        weight_bytes=described["weight_bytes"],
        stack_bytes=described["stack_bytes"],
        static_stack_bytes=described["static_stack_bytes"],
        constants_in_ram=tuple(described["constants_in_ram"]),
        arena=tuple(Allocation(**a) for a in described["arena"]),
        baud=_baud(platform, options),
        toolchain=described["toolchain"],
    )


def _layer(image: Image, info: LayerInfo) -> FirmwareLayer:
    symbol = image.symbols.get(info.symbol)
    return FirmwareLayer(
        index=info.index,
        op=info.op,
        symbol=info.symbol,
        address=0 if symbol is None else symbol.address,
        code_bytes=0 if symbol is None else symbol.size,
        weight_bytes=info.weight_bytes,
        macs=info.macs,
        output_shape=info.output_shape,
    )
