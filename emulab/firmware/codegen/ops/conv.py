"""CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, padding
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_rank, require_shape, struct
from emulab.firmware.codegen.ops.channels import bias_values, channel_table, convolution_multipliers
from emulab.firmware.codegen.options import ConvOptions
from emulab.firmware.codegen.target import KernelTarget

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTER_BYTES = 8
"""Scratch for a list of pointers is sized for 64-bit hosts too."""


def lower_conv(ctx: Context, op: Op) -> Lowered:
    """CONV_2D: weights [out_c, kernel_h, kernel_w, in_c / groups]."""
    x, w, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    geometry = _geometry(op, x, w, y, depthwise=False)
    require_dtype(x, DType.INT8)
    require_dtype(w, DType.INT8)
    require_dtype(y, DType.INT8)
    out_c = y.shape[3]
    multipliers = convolution_multipliers(x, w, y, out_c, 0)
    taps = int(w.elements // out_c)
    macs = y.elements * taps
    act = activation_range(_options(op).activation, y)
    weights = w.array()
    table = channel_table(
        weights.reshape(out_c, taps),
        bias_values(ctx.optional(op, 2), out_c),
        multipliers,
        x.zero_point,
        y.zero_point,
        act,
    )
    kernel, packed, scratch = _conv_kernel(ctx, geometry, weights)
    lines = _params(ctx, op, geometry, packed, table.table, table.mode, x, y, act)
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(y)}, {ctx.scratch(op) if scratch else '0'});")
    return Lowered(lines, (_conv_source(ctx.target),), macs, scratch)


def _conv_source(target: KernelTarget) -> str:
    return "conv_s8.c"


def _conv_kernel(ctx: Context, g: dict[str, int], weights: NDArray[np.generic]) -> tuple[str, NDArray[np.generic], int]:
    patch = g["kernel_h"] * g["kernel_w"] * g["group_in_c"]
    return "emulab_conv_s8", weights, 2 * patch


def lower_depthwise(ctx: Context, op: Op) -> Lowered:
    """DEPTHWISE_CONV_2D: weights [1, kernel_h, kernel_w, out_c]."""
    x, w, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    geometry = _geometry(op, x, w, y, depthwise=True)
    require_dtype(x, DType.INT8)
    require_dtype(w, DType.INT8)
    require_dtype(y, DType.INT8)
    out_c = y.shape[3]
    multipliers = convolution_multipliers(x, w, y, out_c, 3)
    weights = w.array()
    taps = int(w.elements // out_c)
    act = activation_range(_options(op).activation, y)
    table = channel_table(
        weights.reshape(taps, out_c).T,
        bias_values(ctx.optional(op, 2), out_c),
        multipliers,
        x.zero_point,
        y.zero_point,
        act,
    )
    scratch = taps * POINTER_BYTES + x.shape[3]
    lines = _params(ctx, op, geometry, weights, table.table, table.mode, x, y, act)
    lines.append(f"emulab_depthwise_s8(&p, {ctx.pointer(x)}, {ctx.pointer(y)}, {ctx.scratch(op)});")
    return Lowered(lines, ("depthwise_s8.c",), y.elements * taps, scratch)


def _options(op: Op) -> ConvOptions:
    assert isinstance(op.options, ConvOptions)
    return op.options


def _geometry(op: Op, x: Tensor, w: Tensor, y: Tensor, *, depthwise: bool) -> dict[str, int]:
    """Checked sizes of the sliding window; keys are the fields of `emulab_conv_s8_params`."""
    for tensor in (x, w, y):
        require_rank(tensor, 4)
        if 0 in tensor.shape:
            raise InputError(f"tensor {tensor.name!r} has an empty shape {list(tensor.shape)}")
    o = _options(op)
    batches, in_h, in_w, in_c = x.shape
    kernel_h, kernel_w = w.shape[1], w.shape[2]
    pad_h, out_h = padding(o.same_padding, in_h, kernel_h, o.stride_h, o.dilation_h)
    pad_w, out_w = padding(o.same_padding, in_w, kernel_w, o.stride_w, o.dilation_w)
    out_c = w.shape[3] if depthwise else w.shape[0]
    require_shape(y, (batches, out_h, out_w, out_c))
    if depthwise:
        if w.shape[0] != 1 or out_c % in_c:
            raise InputError(f"weights {w.name!r} {list(w.shape)} do not fit {in_c} input channels")
        group_in, group_out = 1, out_c // in_c
    else:
        group_in = w.shape[3]
        if in_c % group_in or out_c % (in_c // group_in):
            raise InputError(f"weights {w.name!r} {list(w.shape)} do not fit {in_c} input channels")
        group_out = out_c // (in_c // group_in)
    return {
        "in_h": in_h,
        "in_w": in_w,
        "in_c": in_c,
        "out_h": out_h,
        "out_w": out_w,
        "out_c": out_c,
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
        "stride_h": o.stride_h,
        "stride_w": o.stride_w,
        "pad_h": pad_h,
        "pad_w": pad_w,
        "dilation_h": o.dilation_h,
        "dilation_w": o.dilation_w,
        "batches": batches,
        "group_in_c": group_in,
        "group_out_c": group_out,
    }


def _params(
    ctx: Context,
    op: Op,
    geometry: dict[str, int],
    weights: NDArray[np.generic],
    channels: NDArray[np.generic],
    mode: str,
    x: Tensor,
    y: Tensor,
    act: tuple[int, int],
) -> list[str]:
    fields: dict[str, object] = {
        "weights": ctx.constant(f"w{op.index}", "int8_t", weights),
        "channels": f"(const emulab_channel *){ctx.constant(f'c{op.index}', 'int32_t', channels)}",
        **geometry,
        "in_zero": x.zero_point,
        "out_zero": y.zero_point,
        "act_min": act[0],
        "act_max": act[1],
        "requant": mode,
    }
    return struct("emulab_conv_s8_params", fields)
