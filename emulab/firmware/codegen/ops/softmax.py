"""SOFTMAX."""

from __future__ import annotations

import math

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, c_float, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.options import SoftmaxOptions

INTEGER_BITS = 5
"""Integer bits of the fixed-point difference from the maximum."""


def lower_softmax(ctx: Context, op: Op) -> Lowered:
    """SOFTMAX over the last dimension, float32, or int8 to int8 with the fixed output quantisation 1/256, -128."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.INT16, DType.FLOAT32)
    require_dtype(y, x.dtype)
    require_shape(y, x.shape)
    options = op.options
    assert isinstance(options, SoftmaxOptions)
    if not x.shape or not x.elements or x.shape[-1] > 2048:
        raise InputError(f"tensor {x.name!r} with shape {list(x.shape)}: expected 1 to 2048 classes")
    rows = x.elements // x.shape[-1]
    if x.dtype is DType.FLOAT32:
        call = f"emulab_softmax_f32({c_float(options.beta)}, {rows}, {x.shape[-1]}"
        return Lowered([f"{call}, {ctx.pointer(x)}, {ctx.pointer(y)});"], ("elementwise_f32.c",))
    if x.dtype is DType.INT16:
        return int16.lower_softmax(ctx, op, x, y, options.beta)
    if (y.scale, y.zero_point) != (1.0 / 256, -128):
        raise InputError(f"tensor {y.name!r} has scale {y.scale:g}, zero point {y.zero_point}; expected 1/256, -128")
    beta = min(options.beta * x.scale * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)
    if beta < 1.0:
        raise InputError(f"tensor {x.name!r}: scale {x.scale:g} is too small for an integer softmax")
    m = quantize_multiplier(beta)
    radius = math.floor(((1 << INTEGER_BITS) - 1) * float(1 << (31 - INTEGER_BITS)) / (1 << m.shift))
    lines = struct(
        "emulab_softmax_s8_params",
        {"n": x.shape[-1], "multiplier": m.value, "left_shift": m.shift, "diff_min": -radius},
    )
    lines.append(f"emulab_softmax_s8(&p, {rows}, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("softmax_s8.c",))
