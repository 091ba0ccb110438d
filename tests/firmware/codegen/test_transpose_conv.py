"""TRANSPOSE_CONV equals the reference interpreter: random kernels, strides, paddings, scales, element types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from side_by_side import SideBySide
from tflite_builder import T, constant

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate
from emulab.firmware.codegen.fixed_point import padding

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")


def layers(seed: int, dtype: str, bias_type: str | None) -> SideBySide:
    """Several layers on one image."""
    rng = np.random.default_rng(seed)
    h, w, in_c = (int(v) for v in rng.integers(1, 7, 3))
    integer = dtype != "float32"
    x_scale = float(np.float32(0.03)) if dtype == "int8" else 2e-4
    q: dict[str, Any] = {"scale": x_scale, "zero": int(rng.integers(-128, 128)) if dtype == "int8" else 0}
    m = SideBySide([T((2, h, w, in_c), dtype, **(q if integer else {}))])
    for n in range(5):
        out_c = int(rng.integers(1, 9))
        kernel, stride = ([int(v) for v in rng.integers(1, 5, 2)] for _ in range(2))
        same = bool(rng.integers(0, 2))
        if same:
            out = [size * s for size, s in zip((h, w), stride, strict=True)]
        else:
            out = [(size - 1) * s + k for size, s, k in zip((h, w), stride, kernel, strict=True)]
        assert [padding(same, o, k, s, 1)[1] for o, k, s in zip(out, kernel, stride, strict=True)] == [h, w]
        shape = (out_c, *kernel, in_c)
        fields = {"Padding": 0 if same else 1, "StrideH": stride[0], "StrideW": stride[1]}
        fields["FusedActivationFunction"] = int(rng.choice([0, 1, 3]))
        if integer:
            # the first layer per tensor, as old converters wrote them
            scales = (0.01 * 2.0 ** rng.uniform(-3, 1, out_c if n else 1)).astype(np.float32)
            weights = T(shape, scale=scales, axis=0, data=rng.integers(-127, 128, shape).astype(np.int8))
            y = T((2, *out, out_c), dtype, scale=0.3 if dtype == "int8" else 3e-3,
                  zero=int(rng.integers(-128, 128)) if dtype == "int8" else 0)  # fmt: skip
            values = rng.integers(-5000, 5000, out_c)
        else:
            weights = constant(rng.normal(size=shape), "float32")
            y = T((2, *out, out_c), "float32")
            values = rng.normal(size=out_c)
        inputs: list[Any] = [constant((2, *out, out_c)), weights, 0]
        if bias_type:
            scale = {"scale": x_scale * scales} if integer else {}
            inputs.append(T((out_c,), bias_type, data=values.astype(bias_type), **scale))
        m.add("TRANSPOSE_CONV", inputs, y, options="TransposeConvOptions", **fields)
    return m


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bias", ["int32", None])
def test_int8(seed: int, bias: str | None) -> None:
    layers(seed, "int8", bias).check(targets=[KernelTarget.PORTABLE])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("bias", ["int64", "int16", None])
def test_int16(seed: int, bias: str | None) -> None:
    layers(seed, "int16", bias).check()


@pytest.mark.parametrize("bias", ["float32", None])
def test_float(bias: str | None) -> None:
    layers(5, "float32", bias).check(tolerance=1e-5)


@pytest.mark.parametrize(
    ("weights", "shape", "out", "words"),
    [
        ((3, 2, 2, 5), (1, 4, 4, 3), (1, 4, 4, 3), "do not fit"),
        ((3, 2, 2, 2), (1, 4, 4, 3), (1, 5, 4, 3), "expected"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, weights: tuple, shape: tuple, out: tuple, words: str) -> None:
    m = SideBySide([T((1, 2, 2, 2), "float32")])
    m.add("TRANSPOSE_CONV", [constant(shape), constant(np.ones(weights), "float32"), 0], T(out, "float32"),
          options="TransposeConvOptions", StrideH=2, StrideW=2)  # fmt: skip
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
