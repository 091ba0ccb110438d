"""Operators on two tensors beyond sum and product: extremes, quotients, comparisons, logic, PRELU, SELECT."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import (
    INT_RANGE,
    Multiplier,
    activation_range,
    float_activation_range,
    quantize_multiplier,
)
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops.elementwise import activation_of, broadcast_call, broadcast_steps, common_scale
from emulab.firmware.codegen.ops.movement import same_type

SOURCE = ("binary.c",)
SUFFIX = {
    DType.FLOAT32: "f32",
    DType.INT8: "s8",
    DType.INT16: "s16",
    DType.INT32: "s32",
    DType.BOOL: "u8",
}
COMPARISON_LEFT_SHIFT = 8
SQUARE_LEFT_SHIFT = 7


def _operands(ctx: Context, op: Op, *types: DType) -> tuple[Tensor, Tensor, Tensor]:
    a, b, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    require_dtype(a, *types)
    require_dtype(b, a.dtype)
    return a, b, y


def _kernel(op: Op, dtype: DType) -> str:
    return f"emulab_{op.kind.lower()}_{SUFFIX[dtype]}"


def lower_extreme(ctx: Context, op: Op) -> Lowered:
    """MAXIMUM and MINIMUM; of quantised tensors with one quantisation."""
    a, b, y = _operands(ctx, op, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    same_type(a, y)
    same_type(b, y)
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, [], a, b, y)


def lower_comparison(ctx: Context, op: Op) -> Lowered:
    """EQUAL, LESS and their kin, to a bool; int8 values are compared as the real values they stand for."""
    order = op.kind not in ("EQUAL", "NOT_EQUAL")
    types = (DType.INT8, DType.INT32, DType.FLOAT32)
    a, b, y = _operands(ctx, op, *types) if order else _operands(ctx, op, *types, DType.BOOL)
    require_dtype(y, DType.BOOL)
    lines: list[str] = []
    if a.dtype is DType.INT8:
        lines = _two_scales(a, b, quantize_multiplier(a.scale), quantize_multiplier(b.scale), COMPARISON_LEFT_SHIFT)
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, lines, a, b, y)


def _two_scales(a: Tensor, b: Tensor, ma: Multiplier, mb: Multiplier, left_shift: int, **rest: int) -> list[str]:
    fields: dict[str, object] = {"zero_a": a.zero_point, "zero_b": b.zero_point, "left_shift": left_shift}
    fields |= {"multiplier_a": ma.value, "shift_a": ma.shift, "multiplier_b": mb.value, "shift_b": mb.shift}
    return struct("emulab_add_s8_params", fields | rest)


def lower_logical(ctx: Context, op: Op) -> Lowered:
    """LOGICAL_AND and LOGICAL_OR."""
    a, b, y = _operands(ctx, op, DType.BOOL)
    require_dtype(y, DType.BOOL)
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, [], a, b, y)


def lower_squared_difference(ctx: Context, op: Op) -> Lowered:
    """SQUARED_DIFFERENCE."""
    a, b, y = _operands(ctx, op, DType.INT8, DType.FLOAT32)
    require_dtype(y, a.dtype)
    lines: list[str] = []
    if a.dtype is DType.INT8:
        twice_max, ma, mb = common_scale(a, b)
        mo = quantize_multiplier(twice_max * twice_max / (float(1 << 2 * SQUARE_LEFT_SHIFT) * y.scale))
        low, high = INT_RANGE[y.dtype]
        out = {"multiplier_out": mo.value, "shift_out": mo.shift, "out_zero": y.zero_point}
        lines = _two_scales(a, b, ma, mb, SQUARE_LEFT_SHIFT, **out, act_min=low, act_max=high)
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, lines, a, b, y)


def lower_div(ctx: Context, op: Op) -> Lowered:
    """DIV."""
    a, b, y = _operands(ctx, op, DType.INT8, DType.FLOAT32)
    require_dtype(y, a.dtype)
    if a.dtype is DType.FLOAT32:
        low, high = float_activation_range(activation_of(op))
        lines = struct("emulab_binary_f32_params", {"act_min": low, "act_max": high})
        return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, lines, a, b, y)
    act = activation_range(activation_of(op), y)
    m = quantize_multiplier(a.scale / (b.scale * y.scale))
    fields: dict[str, object] = {"zero_a": a.zero_point, "zero_b": b.zero_point, "out_zero": y.zero_point}
    fields |= {"multiplier": m.value, "shift": m.shift, "act_min": act[0], "act_max": act[1]}
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, struct("emulab_mul_s8_params", fields), a, b, y)


def lower_floor(ctx: Context, op: Op) -> Lowered:
    """FLOOR_DIV and FLOOR_MOD on float."""
    a, b, y = _operands(ctx, op, DType.FLOAT32)
    require_dtype(y, a.dtype)
    return broadcast_call(ctx, _kernel(op, a.dtype), SOURCE, [], a, b, y)


def lower_prelu(ctx: Context, op: Op) -> Lowered:
    """PRELU: a slope of its own, as a rule per channel, below zero."""
    x, slope, y = _operands(ctx, op, DType.INT8, DType.FLOAT32)
    require_dtype(y, x.dtype)
    require_shape(y, x.shape)
    lines: list[str] = []
    if x.dtype is DType.INT8:
        above, below = quantize_multiplier(x.scale / y.scale), quantize_multiplier(x.scale * slope.scale / y.scale)
        lines = _two_scales(x, slope, above, below, 0, out_zero=y.zero_point)
    return broadcast_call(ctx, _kernel(op, x.dtype), SOURCE, lines, x, slope, y)


def lower_add_n(ctx: Context, op: Op) -> Lowered:
    """ADD_N: the sum of several float tensors of one shape."""
    y = ctx.output(op)
    inputs = [ctx.input(op, i) for i in range(len(op.inputs))]
    if len(inputs) < 2:
        raise InputError("expected two inputs or more")
    for x in (y, *inputs):
        require_dtype(x, DType.FLOAT32)
        require_shape(x, y.shape)
    lines = struct("emulab_binary_f32_params", {"act_min": "-FLT_MAX", "act_max": "FLT_MAX"})
    left = inputs[0]
    for x in inputs[1:]:
        pointers = f"{ctx.pointer(left)}, 1, {ctx.pointer(x)}, 1, {ctx.pointer(y)}"
        lines.append(f"emulab_add_f32(&p, {y.elements}, {pointers});")
        left = y
    return Lowered(lines, ("elementwise_f32.c",))


def lower_select(ctx: Context, op: Op) -> Lowered:
    """SELECT and SELECT_V2: where a condition holds the one tensor, elsewhere the other; tensors of one quantisation."""
    condition, a, b, y = (*(ctx.input(op, i) for i in range(3)), ctx.output(op))
    require_dtype(condition, DType.BOOL)
    same_type(a, y)
    same_type(b, y)
    shapes = [t.shape for t in (condition, a, b)]
    if op.kind == "SELECT" and len(shapes[0]) == 1 and len(y.shape) > 1 and shapes[0][0] == y.shape[0]:
        shapes[0] = (*shapes[0], *(1 for _ in y.shape[1:]))  # one decision per row
    steps = [broadcast_steps(t.name, s, y.shape) for t, s in zip((condition, a, b), shapes, strict=True)]
    lines, indent, at = [], "", ["", "", ""]
    for d, n in enumerate(y.shape):
        if n != 1:
            lines.append(f"{indent}for (int32_t i{d} = 0; i{d} < {n}; i{d}++) {{")
            at = [text + f" + i{d} * {step[d]}" if step[d] else text for text, step in zip(at, steps, strict=True)]
            indent += "    "
    chosen, one, other = (f"*({ctx.pointer(t)}{text})" for t, text in zip((condition, a, b), at, strict=True))
    lines = [f"{y.dtype.c_type} *to = {ctx.pointer(y)};", *lines, f"{indent}*to++ = {chosen} ? {one} : {other};"]
    lines += ["    " * level + "}" for level in reversed(range(len(indent) // 4))]
    return Lowered(lines)
