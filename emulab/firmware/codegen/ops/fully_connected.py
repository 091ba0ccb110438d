"""FULLY_CONNECTED."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, quantised, require_dtype, require_rank, struct
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.ops.channels import bias_values, channel_table, convolution_multipliers
from emulab.firmware.codegen.ops.conv import float_layer
from emulab.firmware.codegen.ops.packing import MVE_LANES, interleave, packed_channels, pad_groups
from emulab.firmware.codegen.options import FullyConnectedOptions
from emulab.firmware.codegen.target import KernelTarget


def lower_fully_connected(ctx: Context, op: Op) -> Lowered:
    """FULLY_CONNECTED: weights [out_n, in_n]; whatever precedes the last dimension of the input is a batch."""
    import numpy as np

    x, w, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    options = op.options
    assert isinstance(options, FullyConnectedOptions)
    if options.shuffled:
        raise InputError("shuffled weights are not supported")
    require_rank(w, 2)
    out_n, in_n = w.shape
    if not in_n or not out_n or x.elements % in_n or y.elements != x.elements // in_n * out_n:
        raise InputError(f"shapes {list(x.shape)} -> {list(y.shape)} do not fit weights {w.name!r} {list(w.shape)}")
    batches = x.elements // in_n
    if x.dtype is DType.FLOAT32:
        size = {"batches": batches, "in_c": in_n, "out_c": out_n}
        return float_layer(ctx, op, "emulab_fully_connected_f32", size, options.activation)
    if x.dtype is DType.INT16:
        size = {"batches": batches, "in_c": in_n, "out_c": out_n}
        return int16.window_layer(ctx, op, "emulab_fully_connected_s16", size, 0, options.activation)
    require_dtype(x, DType.INT8, DType.INT16)
    require_dtype(w, DType.INT8)
    require_dtype(y, DType.INT8)
    act = activation_range(options.activation, y)
    zeros = set(quantised(w).zero_points)
    if len(zeros) != 1:
        raise InputError(f"tensor {w.name!r} has different zero points per channel")
    weight_zero = zeros.pop()
    weights = w.array()
    table = channel_table(
        weights.astype(np.int32) - weight_zero,
        bias_values(ctx.optional(op, 2), out_n),
        convolution_multipliers(x, w, y, out_n, 0),
        x.zero_point,
        y.zero_point,
        act,
    )
    if table.silent:
        weights = weights.copy()
        weights[list(table.silent)] = weight_zero
    source, kernel, scratch = "fully_connected_s8.c", "emulab_fully_connected_s8", 0
    if ctx.target is KernelTarget.ARM_DSP:
        steps = -(-in_n // 4)
        weights = interleave(weights, 1, steps)
        source, kernel, scratch = "fully_connected_s8_dsp.c", "emulab_fully_connected_s8_dsp", 8 * steps
    elif ctx.target is KernelTarget.RV32IM:
        weights = interleave(weights, 1, in_n, lanes=1)
        source, kernel = "fully_connected_s8_rv32.c", "emulab_fully_connected_s8_rv32"
    elif ctx.target is KernelTarget.ARM_MVE:
        weights = interleave(weights, 1, -(-in_n // MVE_LANES), lanes=MVE_LANES)
        source, kernel = "fully_connected_s8_mve.c", "emulab_fully_connected_s8_mve"
    shared = table.uniform
    sources = (source,) if ctx.target is KernelTarget.ARM_MVE else (source, "channels.c")
    channels = packed_channels(pad_groups(table.table, 1), shared=shared)
    lines = struct(
        "emulab_fully_connected_s8_params",
        {
            "weights": ctx.constant(f"w{op.index}", "int8_t", weights),
            "channels": ctx.constant(f"c{op.index}", "int32_t", channels),
            "batches": batches,
            "in_n": in_n,
            "out_n": out_n,
            "weight_zero": -weight_zero,
            "out_zero": y.zero_point,
            "act_min": act[0],
            "act_max": act[1],
            "requant": table.mode,
            "shared": int(shared),
        },
    )
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(y)}, {ctx.scratch(op) if scratch else '0'});")
    return Lowered(lines, sources, batches * out_n * in_n, scratch)
