"""Operators that move elements: PAD, CONCATENATION, SPLIT, STRIDED_SLICE, TRANSPOSE, PACK."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_shape, struct
from emulab.firmware.codegen.options import (
    ActivationOptions,
    PackOptions,
    StridedSliceOptions,
)

SOURCE = ("copy_nd.c",)
MAX_RANK = 8
"""Dimensions of `emulab_copy_nd`."""


def strides(shape: Sequence[int], itemsize: int) -> list[int]:
    """Bytes from one index to the next, per dimension, of a dense tensor."""
    result, step = [], itemsize
    for d in reversed(shape):
        result.append(step)
        step *= d
    return result[::-1]


def copy_lines(
    shape: Sequence[int], in_stride: Sequence[int], out_stride: Sequence[int], itemsize: int, source: str, to: str
) -> list[str]:
    """C that copies a block of `shape`; neighbouring dimensions that are dense on both sides are merged."""
    dims = [[n, i, o] for n, i, o in zip(shape, in_stride, out_stride, strict=True) if n != 1]
    merged: list[list[int]] = []
    for n, i, o in reversed(dims):
        if merged and merged[-1][1] * merged[-1][0] == i and merged[-1][2] * merged[-1][0] == o:
            merged[-1][0] *= n
        else:
            merged.append([n, i, o])
    merged = merged[::-1] or [[1, itemsize, itemsize]]
    if any(n == 0 for n in shape):
        return []
    if len(merged) > MAX_RANK:
        raise InputError(f"a copy over {len(merged)} dimensions; at most {MAX_RANK} are supported")
    if len(merged) == 1 and merged[0][1:] == [itemsize, itemsize]:
        return [f"memcpy({to}, {source}, {merged[0][0] * itemsize});"]

    def joined(k: int) -> str:
        return "{" + ", ".join(str(d[k]) for d in merged) + "}"

    fields: dict[str, object] = {
        "element": itemsize,
        "rank": len(merged),
        "shape": joined(0),
        "in_stride": joined(1),
        "out_stride": joined(2),
    }
    return ["{", *struct("emulab_copy_params", fields), f"emulab_copy_nd(&p, {source}, {to});", "}"]


def _at(ctx: Context, tensor: Tensor, offset: int) -> str:
    const = "const " if tensor.is_constant else ""
    return f"({const}uint8_t *){ctx.pointer(tensor)} + {offset}"


def copy_block(
    ctx: Context,
    shape: Sequence[int],
    x: Tensor,
    x_offset: int,
    x_steps: Sequence[int],
    y: Tensor,
    y_offset: int,
    y_steps: Sequence[int],
) -> list[str]:
    """C that copies a block of `shape` elements from one tensor to another; offsets and steps in bytes."""
    return copy_lines(shape, x_steps, y_steps, y.dtype.itemsize, _at(ctx, x, x_offset), _at(ctx, y, y_offset))


def fill_lines(ctx: Context, y: Tensor, value: int) -> list[str]:
    """C that sets every element of `y` to an integer."""
    if y.dtype.itemsize == 1:
        return [f"memset({ctx.pointer(y)}, {value}, {y.bytes});"]
    return [
        f"static const {y.dtype.c_type} value = {value};",
        f"emulab_fill(&value, {y.dtype.itemsize}, {y.elements}, {ctx.pointer(y)});",
    ]


def same_type(x: Tensor, y: Tensor) -> None:
    """Moving bytes is only right if both sides mean the same by them."""
    if x.dtype is not y.dtype:
        raise InputError(f"tensor {x.name!r} is {x.dtype.name}, but {y.name!r} is {y.dtype.name}")
    if x.quantisation and y.quantisation and not math.isclose(x.scale, y.scale, rel_tol=1e-6):
        raise InputError(f"tensors {x.name!r} and {y.name!r} must have the same quantisation")
    if x.quantisation and y.quantisation and x.zero_point != y.zero_point:
        raise InputError(f"tensors {x.name!r} and {y.name!r} must have the same quantisation")


def integers(tensor: Tensor, count: int) -> list[int]:
    """The values of a constant of `count` integers."""
    if tensor.dtype not in (DType.INT32, DType.INT64) or tensor.elements != count:
        raise InputError(f"tensor {tensor.name!r} must hold {count} integers")
    return [int(v) for v in tensor.array().reshape(-1)]


def axis_of(axis: int, rank: int) -> int:
    """A dimension counted from the front; InputError where there is none such."""
    if not -rank <= axis < rank:
        raise InputError(f"axis {axis} is outside a tensor of {rank} dimensions")
    return axis % rank


def lower_pad(ctx: Context, op: Op) -> Lowered:
    """PAD and PADV2: zeros (the zero point, of a quantised tensor) or a constant around the input."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    rank = len(x.shape)
    flat = integers(ctx.input(op, 1), 2 * rank)
    pads = [(flat[2 * i], flat[2 * i + 1]) for i in range(rank)]
    if any(a < 0 or b < 0 for a, b in pads):
        raise InputError(f"paddings {flat} must not be negative")
    require_shape(y, tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)))
    value = ctx.optional(op, 2) if op.kind == "PADV2" else None
    size = y.dtype.itemsize
    if value is not None:
        same_type(value, y)
        if value.elements != 1:
            raise InputError(f"tensor {value.name!r} must hold one value")
        fill = [f"emulab_fill({ctx.pointer(value)}, {size}, {y.elements}, {ctx.pointer(y)});"]
    else:
        fill = fill_lines(ctx, y, y.zero_point if y.quantisation else 0)
    to = strides(y.shape, size)
    offset = sum(s * a for s, (a, _) in zip(to, pads, strict=True))
    lines = fill + copy_lines(x.shape, strides(x.shape, size), to, size, _at(ctx, x, 0), _at(ctx, y, offset))
    return Lowered(lines, SOURCE)


