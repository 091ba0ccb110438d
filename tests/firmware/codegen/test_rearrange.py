"""Operators that lay elements out anew equal the reference interpreters, of random shapes and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from side_by_side import LiteRT, SideBySide
from tflite_builder import T, constant

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")


def quantised(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, **({"scale": 0.1, "zero": 7} if dtype == "int8" else {})}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_as_the_reference_for_microcontrollers(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = quantised(dtype)
    block = int(rng.integers(2, 4))
    h, w, c = (int(v) for v in rng.integers(2, 6, 3))
    h, w, c = h * block, w * block, c * block * block
    m = SideBySide([T((2, h, w, c), **q), T((3,), "int32")])

    begin = [int(rng.integers(0, n)) for n in (2, h, w, c)]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip((2, h, w, c), begin, strict=True)]
    shape = tuple(size)
    size[2], shape = -1, (*shape[:2], w - begin[2], shape[3])
    m.add("SLICE", [0, constant(begin), constant(size)], T(shape, **q), options="SliceOptions")
    m.add("DEPTH_TO_SPACE", [0], T((2, h * block, w * block, c // block**2), **q), options="DepthToSpaceOptions",
          BlockSize=block)  # fmt: skip
    m.add("SPACE_TO_DEPTH", [0], T((2, h // block, w // block, c * block**2), **q), options="SpaceToDepthOptions",
          BlockSize=block)  # fmt: skip
    for mode in (0, 1):
        a, b = (int(v) for v in rng.integers(0, h - 1 + mode, 2))
        d, e = (int(v) for v in rng.integers(0, w - 1 + mode, 2))
        pads = constant([[0, 0], [a, b], [d, e], [0, 1]])
        m.add("MIRROR_PAD", [0, pads], T((2, h + a + b, w + d + e, c + 1), **q), options="MirrorPadOptions", Mode=mode)
    axes = sorted(int(v) for v in rng.choice(4, int(rng.integers(1, 4)), replace=False))
    m.add("REVERSE_V2", [0, constant(axes)], T((2, h, w, c), **q), options="ReverseV2Options")
    axis = int(rng.integers(0, 4))
    picked = constant(rng.integers(0, (2, h, w, c)[axis], (2, 3)))
    shape = (2, h, w, c)
    out = (*shape[:axis], 2, 3, *shape[axis + 1 :])
    m.add("GATHER", [0, picked], T(out, **q), options="GatherOptions", Axis=axis)
    m.add("GATHER", [0, 1], T((3, h, w, c), **q), options="GatherOptions", Axis=0)
    per_image = constant(rng.integers(0, h, (2, 4)))
    m.add("GATHER", [0, per_image], T((2, 4, w, c), **q), options="GatherOptions", Axis=1, BatchDims=1)
    blocks = constant([block, block])
    m.add("SPACE_TO_BATCH_ND", [0, blocks, constant([[0, 0], [0, 0]])],
          T((2 * block**2, h // block, w // block, c), **q), options="SpaceToBatchNDOptions")  # fmt: skip
    m.add("BROADCAST_TO", [1, constant([2, 5, 3])], T((2, 5, 3), "int32"))
    # the second input holds indices of images
    runs = [
        [rng.integers(-128, 128, (2, h, w, c)).astype(dtype), rng.integers(0, 2, 3).astype(np.int32)] for _ in range(3)
    ]
    m.check(values=runs, targets=[KernelTarget.PORTABLE, KernelTarget.ARM_DSP])


@pytest.mark.parametrize("seed", range(2))
def test_batches_back_to_an_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    block = [int(v) for v in rng.integers(1, 4, 2)]
    n, h, w, c = 2, 4, 5, 3
    crops = [int(v) for v in rng.integers(0, 3, 4)]
    q = quantised("int8")
    m = SideBySide([T((n * block[0] * block[1], h, w, c), **q)])
    y = T((n, h * block[0] - crops[0] - crops[1], w * block[1] - crops[2] - crops[3], c), **q)
    m.add("BATCH_TO_SPACE_ND", [0, constant(block), constant(np.reshape(crops, (2, 2)))], y,
          options="BatchToSpaceNDOptions")  # fmt: skip
    m.check()


@pytest.mark.parametrize("dtype", ["int8", "float32", "int32"])
def test_as_the_full_interpreter(dtype: str) -> None:
    """What the reference for microcontrollers lacks: TILE, slices with an ellipsis or a new dimension, zero points padded."""
    pytest.importorskip("ai_edge_litert", reason="the interpreter is missing: pip install ai-edge-litert")
    q = quantised(dtype)
    m = SideBySide([T((2, 5, 4, 3), **q)])
    for times in ((1, 1, 1, 2), (2, 1, 3, 1), (1, 2, 2, 2)):
        out = tuple(n * t for n, t in zip((2, 5, 4, 3), times, strict=True))
        m.add("TILE", [0, constant(times)], T(out, **q), options="TileOptions")
    # x[1:, ..., tf.newaxis, 0:2], x[..., 1], x[:, tf.newaxis, 4:0:-2]
    m.add("STRIDED_SLICE", [0, constant([1, 0, 0, 0]), constant([0, 0, 0, 2]), constant([1, 1, 1, 1])],
          T((1, 5, 4, 1, 2), **q), options="StridedSliceOptions", EndMask=1, EllipsisMask=2, NewAxisMask=4)  # fmt: skip
    m.add("STRIDED_SLICE", [0, constant([0, 1]), constant([0, 2]), constant([1, 1])], T((2, 5, 4), **q),
          options="StridedSliceOptions", EllipsisMask=1, ShrinkAxisMask=2)  # fmt: skip
    m.add("STRIDED_SLICE", [0, constant([0, 0, 4]), constant([0, 1, 0]), constant([1, 1, -2])], T((2, 1, 2, 4, 3), **q),
          options="StridedSliceOptions", BeginMask=1, EndMask=1, NewAxisMask=2)  # fmt: skip
    # padded with the zero point, where the reference for microcontrollers takes 0
    out = T((12, 3, 3, 3), **q)
    m.add("SPACE_TO_BATCH_ND", [0, constant([3, 2]), constant([[1, 3], [2, 0]])], out, options="SpaceToBatchNDOptions")
    m.check(LiteRT)


def test_constants_of_a_shape() -> None:
    """FILL and ZEROS_LIKE need nothing of their input but its shape."""
    m = SideBySide([T((2, 3), "float32")])
    value = constant(2.5, "float32")
    value.shape = ()
    m.add("FILL", [constant([2, 3]), value], T((2, 3), "float32"), options="FillOptions")
    m.add("ZEROS_LIKE", [0], T((2, 3), "float32"), options="ZerosLikeOptions")
    table = constant(np.arange(12).reshape(4, 3), "float32")
    m.add("EMBEDDING_LOOKUP", [constant([2, 0]), table], T((2, 3), "float32"))
    m.check(tolerance=1e-9)


@pytest.mark.parametrize(
    ("kind", "options", "fields", "extra", "shape", "words"),
    [
        ("SLICE", "", {}, [[0, 3], [1, 2]], (1, 2), "outside"),
        ("TILE", "", {}, [[1, -1]], (1, 4), "negative"),
        ("MIRROR_PAD", "MirrorPadOptions", {"Mode": 0}, [[[0, 0], [4, 0]]], (1, 8), "mirror"),
        ("GATHER", "GatherOptions", {"Axis": 1}, [[7]], (1, 1), "outside dimension 1"),
        ("GATHER", "GatherOptions", {"Axis": 5}, [[0]], (1, 1), "axis 5"),
        ("REVERSE_V2", "", {}, [[3]], (1, 4), "axis 3"),
        ("DEPTH_TO_SPACE", "DepthToSpaceOptions", {"BlockSize": 2}, [], (1, 4), "4 dimensions"),
        ("BROADCAST_TO", "", {}, [[1, 5]], (1, 5), "broadcast"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, kind: str, options: str, fields: dict, extra: list, shape: tuple, words: str
) -> None:
    m = SideBySide([T((1, 4), "float32")])
    m.add(kind, [0, *(constant(e) for e in extra)], T(shape, "float32"), options=options, **fields)
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words) as caught:
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
    assert kind in str(caught.value) and "\n" not in str(caught.value)
