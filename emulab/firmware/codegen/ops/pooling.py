"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, float_activation_range, padding
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_rank, require_shape, struct
from emulab.firmware.codegen.ops.int16 import ELEMENTWISE
from emulab.firmware.codegen.options import PoolOptions


def lower_pool(ctx: Context, op: Op) -> Lowered:
    """Pooling over the part of each window inside the image; input and output share their quantisation."""
    x, y = ctx.input(op, 0), ctx.output(op)
    options = op.options
    assert isinstance(options, PoolOptions)
    require_rank(x, 4)
    if 0 in x.shape:
        raise InputError(f"tensor {x.name!r} has an empty shape {list(x.shape)}")
    batches, in_h, in_w, channels = x.shape
    pad_h, out_h = padding(options.same_padding, in_h, options.filter_h, options.stride_h, 1)
    pad_w, out_w = padding(options.same_padding, in_w, options.filter_w, options.stride_w, 1)
    require_shape(y, (batches, out_h, out_w, channels))
    require_dtype(x, DType.INT8, DType.INT16, DType.FLOAT32)
    require_dtype(y, x.dtype)
    integer = x.dtype is not DType.FLOAT32
    if integer and (x.scale, x.zero_point) != (y.scale, y.zero_point):
        raise InputError(f"tensors {x.name!r} and {y.name!r} must have the same quantisation")
    act = activation_range(options.activation, y) if integer else (0, 0)
    lines = struct(
        "emulab_pool_params",
        {
            "batches": batches,
            "in_h": in_h,
            "in_w": in_w,
            "channels": channels,
            "out_h": out_h,
            "out_w": out_w,
            "kernel_h": options.filter_h,
            "kernel_w": options.filter_w,
            "stride_h": options.stride_h,
            "stride_w": options.stride_w,
            "pad_h": pad_h,
            "pad_w": pad_w,
            "act_min": act[0],
            "act_max": act[1],
        },
    )
    name = "average" if op.kind == "AVERAGE_POOL_2D" else "max"
    if x.dtype is DType.INT16:
        if options.filter_h * options.filter_w > 1 << 15:
            raise InputError(f"a window of {options.filter_h} x {options.filter_w} 16-bit values overflows")
        lines.append(f"emulab_{name}_pool_s16(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
        return Lowered(lines, ELEMENTWISE)
    if integer:
        suffix = ctx.target.suffix("mve")
        lines.append(f"emulab_{name}_pool_s8{suffix}(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
        return Lowered(lines, (f"pool_s8{suffix}.c",))
    low, high = float_activation_range(options.activation)
    lines.append(f"emulab_{name}_pool_f32(&p, {low}, {high}, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("pool_f32.c",))
