"""Operators that lay elements out anew: SLICE, TILE, GATHER, REVERSE_V2, MIRROR_PAD, blocks between space and depth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_rank, require_shape
from emulab.firmware.codegen.ops.movement import SOURCE, axis_of, copy_block, fill_lines, integers, same_type, strides
from emulab.firmware.codegen.options import BlockOptions, GatherOptions, MirrorPadOptions

MAX_BLOCKS = 256
"""Copies that one operator may be unrolled into."""


def lower_slice(ctx: Context, op: Op) -> Lowered:
    """SLICE with constant begin and size; a size of -1 reaches to the end."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    rank = len(x.shape)
    begin, size = integers(ctx.input(op, 1), rank), integers(ctx.input(op, 2), rank)
    size = [n - b if s == -1 else s for n, b, s in zip(x.shape, begin, size, strict=True)]
    if any(b < 0 or s < 0 or b + s > n for n, b, s in zip(x.shape, begin, size, strict=True)):
        raise InputError(f"slice from {begin} of {size} is outside {list(x.shape)}")
    require_shape(y, tuple(size))
    source = strides(x.shape, x.dtype.itemsize)
    offset = sum(b * s for b, s in zip(begin, source, strict=True))
    return Lowered(copy_block(ctx, y.shape, x, offset, source, y, 0, strides(y.shape, y.dtype.itemsize)), SOURCE)


def lower_tile(ctx: Context, op: Op) -> Lowered:
    """TILE by constant multiples, and BROADCAST_TO a constant shape: reading the same elements again."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    if op.kind == "TILE":
        times = integers(ctx.input(op, 1), len(x.shape))
        if any(t < 0 for t in times):
            raise InputError(f"multiples {times} must not be negative")
        sizes = x.shape
    else:
        integers(ctx.input(op, 1), len(y.shape))
        sizes = (1,) * (len(y.shape) - len(x.shape)) + x.shape
        if len(sizes) != len(y.shape) or any(n not in (1, m) for n, m in zip(sizes, y.shape, strict=True)):
            raise InputError(f"tensor {x.name!r} {list(x.shape)} does not broadcast to {list(y.shape)}")
        times = [1 if n == m else m for n, m in zip(sizes, y.shape, strict=True)]
    require_shape(y, tuple(n * t for n, t in zip(sizes, times, strict=True)))
    source, to = strides(sizes, x.dtype.itemsize), strides(y.shape, x.dtype.itemsize)
    shape, steps, out_steps = [], [], []
    for n, t, s, o in zip(sizes, times, source, to, strict=True):
        shape += [t, n]
        steps += [0, s]
        out_steps += [n * o, o]
    return Lowered(copy_block(ctx, shape, x, 0, steps, y, 0, out_steps), SOURCE)


def lower_reverse(ctx: Context, op: Op) -> Lowered:
    """REVERSE_V2 along constant dimensions."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    require_shape(y, x.shape)
    axes = {axis_of(a, len(x.shape)) for a in integers(ctx.input(op, 1), ctx.input(op, 1).elements)}
    source, offset = strides(x.shape, x.dtype.itemsize), 0
    to = list(source)
    for d in axes:
        offset += (x.shape[d] - 1) * source[d]
        source[d] = -source[d]
    return Lowered(copy_block(ctx, x.shape, x, max(offset, 0), source, y, 0, to), SOURCE)


