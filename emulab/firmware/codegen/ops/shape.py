"""Operators that only rename or move elements: RESHAPE and its kin."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape


def lower_shape(ctx: Context, op: Op) -> Lowered:
    """SHAPE: known here, so a constant; what it is computed into, the shape of a RESHAPE, is known as well."""
    import numpy as np

    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(y, DType.INT32, DType.INT64)
    require_shape(y, (len(x.shape),))
    if not x.shape:
        return Lowered([])
    symbol = ctx.constant(f"s{op.index}", y.dtype.c_type, np.array(x.shape, y.dtype.numpy_name))
    return Lowered([f"__builtin_memcpy({ctx.pointer(y)}, {symbol}, {y.bytes});"])


def lower_reshape(ctx: Context, op: Op) -> Lowered:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the same bytes under another shape, so no code at all."""
    x, y = ctx.input(op, 0), ctx.output(op)
    if x.elements != y.elements or x.dtype is not y.dtype:
        raise InputError(
            f"cannot turn {x.dtype.name} {list(x.shape)} into {y.dtype.name} {list(y.shape)}: sizes differ"
        )
    if x.is_constant:
        line = f"__builtin_memcpy({ctx.pointer(y)}, {ctx.pointer(x)}, {x.bytes});"
        return Lowered([line])
    return Lowered([], aliases=((y.index, x.index),))
