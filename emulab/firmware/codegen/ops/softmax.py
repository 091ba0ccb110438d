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
    """SOFTMAX over the last dimension: float, 16 bits, or int8 to int8 or int16 that span 0 to 1."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.INT16, DType.FLOAT32)
    require_dtype(y, x.dtype, *([DType.INT16] if x.dtype is DType.INT8 else []))
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
    bits = 8 * y.dtype.itemsize
    # Some converters write 1/65535 for 16 bits.
    if not math.isclose(y.scale, 2.0**-bits, rel_tol=2e-5 if bits == 16 else 0) or y.zero_point != -(1 << bits - 1):
        found = f"scale {y.scale:g}, zero point {y.zero_point}"
        raise InputError(f"tensor {y.name!r} has {found}; expected 1/{1 << bits}, {-(1 << bits - 1)}")
    beta = min(options.beta * x.scale * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)
    if beta < 1.0:
        raise InputError(f"tensor {x.name!r}: scale {x.scale:g} is too small for an integer softmax")
    m = quantize_multiplier(beta)
    radius = math.floor(((1 << INTEGER_BITS) - 1) * float(1 << (31 - INTEGER_BITS)) / (1 << m.shift))
    lines = struct(
        "emulab_softmax_s8_params",
        {"n": x.shape[-1], "multiplier": m.value, "left_shift": m.shift, "diff_min": -radius},
    )
    name = "emulab_softmax_s8" if y.dtype is DType.INT8 else "emulab_softmax_s8_s16"
    lines.append(f"{name}(&p, {rows}, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("softmax_s8.c",))
