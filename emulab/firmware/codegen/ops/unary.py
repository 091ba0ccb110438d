"""Functions of one element beyond activations: ABS, EXP, RSQRT, ELU, GELU, CAST; of 8-bit tensors as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import inverse_square_root, quantize_multiplier, scale
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape
from emulab.firmware.codegen.ops.activation import lookup
from emulab.firmware.codegen.options import GeluOptions

if TYPE_CHECKING:
    import numpy as np

RSQRT_SPARE_BITS = 20
"""Bits that keep a reciprocal square root a whole number between its two scalings."""


def lower_unary(ctx: Context, op: Op) -> Lowered:
    """A function of one float, or of an 8-bit value where there is a table for it."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_shape(y, x.shape)
    require_dtype(x, *([DType.INT8, DType.FLOAT32] if op.kind in (*_QUANTISED, *_REAL) else [DType.FLOAT32]))
    require_dtype(y, x.dtype)
    if x.dtype is DType.INT8:
        function = _by_real(op, x, y) if op.kind in _REAL else _QUANTISED[op.kind](x, y)
        return lookup(ctx, op, x, y, function)
    name = op.kind.lower()
    if isinstance(op.options, GeluOptions) and not op.options.approximate:
        name = "gelu_exact"
    call = f"emulab_{name}_f32({x.elements}, {ctx.pointer(x)}, {ctx.pointer(y)});"
    return Lowered([call], ("elementwise_f32.c",), in_place=((y.index, x.index),))


def _abs(x: Tensor, y: Tensor) -> Callable[[int], int]:
    if x.scale == y.scale:
        return lambda value: abs(value - x.zero_point) + y.zero_point
    m = quantize_multiplier(x.scale / y.scale)
    return lambda value: scale(abs(value - x.zero_point), m) + y.zero_point


def _rsqrt(x: Tensor, y: Tensor) -> Callable[[int], int]:
    """Where the argument is not positive, the greatest output."""
    import math

    import numpy as np

    product = float(np.sqrt(np.float32(x.scale)) * np.float32(y.scale))
    if not math.isfinite(1 / product):
        raise InputError(f"tensor {y.name!r}: scale {y.scale:g} is too small")
    m = quantize_multiplier(1 / product)

    def function(value: int) -> int:
        if value <= x.zero_point:
            return 127
        root = inverse_square_root(value - x.zero_point)
        data = scale(1, type(root)(root.value, root.shift + RSQRT_SPARE_BITS))
        return scale(data, type(m)(m.value, m.shift - RSQRT_SPARE_BITS)) + y.zero_point

    return function


_QUANTISED: dict[str, Callable[[Tensor, Tensor], Callable[[int], int]]] = {"ABS": _abs, "RSQRT": _rsqrt}


def _elu(x: np.float32, _: Op) -> np.float32:
    import numpy as np

    return x if x >= 0 else np.float32(np.exp(x) - np.float32(1))


def _exp(x: np.float32, _: Op) -> np.float32:
    import numpy as np

    return np.float32(np.exp(x))


def _log(x: np.float32, _: Op) -> np.float32:
    import numpy as np

    return np.float32(np.log(x)) if x > 0 else np.float32(-np.inf)


def _sqrt(x: np.float32, _: Op) -> np.float32:
    import numpy as np

    return np.float32(np.sqrt(x)) if x > 0 else np.float32(0)


def _gelu(x: np.float32, op: Op) -> np.float32:
    import math

    import numpy as np

    v = float(x)
    if isinstance(op.options, GeluOptions) and op.options.approximate:
        return np.float32(0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))))
    return np.float32(0.5 * v * math.erfc(-v * math.sqrt(0.5)))


_REAL: dict[str, Callable[[np.float32, Op], np.float32]] = {
    "ELU": _elu,
    "EXP": _exp,
    "GELU": _gelu,
    "LOG": _log,
    "SQRT": _sqrt,
}


def _by_real(op: Op, x: Tensor, y: Tensor) -> Callable[[int], int]:
    """The function in single precision between dequantising and quantising, as the reference fills its tables."""
    import numpy as np

    from emulab.firmware.codegen.fixed_point import round_away

    inverse = np.float32(1) / np.float32(y.scale)

    def function(value: int) -> int:
        real = np.float32(x.scale) * np.float32(value - x.zero_point)
        scaled = _REAL[op.kind](real, op) * inverse
        return round_away(float(np.clip(scaled, -1e6, 1e6))) + y.zero_point

    return function


def lower_not(ctx: Context, op: Op) -> Lowered:
    """LOGICAL_NOT."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.BOOL)
    require_dtype(y, DType.BOOL)
    require_shape(y, x.shape)
    return lookup(ctx, op, x, y, lambda value: int(value == 0))


_CASTS = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.FLOAT32, DType.BOOL)


def lower_cast(ctx: Context, op: Op) -> Lowered:
    """CAST: numbers as another type, as C converts them; what is not 0 is true."""
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, *_CASTS)
    require_dtype(y, *_CASTS)
    require_shape(y, x.shape)
    value = "from[i] != 0" if y.dtype is DType.BOOL else f"({y.dtype.c_type})from[i]"
    lines = [
        f"const {x.dtype.c_type} *from = {ctx.pointer(x)};",
        f"{y.dtype.c_type} *to = {ctx.pointer(y)};",
        f"for (int32_t i = 0; i < {x.elements}; i++) {{",
        f"    to[i] = {value};",
        "}",
    ]
    return Lowered(lines)
