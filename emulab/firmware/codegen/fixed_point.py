"""Quantised arithmetic at build time: multipliers, activation ranges, rounding, as TensorFlow Lite defines them.

Source: "TensorFlow Lite 8-bit quantization specification" and Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference" (2018), section 2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Tensor

INT_RANGE = {
    DType.BOOL: (0, 1),
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.INT32: (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True)
class Multiplier:
    """`value * 2^(shift - 31)`, with value in [2^30, 2^31) or 0."""

    value: int
    shift: int


def round_away(x: float) -> int:
    """Round half away from zero, as C's ``round``."""
    whole = math.floor(abs(x))
    # Not floor(x + 0.5): that sum itself rounds just below one half.
    whole += abs(x) - whole >= 0.5
    return whole if x >= 0 else -whole


def quantize_multiplier(real: float) -> Multiplier:
    """The fixed-point multiplier nearest to `real` (>= 0)."""
    if real == 0.0:
        return Multiplier(0, 0)
    fraction, shift = math.frexp(real)
    value = round_away(fraction * (1 << 31))
    if value == 1 << 31:
        value //= 2
        shift += 1
    if shift < -31:
        return Multiplier(0, 0)
    if shift > 30:
        raise InputError(f"quantisation scales differ by a factor of {real:g}, more than 32 bits hold")
    return Multiplier(value, shift)


def wrap32(x: int) -> int:
    """`x` modulo 2^32 as a signed number, which is how 32-bit accumulators overflow."""
    return (x + 2**31) % 2**32 - 2**31


def high_mul(a: int, b: int) -> int:
    """`a * b / 2^31`, rounded half up."""
    return (a * b + (1 << 30)) >> 31


def round_shift(x: int, shift: int) -> int:
    """`x / 2^shift`, rounded half away from zero."""
    if shift == 0:
        return x
    return (x + (1 << (shift - 1)) + (-1 if x < 0 else 0)) >> shift


def scale(x: int, m: Multiplier) -> int:
    """`x` scaled by `m`, with the two roundings of the reference arithmetic."""
    return round_shift(high_mul(wrap32(x << max(m.shift, 0)), m.value), max(-m.shift, 0))


def float32(x: float) -> float:
    """`x` rounded to single precision."""
    import struct

    return float(struct.unpack("<f", struct.pack("<f", x))[0])


def activation_range(activation: str, output: Tensor) -> tuple[int, int]:
    """Clamp limits of a fused activation in the output's quantised units."""
    low, high = INT_RANGE[output.dtype]

    def quantised(real: float) -> int:
        return output.zero_point + round_away(float32(real / output.scale))

    if activation == "NONE":
        return low, high
    if activation == "RELU":
        return max(low, quantised(0.0)), high
    if activation == "RELU6":
        return max(low, quantised(0.0)), min(high, quantised(6.0))
    if activation == "RELU_N1_TO_1":
        return max(low, quantised(-1.0)), min(high, quantised(1.0))
    raise InputError(f"fused activation {activation} is not supported")


def float_activation_range(activation: str) -> tuple[str, str]:
    """Clamp limits of a fused activation as C float expressions."""
    limits = {
        "NONE": ("-FLT_MAX", "FLT_MAX"),
        "RELU": ("0.0f", "FLT_MAX"),
        "RELU6": ("0.0f", "6.0f"),
        "RELU_N1_TO_1": ("-1.0f", "1.0f"),
    }
    if activation not in limits:
        raise InputError(f"fused activation {activation} is not supported")
    return limits[activation]


def padding(same: bool, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(padding before, output size) of one dimension of a sliding window."""
    span = (kernel - 1) * dilation + 1
    if stride < 1 or kernel < 1 or dilation < 1:
        raise InputError(f"kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1")
    if not same:
        return 0, (size - span + stride) // stride
    out = -(-size // stride)
    return max(0, (out - 1) * stride + span - size) // 2, out


def exp_negative(x: int, integer_bits: int) -> int:
    """exp(x) in Q0.31 of x <= 0 with `integer_bits` integer bits; as `softmax_s8.c` does it."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    r = (x & (quarter - 1)) - quarter
    y = (r << integer_bits) + (1 << 28)
    y2 = high_mul(y, y)
    y3, y4 = high_mul(y2, y), high_mul(y2, y2)
    tail = round_shift(high_mul(round_shift(y4, 2) + y3, 715827883) + y2, 1)
    result = 1895147668 + high_mul(1895147668, y + tail)
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for k, factor in zip(range(-2, integer_bits), factors, strict=False):
        if (r - x) & (1 << (fraction + k)):
            result = high_mul(result, factor)
    return 2**31 - 1 if x == 0 else result


def _reciprocal(half_denominator: int) -> int:
    """1 / half_denominator in Q2.29 by three Newton-Raphson steps from 48/17 - 32/17 x."""
    x = 1515870810 + high_mul(half_denominator, -1010580540)
    for _ in range(3):
        step = high_mul(x, (1 << 29) - high_mul(half_denominator, x))
        x += min(max(step * 4, -(2**31)), 2**31 - 1)
    return x


def one_over_one_plus_x(x: int) -> int:
    """1 / (1 + x) in Q0.31, 0 <= x < 1."""
    return min(_reciprocal((x + 2**31) >> 1) * 2, 2**31 - 1)


def one_minus_x_over_one_plus_x(x: int) -> int:
    """(1 - x) / (1 + x) in Q0.31, 0 <= x < 1."""
    return min((_reciprocal((x + 2**31) >> 1) - (1 << 29)) * 4, 2**31 - 1)


def inverse_square_root(x: int) -> Multiplier:
    """1 / sqrt(x) of a whole number, by five Newton-Raphson steps from 1, with the reference's rounding."""
    if x <= 1:
        return Multiplier(2**31 - 1, 0)
    shift = 11
    while x >= 1 << 29:
        x //= 4
        shift += 1
    pairs = (31 - x.bit_length()) // 2 - 1
    shift -= pairs
    x <<= 2 * pairs
    half_three, given = (1 << 28) + (1 << 27), x >> 1

    def saturated(v: int, bits: int) -> int:
        return min(max(v << bits, -(2**31)), 2**31 - 1)

    half, root = round_shift(given, 1), 1 << 28
    for _ in range(5):
        cube = saturated(high_mul(high_mul(root, root), root), 6)
        root = saturated(high_mul(half_three, root) - high_mul(half, cube), 3)
    root = high_mul(root, 1518500250)
    if shift < 0:
        return Multiplier(root << -shift, 0)
    return Multiplier(root, -shift)