def lower_mirror_pad(ctx: Context, op: Op) -> Lowered:
    """MIRROR_PAD: around the input its reflection, with (SYMMETRIC) or without (REFLECT) the border itself."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    assert isinstance(op.options, MirrorPadOptions)
    border = 0 if op.options.symmetric else 1
    rank = len(x.shape)
    flat = integers(ctx.input(op, 1), 2 * rank)
    pads = [(flat[2 * d], flat[2 * d + 1]) for d in range(rank)]
    if any(not 0 <= p <= n - border for n, both in zip(x.shape, pads, strict=True) for p in both):
        raise InputError(f"paddings {flat} are beyond what {list(x.shape)} can mirror")
    require_shape(y, tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)))
    # per dimension up to three parts: (length, first input index, input step, first output index)
    parts = [
        [
            part
            for part in (
                (a, a - 1 + border, -1, 0),
                (n, 0, 1, a),
                (b, n - 1 - border, -1, a + n),
            )
            if part[0]
        ]
        for n, (a, b) in zip(x.shape, pads, strict=True)
    ]
    source, to = strides(x.shape, x.dtype.itemsize), strides(y.shape, y.dtype.itemsize)
    return Lowered(_blocks(ctx, x, y, itertools.product(*parts), source, to), SOURCE)


def _blocks(
    ctx: Context,
    x: Tensor,
    y: Tensor,
    blocks: Iterable[tuple[tuple[int, int, int, int], ...]],
    source: list[int],
    to: list[int],
) -> list[str]:
    """One copy per block, given per dimension as (length, first input index, input step, first output index)."""
    lines: list[str] = []
    for count, block in enumerate(blocks):
        if count == MAX_BLOCKS:
            raise InputError(f"more than {MAX_BLOCKS} blocks")
        lines += copy_block(
            ctx,
            [part[0] for part in block],
            x,
            sum(part[1] * s for part, s in zip(block, source, strict=True)),
            [part[2] * s for part, s in zip(block, source, strict=True)],
            y,
            sum(part[3] * s for part, s in zip(block, to, strict=True)),
            to,
        )
    return lines


def lower_depth_to_space(ctx: Context, op: Op) -> Lowered:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH: channels as blocks of pixels, and back."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    assert isinstance(op.options, BlockOptions)
    block, forth = op.options.block_size, op.kind == "DEPTH_TO_SPACE"
    deep, wide = (x, y) if forth else (y, x)
    require_rank(deep, 4)
    n, h, w, c = deep.shape
    if block < 1 or c % (block * block):
        raise InputError(f"a block of {block} does not divide the {c} channels of {deep.name!r}")
    depth = c // (block * block)
    require_shape(wide, (n, h * block, w * block, depth))
    size = x.dtype.itemsize
    d, s = strides(deep.shape, size), strides(wide.shape, size)
    # image, row, row in block, column, column in block, channel
    shape = (n, h, block, w, block, depth)
    deep_steps = [d[0], d[1], block * depth * size, d[2], depth * size, size]
    wide_steps = [s[0], block * s[1], s[1], block * s[2], s[2], size]
    if forth:
        return Lowered(copy_block(ctx, shape, x, 0, deep_steps, y, 0, wide_steps), SOURCE)
    return Lowered(copy_block(ctx, shape, x, 0, wide_steps, y, 0, deep_steps), SOURCE)


def lower_batch_to_space(ctx: Context, op: Op) -> Lowered:
    """BATCH_TO_SPACE_ND and SPACE_TO_BATCH_ND, which older converters put around dilated convolutions."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    forth = op.kind == "BATCH_TO_SPACE_ND"
    small, image = (x, y) if forth else (y, x)
    rank, spatial = len(image.shape), ctx.input(op, 1).elements
    if rank not in (3, 4) or spatial != rank - 2:
        raise InputError(f"expected 3 or 4 dimensions and a block for all but the first and last of {list(x.shape)}")
    block = integers(ctx.input(op, 1), spatial)
    flat = integers(ctx.input(op, 2), 2 * spatial)
    if any(b < 1 for b in block) or any(p < 0 for p in flat):
        raise InputError(f"block {block} or borders {flat} out of range")
    padded = [n + flat[2 * d] + flat[2 * d + 1] for d, n in enumerate(image.shape[1:-1])]
    images = image.shape[0]
    if any(n % b for n, b in zip(padded, block, strict=True)):
        raise InputError(f"block {block} does not divide {padded}")
    inner = tuple(n // b for n, b in zip(padded, block, strict=True))
    require_shape(small, (images * math.prod(block), *inner, image.shape[-1]))
    size = x.dtype.itemsize
    s, i = strides(small.shape, size), strides(image.shape, size)
    lines = [] if forth or not any(flat) else fill_lines(ctx, y, y.zero_point if y.quantisation else 0)
    for number, shifts in enumerate(itertools.product(*(range(b) for b in block))):
        if number == MAX_BLOCKS:
            raise InputError(f"more than {MAX_BLOCKS} blocks")
        shape, at_small, at_image = [images], number * images * s[0], 0
        small_steps, image_steps = [s[0]], [i[0]]
        for d, (shift, b) in enumerate(zip(shifts, block, strict=True)):
            before, n = flat[2 * d], image.shape[d + 1]
            first = -(-max(before - shift, 0) // b)
            last = min((before + n - 1 - shift) // b, inner[d] - 1)
            shape.append(max(last - first + 1, 0))
            at_small += first * s[d + 1]
            at_image += (first * b + shift - before) * i[d + 1]
            small_steps.append(s[d + 1])
            image_steps.append(b * i[d + 1])
        shape, small_steps, image_steps = [*shape, image.shape[-1]], [*small_steps, size], [*image_steps, size]
        if 0 in shape:
            continue
        if forth:
            lines += copy_block(ctx, shape, x, at_small, small_steps, y, at_image, image_steps)
        else:
            lines += copy_block(ctx, shape, x, at_image, image_steps, y, at_small, small_steps)
    return Lowered(lines, SOURCE)


def lower_gather(ctx: Context, op: Op) -> Lowered:
    """GATHER along a dimension, and EMBEDDING_LOOKUP; an index from a tensor is brought into range, a constant refused."""
    if op.kind == "GATHER":
        x, indices, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
        assert isinstance(op.options, GatherOptions)
        axis, batch_dims = axis_of(op.options.axis, len(x.shape)), op.options.batch_dims
    else:
        indices, x, y = ctx.input(op, 0), ctx.input(op, 1), ctx.output(op)
        axis, batch_dims = axis_of(0, len(x.shape)), 0
    same_type(x, y)
    require_dtype(indices, DType.INT32)
    batch_dims += len(indices.shape) if batch_dims < 0 else 0
    if not 0 <= batch_dims <= min(axis, len(indices.shape)) or x.shape[:batch_dims] != indices.shape[:batch_dims]:
        raise InputError(f"{batch_dims} batch dimensions do not fit {list(x.shape)} and {list(indices.shape)}")
    require_shape(y, (*x.shape[:axis], *indices.shape[batch_dims:], *x.shape[axis + 1 :]))
    size = x.shape[axis]
    if size == 0:
        raise InputError(f"tensor {x.name!r} has nothing to gather from")
    if indices.is_constant and any(not 0 <= int(v) < size for v in indices.array().reshape(-1)):
        raise InputError(f"indices {indices.name!r} are outside dimension {axis} of {list(x.shape)}")
    numbers = (
        math.prod(x.shape[:batch_dims]),
        math.prod(x.shape[batch_dims:axis]),
        math.prod(indices.shape[batch_dims:]),
        size,
        math.prod(x.shape[axis + 1 :]) * x.dtype.itemsize,
    )
    counts = ", ".join(map(str, numbers))
    call = f"emulab_gather({counts}, {ctx.pointer(indices)}, {ctx.pointer(x)}, {ctx.pointer(y)});"
    return Lowered([call], SOURCE)


def lower_fill(ctx: Context, op: Op) -> Lowered:
    """FILL of a constant shape, and ZEROS_LIKE: one value everywhere."""
    y = ctx.output(op)
    if op.kind == "ZEROS_LIKE":
        require_shape(y, ctx.input(op, 0).shape)
        return Lowered(fill_lines(ctx, y, 0), SOURCE)
    value = ctx.input(op, 1)
    same_type(value, y)
    require_shape(y, tuple(integers(ctx.input(op, 0), len(y.shape))))
    if value.elements != 1:
        raise InputError(f"tensor {value.name!r} must hold one value")
    return Lowered([f"emulab_fill({ctx.pointer(value)}, {y.dtype.itemsize}, {y.elements}, {ctx.pointer(y)});"], SOURCE)
