"""Operators on 16-bit activations with 8-bit weights ("16x8" quantisation): symmetric, all zero points 0.

Arithmetic as the reference kernels define it: sums with a 64-bit bias are scaled by a multiplier of 16 bits
(``MultiplyByQuantizedMultiplier`` for int64), LOGISTIC and TANH interpolate a table of 256 values, SOFTMAX two of 513.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import INT_RANGE, activation_range, quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, quantised, require_dtype, struct
from emulab.firmware.codegen.ops.channels import convolution_multipliers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ELEMENTWISE = ("elementwise_s16.c",)
MAX_LEFT_SHIFT = 7
"""Of a 64-bit sum; more could overflow."""


def require_symmetric(*tensors: Tensor) -> None:
    """Zero points of 16-bit tensors must be 0."""
    for tensor in tensors:
        if tensor.zero_point != 0:
            raise InputError(f"tensor {tensor.name!r} has zero point {tensor.zero_point}, expected 0 of INT16")


def window_layer(
    ctx: Context,
    op: Op,
    kernel: str,
    geometry: dict[str, int],
    axis: int,
    activation: str,
    parts: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> Lowered:
    """A convolution or dense layer; `axis` of the weights holds the output channels, `parts` are input, weights, bias."""
    import numpy as np

    x, w, bias = parts or (ctx.input(op, 0), ctx.input(op, 1), ctx.optional(op, 2))
    y = ctx.output(op)
    require_dtype(y, DType.INT16)
    require_dtype(w, DType.INT8)
    require_symmetric(x, y)
    channels = geometry["out_c"]
    zeros = set(quantised(w).zero_points)
    if len(zeros) != 1 or (zeros != {0} and op.kind != "FULLY_CONNECTED"):
        raise InputError(f"tensor {w.name!r} has zero points that are not 0")
    zero = zeros.pop()
    full = bias is not None and bias.dtype is DType.INT32
    values = np.zeros(channels, np.int64)
    if bias is not None:
        allowed = {"DEPTHWISE_CONV_2D": (DType.INT64,), "TRANSPOSE_CONV": (DType.INT64, DType.INT16)}.get(
            op.kind, (DType.INT64, DType.INT32)
        )
        require_dtype(bias, *allowed)
        if bias.elements != channels:
            raise InputError(f"bias {bias.name!r} has {bias.elements} values, expected {channels}")
        values = bias.array().reshape(-1).astype(np.int64)
    if np.abs(values).max() >= 1 << 46:
        raise InputError(f"bias {bias.name if bias else ''!r} is beyond 46 bits")
    multipliers = convolution_multipliers(x, w, y, channels, axis)
    if not full and any(m.shift > MAX_LEFT_SHIFT for m in multipliers):
        raise InputError(f"tensor {y.name!r}: scale {y.scale:g} is too small")
    weights = np.moveaxis(w.array(), axis, 0).reshape(channels, -1).astype(np.int64) - zero
    widest = int(np.abs(weights).sum(axis=1).max()) << 15
    act = activation_range(activation, y)
    window = ", ".join(f".{key} = {value}" for key, value in geometry.items())
    scales = [m.value if full else min(m.value + (1 << 15) >> 16, 0x7FFF) for m in multipliers]
    shifts = [m.shift for m in multipliers]
    per_channel = len(set(zip(scales, shifts, strict=True))) > 1
    if not per_channel:
        scales, shifts = scales[:1], shifts[:1]
    short = bool(np.abs(values).max() < 1 << 31)
    fields: dict[str, object] = {
        "window": f"{{{window}}}",
        "weights": ctx.constant(f"w{op.index}", "int8_t", w.array(), w.name),
        "short_bias" if short else "bias": ctx.constant(
            f"b{op.index}", "int32_t" if short else "int64_t", values.astype(np.int32) if short else values
        ),
        "multiplier": ctx.constant(f"m{op.index}", "int32_t", np.array(scales, np.int32)),
        "shift": ctx.constant(f"h{op.index}", "int32_t", np.array(shifts, np.int32)),
        "per_channel": int(per_channel),
        "weight_zero": -zero,
        "act_min": act[0],
        "act_max": act[1],
        "full": int(full),
        "wide": int(widest >= 1 << 31),
    }
    lines = struct("emulab_conv_s16_params", fields)
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("conv_s16.c",), y.elements * int(w.elements // channels))


def lower_activation(ctx: Context, op: Op, x: Tensor, y: Tensor) -> Lowered:
    """LOGISTIC or TANH to scale 1/32768."""
    require_symmetric(x, y)
    if y.scale != 1.0 / 32768:
        raise InputError(f"tensor {y.name!r}: expected scale 1/32768")
    multiplier, shift = _argument(x.scale, (0,) if op.kind == "LOGISTIC" else (0, 1))
    table = logistic_table()
    symbol = ctx.constant(f"l{op.index}", "uint16_t", table)
    pointers = f"{ctx.pointer(x)}, {ctx.pointer(y)}"
    line = f"emulab_{op.kind.lower()}_s16({symbol}, {multiplier}, {shift}, {x.elements}, {pointers});"
    return Lowered([line], ELEMENTWISE, in_place=((y.index, x.index),))


def lower_leaky_relu(ctx: Context, op: Op, x: Tensor, y: Tensor, alpha: float) -> Lowered:
    """LEAKY_RELU: one scale above zero, another below."""
    require_symmetric(x, y)
    above, below = quantize_multiplier(x.scale / y.scale), quantize_multiplier(x.scale * alpha / y.scale)
    scales = f"{above.value}, {above.shift}, {below.value}, {below.shift}"
    line = f"emulab_leaky_relu_s16({scales}, {x.elements}, {ctx.pointer(x)}, {ctx.pointer(y)});"
    return Lowered([line], ELEMENTWISE, in_place=((y.index, x.index),))


def logistic_table() -> NDArray[np.uint16]:
    """The logistic function at 0, 1/24, 2/24, ... in units of 2^-16.

    Every value but the last, 65535, is raised by half of what a line to the next lies too low in the middle: the
    reference interpreter's answers to all inputs say so.
    """
    import numpy as np

    def value(k: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = 65536.0 / (1.0 + np.exp(-k / 24.0))
        return result

    k = np.arange(256.0)
    low = value(k + 0.5) - (value(k) + value(k + 1)) / 2
    table: NDArray[np.uint16] = np.floor(value(k) + low / 2 + 0.5).astype(np.uint16)
    table[-1] = 65535
    return table


def _argument(scale: float, powers: tuple[int, ...]) -> tuple[int, int]:
    """Multiplier and right shift that bring `scale` to 1/12288; `powers`: left shifts of 2^-12 that are exact."""
    for shift in powers:
        if scale == 2.0 ** (shift - 12):
            return 3 << shift, 0
    multiplier, shift = scale * 12288.0, 0
    while multiplier <= 32767.0 / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    if multiplier >= 32768:
        raise InputError(f"a scale of {scale:g} is too large for a 16-bit input")
    return int(multiplier), shift


def lower_softmax(ctx: Context, op: Op, x: Tensor, y: Tensor, beta: float) -> Lowered:
    """SOFTMAX to scale 1/32768."""
    require_symmetric(x, y)
    if y.scale != 1.0 / 32768:
        raise InputError(f"tensor {y.name!r}: expected scale 1/32768")
    m = quantize_multiplier(x.scale * beta / (10.0 / 65535.0))
    if m.shift > 14:
        raise InputError(f"tensor {x.name!r}: scale {x.scale:g} is too large for a 16-bit softmax")
    lines = struct(
        "emulab_softmax_s16_params",
        {
            "n": x.shape[-1],
            "multiplier": m.value,
            "shift": m.shift,
            "exponential": ctx.constant(f"e{op.index}", "int16_t", table_513(10.0, 32767, "exp")),
            "reciprocal": ctx.constant(f"r{op.index}", "int16_t", table_513(1.0, -32768, "reciprocal")),
        },
    )
    lines.append(f"emulab_softmax_s16(&p, {x.elements // x.shape[-1]}, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ELEMENTWISE, in_place=((y.index, x.index),))


def table_513(span: float, zero: int, function: str) -> NDArray[np.int16]:
    """exp(x) or 1/(1 + x) at 513 points `span` wide, output 2/65535 a unit, in single precision as on a target.

    Every value but the last is moved by half the error that linear interpolation makes in the middle of its step.
    """
    import numpy as np

    f = np.float32

    def evaluate(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.exp(x, dtype=f) if function == "exp" else (f(1) / (f(1) + x)).astype(f)

    def rounded(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return (np.sign(x) * np.floor(np.abs(x) + f(0.5))).astype(f)

    scale = f(span) / f(65535)
    low, high = scale * f(-32768 - zero), scale * f(32767 - zero)
    out = f(2) / f(65535)
    to_units = f(65536) / (out * f(32767) - out * f(-32768))
    step = (high - low) / f(512)
    at = (low + np.arange(512, dtype=f) * step).astype(f)
    after = (low + np.arange(1, 513, dtype=f) * step).astype(f)
    value, middle, following = (evaluate(v) * to_units for v in (at, (at + step / f(2)).astype(f), after))
    error = rounded((following + rounded(value)) / f(2)) - rounded(middle)
    last = rounded(evaluate(np.array([high], f)) * to_units)
    table = np.concatenate([rounded(value) - rounded(error / f(2)), last])
    result: NDArray[np.int16] = np.clip(table, -32768, 32767).astype(np.int16)
    return result


_SUFFIX = {DType.INT8: "s8", DType.INT16: "s16", DType.INT32: "s32"}


def lower_requantize(ctx: Context, op: Op, x: Tensor, y: Tensor, act: tuple[int, int] | None = None) -> Lowered:
    """QUANTIZE between int8, int16 and int32, or from one int16 quantisation to another; `act` clamps the output."""
    require_dtype(x, *_SUFFIX)
    require_dtype(y, *([DType.INT8, DType.INT16] if x.dtype is DType.INT32 else _SUFFIX))
    m = quantize_multiplier(x.scale / y.scale)
    low, high = act or INT_RANGE[y.dtype]
    fields: dict[str, object] = {"zero_a": x.zero_point, "out_zero": y.zero_point}
    fields |= {"multiplier": m.value, "shift": m.shift, "act_min": low, "act_max": high}
    lines = struct("emulab_mul_s8_params", fields)
    name = f"emulab_requantize_{_SUFFIX[x.dtype]}_{_SUFFIX[y.dtype]}"
    lines.append(f"{name}(&p, {x.elements}, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ELEMENTWISE)