def lower_concatenation(ctx: Context, op: Op) -> Lowered:
    """CONCATENATION of tensors of one quantisation."""
    y = ctx.output(op)
    assert isinstance(op.options, ActivationOptions)
    if op.options.activation != "NONE":
        raise InputError(f"fused activation {op.options.activation} is not supported")
    axis = axis_of(op.options.axis, len(y.shape))
    to, offset, lines = strides(y.shape, y.dtype.itemsize), 0, []
    for position in range(len(op.inputs)):
        x = ctx.input(op, position)
        same_type(x, y)
        if len(x.shape) != len(y.shape):
            raise InputError(f"tensor {x.name!r} has shape {list(x.shape)}, output {list(y.shape)}")
        require_shape(x, (*y.shape[:axis], x.shape[axis], *y.shape[axis + 1 :]))
        lines += copy_lines(
            x.shape, strides(x.shape, x.dtype.itemsize), to, x.dtype.itemsize, _at(ctx, x, 0), _at(ctx, y, offset)
        )
        offset += to[axis] * x.shape[axis]
    if offset != to[axis] * y.shape[axis]:
        raise InputError(f"inputs do not fill output {y.name!r} {list(y.shape)}")
    return Lowered(lines, SOURCE)


def lower_split(ctx: Context, op: Op) -> Lowered:
    """SPLIT (axis first) and SPLIT_V (data, sizes, axis): consecutive parts along one dimension."""
    x = ctx.input(op, 1 if op.kind == "SPLIT" else 0)
    axis = axis_of(integers(ctx.input(op, 0 if op.kind == "SPLIT" else 2), 1)[0], len(x.shape))
    source, offset, lines = strides(x.shape, x.dtype.itemsize), 0, []
    for position in range(len(op.outputs)):
        y = ctx.output(op, position)
        same_type(x, y)
        if len(x.shape) != len(y.shape):
            raise InputError(f"tensor {y.name!r} has shape {list(y.shape)}, input {list(x.shape)}")
        require_shape(y, (*x.shape[:axis], y.shape[axis], *x.shape[axis + 1 :]))
        size = y.dtype.itemsize
        lines += copy_lines(y.shape, source, strides(y.shape, size), size, _at(ctx, x, offset), _at(ctx, y, 0))
        offset += source[axis] * y.shape[axis]
    if offset != source[axis] * x.shape[axis]:
        raise InputError(f"outputs do not use up input {x.name!r} {list(x.shape)}")
    return Lowered(lines, SOURCE)


