"""MEAN, SUM, extremes and where they are, CUMSUM: over one dimension or several."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import Multiplier, quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops.movement import SOURCE as COPY
from emulab.firmware.codegen.ops.movement import copy_lines, same_type, strides
from emulab.firmware.codegen.options import CumsumOptions

SOURCE = ("reduce.c",)
SUFFIX = {DType.INT8: "s8", DType.INT16: "s16", DType.FLOAT32: "f32"}


def _axes(tensor: Tensor, rank: int) -> list[int]:
    if tensor.dtype not in (DType.INT32, DType.INT64):
        raise InputError(f"axes {tensor.name!r} must be integers")
    axes = [int(a) for a in tensor.array().reshape(-1)]
    if any(not -rank <= a < rank for a in axes):
        raise InputError(f"axes {axes} are outside a tensor of {rank} dimensions")
    return sorted({a % rank for a in axes})


@dataclass(frozen=True)
class _Layout:
    """A tensor as [outer, n, inner], n being what is reduced; `lines` bring it there, into scratch, where they must."""

    pointer: str
    outer: int
    n: int
    inner: int
    lines: list[str] = field(default_factory=list)
    scratch_bytes: int = 0

    @property
    def sizes(self) -> str:
        return f"{self.outer}, {self.n}, {self.inner}"

    @property
    def sources(self) -> tuple[str, ...]:
        return (*SOURCE, *COPY) if self.lines else SOURCE


def _layout(ctx: Context, op: Op, x: Tensor, y: Tensor, axes: list[int]) -> _Layout:
    """Neighbouring dimensions (those of size 1 do not matter) are reduced in place, scattered ones in a copy."""
    wide = [d for d in range(len(x.shape)) if x.shape[d] != 1]
    chosen = [wide.index(a) for a in axes if a in wide]
    sizes = [x.shape[d] for d in wide]
    n = math.prod(sizes[k] for k in chosen)
    if n == 0 or x.elements // n != y.elements:
        raise InputError(f"{op.kind} of {list(x.shape)} does not fit output {y.name!r} {list(y.shape)}")
    if not chosen:
        return _Layout(ctx.pointer(x), x.elements, 1, 1)
    if chosen == list(range(chosen[0], chosen[-1] + 1)):
        return _Layout(ctx.pointer(x), math.prod(sizes[: chosen[0]]), n, math.prod(sizes[chosen[-1] + 1 :]))
    order = [k for k in range(len(sizes)) if k not in chosen] + chosen
    shape, size, source = [sizes[k] for k in order], x.dtype.itemsize, strides(sizes, x.dtype.itemsize)
    at = f"(({x.dtype.c_type} *){ctx.scratch(op)})"
    lines = copy_lines(shape, [source[k] for k in order], strides(shape, size), size, ctx.pointer(x), at)
    return _Layout(at, x.elements // n, n, 1, lines, x.bytes)


def lower_mean(ctx: Context, op: Op) -> Lowered:
    """MEAN and SUM."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, *SUFFIX)
    require_dtype(y, x.dtype)
    layout = _layout(ctx, op, x, y, _axes(ctx.input(op, 1), len(x.shape)))
    if x.dtype is DType.FLOAT32:
        call = f"emulab_{op.kind.lower()}_f32({layout.sizes}, {layout.pointer}, {ctx.pointer(y)});"
        return Lowered([*layout.lines, call], layout.sources, scratch_bytes=layout.scratch_bytes)
    if layout.n > 1 << (23 if x.dtype is DType.INT8 else 15):
        raise InputError(f"{op.kind} over {layout.n} elements overflows")
    m = quantize_multiplier(x.scale / y.scale)
    if op.kind == "MEAN":
        m = _divided(m, layout.n)
    fields: dict[str, object] = {
        "outer": layout.outer,
        "n": layout.n,
        "inner": layout.inner,
        "in_zero": x.zero_point,
        "out_zero": y.zero_point,
        "multiplier": m.value,
        "shift": m.shift,
    }
    lines = layout.lines + struct("emulab_mean_s8_params", fields)
    lines.append(f"emulab_mean_{SUFFIX[x.dtype]}(&p, {layout.pointer}, {ctx.pointer(y)});")
    return Lowered(lines, layout.sources, scratch_bytes=layout.scratch_bytes)


