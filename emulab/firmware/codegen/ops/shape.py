"""Operators that only rename or move elements: RESHAPE and its kin."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.graph import Op
from emulab.firmware.codegen.lowering import Context, Lowered


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
