"""Reductions, normalisation, resizing and products of matrices equal the reference interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from side_by_side import SideBySide
from tflite_builder import T, constant

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

SHAPE = (2, 5, 3, 7)
AXES = [(1, 2), (3,), (0, 2), (1, 3), (0, 1, 2, 3)]


def reduced(axes: tuple[int, ...], keep: bool) -> tuple[int, ...]:
    if keep:
        return tuple(1 if d in axes else n for d, n in enumerate(SHAPE))
    return tuple(n for d, n in enumerate(SHAPE) if d not in axes)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("seed", range(2))
def test_reductions_of_integers(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    zx, zy = (int(v) for v in rng.integers(-128, 128, 2)) if dtype == "int8" else (0, 0)
    sx, sy = (float(np.float32(2.0 ** rng.uniform(-7, -4))) for _ in range(2))
    x = T(SHAPE, dtype, scale=sx, zero=zx)
    m = SideBySide([x])
    for k, axes in enumerate(AXES):
        keep = bool((k + seed) % 2)
        out = reduced(axes, keep)
        m.add("MEAN", [0, constant(axes)], T(out, dtype, scale=sy, zero=zy), options="ReducerOptions", KeepDims=keep)
        m.add("SUM", [0, constant(axes)], T(out, dtype, scale=9 * sy, zero=zy), options="ReducerOptions", KeepDims=keep)
        if dtype == "int8":
            same = T(out, dtype, scale=sx, zero=zx)
            m.add("REDUCE_MAX", [0, constant(axes)], same, options="ReducerOptions", KeepDims=keep)
            m.add("REDUCE_MIN", [0, constant(axes)], same, options="ReducerOptions", KeepDims=keep)
    if dtype == "int8":
        for axis in (0, 2, 3):
            out = reduced((axis,), False)
            m.add("ARG_MIN", [0, constant(axis)], T(out, "int32"), options="ArgMinOptions", OutputType=2)
        m.add("L2_NORMALIZATION", [0], T(SHAPE, scale=1 / 128), options="L2NormOptions")
    m.check(targets=[KernelTarget.PORTABLE, KernelTarget.ARM_DSP])


def test_reductions_of_floats() -> None:
    m = SideBySide([T(SHAPE, "float32")])
    for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for axes in AXES:
            out = T(reduced(axes, True), "float32")
            m.add(kind, [0, constant(axes)], out, options="ReducerOptions", KeepDims=True)
    m.add("ARG_MIN", [0, constant(1)], T((2, 3, 7), "int32"), options="ArgMinOptions", OutputType=2)
    for exclusive in (False, True):
        for axis in (0, 2):
            y = T(SHAPE, "float32")
            m.add("CUMSUM", [0, constant(axis)], y, options="CumsumOptions", Exclusive=exclusive, Reverse=axis == 0)
    m.add("L2_NORMALIZATION", [0], T(SHAPE, "float32"), options="L2NormOptions")
    m.add("LOG_SOFTMAX", [0], T(SHAPE, "float32"), options="LogSoftmaxOptions")
    m.check(tolerance=5e-6)


def test_norms_of_any_length() -> None:
    """Rows from nothing but the zero point to the longest int8 can hold."""
    rows = np.zeros((9, 300), np.int8)
    rows[1, 0], rows[2, :2], rows[3], rows[4, ::2] = 1, 1, 127, -128
    rows[5:] = np.random.default_rng(1).integers(-128, 128, (4, 300))
    for zero in (0, -128, 100):
        m = SideBySide([T(rows.shape, scale=0.1, zero=zero)])
        m.add("L2_NORMALIZATION", [0], T(rows.shape, scale=1 / 128), options="L2NormOptions")
        m.check(values=[[rows]])


@pytest.mark.parametrize("mode", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_resize_bilinear(dtype: str, mode: dict[str, bool]) -> None:
    q = {"scale": 0.1, "zero": 5} if dtype == "int8" else {}
    m = SideBySide([T((2, 5, 6, 3), dtype, **q)])
    for size in ((10, 12), (3, 5), (7, 1), (1, 9), (40, 33)):
        m.add("RESIZE_BILINEAR", [0, constant(size)], T((2, *size, 3), dtype, **q),
              options="ResizeBilinearOptions", **mode)  # fmt: skip
    m.check(tolerance=2e-6)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_products_of_matrices(dtype: str) -> None:
    rng = np.random.default_rng(2)

    def q(scale: float) -> dict:
        return {"scale": scale, "zero": int(rng.integers(-128, 128))} if dtype == "int8" else {}

    y = q(0.8)
    m = SideBySide([T((2, 3, 5, 9), dtype, **q(0.05)), T((3, 9, 4), dtype, **q(0.03))])
    m.add("BATCH_MATMUL", [0, 1], T((2, 3, 5, 4), dtype, **y), options="BatchMatMulOptions")
    m.check(tolerance=5e-6)
    for adjoint in (False, True):
        left, right = ((4, 9, 5), (4, 6, 9)) if adjoint else ((4, 5, 9), (1, 9, 6))
        m = SideBySide([T(left, dtype, **q(0.05)), T(right, dtype, **q(0.03))])
        m.add(
            "BATCH_MATMUL", [0, 1], T((4, 5, 6), dtype, **y), options="BatchMatMulOptions", AdjX=adjoint, AdjY=adjoint
        )
        m.check(tolerance=5e-6)


@pytest.mark.parametrize(
    ("inputs", "y", "kind", "options", "words"),
    [
        ([T((2, 3), scale=0.1), constant([2])], T((2,), scale=0.1), "SUM", "ReducerOptions", "outside a tensor"),
        ([T((2, 3), scale=0.1), constant([1])], T((3,), scale=0.1), "SUM", "ReducerOptions", "does not fit"),
        ([T((2, 3), scale=0.1), constant([1])], T((2,), scale=0.2), "REDUCE_MAX", "ReducerOptions", "same quant"),
        ([T((2, 3), scale=0.1)], T((2, 3), scale=0.1), "L2_NORMALIZATION", "L2NormOptions", "1/128"),
        ([T((2, 3), "float32"), T((2, 4), "float32")], T((2, 4), "float32"), "BATCH_MATMUL", "BatchMatMulOptions",
         "3 columns and 2 rows"),
        ([T((1, 2, 2, 1), "float32"), constant([4, 5])], T((1, 4, 4, 1), "float32"), "RESIZE_BILINEAR",
         "ResizeBilinearOptions", "expected"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, inputs: list[T], y: T, kind: str, options: str, words: str
) -> None:
    m = SideBySide([t for t in inputs if t.data is None])
    m.add(kind, [i if t.data is None else t for i, t in enumerate(inputs)], y, options=options)
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