def _divided(m: Multiplier, n: int) -> Multiplier:
    """A multiplier with the division by n folded in, with as many bits as it keeps."""
    # n < 2^headroom, so the shifted multiplier stays below 2^63 and the quotient below 2^31.
    headroom = min(n.bit_length() - 1, 31 + m.shift, 32)
    return Multiplier((m.value << headroom) // n, m.shift - headroom)


def lower_extreme(ctx: Context, op: Op) -> Lowered:
    """REDUCE_MAX and REDUCE_MIN; input and output share their quantisation."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    same_type(x, y)
    layout = _layout(ctx, op, x, y, _axes(ctx.input(op, 1), len(x.shape)))
    call = f"emulab_{op.kind.lower()}_{SUFFIX[x.dtype]}({layout.sizes}, {layout.pointer}, {ctx.pointer(y)});"
    return Lowered([*layout.lines, call], layout.sources, scratch_bytes=layout.scratch_bytes)


def lower_arg(ctx: Context, op: Op) -> Lowered:
    """ARG_MAX and ARG_MIN along one dimension: index of the first such element, int32."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    require_dtype(y, DType.INT32)
    axes = _axes(ctx.input(op, 1), len(x.shape))
    if len(axes) != 1:
        raise InputError(f"{op.kind} takes one axis")
    layout = _layout(ctx, op, x, y, axes)
    call = f"emulab_{op.kind.lower()}_{SUFFIX[x.dtype]}({layout.sizes}, {layout.pointer}, {ctx.pointer(y)});"
    return Lowered([call], SOURCE)


def lower_cumsum(ctx: Context, op: Op) -> Lowered:
    """CUMSUM of floats: running sums along one dimension."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.FLOAT32)
    require_dtype(y, x.dtype)
    require_shape(y, x.shape)
    axes = _axes(ctx.input(op, 1), len(x.shape))
    if len(axes) != 1:
        raise InputError("CUMSUM takes one axis")
    assert isinstance(op.options, CumsumOptions)
    outer, n, inner = math.prod(x.shape[: axes[0]]), x.shape[axes[0]], math.prod(x.shape[axes[0] + 1 :])
    how = f"{int(op.options.exclusive)}, {int(op.options.reverse)}"
    return Lowered([f"emulab_cumsum_f32({outer}, {n}, {inner}, {how}, {ctx.pointer(x)}, {ctx.pointer(y)});"], SOURCE)


def lower_normalise(ctx: Context, op: Op) -> Lowered:
    """L2_NORMALIZATION and LOG_SOFTMAX over the last dimension."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, *([DType.INT8, DType.FLOAT32] if op.kind == "L2_NORMALIZATION" else [DType.FLOAT32]))
    require_dtype(y, x.dtype)
    require_shape(y, x.shape)
    if not x.shape or not x.elements:
        raise InputError(f"tensor {x.name!r} with shape {list(x.shape)} has no rows")
    rows, n, zero = x.elements // x.shape[-1], x.shape[-1], ""
    if x.dtype is DType.INT8:
        if (y.scale, y.zero_point) != (1.0 / 128, 0):
            raise InputError(f"tensor {y.name!r}: expected scale 1/128 and zero point 0")
        if n > 1 << 15:
            raise InputError(f"a norm of {n} values overflows")
        zero = f"{x.zero_point}, "
    name = f"emulab_{op.kind.lower()}_{SUFFIX[x.dtype]}"
    return Lowered([f"{name}({rows}, {n}, {zero}{ctx.pointer(x)}, {ctx.pointer(y)});"], ("normalise.c",))
