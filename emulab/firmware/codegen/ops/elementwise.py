"""ADD, SUB and MUL of two tensors."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, struct
from emulab.firmware.codegen.options import ActivationOptions

ADD_LEFT_SHIFT = 20


def lower_add(ctx: Context, op: Op) -> Lowered:
    """ADD and SUB."""
    a, b, y, act = _operands(ctx, op)
    twice_max = 2.0 * max(a.scale, b.scale)
    ma, mb = quantize_multiplier(a.scale / twice_max), quantize_multiplier(b.scale / twice_max)
    mo = quantize_multiplier(twice_max / ((1 << ADD_LEFT_SHIFT) * y.scale))
    lines = struct(
        "emulab_add_s8_params",
        {
            "zero_a": a.zero_point,
            "zero_b": b.zero_point,
            "out_zero": y.zero_point,
            "left_shift": ADD_LEFT_SHIFT,
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
    return _call(ctx, op, "emulab_add_s8", lines, a, b, y)


def lower_mul(ctx: Context, op: Op) -> Lowered:
    """MUL."""
    a, b, y, act = _operands(ctx, op)
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
    return _call(ctx, op, "emulab_mul_s8", lines, a, b, y)


def _operands(ctx: Context, op: Op) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
    a, b, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    for tensor in (a, b, y):
        require_dtype(tensor, DType.INT8)
        if tensor.elements not in (1, y.elements):
            raise InputError(f"shapes {list(a.shape)} and {list(b.shape)} need broadcasting, which is not supported")
    assert isinstance(op.options, ActivationOptions)
    return a, b, y, activation_range(op.options.activation, y)


def _call(ctx: Context, op: Op, kernel: str, lines: list[str], a: Tensor, b: Tensor, y: Tensor) -> Lowered:
    steps = [int(t.elements == y.elements) for t in (a, b)]
    lines.append(
        f"{kernel}(&p, {y.elements}, {ctx.pointer(a)}, {steps[0]}, {ctx.pointer(b)}, {steps[1]}, {ctx.pointer(y)});"
    )
    shared = tuple((y.index, t.index) for t in (a, b) if t.elements == y.elements)
    return Lowered(lines, ("add_s8.c",), in_place=shared)
