"""TRANSPOSE_CONV."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, padding
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_rank, require_shape, struct
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.ops.channels import bias_values, convolution_multipliers
from emulab.firmware.codegen.ops.conv import float_layer
from emulab.firmware.codegen.ops.movement import integers
from emulab.firmware.codegen.options import TransposeConvOptions


def lower_transpose_conv(ctx: Context, op: Op) -> Lowered:
    """TRANSPOSE_CONV: inputs are the output's shape, weights [out_c, kernel_h, kernel_w, in_c], image, bias if any."""
    import numpy as np

    w, x, y = ctx.input(op, 1), ctx.input(op, 2), ctx.output(op)
    for tensor in (w, x, y):
        require_rank(tensor, 4)
        if 0 in tensor.shape:
            raise InputError(f"tensor {tensor.name!r} has an empty shape {list(tensor.shape)}")
    if ctx.input(op, 0).is_constant:  # else computed from shapes that are known here, as the output's is
        require_shape(y, tuple(integers(ctx.input(op, 0), 4)))
    o = op.options
    assert isinstance(o, TransposeConvOptions)
    out_c, kernel_h, kernel_w, in_c = w.shape
    if in_c != x.shape[3] or out_c != y.shape[3] or x.shape[0] != y.shape[0]:
        raise InputError(f"weights {w.name!r} {list(w.shape)} do not fit {list(x.shape)} and {list(y.shape)}")
    pads = [
        padding(o.same_padding, n, kernel, stride, 1)[0]
        for n, kernel, stride in ((y.shape[1], kernel_h, o.stride_h), (y.shape[2], kernel_w, o.stride_w))
    ]
    geometry = {
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": in_c,
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": out_c,
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
        "stride_h": o.stride_h,
        "stride_w": o.stride_w,
        "pad_h": pads[0],
        "pad_w": pads[1],
        "batches": x.shape[0],
    }
    parts = (x, w, ctx.optional(op, 3))
    macs = x.elements * out_c * kernel_h * kernel_w
    if x.dtype is DType.FLOAT32:
        lowered = float_layer(ctx, op, "emulab_transpose_conv_f32", geometry, o.activation, parts)
    elif x.dtype is DType.INT16:
        lowered = int16.window_layer(ctx, op, "emulab_transpose_conv_s16", geometry, 0, o.activation, parts)
    else:
        require_dtype(x, DType.INT8, DType.INT16, DType.FLOAT32)
        require_dtype(w, DType.INT8)
        require_dtype(y, DType.INT8)
        multipliers = convolution_multipliers(x, w, y, out_c, 0)
        rows = [(b, m.value, m.shift) for b, m in zip(bias_values(parts[2], out_c), multipliers, strict=True)]
        act = activation_range(o.activation, y)
        window = ", ".join(f".{key} = {value}" for key, value in geometry.items())
        fields: dict[str, object] = {
            "weights": ctx.constant(f"w{op.index}", "int8_t", w.array(), w.name),
            "channels": ctx.constant(f"c{op.index}", "int32_t", np.array(rows, np.int32)),
            "window": f"{{{window}}}",
            "in_zero": x.zero_point,
            "out_zero": y.zero_point,
            "act_min": act[0],
            "act_max": act[1],
        }
        lines = struct("emulab_transpose_conv_s8_params", fields)
        lines.append(f"emulab_transpose_conv_s8(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
        lowered = Lowered(lines, ("transpose_conv_s8.c",))
    # Every input meets every tap once, but for those that fall outside the output.
    lowered.macs = macs
    return lowered
