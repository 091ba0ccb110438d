"""Model to C: lower every operator, plan the arena, write `model.h`, `model.c` and `model_weights.h`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from emulab.errors import InputError, ToolError
from emulab.firmware.codegen import simplify
from emulab.firmware.codegen.arena import ArenaPlan
from emulab.firmware.codegen.emit import constants_file, header_file, source_file
from emulab.firmware.codegen.graph import Graph, Op, Subgraph, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered
from emulab.firmware.codegen.memory import plan_memory, spare_bytes
from emulab.firmware.codegen.registry import SUPPORTED_OPS
from emulab.firmware.codegen.target import KernelTarget
from emulab.firmware.codegen.tflite_reader import read_model
from emulab.firmware.trees import SUFFIXES

KERNELS_DIR = Path(__file__).parent.parent / "runtime" / "kernels"


@dataclass(frozen=True)
class TensorDescription:
    """An input or output of the model; `scale` is None for a float tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class LayerInfo:
    """One operator of the generated code."""

    index: int
    op: str
    symbol: str
    """The C function, external and never inlined."""
    output: str
    output_shape: tuple[int, ...]
    macs: int
    """Multiply-accumulates of the model as given."""
    weight_bytes: int
    """Constants of this layer in flash: weights, bias and requantisation, tables."""
    scratch_bytes: int
    executed_macs: int = 0
    """Multiply-accumulates left after channels that are always constant were taken out."""


@dataclass(frozen=True)
class GeneratedModel:
    """What was generated and all a build needs: compile `sources` with `include_dirs` and `defines`."""

    name: str
    target: KernelTarget
    header: Path
    sources: tuple[Path, ...]
    """Generated C and the kernels it calls."""
    include_dirs: tuple[Path, ...]
    defines: dict[str, str]
    files: tuple[Path, ...]
    """Files written to the output folder."""
    layers: tuple[LayerInfo, ...]
    arena: ArenaPlan
    arena_bytes: int
    weight_bytes: int
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def input(self) -> TensorDescription:
        return self.inputs[0]

    @property
    def output(self) -> TensorDescription:
        return self.outputs[0]


def generate(
    model_path: Path,
    out_dir: Path,
    *,
    target: KernelTarget,
    preserve_input: bool = False,
    prune_constant_channels: bool = True,
) -> GeneratedModel:
    """Write C for the model, `.tflite` or a tree ensemble, into `out_dir` (made if missing).

    The model's input buffer is reused during inference unless `preserve_input`: fill it before every run. Channels
    that hold the same value for every input are computed here, once, unless `prune_constant_channels` is false.
    Raises InputError (one line: operator and tensor) for what is malformed or unsupported, ToolError if the files
    cannot be written; nothing is left half-written.
    """
    if model_path.suffix in SUFFIXES:
        from emulab.firmware.codegen.trees import generate_trees

        return generate_trees(model_path, out_dir, target=target)
    graph = read_model(model_path)
    try:
        return generate_from_graph(
            graph,
            out_dir,
            target=target,
            preserve_input=preserve_input,
            prune_constant_channels=prune_constant_channels,
        )
    except InputError as error:
        raise InputError(f"{model_path}: {error}") from error


