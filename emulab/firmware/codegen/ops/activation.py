"""Functions of one element: LOGISTIC, TANH, RELU and its kin, HARD_SWISH; of 8-bit tensors as tables made here."""

from __future__ import annotations

import math
from collections.abc import Callable

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import (
    INT_RANGE,
    Multiplier,
    activation_range,
    exp_negative,
    float32,
    float_activation_range,
    one_minus_x_over_one_plus_x,
    one_over_one_plus_x,
    quantize_multiplier,
    round_shift,
    scale,
)
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, c_float, require_dtype, require_shape
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.options import LeakyReluOptions

_WIDE = ("LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU")
INTEGER_BITS = 4
"""Integer bits of the fixed-point argument of LOGISTIC and TANH."""


def lower_activation(ctx: Context, op: Op) -> Lowered:
    """LOGISTIC, TANH, RELU, RELU6, RELU_N1_TO_1, LEAKY_RELU, HARD_SWISH on int8 or float32."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    wide = (DType.INT16,) if op.kind in _WIDE else ()
    require_dtype(x, DType.INT8, DType.FLOAT32, *wide)
    require_dtype(y, x.dtype)
    if x.dtype is DType.INT16 and op.kind in ("RELU", "RELU6"):
        return int16.lower_requantize(ctx, op, x, y, activation_range(op.kind, y))
    if x.dtype is DType.INT16 and isinstance(op.options, LeakyReluOptions):
        return int16.lower_leaky_relu(ctx, op, x, y, _slope(op.options))
    if x.dtype is DType.INT16:
        return int16.lower_activation(ctx, op, x, y)
    if x.dtype is DType.FLOAT32:
        call = f"{_float_call(op)}{x.elements}, {ctx.pointer(x)}, {ctx.pointer(y)});"
        return Lowered([call], ("elementwise_f32.c",), in_place=((y.index, x.index),))
    return lookup(ctx, op, x, y, _QUANTISED[op.kind](op, x, y))


def lookup(ctx: Context, op: Op, x: Tensor, y: Tensor, function: Callable[[int], int]) -> Lowered:
    """A table of `function`, from an 8-bit value to an 8-bit value, clamped to the output's type."""
    import numpy as np

    low, high = INT_RANGE[x.dtype]
    out_low, out_high = INT_RANGE[y.dtype]
    table = np.zeros(256, np.uint8)
    for value in range(low, high + 1):
        table[value & 255] = min(max(function(value), out_low), out_high) & 255
    symbol = ctx.constant(f"l{op.index}", "int8_t", table.view(np.int8))
    suffix = ctx.target.suffix("mve")
    pointers = f"(const int8_t *){ctx.pointer(x)}, (int8_t *){ctx.pointer(y)}"
    line = f"emulab_lookup_8{suffix}({symbol}, {x.elements}, {pointers});"
    return Lowered([line], ("elementwise_s8_mve.c" if suffix else "lookup_s8.c",), in_place=((y.index, x.index),))


def _float_call(op: Op) -> str:
    if op.kind == "LEAKY_RELU":
        assert isinstance(op.options, LeakyReluOptions)
        return f"emulab_leaky_relu_f32({c_float(op.options.alpha)}, "
    if op.kind in ("RELU", "RELU6", "RELU_N1_TO_1"):
        low, high = float_activation_range(op.kind)
        return f"emulab_clamp_f32({low}, {high}, "
    return f"emulab_{op.kind.lower()}_f32("


def _argument(x: Tensor) -> tuple[Multiplier, int]:
    """Multiplier to Q4.27, and the input magnitude from which the function saturates."""
    m = quantize_multiplier(x.scale * (1 << (31 - INTEGER_BITS)))
    largest = ((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS))
    if m.shift < 0:
        raise InputError(f"tensor {x.name!r}: scale {x.scale:g} is too small")
    return m, math.floor(largest / (1 << m.shift))


def _logistic(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    if (y.scale, y.zero_point) != (1.0 / 256, -128):
        raise InputError(f"tensor {y.name!r}: expected scale 1/256 and zero point -128")
    m, radius = _argument(x)

    def function(value: int) -> int:
        centred = value - x.zero_point
        if abs(centred) >= radius:
            return -128 if centred < 0 else 127
        q = scale(centred, m)
        positive = one_over_one_plus_x(exp_negative(-abs(q), INTEGER_BITS))
        result = 1 << 30 if q == 0 else (positive if q > 0 else 2**31 - 1 - positive)
        return min(round_shift(result, 23), 255) - 128

    return function


def _tanh(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    if (y.scale, y.zero_point) != (1.0 / 128, 0):
        raise InputError(f"tensor {y.name!r}: expected scale 1/128 and zero point 0")
    m, radius = _argument(x)

    def function(value: int) -> int:
        centred = value - x.zero_point
        if abs(centred) >= radius:
            return -128 if centred < 0 else 127
        q = scale(centred, m)
        # The doubled argument keeps its bits in a format of one more integer bit.
        magnitude = one_minus_x_over_one_plus_x(exp_negative(-abs(q), INTEGER_BITS + 1)) if q else 0
        return round_shift(magnitude if q >= 0 else -magnitude, 24)

    return function


def _relu(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    low, high = activation_range(op.kind, y)
    m = quantize_multiplier(x.scale / y.scale)
    return lambda value: min(max(scale(value - x.zero_point, m) + y.zero_point, low), high)


def _slope(options: LeakyReluOptions) -> float:
    if options.alpha < 0:
        raise InputError(f"a negative slope ({options.alpha:g}) is not supported")
    return options.alpha


def _leaky_relu(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    assert isinstance(op.options, LeakyReluOptions)
    alpha = _slope(op.options)
    above, below = quantize_multiplier(x.scale / y.scale), quantize_multiplier(x.scale * alpha / y.scale)

    def function(value: int) -> int:
        centred = value - x.zero_point
        return scale(centred, above if centred >= 0 else below) + y.zero_point

    return function


def _hard_swish(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    hires = float32(x.scale * float32(1.0 / 128))
    out = quantize_multiplier(float32(hires / float32(y.scale)))
    relu = quantize_multiplier(float32(hires / float32(3.0 / 32768)))
    if out.shift > 0:
        raise InputError(f"tensor {y.name!r}: output scale {y.scale:g} is too small for HARD_SWISH")

    def to_16(m: Multiplier) -> int:
        return min((m.value + (1 << 15)) >> 16, 32767)

    def high_mul_16(a: int, b: int) -> int:
        return (a * b + (1 << 14)) >> 15

    def saturate(value: int) -> int:
        return min(max(value, -32768), 32767)

    def function(value: int) -> int:
        argument = (value - x.zero_point) * 128
        scaled = high_mul_16(argument, to_16(out))
        gate = saturate(argument << (relu.shift - 1)) if relu.shift > 0 else argument
        gate = high_mul_16(gate, to_16(relu))
        if relu.shift > 0:
            gate = saturate(gate << 1)
        elif relu.shift < 0:
            gate = round_shift(gate, -relu.shift)
        gate = (gate + (1 << 15)) >> 1
        product = gate * scaled
        product = product >> 15 if product >= 0 else -(-product >> 15)
        return round_shift(product, -out.shift) + y.zero_point

    return function


_QUANTISED: dict[str, Callable[[Op, Tensor, Tensor], Callable[[int], int]]] = {
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "RELU": _relu,
    "RELU6": _relu,
    "RELU_N1_TO_1": _relu,
    "LEAKY_RELU": _leaky_relu,
    "HARD_SWISH": _hard_swish,
}
