"""QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from emulab.firmware.codegen.fixed_point import INT_RANGE, quantize_multiplier, scale
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, c_float, require_dtype, require_shape


def lower_quantize(ctx: Context, op: Op) -> Lowered:
    """Float to int8/int16, or from one integer quantisation to another."""
    import numpy as np

    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    require_dtype(x, DType.FLOAT32, DType.INT8)
    require_dtype(y, DType.INT8)
    low, high = INT_RANGE[y.dtype]
    if x.dtype is DType.FLOAT32:
        call = f"emulab_quantize_s8({c_float(y.scale)}, {y.zero_point}, {x.elements}"
        return Lowered([f"{call}, {ctx.pointer(x)}, {ctx.pointer(y)});"], ("convert.c",))
    m = quantize_multiplier(x.scale / y.scale)
    table = np.zeros(256, np.int8)
    for value in range(-128, 128):
        q = scale(value - x.zero_point, m) + y.zero_point
        table[value & 255] = min(max(q, low), high)
    symbol = ctx.constant(f"l{op.index}", "int8_t", table)
    line = f"emulab_lookup_8({symbol}, {x.elements}, {ctx.pointer(x)}, {ctx.pointer(y)});"
    return Lowered([line], ("lookup_s8.c",), in_place=((y.index, x.index),))


def lower_dequantize(ctx: Context, op: Op) -> Lowered:
    """Int8 to float."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    require_dtype(x, DType.INT8)
    require_dtype(y, DType.FLOAT32)
    call = f"emulab_dequantize_s8({c_float(x.scale)}, {x.zero_point}, {x.elements}"
    return Lowered([f"{call}, {ctx.pointer(x)}, {ctx.pointer(y)});"], ("convert.c",))
