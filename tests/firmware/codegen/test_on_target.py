"""The kernels as a board runs them, assembly included, equal the reference interpreter bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import Reference
from codegen_target import TargetModel
from networks import network
from tflite_builder import O, T, build_model

from emulab.firmware.codegen import KernelTarget
from emulab.firmware.codegen.fixed_point import padding

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")
pytest.importorskip("ziglang", reason="the compiler is missing: pip install ziglang")

TARGETS = [KernelTarget.ARM_DSP, KernelTarget.RV32IM]


def compare(model: bytes, folder: Path, target: KernelTarget, runs: int) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "model.tflite"
    path.write_bytes(model)
    core, reference = TargetModel(path, target, folder), Reference(model)
    rng = np.random.default_rng(11)
    for _ in range(runs):
        x = rng.integers(-128, 128, core.generated.input.shape, np.int8)
        np.testing.assert_array_equal(core(x), reference(x)[0])


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.value)
@pytest.mark.parametrize(
    "name", ["kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8", "str_ww_ref_model"]
)
def test_reference_models(mlperf_tiny: Path, tmp_path: Path, name: str, target: KernelTarget) -> None:
    compare((mlperf_tiny / "models" / f"{name}.tflite").read_bytes(), tmp_path, target, 20)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.value)
@pytest.mark.parametrize("seed", range(4))
def test_networks_of_random_shapes(tmp_path: Path, seed: int, target: KernelTarget) -> None:
    compare(network(seed), tmp_path, target, 5)


def layer(
    seed: int,
    kind: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    channels: tuple[int, int],
    relu: bool,
    same: bool = True,
    per_tensor: bool = False,
) -> bytes:
    """One convolution with random weights; accumulators reach both ends of the output range."""
    rng = np.random.default_rng(seed)
    in_c, out_c = channels
    oh = padding(same, size[0], kernel[0], stride, 1)[1]
    ow = padding(same, size[1], kernel[1], stride, 1)[1]
    x = T((1, *size, in_c), scale=0.05, zero=int(rng.integers(-128, 128)))
    shape = (out_c, *kernel, in_c) if kind == "CONV_2D" else (1, *kernel, out_c)
    w_scales = (0.01 * 2.0 ** rng.uniform(-3, 1, 1 if per_tensor else out_c)).astype(np.float32)
    w = T(
        shape, scale=w_scales, axis=0 if kind == "CONV_2D" else 3, data=rng.integers(-127, 128, shape).astype(np.int8)
    )
    bias = T((out_c,), "int32", data=rng.integers(-20000, 20000, out_c).astype(np.int32))
    y = T((1, oh, ow, out_c), scale=0.15, zero=-128 if relu else 9)
    options = {
        "Padding": 0 if same else 1,
        "StrideH": stride,
        "StrideW": stride,
        "DilationHFactor": 1,
        "DilationWFactor": 1,
        "FusedActivationFunction": 3 if relu else 0,
    }
    if kind != "CONV_2D":
        options["DepthMultiplier"] = 1
    name = "Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions"
    return build_model([x, w, bias, y], [O(kind, [0, 1, 2], [3], name, options)], [0], [3])


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "channels"),
    [
        ((5, 5), (1, 1), 1, (8, 8)),
        ((3, 3), (1, 1), 1, (12, 4)),  # 3 steps: enters the unrolled loop in the middle
        ((4, 5), (1, 1), 2, (20, 8)),
        ((7, 6), (3, 3), 1, (4, 8)),
        ((7, 6), (3, 3), 2, (3, 8)),
        ((9, 9), (5, 2), 1, (1, 6)),  # gathered windows, channels that are no multiple of 4
        ((1, 1), (1, 1), 1, (64, 5)),
        ((6, 6), (3, 3), 1, (40, 64)),  # several chunks
    ],
)
def test_convolutions(tmp_path: Path, size, kernel, stride, channels, relu: bool) -> None:
    compare(layer(5, "CONV_2D", size, kernel, stride, channels, relu), tmp_path, KernelTarget.ARM_DSP, 4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 4), (6, 7), (48, 48)])
def test_depthwise(tmp_path: Path, size: tuple[int, int], stride: int) -> None:
    model = layer(6, "DEPTHWISE_CONV_2D", size, (3, 3), stride, (8, 8), True)
    compare(model, tmp_path, KernelTarget.ARM_DSP, 4)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.value)
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_one_scale_for_all_channels(tmp_path: Path, kind: str, target: KernelTarget) -> None:
    """Weights as converters before 2019, or told so, quantise them."""
    compare(layer(9, kind, (6, 5), (3, 3), 1, (8, 8), False, per_tensor=True), tmp_path, target, 4)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    ("size", "kernel", "same", "channels"),
    [
        ((30, 1), (3, 1), False, 40),
        ((15, 1), (10, 1), False, 8),
        ((9, 1), (5, 1), True, 4),
        ((7, 3), (4, 1), True, 4),  # three lines
        ((2, 12), (1, 6), True, 8),  # along the rows
        ((5, 4), (1, 1), True, 4),
        ((1, 17), (1, 14), False, 4),  # four outputs, more taps than a turn of the loop
    ],
)
def test_depthwise_along_one_dimension(tmp_path: Path, size, kernel, same: bool, channels: int, relu: bool) -> None:
    model = layer(7, "DEPTHWISE_CONV_2D", size, kernel, 1, (channels, channels), relu, same)
    compare(model, tmp_path, KernelTarget.ARM_DSP, 4)


def test_channels_without_a_usable_scale(tmp_path: Path) -> None:
    """Their output is constant; the others keep the fast requantisation."""
    rng = np.random.default_rng(12)
    w = np.zeros((8, 3, 3, 5), np.int8)
    w[1::2] = rng.integers(-127, 128, (4, 3, 3, 5))
    scales = np.full(8, 0.01, np.float32)
    scales[::2] = [1e-9, 4.0, 1e-12, 30.0]
    bias = np.array([900, -7, 0, 1, -5000, 3, 77, 50], np.int32)
    x, y = T((1, 5, 4, 5), scale=0.05, zero=-9), T((1, 5, 4, 8), scale=0.15, zero=3)
    weights = T((8, 3, 3, 5), scale=scales, axis=0, data=w)
    window = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    ops = [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", window | {"FusedActivationFunction": 0})]
    model = build_model([x, weights, T((8,), "int32", data=bias), y], ops, [0], [3])
    for target in TARGETS:
        compare(model, tmp_path / target.value, target, 4)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.value)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (9, 3), (64, 12), (130, 7)])
def test_dense(tmp_path: Path, inputs: int, outputs: int, per_channel: bool, target: KernelTarget) -> None:
    rng = np.random.default_rng(8)
    x = T((1, inputs), scale=0.05, zero=-3)
    scale = rng.uniform(0.005, 0.02, outputs).astype(np.float32) if per_channel else 0.01
    values = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    w = T((outputs, inputs), scale=scale, axis=0, data=values)
    bias = T((outputs,), "int32", data=rng.integers(-9000, 9000, outputs).astype(np.int32))
    y = T((1, outputs), scale=0.1, zero=4)
    op = O("FULLY_CONNECTED", [0, 1, 2], [3], "FullyConnectedOptions", {"FusedActivationFunction": 0})
    compare(build_model([x, w, bias, y], [op], [0], [3]), tmp_path, target, 10)


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.3])
def test_addition(tmp_path: Path, scale: float) -> None:
    x, y, z = T((1, 501), scale=0.05, zero=-3), T((1, 501), scale=scale, zero=7), T((1, 501), scale=0.2, zero=1)
    relu = O("RELU", [0], [1])
    add = O("ADD", [0, 1], [2], "AddOptions", {"FusedActivationFunction": 1})
    compare(build_model([x, y, z], [relu, add], [0], [2]), tmp_path, KernelTarget.ARM_DSP, 10)
