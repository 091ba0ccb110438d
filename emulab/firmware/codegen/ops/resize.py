"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR: which rows and columns an output takes from are tables made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops.movement import SOURCE, integers, same_type
from emulab.firmware.codegen.options import ResizeOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _sizes(ctx: Context, op: Op) -> tuple[Tensor, Tensor, tuple[int, int, int, int], tuple[int, int]]:
    """Input, output, the input's four dimensions, and height and width to reach."""
    x, y = ctx.input(op, 0), ctx.output(op)
    same_type(x, y)
    if len(x.shape) != 4 or 0 in x.shape:
        raise InputError(f"tensor {x.name!r} has shape {list(x.shape)}, expected 4 dimensions")
    batches, in_h, in_w, channels = x.shape
    out_h, out_w = integers(ctx.input(op, 1), 2)
    require_shape(y, (batches, out_h, out_w, channels))
    if max(in_h, in_w, out_h, out_w) > 32767:
        raise InputError(f"tensor {y.name!r} is too large to resize")
    return x, y, (batches, in_h, in_w, channels), (out_h, out_w)


def nearest_indices(size_in: int, size_out: int, *, align_corners: bool, half_pixel: bool) -> list[int]:
    """Which input index each output index repeats, in the single precision the reference computes it."""
    import numpy as np

    f = np.float32
    aligned = align_corners and size_out > 1
    ratio = f(size_in - 1) / f(size_out - 1) if aligned else f(size_in) / f(size_out)
    position = (np.arange(size_out).astype(f) + f(0.5 if half_pixel else 0.0)) * ratio
    index = np.floor(position + f(0.5)) if align_corners else np.floor(position)
    return [int(i) for i in np.clip(index, 0, size_in - 1)]


def lower_resize_nearest(ctx: Context, op: Op) -> Lowered:
    """RESIZE_NEAREST_NEIGHBOR: rows and columns to repeat are tables made here."""
    import numpy as np

    x, y, (batches, in_h, in_w, channels), (out_h, out_w) = _sizes(ctx, op)

    def table(name: str, size_in: int, size_out: int) -> str:
        o = op.options
        assert isinstance(o, ResizeOptions)
        indices = nearest_indices(size_in, size_out, align_corners=o.align_corners, half_pixel=o.half_pixel_centers)
        return ctx.constant(f"{name}{op.index}", "int16_t", np.array(indices, np.int16))

    lines = struct(
        "emulab_resize_params",
        {
            "batches": batches,
            "in_h": in_h,
            "in_w": in_w,
            "out_h": out_h,
            "out_w": out_w,
            "pixel": channels * x.dtype.itemsize,
            "row": table("row", in_h, out_h),
            "column": table("column", in_w, out_w),
        },
    )
    lines.append(f"emulab_resize_nearest(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, SOURCE)


def bilinear_positions(
    size_in: int, size_out: int, integer: bool, *, align_corners: bool, half_pixel: bool
) -> tuple[NDArray[np.int16], NDArray[np.generic]]:
    """For each output the two inputs it lies between, and how far from the first: in 1/1024, or in single precision."""
    import numpy as np

    aligned = align_corners and size_out > 1
    top, bottom = (size_in - 1, size_out - 1) if aligned else (size_in, size_out)
    k = np.arange(size_out)
    if integer:
        ratio = (1024 * top + bottom // 2) // bottom
        at = k * ratio + (ratio // 2 - 512 if half_pixel else 0)
        low = np.maximum(at // 1024, 0)
        # the reference divides towards zero
        high = np.minimum(np.where(at < -1023, -((-at - 1023) // 1024), (at + 1023) // 1024), size_in - 1)
        pairs = np.stack([low, np.maximum(high, 0)], axis=1)
        return pairs.astype(np.int16), (at - 1024 * low).astype(np.int32)
    f = np.float32
    ratio_f = f(top) / f(bottom)
    position = (k.astype(f) + f(0.5)) * ratio_f - f(0.5) if half_pixel else k.astype(f) * ratio_f
    low = np.maximum(np.floor(position).astype(np.int64), 0)
    high = np.minimum(np.ceil(position).astype(np.int64), size_in - 1)
    pairs = np.stack([low, np.maximum(high, 0)], axis=1)
    return pairs.astype(np.int16), (position - low.astype(f)).astype(f)


def lower_resize_bilinear(ctx: Context, op: Op) -> Lowered:
    """RESIZE_BILINEAR on int8 or float."""
    x, y, (batches, in_h, in_w, channels), (out_h, out_w) = _sizes(ctx, op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    o = op.options
    assert isinstance(o, ResizeOptions)
    if o.align_corners and o.half_pixel_centers:
        raise InputError("aligned corners and centres of pixels exclude each other")
    integer = x.dtype is DType.INT8
    fields: dict[str, object] = {"batches": batches, "in_h": in_h, "in_w": in_w, "out_h": out_h, "out_w": out_w}
    fields["channels"] = channels
    for name, size_in, size_out in (("row", in_h, out_h), ("column", in_w, out_w)):
        pairs, part = bilinear_positions(
            size_in, size_out, integer, align_corners=o.align_corners, half_pixel=o.half_pixel_centers
        )
        fields[name] = ctx.constant(f"{name}{op.index}", "int16_t", pairs)
        fields[f"{name}_part"] = ctx.constant(f"{name}_part{op.index}", "int32_t" if integer else "float", part)
    suffix = "s8" if integer else "f32"
    lines = struct(f"emulab_bilinear_{suffix}_params", fields)
    lines.append(f"emulab_resize_bilinear_{suffix}(&p, {ctx.pointer(x)}, {ctx.pointer(y)});")
    return Lowered(lines, ("resize_bilinear.c",))
