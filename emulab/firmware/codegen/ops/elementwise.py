"""ADD, SUB and MUL of two tensors, with broadcasting."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import (
    Multiplier,
    activation_range,
    float_activation_range,
    quantize_multiplier,
)
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, struct
from emulab.firmware.codegen.ops import int16
from emulab.firmware.codegen.ops.movement import strides
from emulab.firmware.codegen.options import ActivationOptions

ADD_LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}
"""Spare bits both operands of a sum are given before they are scaled."""


def lower_add(ctx: Context, op: Op) -> Lowered:
    """ADD and SUB."""
    a, b, y = _operands(ctx, op)
    if y.dtype is DType.FLOAT32:
        return _float(ctx, op, a, b, y)
    if y.dtype is DType.INT32:
        return _whole(ctx, op, a, b, y)
    act = activation_range(activation_of(op), y)
    left_shift = ADD_LEFT_SHIFT[y.dtype]
    twice_max, ma, mb = common_scale(a, b)
    mo = quantize_multiplier(twice_max / ((1 << left_shift) * y.scale))
    lines = struct(
        "emulab_add_s8_params",
        {
            "zero_a": a.zero_point,
            "zero_b": b.zero_point,
            "out_zero": y.zero_point,
            "left_shift": left_shift,
            "multiplier_a": ma.value,
            "shift_a": ma.shift,
            "multiplier_b": mb.value,
            "shift_b": mb.shift,
            "multiplier_out": mo.value,
            "shift_out": mo.shift,
            "act_min": act[0],
            "act_max": act[1],
            "subtract": int(op.kind == "SUB"),
        },
    )
    return broadcast_call(ctx, *_kernel(ctx, "emulab_add", y), lines, a, b, y)


def lower_mul(ctx: Context, op: Op) -> Lowered:
    """MUL."""
    a, b, y = _operands(ctx, op)
    if y.dtype is DType.FLOAT32:
        return _float(ctx, op, a, b, y)
    if y.dtype is DType.INT32:
        return _whole(ctx, op, a, b, y)
    act = activation_range(activation_of(op), y)
    m = quantize_multiplier(a.scale * b.scale / y.scale)
    lines = struct(
        "emulab_mul_s8_params",
        {
            "zero_a": a.zero_point,
            "zero_b": b.zero_point,
            "out_zero": y.zero_point,
            "multiplier": m.value,
            "shift": m.shift,
            "act_min": act[0],
            "act_max": act[1],
        },
    )
    return broadcast_call(ctx, *_kernel(ctx, "emulab_mul", y), lines, a, b, y)


def _kernel(ctx: Context, name: str, y: Tensor) -> tuple[str, tuple[str, ...]]:
    if y.dtype is DType.INT16:
        return f"{name}_s16", int16.ELEMENTWISE
    suffix = ctx.target.suffix("mve")
    return f"{name}_s8{suffix}", ("elementwise_s8_mve.c" if suffix else "add_s8.c",)


def _float(ctx: Context, op: Op, a: Tensor, b: Tensor, y: Tensor) -> Lowered:
    low, high = float_activation_range(activation_of(op))
    lines = struct("emulab_binary_f32_params", {"act_min": low, "act_max": high})
    return broadcast_call(ctx, f"emulab_{op.kind.lower()}_f32", ("elementwise_f32.c",), lines, a, b, y)


def _whole(ctx: Context, op: Op, a: Tensor, b: Tensor, y: Tensor) -> Lowered:
    """Whole numbers, of indices as a rule: no quantisation, and overflow wraps around."""
    if activation_of(op) != "NONE":
        raise InputError(f"fused activation {activation_of(op)} is not supported on INT32")
    return broadcast_call(ctx, f"emulab_{op.kind.lower()}_s32", ("binary.c",), [], a, b, y)


def activation_of(op: Op) -> str:
    """The fused activation."""
    assert isinstance(op.options, ActivationOptions)
    return op.options.activation


def _operands(ctx: Context, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    a, b, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    require_dtype(y, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    require_dtype(a, y.dtype)
    require_dtype(b, y.dtype)
    if y.dtype is DType.INT16:
        int16.require_symmetric(a, b, y)
    return a, b, y


def broadcast_steps(name: str, given: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """Elements from one index of `shape` to the next in a tensor of shape `given`: 0 where it is repeated."""
    sizes = (1,) * (len(shape) - len(given)) + given
    if len(sizes) != len(shape) or any(n not in (1, m) for n, m in zip(sizes, shape, strict=True)):
        raise InputError(f"tensor {name!r} {list(given)} does not broadcast to {list(shape)}")
    return [0 if n == 1 and m != 1 else s for n, m, s in zip(sizes, shape, strides(sizes, 1), strict=True)]


def _broadcast(tensor: Tensor, shape: tuple[int, ...]) -> list[int]:
    return broadcast_steps(tensor.name, tensor.shape, shape)


def _alike(x: Tensor, y: Tensor) -> bool:
    return x.shape == y.shape and x.dtype.itemsize == y.dtype.itemsize


def common_scale(a: Tensor, b: Tensor) -> tuple[float, Multiplier, Multiplier]:
    """Twice the larger of two scales, and the multipliers that bring either operand to it."""
    twice_max = 2.0 * max(a.scale, b.scale)
    return twice_max, quantize_multiplier(a.scale / twice_max), quantize_multiplier(b.scale / twice_max)


def broadcast_call(
    ctx: Context, kernel: str, sources: tuple[str, ...], params: list[str], a: Tensor, b: Tensor, y: Tensor
) -> Lowered:
    """A kernel of two tensors, with parameters `p` if there are any, over the output's shape.

    Loops over the dimensions that cannot be merged into one run of the kernel.
    """
    steps = zip(y.shape, _broadcast(a, y.shape), _broadcast(b, y.shape), strict=True)
    dims: list[list[int]] = []
    for n, sa, sb in reversed([[n, sa, sb] for n, sa, sb in steps if n != 1]):
        if dims and dims[-1][1] * dims[-1][0] == sa and dims[-1][2] * dims[-1][0] == sb:
            dims[-1][0] *= n
        else:
            dims.append([n, sa, sb])
    inner, outer = (dims[0] if dims else [1, 1, 1]), dims[1:]
    at = {"a": "", "b": "", "y": ""}
    lines, indent, out_step = list(params), "", inner[0]
    loops = []
    for level, (n, sa, sb) in enumerate(outer):
        i = f"i{level}"
        loops.append(f"for (int32_t {i} = 0; {i} < {n}; {i}++) {{")
        at["a"] += f" + {i} * {sa}"
        at["b"] += f" + {i} * {sb}"
        at["y"] += f" + {i} * {out_step}"
        out_step *= n
    for loop in reversed(loops):
        lines.append(indent + loop)
        indent += "    "
    lines.append(
        f"{indent}{kernel}({'&p' if params else '0'}, {inner[0]}, {ctx.pointer(a)}{at['a']}, {inner[1]}, "
        f"{ctx.pointer(b)}{at['b']}, {inner[2]}, {ctx.pointer(y)}{at['y']});"
    )
    lines += ["    " * level + "}" for level in reversed(range(len(loops)))]
    shared = tuple((y.index, t.index) for t in (a, b) if _alike(t, y) and not t.is_constant)
    return Lowered(lines, sources, in_place=shared if not outer else ())
