"""CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, float_activation_range, padding
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import (
    Context,
    Lowered,
    quantised,
    require_dtype,
    require_rank,
    require_shape,
    struct,
)
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.ops.channels import (
    EXACT,
    Channels,
    bias_values,
    channel_table,
    convolution_multipliers,
)
from emulab.firmware.codegen.ops.packing import (
    DEPTHWISE_LANES,
    MVE_LANES,
    interleave,
    mve_channels,
    packed_channels,
    pad_groups,
    pad_last,
    planar,
)
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
    if x.dtype is DType.FLOAT32:
        return float_layer(ctx, op, "emulab_conv_f32", geometry, _options(op).activation)
    if x.dtype is DType.INT16:
        return int16.window_layer(ctx, op, "emulab_conv_s16", geometry, 0, _options(op).activation)
    require_dtype(x, DType.INT8, DType.INT16)
    require_dtype(w, DType.INT8)
    require_dtype(y, DType.INT8)
    out_c = y.shape[3]
    taps = int(w.elements // out_c)
    act = activation_range(_options(op).activation, y)
    weights = w.array().reshape(out_c, taps)
    channels = channel_table(
        weights,
        bias_values(ctx.optional(op, 2), out_c),
        convolution_multipliers(x, w, y, out_c, 0),
        x.zero_point,
        y.zero_point,
        act,
    )
    if channels.silent:
        weights = weights.copy()
        weights[list(channels.silent)] = 0
    if ctx.target is KernelTarget.ARM_DSP:
        kernel = _dsp_kernel(ctx, op, geometry, weights, channels)
    elif ctx.target is KernelTarget.ARM_MVE:
        kernel = _mve_kernel(geometry, weights, channels, act[1])
    elif ctx.target is KernelTarget.RV32IM:
        groups = out_c // geometry["group_out_c"]
        kernel = _Kernel(
            "emulab_conv_s8_rv32",
            ("conv_s8_rv32.c",),
            interleave(weights, groups, taps, lanes=1),
            pad_groups(channels.table, groups),
            2 * taps,
        )
    else:
        kernel = _Kernel("emulab_conv_s8", ("conv_s8.c",), weights, channels.table, 2 * taps)
    lines = _params(ctx, op, geometry | kernel.fields, kernel.weights, kernel.table, channels.mode, x, y, act)
    lines.append(f"{kernel.function}(&p, {ctx.pointer(x)}, {ctx.pointer(y)}, {ctx.scratch(op)});")
    return Lowered(lines, kernel.sources, y.elements * taps, kernel.scratch_bytes)


@dataclass(frozen=True)
class _Kernel:
    """A function, the files it is in, what it reads as weights and channel table, its scratch, its own parameters."""

    function: str
    sources: tuple[str, ...]
    weights: NDArray[np.generic]
    table: NDArray[np.int32]
    scratch_bytes: int
    fields: dict[str, int] = field(default_factory=dict)


def _dsp_kernel(ctx: Context, op: Op, g: dict[str, int], weights: NDArray[np.generic], channels: Channels) -> _Kernel:
    """Weights in groups of four channels, and as many of them widened at a time as spare RAM holds."""
    groups = g["out_c"] // g["group_out_c"]
    row_words, steps = _rows(g)
    group_channels = -(-g["group_out_c"] // 4) * 4
    # A channel's widened weights and parameters are 8 * steps + 16 bytes; the rest is for pixels.
    affordable = (ctx.spare_bytes(op) - 24 * steps) // (8 * steps + 16) // 4 * 4
    chunk = min(max(4, affordable), group_channels)
    chunk = -(-group_channels // -(-group_channels // chunk)) + 3 & ~3
    return _Kernel(
        "emulab_conv_s8_dsp",
        ("conv_s8_dsp.c", "dsp_block.c", "channels.c"),
        interleave(_fill_rows(g, weights, 4 * row_words), groups, steps),
        packed_channels(pad_groups(channels.table, groups)),
        (8 * steps + 16) * chunk + 24 * steps + 8,
        {"steps": steps, "row_words": row_words, "chunk": chunk},
    )


def _mve_kernel(g: dict[str, int], weights: NDArray[np.generic], channels: Channels, act_max: int) -> _Kernel:
    """Kernel rows filled up to vectors and read in place, or windows gathered, whichever costs fewer instructions."""
    groups = g["out_c"] // g["group_out_c"]
    row = g["kernel_w"] * g["group_in_c"]
    row_vectors, gathered = -(-row // MVE_LANES), -(-g["kernel_h"] * row // MVE_LANES)
    dense = g["dilation_h"] == g["dilation_w"] == 1 and g["group_in_c"] == g["in_c"]
    # About two instructions per vector and pair of channels; a gathered row costs a dozen and four per vector.
    gather_cost = gathered * g["group_out_c"] + g["kernel_h"] * (12 + 4 * row_vectors)
    if not dense or g["kernel_h"] * row_vectors * g["group_out_c"] > gather_cost:
        row_vectors = 0
    steps = g["kernel_h"] * row_vectors or gathered
    return _Kernel(
        "emulab_conv_s8_mve",
        ("conv_s8_mve.c",),
        interleave(_fill_rows(g, weights, MVE_LANES * row_vectors), groups, steps, lanes=MVE_LANES, together=2),
        mve_channels(pad_groups(channels.table, groups), channels.mode == EXACT, act_max),
        2 * MVE_LANES * steps,
        {"steps": steps, "row_words": row_vectors},
    )


def _fill_rows(g: dict[str, int], weights: NDArray[np.generic], row_bytes: int) -> NDArray[np.generic]:
    """Weights [out_c, taps] with every kernel row filled up to `row_bytes`; as they are where that is 0."""
    if not row_bytes:
        return weights
    return pad_last(weights.reshape(g["out_c"], g["kernel_h"], -1), row_bytes).reshape(g["out_c"], -1)


def _rows(g: dict[str, int]) -> tuple[int, int]:
    """(words per kernel row, words per window): rows read in place are filled up to words, gathered windows as a whole.

    Rows in place save the gathering, at the price of multiplying by the filled-up zeros.
    """
    row = g["kernel_w"] * g["group_in_c"]
    words = -(-row // 4)
    dense = g["dilation_h"] == g["dilation_w"] == 1 and g["group_in_c"] == g["in_c"]
    if dense and 4 * words <= 1.5 * row:
        return words, g["kernel_h"] * words
    return 0, -(-g["kernel_h"] * row // 4)


def lower_depthwise(ctx: Context, op: Op) -> Lowered:
    """DEPTHWISE_CONV_2D: weights [1, kernel_h, kernel_w, out_c]."""
    import numpy as np

    x, w, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    geometry = _geometry(op, x, w, y, depthwise=True)
    if x.dtype is DType.FLOAT32:
        return float_layer(ctx, op, "emulab_depthwise_f32", geometry, _options(op).activation)
    if x.dtype is DType.INT16:
        return int16.window_layer(ctx, op, "emulab_depthwise_s16", geometry, 3, _options(op).activation)
    require_dtype(x, DType.INT8, DType.INT16)
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
    if table.silent:
        weights = weights.copy()
        weights[..., list(table.silent)] = 0
    packed = table.table
    sources: tuple[str, ...] = ("depthwise_s8.c",)
    kernel, scratch = "emulab_depthwise_s8", taps * POINTER_BYTES + x.shape[3]
    if ctx.target is KernelTarget.ARM_DSP and _is_3x3(geometry) and _usual(geometry, act, table.mode):
        sources, kernel = ("depthwise_s8_dsp.c", "channels.c"), "emulab_depthwise_3x3_s8_dsp"
        weights, packed = planar(weights.reshape(3, 3, out_c)), packed_channels(packed)
        # Aligned words may reach 2 bytes past the last window of a row.
        pitch = -(-((geometry["out_w"] - 1) * geometry["stride_w"] + 4) // 4) * 4
        pitch = max(pitch, -(-(geometry["pad_w"] + geometry["in_w"]) // 4) * 4)
        affordable = (ctx.spare_bytes(op) - 4) // (4 * pitch)
        rows = max(1, min(geometry["out_h"], (affordable - 3) // geometry["stride_h"] + 1))
        rows = -(-geometry["out_h"] // -(-geometry["out_h"] // rows))
        geometry |= {"strip_rows": rows, "pitch": pitch}
        scratch = 4 * ((rows - 1) * geometry["stride_h"] + 3) * pitch + 4
    elif ctx.target is KernelTarget.ARM_DSP and _is_line(geometry) and _usual(geometry, act, table.mode):
        steps, outputs = taps // 2 + 1, geometry["out_h" if geometry["kernel_w"] == 1 else "out_w"]
        words = 2 * -(-outputs // 4) + steps + 1
        if outputs >= 4 and 16 * words + 8 * steps <= ctx.spare_bytes(op):
            sources, kernel = ("depthwise_line_s8_dsp.c", "channels.c"), "emulab_depthwise_line_s8_dsp"
            weights, packed = np.ascontiguousarray(weights.reshape(taps, out_c).T), packed_channels(packed)
            geometry |= {"steps": steps, "pitch": words}
            scratch = 16 * words + 8 * steps
    elif ctx.target is KernelTarget.RV32IM and _is_3x3(geometry):
        rows, pitch = _plane(geometry)
        if rows * pitch + 4 <= ctx.spare_bytes(op):
            sources = ("depthwise_s8_rv32.c",)
            kernel, scratch = "emulab_depthwise_3x3_s8_rv32", rows * pitch + 4
            weights = np.ascontiguousarray(weights.reshape(9, out_c).T)
            geometry |= {"strip_rows": rows, "pitch": pitch}
    elif ctx.target is KernelTarget.ARM_MVE and geometry["group_out_c"] == 1 and weights.min() > -128:
        sources, kernel = ("depthwise_s8_mve.c",), "emulab_depthwise_s8_mve"
        padded = -(-out_c // MVE_LANES) * MVE_LANES
        weights = pad_last(weights.reshape(taps, out_c), padded)
        lanes = pad_groups(packed, 1, MVE_LANES).reshape(-1, MVE_LANES, 4)[:, DEPTHWISE_LANES].reshape(-1, 4)
        packed = mve_channels(lanes, table.mode == EXACT, act[1])
        scratch += MVE_LANES
    lines = _params(ctx, op, geometry, weights, packed, table.mode, x, y, act)
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(y)}, {ctx.scratch(op)});")
    return Lowered(lines, sources, y.elements * taps, scratch)


def float_layer(
    ctx: Context,
    op: Op,
    kernel: str,
    geometry: dict[str, int],
    activation: str,
    parts: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> Lowered:
    """A float32 convolution or dense layer: the weights as they are; `parts` are its input, weights and bias."""
    x, w, bias = parts or (ctx.input(op, 0), ctx.input(op, 1), ctx.optional(op, 2))
    y = ctx.output(op)
    for tensor in (x, y):
        require_dtype(tensor, DType.FLOAT32)
    require_dtype(w, DType.FLOAT32, DType.INT8)
    if bias is not None and (bias.dtype is not DType.FLOAT32 or bias.elements != geometry["out_c"]):
        raise InputError(f"bias {bias.name!r} is {bias.dtype.name} {list(bias.shape)}")
    low, high = float_activation_range(activation)
    window = ", ".join(f".{key} = {value}" for key, value in geometry.items())
    fields: dict[str, object] = {
        "weights": ctx.constant(f"w{op.index}", "float", _real(w), w.name),
        "bias": 0 if bias is None else ctx.constant(f"b{op.index}", "float", bias.array(), bias.name),
        "window": f"{{{window}}}",
        "act_min": low,
        "act_max": high,
    }
    lines = struct("emulab_conv_f32_params", fields)
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("conv_f32.c",), y.elements * (w.elements // geometry["out_c"]))


def _real(weights: Tensor) -> NDArray[np.generic]:
    """Float weights; of a dynamic-range quantised model (int8 weights, float activations) the values they stand for."""
    import numpy as np

    if weights.dtype is DType.FLOAT32:
        return weights.array()
    q = quantised(weights)
    shape = [1] * len(weights.shape)
    shape[q.axis] = len(q.scales)
    scales, zeros = np.array(q.scales).reshape(shape), np.array(q.zero_points).reshape(shape)
    real: NDArray[np.generic] = ((weights.array().astype(np.float64) - zeros) * scales).astype(np.float32)
    return real


def _is_3x3(g: dict[str, int]) -> bool:
    """3x3, stride 1 or 2, depth multiplier 1: what the special kernels do."""
    window = [g["kernel_h"], g["kernel_w"], g["dilation_h"], g["dilation_w"], g["group_out_c"]]
    return window == [3, 3, 1, 1, 1] and g["stride_h"] == g["stride_w"] and g["stride_w"] in (1, 2)


def _is_line(g: dict[str, int]) -> bool:
    """A window along one dimension, stride 1, depth multiplier 1."""
    ones = [g["stride_h"], g["stride_w"], g["dilation_h"], g["dilation_w"], g["group_out_c"]]
    return ones == [1] * 5 and 1 in (g["kernel_h"], g["kernel_w"])


def _usual(g: dict[str, int], act: tuple[int, int], mode: str) -> bool:
    """What the DSP kernels that take four channels at a time ask for."""
    return g["out_c"] % 4 == 0 and act == (-128, 127) and mode != EXACT


def _plane(g: dict[str, int]) -> tuple[int, int]:
    """Rows and bytes per row of one channel with its padding; windows come in pairs, so the last may reach further."""
    pairs = -(-g["out_w"] // 2)
    pitch = max((2 * pairs - 1) * g["stride_w"] + 3, g["pad_w"] + g["in_w"])
    return (g["out_h"] - 1) * g["stride_h"] + 3, pitch


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
        "channels": ctx.constant(f"c{op.index}", "int32_t", channels),
        **geometry,
        "in_zero": x.zero_point,
        "out_zero": y.zero_point,
        "act_min": act[0],
        "act_max": act[1],
        "requant": mode,
    }
    return struct("emulab_conv_s8_params", fields)
