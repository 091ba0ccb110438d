"""16-bit activations with 8-bit weights equal the reference interpreter bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference
from codegen_target import TargetModel
from networks import network
from tflite_builder import O, T, build_model

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")
pytest.importorskip("ziglang", reason="the compiler is missing: pip install ziglang")

DATA = Path(__file__).parent / "data"
ALL = (np.arange(65536) - 32768).astype(np.int16).reshape(1, 65536)


def samples(shape: Sequence[int], dtype: str, runs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    if dtype == "float32":
        return [rng.normal(size=shape).astype(np.float32) for _ in range(runs)]
    info = np.iinfo(dtype)
    return [rng.integers(info.min, info.max + 1, shape).astype(dtype) for _ in range(runs)]


def check(folder: Path, tensors: Sequence[T], op: O, inputs: Sequence[int], values: Sequence[np.ndarray] = ()) -> None:
    model = build_model(tensors, [op], inputs, op.outputs)
    path = folder / "op.tflite"
    path.write_bytes(model)
    reference, host = Reference(model), HostModel(path, KernelTarget.PORTABLE, folder)
    given = (
        [values]
        if values
        else list(zip(*(samples(tensors[i].shape, tensors[i].dtype, 3) for i in inputs), strict=True))
    )
    for x in given:
        np.testing.assert_array_equal(host(*x)[0], reference(*x)[0])


@pytest.mark.parametrize("name", ["int16_conv", "int16_gate"])
def test_converted_models(tmp_path: Path, name: str) -> None:
    path = DATA / f"{name}.tflite"
    reference, host = Reference(path.read_bytes()), HostModel(path, KernelTarget.PORTABLE, tmp_path)
    for x in samples(host.generated.input.shape, host.generated.input.dtype, 100):
        np.testing.assert_array_equal(host(x)[0], reference(x)[0])


@pytest.mark.parametrize("target", [KernelTarget.ARM_DSP, KernelTarget.RV32IM], ids=lambda t: t.value)
def test_converted_model_on_cores(tmp_path: Path, target: KernelTarget) -> None:
    path = DATA / "int16_gate.tflite"
    reference, core = Reference(path.read_bytes()), TargetModel(path, target, tmp_path)
    for x in samples(core.generated.input.shape, "int16", 20):
        np.testing.assert_array_equal(core(x), reference(x)[0])


@pytest.mark.parametrize("seed", range(6))
def test_networks_of_random_shapes(tmp_path: Path, seed: int) -> None:
    model = network(seed, "int16")
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    reference, host = Reference(model), HostModel(path, KernelTarget.PORTABLE, tmp_path)
    for x in samples(host.generated.input.shape, "int16", 5):
        np.testing.assert_array_equal(host(x)[0], reference(x)[0])


@pytest.mark.parametrize("scale", [1 / 4096, 1 / 2048, 0.00012651196448132396, 1 / 32768, 0.0005, 0.9])
@pytest.mark.parametrize("kind", ["LOGISTIC", "TANH"])
def test_functions_of_every_value(tmp_path: Path, kind: str, scale: float) -> None:
    tensors = [T(ALL.shape, "int16", scale=scale), T(ALL.shape, "int16", scale=1 / 32768)]
    check(tmp_path, tensors, O(kind, [0], [1]), [0], [ALL])


@pytest.mark.parametrize("kind", ["RELU", "RELU6"])
def test_rectifiers(tmp_path: Path, kind: str) -> None:
    for scale in (0.0005, 0.0001):
        same = 0.0005 if kind == "RELU6" else scale
        check(
            tmp_path,
            [T(ALL.shape, "int16", scale=0.0005), T(ALL.shape, "int16", scale=same)],
            O(kind, [0], [1]),
            [0],
            [ALL],
        )


@pytest.mark.parametrize("alpha", [0.3, 0.01])
def test_leaky_rectifiers(tmp_path: Path, alpha: float) -> None:
    for scale in (0.0005, 0.0001):
        tensors = [T(ALL.shape, "int16", scale=0.0005), T(ALL.shape, "int16", scale=scale)]
        check(tmp_path, tensors, O("LEAKY_RELU", [0], [1], "LeakyReluOptions", {"Alpha": alpha}), [0], [ALL])


@pytest.mark.parametrize("scale", [0.02, 0.2])
def test_softmax_from_bytes(tmp_path: Path, scale: float) -> None:
    tensors = [T((64, 10), scale=scale, zero=3), T((64, 10), "int16", scale=1 / 65536, zero=-32768)]
    check(tmp_path, tensors, O("SOFTMAX", [0], [1], "SoftmaxOptions", {"Beta": 1.0}), [0])


@pytest.mark.parametrize("scale", [2.5e-5, 1 / 4096, 0.001])
def test_softmax(tmp_path: Path, scale: float) -> None:
    tensors = [T((64, 10), "int16", scale=scale), T((64, 10), "int16", scale=1 / 32768)]
    check(tmp_path, tensors, O("SOFTMAX", [0], [1], "SoftmaxOptions", {"Beta": 1.0}), [0])


@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_arithmetic(tmp_path: Path, kind: str, activation: int) -> None:
    a, b = T((3, 501), "int16", scale=1e-4), T((3, 501), "int16", scale=3e-4)
    y = T((3, 501), "int16", scale=2e-4)
    options = {"FusedActivationFunction": activation}
    check(tmp_path, [a, b, y], O(kind, [0, 1], [2], f"{kind.title()}Options", options), [0, 1])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("int16", "int8"),
        ("int8", "int16"),
        ("int16", "int16"),
        ("float32", "int16"),
        ("int16", "int32"),
        ("int8", "int32"),
    ],
)
def test_quantize(tmp_path: Path, source: str, target: str) -> None:
    x = T((1, 700), source, scale=None if source == "float32" else 0.0003, zero=-5 if source == "int8" else 0)
    scale = {"int16": 0.0007, "int32": 1e-6}.get(target, 0.08)
    y = T((1, 700), target, scale=scale, zero=7 if target == "int8" else 0)
    check(tmp_path, [x, y], O("QUANTIZE", [0], [1]), [0])


@pytest.mark.parametrize("target", ["int8", "int16"])
def test_quantize_from_32_bits(tmp_path: Path, target: str) -> None:
    x = T((1, 700), "int32", scale=1e-5)
    y = T((1, 700), target, scale=0.02 if target == "int8" else 1e-4, zero=-3 if target == "int8" else 0)
    values = np.random.default_rng(2).integers(-400000, 400000, (1, 700)).astype(np.int32)
    check(tmp_path, [x, y], O("QUANTIZE", [0], [1]), [0], [values])


@pytest.mark.parametrize("bias", ["int32", "int64", None])
def test_convolution_by_width_of_its_bias(tmp_path: Path, bias: str | None) -> None:
    rng = np.random.default_rng(9)
    x, y = T((1, 5, 6, 40), "int16", scale=1e-4), T((1, 3, 4, 7), "int16", scale=4e-4)
    w = T((7, 3, 3, 40), scale=[0.01] * 7, data=rng.integers(-127, 128, (7, 3, 3, 40)).astype(np.int8))
    tensors = [x, y, w]
    if bias:
        values = rng.integers(-90000, 90000, 7).astype(bias)
        tensors.append(T((7,), bias, scale=[1e-6] * 7, data=values))
    options = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    check(tmp_path, tensors, O("CONV_2D", [0, 2, 3][: 2 + bool(bias)], [1], "Conv2DOptions", options), [0])


@pytest.mark.parametrize("bias", ["int32", "int64", None])
def test_dense_by_width_of_its_bias(tmp_path: Path, bias: str | None) -> None:
    rng = np.random.default_rng(9)
    x, y = T((2, 77), "int16", scale=1e-4), T((2, 5), "int16", scale=4e-4)
    tensors = [x, y, T((5, 77), scale=0.01, data=rng.integers(-127, 128, (5, 77)).astype(np.int8))]
    if bias:
        tensors.append(T((5,), bias, scale=1e-6, data=rng.integers(-90000, 90000, 5).astype(bias)))
    op = O("FULLY_CONNECTED", [0, 2, 3] if bias else [0, 2, -1], [1], "FullyConnectedOptions", {})
    check(tmp_path, tensors, op, [0])


@pytest.mark.parametrize("size", [1, 1 << 33])
@pytest.mark.parametrize("scales", [0.01, [0.01, 0.02, 0.005]])
def test_constants_by_what_they_need(tmp_path: Path, scales, size: int) -> None:
    """Biases beyond 32 bits keep 64; one scale is kept once."""
    x, y = T((1, 9), "int16", scale=1e-4), T((1, 3), "int16", scale=4e-4 * min(size, 1 << 19))
    w = T((3, 9), scale=scales, data=np.arange(-13, 14).reshape(3, 9).astype(np.int8))
    bias = T((3,), "int64", scale=[1e-6] * 3, data=np.array([5, -7000, 900], np.int64) * size)
    kind = O("FULLY_CONNECTED", [0, 2, 3], [1], "FullyConnectedOptions", {})
    check(tmp_path, [x, y, w, bias], kind, [0])
    text = (tmp_path / "portable" / "model_weights.h").read_text()
    assert ("int64_t emulab_b0" in text) == (size > 1)
    assert ("emulab_m0[1]" in text) == (scales == 0.01)


def test_sums_beyond_32_bits(tmp_path: Path) -> None:
    x, y = T((1, 900), "int16", scale=1e-4), T((1, 2), "int16", scale=0.3)
    w = T((2, 900), scale=0.01, data=np.full((2, 900), 127, np.int8))
    bias = T((2,), "int64", scale=1e-6, data=np.array([5, -5], np.int64))
    op = O("FULLY_CONNECTED", [0, 2, 3], [1], "FullyConnectedOptions", {})
    check(tmp_path, [x, y, w, bias], op, [0], [np.full((1, 900), 32767, np.int16)])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"zero": 3}, "zero point 3"), ({"scale": 1e-29}, "32 bits"), ({"scale": None}, "quantisation")],
    ids=["zero", "scale", "none"],
)
def test_what_is_not_symmetric_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    tensors = [T((1, 4), "int16", scale=1e-4), T((1, 4), "int16", **({"scale": 1e-4} | change))]
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model([*tensors], [O("MUL", [0, 0], [1], "MulOptions", {})], [0], [1]))
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
