"""BATCH_MATMUL."""

from __future__ import annotations

import math

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import quantize_multiplier
from emulab.firmware.codegen.graph import DType, Op
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops.elementwise import broadcast_steps
from emulab.firmware.codegen.options import MatMulOptions


def lower_matmul(ctx: Context, op: Op) -> Lowered:
    """BATCH_MATMUL: [..., rows, depth] times [..., depth, columns], either transposed, the rest broadcast."""
    a, b, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
    require_dtype(a, DType.INT8, DType.FLOAT32)
    require_dtype(b, a.dtype)
    require_dtype(y, a.dtype)
    o = op.options
    assert isinstance(o, MatMulOptions)
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise InputError(f"expected matrices, found {list(a.shape)} and {list(b.shape)}")
    rows, depth = a.shape[-2:][::-1] if o.left_transposed else a.shape[-2:]
    other, columns = b.shape[-2:][::-1] if o.right_transposed else b.shape[-2:]
    if depth != other:
        raise InputError(f"{list(a.shape)} and {list(b.shape)} do not fit: {depth} columns and {other} rows")
    batches = y.shape[:-2]
    if len(batches) != max(len(a.shape), len(b.shape)) - 2:
        raise InputError(f"output {y.name!r} {list(y.shape)} does not fit {list(a.shape)} and {list(b.shape)}")
    require_shape(y, (*batches, rows, columns))
    fields: dict[str, object] = {
        "rows": rows,
        "columns": columns,
        "depth": depth,
        "left_row": 1 if o.left_transposed else depth,
        "left_step": rows if o.left_transposed else 1,
        "right_step": 1 if o.right_transposed else columns,
        "right_column": depth if o.right_transposed else 1,
    }
    suffix = "f32"
    if a.dtype is DType.INT8:
        suffix = "s8"
        m = quantize_multiplier(a.scale * b.scale / y.scale)
        fields |= {"left_zero": a.zero_point, "right_zero": b.zero_point, "out_zero": y.zero_point}
        fields |= {"multiplier": m.value, "shift": m.shift}
    lines = struct("emulab_matmul_params", fields)
    left, right, out, indent = ctx.pointer(a), ctx.pointer(b), ctx.pointer(y), ""
    step = rows * columns
    steps = [broadcast_steps(t.name, t.shape[:-2], batches) for t in (a, b)]
    sizes = [math.prod(t.shape[-2:]) for t in (a, b)]
    loops = []
    for d in reversed(range(len(batches))):
        if batches[d] != 1:
            loops.append(f"for (int32_t i{d} = 0; i{d} < {batches[d]}; i{d}++) {{")
            left += f" + i{d} * {steps[0][d] * sizes[0]}"
            right += f" + i{d} * {steps[1][d] * sizes[1]}"
            out += f" + i{d} * {step}"
        step *= batches[d]
    for loop in reversed(loops):
        lines.append(indent + loop)
        indent += "    "
    lines.append(f"{indent}emulab_matmul_{suffix}(&p, {left}, {right}, {out});")
    lines += ["    " * level + "}" for level in reversed(range(len(loops)))]
    return Lowered(lines, ("matmul.c",), y.elements * depth)
