"""Every operator against the reference interpreter: random shapes, strides, paddings and quantisations."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflite_builder import O, T, build_model, constant

from emulab.firmware.codegen import KernelTarget
from emulab.firmware.codegen.fixed_point import padding

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

# A compiler runs per example, so few examples, each of many values; derandomised, so that a failure repeats.
COMPILED = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
TARGETS = list(KernelTarget)

scales = st.floats(0.002, 0.2).map(np.float32).map(float)
zeros = st.integers(-128, 127)
seeds = st.integers(0, 2**31)


def values(seed: int, t: T) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if t.dtype == "float32":
        return (rng.normal(size=t.shape) * 3).astype(np.float32)
    info = np.iinfo(t.dtype)
    return rng.integers(info.min, info.max + 1, t.shape).astype(t.dtype)


def check(
    tensors: Sequence[T],
    ops: Sequence[O],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    runs: int = 3,
    tolerance: float = 0.0,
) -> None:
    """All kernel targets give what the reference gives, on several random inputs."""
    model = build_model(tensors, ops, inputs, outputs)
    reference = Reference(model, outputs=len(outputs))
    given_inputs = [[values(97 * run + i, tensors[i]) for i in inputs] for run in range(runs)]
    # Copies: the interpreter hands out views of memory it will overwrite.
    expected = [[np.array(y) for y in reference(*x)] for x in given_inputs]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "op.tflite"
        path.write_bytes(model)
        for target in TARGETS:
            host = HostModel(path, target, Path(folder))
            for x, wanted in zip(given_inputs, expected, strict=True):
                for y, z in zip(host(*x), wanted, strict=True):
                    if tolerance:
                        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)
                    else:
                        np.testing.assert_array_equal(y, z, err_msg=target.value)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    """Geometry of a sliding window whose output is not empty."""
    g = {
        "h": draw(st.integers(1, 9)),
        "w": draw(st.integers(1, 9)),
        "kh": draw(st.integers(1, 4)),
        "kw": draw(st.integers(1, 4)),
        "sh": draw(st.integers(1, 3)),
        "sw": draw(st.integers(1, 3)),
        "same": draw(st.booleans()),
    }
    if not g["same"]:
        g["h"], g["w"] = max(g["h"], g["kh"]), max(g["w"], g["kw"])
    return g


def out_size(g: dict[str, int], dilation: int = 1) -> tuple[int, int]:
    same = bool(g["same"])
    return padding(same, g["h"], g["kh"], g["sh"], dilation)[1], padding(same, g["w"], g["kw"], g["sw"], dilation)[1]


def conv_options(g: dict[str, int], activation: str, dilation: int = 1) -> dict[str, int]:
    return {
        "Padding": 0 if g["same"] else 1,
        "StrideH": g["sh"],
        "StrideW": g["sw"],
        "DilationHFactor": dilation,
        "DilationWFactor": dilation,
        "FusedActivationFunction": ACTIVATIONS[activation],
    }


def weights(seed: int, shape: Sequence[int], channels: int, axis: int, x_scale: float) -> tuple[T, T]:
    """Per-channel weights whose scales span five octaves, and a bias."""
    rng = np.random.default_rng(seed)
    w_scales = (0.01 * 2.0 ** rng.uniform(-4, 1, channels)).astype(np.float32)
    w = T(shape, scale=w_scales, axis=axis, data=rng.integers(-127, 128, shape).astype(np.int8))
    bias = rng.integers(-5000, 5000, channels).astype(np.int32)
    return w, T((channels,), "int32", scale=x_scale * w_scales, data=bias)


@COMPILED
@given(windows(), st.integers(1, 9), st.integers(1, 10), scales, zeros, scales, zeros, seeds, st.data())
def test_conv(g, in_c, out_c, sx, zx, sy, zy, seed, data) -> None:
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    dilation = data.draw(st.sampled_from([1, 1, 2])) if g["same"] else 1
    groups = data.draw(st.sampled_from([1, 1, 2]))
    oh, ow = out_size(g, dilation)
    x = T((data.draw(st.integers(1, 2)), g["h"], g["w"], in_c * groups), scale=sx, zero=zx)
    w, bias = weights(seed, (out_c * groups, g["kh"], g["kw"], in_c), out_c * groups, 0, sx)
    y = T((x.shape[0], oh, ow, out_c * groups), scale=sy * 5, zero=zy)
    op = O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", conv_options(g, activation, dilation))
    check([x, w, bias, y], [op], [0], [3])


@COMPILED
@given(windows(), st.integers(1, 9), st.integers(1, 3), scales, zeros, scales, zeros, seeds, st.data())
def test_depthwise(g, in_c, multiplier, sx, zx, sy, zy, seed, data) -> None:
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    dilation = data.draw(st.sampled_from([1, 1, 2])) if g["same"] else 1
    oh, ow = out_size(g, dilation)
    channels = in_c * multiplier
    x = T((data.draw(st.integers(1, 2)), g["h"], g["w"], in_c), scale=sx, zero=zx)
    w, bias = weights(seed, (1, g["kh"], g["kw"], channels), channels, 3, sx)
    y = T((x.shape[0], oh, ow, channels), scale=sy, zero=zy)
    options = {**conv_options(g, activation, dilation), "DepthMultiplier": multiplier}
    check([x, w, bias, y], [O("DEPTHWISE_CONV_2D", [0, 1, 2], [3], "DepthwiseConv2DOptions", options)], [0], [3])


@COMPILED
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.sampled_from([1, 2]), st.booleans(), scales, seeds)
def test_depthwise_3x3_on_planes(h, w, quads, stride, relu, sy, seed) -> None:
    g = {"h": h, "w": w, "kh": 3, "kw": 3, "sh": stride, "sw": stride, "same": True}
    oh, ow = out_size(g)
    channels = 4 * quads
    x = T((1, h, w, channels), scale=0.05, zero=seed % 256 - 128)
    kernel, bias = weights(seed, (1, 3, 3, channels), channels, 3, 0.05)
    y = T((1, oh, ow, channels), scale=sy, zero=-128 if relu else 5)
    options = {**conv_options(g, "RELU" if relu else "NONE"), "DepthMultiplier": 1}
    check([x, kernel, bias, y], [O("DEPTHWISE_CONV_2D", [0, 1, 2], [3], "DepthwiseConv2DOptions", options)], [0], [3])


@COMPILED
@given(st.integers(1, 40), st.integers(1, 11), st.integers(1, 3), scales, zeros, scales, zeros, seeds, st.data())
def test_fully_connected(in_n, out_n, batches, sx, zx, sy, zy, seed, data) -> None:
    rng = np.random.default_rng(seed)
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    sw = float(np.float32(rng.uniform(0.001, 0.02)))
    x = T((batches, in_n), scale=sx, zero=zx)
    w = T((out_n, in_n), scale=sw, data=rng.integers(-127, 128, (out_n, in_n)).astype(np.int8))
    bias = T((out_n,), "int32", scale=sx * sw, data=rng.integers(-9000, 9000, out_n).astype(np.int32))
    y = T((batches, out_n), scale=sy * 3, zero=zy)
    options = {"FusedActivationFunction": ACTIVATIONS[activation]}
    inputs = [0, 1, 2] if data.draw(st.booleans()) else [0, 1, -1]
    check([x, w, bias, y], [O("FULLY_CONNECTED", inputs, [3], "FullyConnectedOptions", options)], [0], [3])


@COMPILED
@given(windows(), st.integers(1, 9), st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), scales, zeros, st.data())
def test_pool(g, channels, kind, scale, zero, data) -> None:
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    oh, ow = out_size(g)
    x = T((2, g["h"], g["w"], channels), scale=scale, zero=zero)
    y = T((2, oh, ow, channels), scale=scale, zero=zero)
    options = {
        "Padding": 0 if g["same"] else 1,
        "StrideH": g["sh"],
        "StrideW": g["sw"],
        "FilterHeight": g["kh"],
        "FilterWidth": g["kw"],
        "FusedActivationFunction": ACTIVATIONS[activation],
    }
    check([x, y], [O(kind, [0], [1], "Pool2DOptions", options)], [0], [1])


@COMPILED
@given(st.sampled_from(["ADD", "SUB", "MUL"]), scales, zeros, scales, zeros, scales, zeros, st.data())
def test_binary(kind, sa, za, sb, zb, sy, zy, data) -> None:
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    shapes = [((1, 5, 7, 3), (1, 5, 7, 3)), ((1, 5, 7, 3), (1,)), ((2, 1, 4, 3), (1, 5, 1, 3)), ((1,), (4, 3))]
    a_shape, b_shape = data.draw(st.sampled_from(shapes))
    y_shape = np.broadcast_shapes(a_shape, b_shape)
    a, b = T(a_shape, scale=sa, zero=za), T(b_shape, scale=sb, zero=zb)
    y = T(y_shape, scale=sy * (0.05 if kind == "MUL" else 1.5), zero=zy)
    options = {"FusedActivationFunction": ACTIVATIONS[activation]}
    check([a, b, y], [O(kind, [0, 1], [2], f"{kind.title()}Options", options)], [0, 1], [2], runs=8)


@COMPILED
@given(st.integers(1, 12), st.integers(1, 5), scales, zeros, st.sampled_from([1.0, 1.0, 0.5, 2.0]))
def test_softmax(classes, rows, scale, zero, beta) -> None:
    x, y = T((rows, classes), scale=scale, zero=zero), T((rows, classes), scale=1 / 256, zero=-128)
    check([x, y], [O("SOFTMAX", [0], [1], "SoftmaxOptions", {"Beta": beta})], [0], [1], runs=10)


EVERY_BYTE = (1, 16, 16, 1)


@COMPILED
@given(
    st.sampled_from(["LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE"]),
    scales,
    zeros,
    scales,
    zeros,
)
def test_activation(kind, sx, zx, sy, zy) -> None:
    fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "RELU6": (sx, zx)}
    sy, zy = fixed.get(kind, (max(sy, sx / 4), zy))
    x, y = T(EVERY_BYTE, scale=sx, zero=zx), T(EVERY_BYTE, scale=sy, zero=zy)
    options = ("LeakyReluOptions", {"Alpha": 0.2}) if kind == "LEAKY_RELU" else ("", {})
    check([x, y], [O(kind, [0], [1], *options)], [0], [1], runs=8)


@COMPILED
@given(st.sampled_from(["int8", "uint8"]), scales, st.integers(0, 127), scales, st.integers(0, 127))
def test_quantise_between_bytes(to, sx, zx, sy, zy) -> None:
    x, y = T(EVERY_BYTE, scale=sx, zero=zx), T(EVERY_BYTE, to, scale=sy, zero=zy)
    check([x, y], [O("QUANTIZE", [0], [1])], [0], [1], runs=8)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_quantise_and_dequantise(dtype: str) -> None:
    scale = 0.05 if dtype == "int8" else 0.0003
    x, y = T((1, 500), "float32"), T((1, 500), dtype, scale=scale, zero=3 if dtype == "int8" else 0)
    check([x, y], [O("QUANTIZE", [0], [1])], [0], [1])
    check([y, x], [O("DEQUANTIZE", [0], [1])], [0], [1], tolerance=1e-6)


@COMPILED
@given(scales, zeros, scales, zeros, st.sampled_from([(1, 2), (1,), (2,), (3,), (1, 2, 3)]), st.booleans())
def test_mean(sx, zx, sy, zy, axes, keep) -> None:
    shape = (2, 5, 3, 7)
    out = (
        [1 if d in axes else n for d, n in enumerate(shape)]
        if keep
        else [n for d, n in enumerate(shape) if d not in axes]
    )
    x, y = T(shape, scale=sx, zero=zx), T(out, scale=sy, zero=zy)
    op = O("MEAN", [0, 1], [2], "ReducerOptions", {"KeepDims": keep})
    check([x, constant(axes), y], [op], [0], [2], runs=6)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_movement(dtype: str) -> None:
    q = {"dtype": dtype, **({"scale": 0.1, "zero": 7} if dtype == "int8" else {})}
    x = T((1, 4, 6, 3), **q)

    def run(op: O, extra: Sequence[T], *ys: T) -> None:
        outputs = list(range(1 + len(extra), 1 + len(extra) + len(ys)))
        op.outputs = outputs
        check([x, *extra, *ys], [op], [0], outputs, runs=2)

    pads = constant([[0, 0], [1, 2], [3, 0], [0, 1]])
    run(O("PAD", [0, 1], [], "PadOptions"), [pads], T((1, 7, 9, 4), **q))
    run(O("TRANSPOSE", [0, 1], [], "TransposeOptions"), [constant([0, 3, 1, 2])], T((1, 3, 4, 6), **q))
    half = [T((1, 4, 3, 3), **q), T((1, 4, 3, 3), **q)]
    run(O("SPLIT", [1, 0], [], "SplitOptions", {"NumSplits": 2}), [constant(2)], *half)
    parts = [T((1, 1, 6, 3), **q), T((1, 3, 6, 3), **q)]
    run(O("SPLIT_V", [0, 1, 2], [], "SplitVOptions", {"NumSplits": 2}), [constant([1, 3]), constant(1)], *parts)
    bounds = [constant([0, 3, 1, 0]), constant([1, -5, 6, 2]), constant([1, -2, 2, 1])]
    slice_op = O("STRIDED_SLICE", [0, 1, 2, 3], [], "StridedSliceOptions", {"BeginMask": 1, "EndMask": 9})
    run(slice_op, bounds, T((1, 2, 3, 3), **q))
    run(O("CONCATENATION", [0, 0], [], "ConcatenationOptions", {"Axis": 2}), [], T((1, 4, 12, 3), **q))
    run(O("CONCATENATION", [0, 0, 0], [], "ConcatenationOptions", {"Axis": -1}), [], T((1, 4, 6, 9), **q))
    run(O("PACK", [0, 0], [], "PackOptions", {"Axis": 1, "ValuesCount": 2}), [], T((1, 2, 4, 6, 3), **q))
    rows = [T((1, 6, 3), **q) for _ in range(4)]
    run(O("UNPACK", [0], [], "UnpackOptions", {"Axis": 1, "Num": 4}), [], *rows)


@pytest.mark.parametrize("size", [(8, 12), (3, 5), (7, 6)])
@pytest.mark.parametrize("mode", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}])
def test_resize_nearest(size: tuple[int, int], mode: dict[str, bool]) -> None:
    x, y = T((1, 4, 6, 3), scale=0.1), T((1, *size, 3), scale=0.1)
    op = O("RESIZE_NEAREST_NEIGHBOR", [0, 1], [2], "ResizeNearestNeighborOptions", mode)
    check([x, constant(size), y], [op], [0], [2], runs=1)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_arg_max(dtype: str) -> None:
    x = T((3, 5, 4), dtype, **({"scale": 0.1} if dtype == "int8" else {}))
    op = O("ARG_MAX", [0, 1], [2], "ArgMaxOptions", {"OutputType": 2})
    for axis, out in ((2, (3, 5)), (1, (3, 4))):
        check([x, constant(axis), T(out, "int32")], [op], [0], [2])


def test_float_layers() -> None:
    rng = np.random.default_rng(3)
    g = {"h": 9, "w": 8, "kh": 3, "kw": 2, "sh": 2, "sw": 1, "same": True}
    oh, ow = out_size(g)
    x, y = T((2, 9, 8, 5), "float32"), T((2, oh, ow, 7), "float32")
    w, bias = constant(rng.normal(size=(7, 3, 2, 5)), "float32"), constant(rng.normal(size=7), "float32")
    options = conv_options(g, "RELU6")
    check([x, w, bias, y], [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", options)], [0], [3], tolerance=1e-5)
    w, bias = constant(rng.normal(size=(1, 3, 2, 10)), "float32"), constant(rng.normal(size=10), "float32")
    y = T((2, oh, ow, 10), "float32")
    options = {**conv_options(g, "RELU"), "DepthMultiplier": 2}
    op = O("DEPTHWISE_CONV_2D", [0, 1, 2], [3], "DepthwiseConv2DOptions", options)
    check([x, w, bias, y], [op], [0], [3], tolerance=1e-5)
    x, y = T((3, 13), "float32"), T((3, 6), "float32")
    w, bias = constant(rng.normal(size=(6, 13)), "float32"), constant(rng.normal(size=6), "float32")
    op = O("FULLY_CONNECTED", [0, 1, 2], [3], "FullyConnectedOptions", {"FusedActivationFunction": 0})
    check([x, w, bias, y], [op], [0], [3], tolerance=1e-5)
    op.inputs = [0, 1, -1]
    check([x, w, bias, y], [op], [0], [3], tolerance=1e-5)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SOFTMAX", ("SoftmaxOptions", {"Beta": 1.0})),
        ("LOGISTIC", ()),
        ("TANH", ()),
        ("RELU", ()),
        ("RELU6", ()),
        ("HARD_SWISH", ()),
        ("LEAKY_RELU", ("LeakyReluOptions", {"Alpha": 0.1})),
        ("AVERAGE_POOL_2D", ("Pool2DOptions", {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2})),
        ("MAX_POOL_2D", ("Pool2DOptions", {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2})),
    ],
)
def test_float_functions(kind: str, options: tuple) -> None:
    x, y = T((1, 6, 5, 4), "float32"), T((1, 6, 5, 4), "float32")
    check([x, y], [O(kind, [0], [1], *options)], [0], [1], tolerance=1e-6)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_float_binary(kind: str) -> None:
    a, b, y = T((2, 1, 4, 3), "float32"), T((5, 1, 3), "float32"), T((2, 5, 4, 3), "float32")
    op = O(kind, [0, 1], [2], f"{kind.title()}Options", {"FusedActivationFunction": 1})
    check([a, b, y], [op], [0, 1], [2], tolerance=1e-6)


def test_float_mean() -> None:
    x, y = T((2, 5, 3, 7), "float32"), T((2, 7), "float32")
    op = O("MEAN", [0, 1], [2], "ReducerOptions", {"KeepDims": False})
    check([x, constant((1, 2)), y], [op], [0], [2], tolerance=1e-6)


def test_outputs_share_memory_only_where_legal() -> None:
    """x + x and its later uses: in-place outputs must not destroy what is still read."""
    q = {"scale": 0.1, "zero": 3}
    t = [T((1, 8), **q) for _ in range(6)]
    add = ("AddOptions", {"FusedActivationFunction": 0})
    ops = [
        O("ADD", [0, 0], [1], *add),
        O("ADD", [1, 0], [2], *add),
        O("RESHAPE", [2], [3]),
        O("ADD", [3, 1], [4], *add),
        O("ADD", [4, 2], [5], *add),
    ]
    check(t, ops, [0], [5, 3])