def generate_from_graph(
    graph: Graph,
    out_dir: Path,
    *,
    target: KernelTarget,
    preserve_input: bool = False,
    prune_constant_channels: bool = True,
) -> GeneratedModel:
    """As `generate`, from a graph already read."""
    main = given = simplify.widen_half_constants(graph.main)
    graph = replace(graph, subgraphs=(main, *graph.subgraphs[1:]))
    check_supported(graph)
    for i in (*main.inputs, *main.outputs):
        if main.tensors[i].is_constant:
            raise InputError(f"graph input or output {main.tensors[i].name!r} is a constant")
    ctx = Context(graph, main, target, spare=spare_bytes(main))
    lowered = [_lower(ctx, op) for op in main.ops]
    nominal = [low.macs for low in lowered]
    if prune_constant_channels:
        # After lowering, so that messages are about the model as given, and only sound graphs come here.
        smaller = simplify.prune_constant_channels(main)
        if smaller is not main:
            main = smaller
            graph = replace(graph, subgraphs=(main, *graph.subgraphs[1:]))
            ctx = Context(graph, main, target, spare=spare_bytes(main))
            lowered = [_lower(ctx, op) for op in main.ops]
    variables = [v.bytes for v in ctx.variables.values()]
    memory = plan_memory(main, lowered, variables=variables, preserve_input=preserve_input)
    layers = tuple(_layer(given, op, low, macs) for op, low, macs in zip(main.ops, lowered, nominal, strict=True))
    arena_bytes = memory.arena.bytes + target.reads_past_bytes
    texts = {
        "model_weights.h": constants_file(ctx.constants),
        "model.c": source_file(ctx, lowered, [layer.symbol for layer in layers], memory, arena_bytes),
        "model.h": header_file(graph, layers, arena_bytes, len(ctx.variables)),
    }
    files = _write(out_dir, texts)
    kernels = dict.fromkeys(name for low in lowered for name in low.sources)
    return GeneratedModel(
        name=graph.name,
        target=target,
        header=out_dir / "model.h",
        sources=(out_dir / "model.c", *(KERNELS_DIR / name for name in kernels)),
        include_dirs=(out_dir, KERNELS_DIR),
        defines=dict(target.defines),
        files=files,
        layers=layers,
        arena=memory.arena,
        arena_bytes=arena_bytes,
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        inputs=tuple(_describe(main.tensors[i]) for i in main.inputs),
        outputs=tuple(_describe(main.tensors[i]) for i in main.outputs),
    )


def check_supported(graph: Graph) -> None:
    """InputError for the first operator without a lowering, naming it and its output tensor."""
    for subgraph in graph.subgraphs:
        for op in subgraph.ops:
            if op.kind not in SUPPORTED_OPS:
                raise InputError(f"{subgraph.describe(op)} is not supported; `emulab list ops` shows what is")


def _lower(ctx: Context, op: Op) -> Lowered:
    try:
        low = SUPPORTED_OPS[op.kind].lower(ctx, op)
    except InputError as error:
        raise InputError(f"{ctx.subgraph.describe(op)}: {error}") from error
    low.weight_bytes = ctx.take_weight_bytes()
    return low


def layer_symbol(op: Op) -> str:
    """`emulab_layer_<n>_<op>`."""
    return f"emulab_layer_{op.index}_{re.sub(r'[^a-z0-9]+', '_', op.kind.lower())}"


def _layer(graph: Subgraph, op: Op, low: Lowered, macs: int) -> LayerInfo:
    output = graph.tensors[op.outputs[0]] if op.outputs else None
    return LayerInfo(
        index=op.index,
        op=op.kind,
        symbol=layer_symbol(op),
        output=output.name if output else "",
        output_shape=output.shape if output else (),
        macs=macs,
        executed_macs=low.macs,
        weight_bytes=low.weight_bytes,
        scratch_bytes=low.scratch_bytes,
    )


def _describe(tensor: Tensor) -> TensorDescription:
    q = tensor.quantisation
    return TensorDescription(
        tensor.name,
        tensor.shape,
        tensor.dtype.numpy_name,
        tensor.bytes,
        q.scales[0] if q else None,
        q.zero_points[0] if q else None,
    )


def _write(out_dir: Path, texts: dict[str, str]) -> tuple[Path, ...]:
    """Write every file beside its place, then rename all."""
    temporary: list[tuple[Path, Path]] = []
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            beside = out_dir / f".{name}.{os.getpid()}.tmp"
            temporary.append((beside, out_dir / name))
            beside.write_text(text, encoding="utf-8")
        for beside, final in temporary:
            os.replace(beside, final)
    except OSError as error:
        for beside, _ in temporary:
            beside.unlink(missing_ok=True)
        raise ToolError(f"{out_dir}: cannot write the generated model: {error.strerror or error}") from error
    return tuple(final for _, final in temporary)
