"""QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from emulab.firmware.codegen.fixed_point import quantize_multiplier, scale
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, c_float, require_dtype, require_shape
from emulab.firmware.codegen.ops.activation import lookup
from emulab.firmware.codegen.ops.int16 import lower_requantize

SUFFIX = {DType.INT8: "s8", DType.UINT8: "u8", DType.INT16: "s16"}


def lower_quantize(ctx: Context, op: Op) -> Lowered:
    """Float to an integer type, or from one quantisation to another."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    require_dtype(x, DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16, DType.INT32)
    require_dtype(y, *SUFFIX, *([] if x.dtype is DType.FLOAT32 else [DType.INT32]))
    if x.dtype is DType.FLOAT32:
        call = f"emulab_quantize_{SUFFIX[y.dtype]}({c_float(y.scale)}, {y.zero_point}, {x.elements}"
        return Lowered([f"{call}, {ctx.pointer(x)}, {ctx.pointer(y)});"], ("convert.c",))
    if DType.INT16 in (x.dtype, y.dtype) or DType.INT32 in (x.dtype, y.dtype):
        return lower_requantize(ctx, op, x, y)
    m = quantize_multiplier(x.scale / y.scale)
    return lookup(ctx, op, x, y, lambda value: scale(value - x.zero_point, m) + y.zero_point)


def lower_dequantize(ctx: Context, op: Op) -> Lowered:
    """An integer type to float."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    require_dtype(x, *SUFFIX)
    require_dtype(y, DType.FLOAT32)
    call = f"emulab_dequantize_{SUFFIX[x.dtype]}({c_float(x.scale)}, {x.zero_point}, {x.elements}"
    return Lowered([f"{call}, {ctx.pointer(x)}, {ctx.pointer(y)});"], ("convert.c",))
