"""MEAN and ARG_MAX over neighbouring dimensions."""

from __future__ import annotations

import math

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import Multiplier, quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, struct

SOURCE = ("reduce.c",)


def _axes(tensor: Tensor, rank: int) -> list[int]:
    if tensor.dtype not in (DType.INT32, DType.INT64):
        raise InputError(f"axes {tensor.name!r} must be integers")
    axes = [int(a) for a in tensor.array().reshape(-1)]
    if any(not -rank <= a < rank for a in axes):
        raise InputError(f"axes {axes} are outside a tensor of {rank} dimensions")
    return sorted({a % rank for a in axes})


def _split(x: Tensor, axes: list[int]) -> tuple[int, int, int]:
    """Sizes before, in and after the reduced dimensions, which must be neighbours (those of size 1 do not matter)."""
    wide = [d for d in range(len(x.shape)) if x.shape[d] != 1]
    chosen = [wide.index(a) for a in axes if a in wide]
    if chosen and chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise InputError(f"reducing dimensions {axes} of {list(x.shape)} is not supported: they are not neighbours")
    sizes = [x.shape[d] for d in wide]
    if not chosen:
        return x.elements, 1, 1
    first, end = chosen[0], chosen[-1] + 1
    return math.prod(sizes[:first]), math.prod(sizes[first:end]), math.prod(sizes[end:])


def lower_mean(ctx: Context, op: Op) -> Lowered:
    """MEAN on int8 or float32."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    require_dtype(y, x.dtype)
    outer, n, inner = _split(x, _axes(ctx.input(op, 1), len(x.shape)))
    if outer * inner != y.elements or n == 0:
        raise InputError(f"mean of {list(x.shape)} does not fit output {y.name!r} {list(y.shape)}")
    if x.dtype is DType.FLOAT32:
        call = f"emulab_mean_f32({outer}, {n}, {inner}, {ctx.pointer(x)}, {ctx.pointer(y)});"
        return Lowered([call], SOURCE)
    if n > 1 << 23:
        raise InputError(f"mean over {n} elements overflows")
    m = _mean_multiplier(x, y, n)
    fields: dict[str, object] = {
        "outer": outer,
        "n": n,
        "inner": inner,
        "in_zero": x.zero_point,
        "out_zero": y.zero_point,
        "multiplier": m.value,
        "shift": m.shift,
    }
    lines = struct("emulab_mean_s8_params", fields)
    lines.append(f"emulab_mean_s8(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, SOURCE)


def _mean_multiplier(x: Tensor, y: Tensor, n: int) -> Multiplier:
    """Input over output scale with the division by n folded in, with as many bits as the multiplier keeps."""
    m = quantize_multiplier(x.scale / y.scale)
    # n < 2^headroom, so the shifted multiplier stays below 2^63 and the quotient below 2^31.
    headroom = min(n.bit_length() - 1, 31 + m.shift, 32)
    return Multiplier((m.value << headroom) // n, m.shift - headroom)


def lower_arg_max(ctx: Context, op: Op) -> Lowered:
    """ARG_MAX along one dimension: index of the first greatest element, int32."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    require_dtype(y, DType.INT32)
    axes = _axes(ctx.input(op, 1), len(x.shape))
    if len(axes) != 1:
        raise InputError("ARG_MAX takes one axis")
    outer = math.prod(x.shape[: axes[0]])
    n, inner = x.shape[axes[0]], math.prod(x.shape[axes[0] + 1 :])
    if outer * inner != y.elements or n == 0:
        raise InputError(f"arg max of {list(x.shape)} does not fit output {y.name!r} {list(y.shape)}")
    suffix = "s8" if x.dtype is DType.INT8 else "f32"
    call = f"emulab_arg_max_{suffix}({outer}, {n}, {inner}, {ctx.pointer(x)}, {ctx.pointer(y)});"
    return Lowered([call], SOURCE)