def lower_strided_slice(ctx: Context, op: Op) -> Lowered:
    """STRIDED_SLICE with constant bounds."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    rank, o = len(x.shape), op.options
    assert isinstance(o, StridedSliceOptions)
    count = ctx.input(op, 1).elements
    begin, end, step = (integers(ctx.input(op, i), count) for i in (1, 2, 3))
    if (o.ellipsis_mask & ((1 << count) - 1)).bit_count() > 1:
        raise InputError("more than one ellipsis")
    named = sum(not (o.ellipsis_mask | o.new_axis_mask) >> k & 1 for k in range(count))
    if named > rank:
        raise InputError(f"a slice of {named} dimensions of {list(x.shape)}")
    source = strides(x.shape, x.dtype.itemsize)
    shape: list[int] = []
    in_stride: list[int] = []
    offset, d = 0, 0
    for k in range(count):
        if o.ellipsis_mask >> k & 1:
            d, until = d + rank - named, d
            shape += x.shape[until:d]
            in_stride += source[until:d]
            continue
        if o.new_axis_mask >> k & 1:
            shape.append(1)
            in_stride.append(x.dtype.itemsize)
            continue
        if step[k] == 0:
            raise InputError("a stride of 0")
        if o.shrink_axis_mask >> k & 1:
            first = begin[k] + x.shape[d] if begin[k] < 0 else begin[k]
            if not 0 <= first < x.shape[d]:
                raise InputError(f"index {begin[k]} is outside dimension {d} of {list(x.shape)}")
            offset += first * source[d]
            d += 1
            continue
        stop = begin[k] + end[k] if o.offset else end[k]
        bounds = (None if o.begin_mask >> k & 1 else begin[k], None if o.end_mask >> k & 1 else stop, step[k])
        picked = range(x.shape[d])[slice(*bounds)]
        if len(picked):
            offset += picked[0] * source[d]
        shape.append(len(picked))
        in_stride.append(source[d] * step[k])
        d += 1
    shape += x.shape[d:]
    in_stride += source[d:]
    if math.prod(shape) != y.elements:
        raise InputError(f"slice of {list(x.shape)} gives {shape}, output {y.name!r} is {list(y.shape)}")
    size = y.dtype.itemsize
    return Lowered(
        copy_lines(shape, in_stride, strides(shape, size), size, _at(ctx, x, offset), _at(ctx, y, 0)), SOURCE
    )


def lower_transpose(ctx: Context, op: Op) -> Lowered:
    """TRANSPOSE with a constant permutation."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    order = integers(ctx.input(op, 1), len(x.shape))
    if sorted(order) != list(range(len(x.shape))):
        raise InputError(f"{order} is not a permutation of the dimensions of {list(x.shape)}")
    require_shape(y, tuple(x.shape[i] for i in order))
    size = x.dtype.itemsize
    source = strides(x.shape, size)
    lines = copy_lines(
        y.shape, [source[i] for i in order], strides(y.shape, size), size, _at(ctx, x, 0), _at(ctx, y, 0)
    )
    return Lowered(lines, SOURCE)


def lower_pack(ctx: Context, op: Op) -> Lowered:
    """PACK: tensors of one shape along a new dimension; UNPACK: the reverse."""
    assert isinstance(op.options, PackOptions)
    whole = ctx.output(op) if op.kind == "PACK" else ctx.input(op, 0)
    axis = axis_of(op.options.axis, len(whole.shape))
    parts = [ctx.tensor(i) for i in (op.inputs if op.kind == "PACK" else op.outputs)]
    if len(parts) != whole.shape[axis]:
        raise InputError(f"{len(parts)} parts of tensor {whole.name!r} {list(whole.shape)} along dimension {axis}")
    outer, lines = strides(whole.shape, whole.dtype.itemsize), []
    rest = [*outer[:axis], *outer[axis + 1 :]]
    for i, part in enumerate(parts):
        same_type(part, whole)
        require_shape(part, (*whole.shape[:axis], *whole.shape[axis + 1 :]))
        dense, size = strides(part.shape, part.dtype.itemsize), part.dtype.itemsize
        inside, alone = _at(ctx, whole, i * outer[axis]), _at(ctx, part, 0)
        if op.kind == "PACK":
            lines += copy_lines(part.shape, dense, rest, size, alone, inside)
        else:
            lines += copy_lines(part.shape, rest, dense, size, inside, alone)
    return Lowered(lines, SOURCE)
