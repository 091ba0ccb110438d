"""Operators beyond the usual convolutions, in one network each, on emulated cores: equal to the reference interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import Reference
from codegen_target import TargetModel
from tflite_builder import O, T, build_model, constant

from emulab.backends.base import SessionOptions, load_backend
from emulab.dut import DutClient
from emulab.firmware.build import BuildOptions, build
from emulab.firmware.codegen import KernelTarget
from emulab.model.platform import load_platform

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")
pytest.importorskip("ziglang", reason="the compiler is missing: pip install ziglang")

TARGETS = [KernelTarget.ARM_DSP, KernelTarget.RV32IM]


class Chain:
    """Operators one after the other; each call adds one and gives the number of its output."""

    def __init__(self, x: T) -> None:
        self.tensors, self.ops = [x], []

    def __call__(self, kind: str, inputs: list, y: T, options: str = "", **fields: object) -> int:
        places = []
        for given in inputs:
            if isinstance(given, T):
                self.tensors.append(given)
                given = len(self.tensors) - 1
            places.append(-1 if given is None else given)
        self.tensors.append(y)
        self.ops.append(O(kind, places, [len(self.tensors) - 1], options, fields))
        return len(self.tensors) - 1

    def model(self) -> bytes:
        return build_model(self.tensors, self.ops, [0], [len(self.tensors) - 1])


def decoder() -> bytes:
    """An image is taken apart and made larger, as autoencoders and segmentation do."""
    rng = np.random.default_rng(1)
    net = Chain(T((1, 6, 5, 8), scale=0.05, zero=3))
    w = rng.integers(-127, 128, (12, 3, 3, 8)).astype(np.int8)
    bias = rng.integers(-3000, 3000, 12).astype(np.int32)
    scales = (0.01 * 2.0 ** rng.uniform(-2, 0, 12)).astype(np.float32)
    x = net("TRANSPOSE_CONV", [constant((1, 12, 10, 12)), T(w.shape, scale=scales, data=w), 0,
                               T((12,), "int32", scale=0.05 * scales, data=bias)],
            T((1, 12, 10, 12), scale=0.2, zero=-5), "TransposeConvOptions", StrideH=2, StrideW=2)  # fmt: skip
    slopes = T((12,), scale=0.003, zero=-9, data=rng.integers(-128, 128, 12).astype(np.int8))
    x = net("PRELU", [x, slopes], T((1, 12, 10, 12), scale=0.15, zero=-40))
    x = net("MIRROR_PAD", [x, constant([[0, 0], [1, 1], [2, 0], [0, 0]])], T((1, 14, 12, 12), scale=0.15, zero=-40),
            "MirrorPadOptions", Mode=0)  # fmt: skip
    x = net("SPACE_TO_DEPTH", [x], T((1, 7, 6, 48), scale=0.15, zero=-40), "SpaceToDepthOptions", BlockSize=2)
    x = net("SLICE", [x, constant([0, 1, 0, 5]), constant([1, 5, 6, 30])], T((1, 5, 6, 30), scale=0.15, zero=-40))
    x = net("RESIZE_BILINEAR", [x, constant([9, 11])], T((1, 9, 11, 30), scale=0.15, zero=-40),
            "ResizeBilinearOptions", HalfPixelCenters=True)  # fmt: skip
    x = net("SUM", [x, constant([1, 2])], T((1, 30), scale=4.0, zero=-10), "ReducerOptions")
    x = net("ELU", [x], T((1, 30), scale=1.0, zero=-100))
    net("L2_NORMALIZATION", [x], T((1, 30), scale=1 / 128), "L2NormOptions")
    return net.model()


def attention() -> bytes:
    """Products of what was computed, as attention has them."""
    net = Chain(T((1, 10, 24), scale=0.05, zero=-7))
    scores = net("BATCH_MATMUL", [0, 0], T((1, 10, 10), scale=0.3, zero=4), "BatchMatMulOptions", AdjY=True)
    weights = net("SOFTMAX", [scores], T((1, 10, 10), scale=1 / 256, zero=-128), "SoftmaxOptions", Beta=1.0)
    x = net("BATCH_MATMUL", [weights, 0], T((1, 10, 24), scale=0.05, zero=-7), "BatchMatMulOptions")
    x = net("SQUARED_DIFFERENCE", [x, 0], T((1, 10, 24), scale=0.3, zero=-128))
    x = net("REDUCE_MAX", [x, constant([1])], T((1, 24), scale=0.3, zero=-128), "ReducerOptions")
    mean = net("MEAN", [x, constant([1])], T((1, 1), scale=0.3, zero=-128), "ReducerOptions", KeepDims=True)
    net("DIV", [x, mean], T((1, 24), scale=0.02, zero=-100), "DivOptions")
    return net.model()


def memory() -> bytes:
    """An LSTM and an SVDF, which remember."""
    rng = np.random.default_rng(3)
    units, inputs = 7, 5
    net = Chain(T((1, 4, inputs), scale=0.03, zero=11))

    def weights(columns: int) -> T:
        data = rng.integers(-127, 128, (units, columns)).astype(np.int8)
        return T(data.shape, scale=0.008, data=data)

    def bias() -> T:
        return T((units,), "int32", scale=1e-4, data=rng.integers(-5000, 5000, units).astype(np.int32))

    q = {"scale": 1 / 130, "zero": -4}
    hidden, cell = T((1, units), variable=True, **q), T((1, units), "int16", scale=2.0**-11, variable=True)
    given = [0, *(weights(inputs) for _ in range(4)), *(weights(units) for _ in range(4)), None, None, None]
    given += [*(bias() for _ in range(4)), None, None, hidden, cell, None, None, None, None]
    x = net("UNIDIRECTIONAL_SEQUENCE_LSTM", given, T((1, 4, units), **q), "UnidirectionalSequenceLSTMOptions",
            FusedActivationFunction=4)  # fmt: skip
    x = net("RESHAPE", [x], T((1, 4 * units), **q))
    feature = rng.integers(-127, 128, (6, 4 * units)).astype(np.int8)
    over_time = rng.integers(-9000, 9000, (6, 5)).astype(np.int16)
    net("SVDF", [x, T(feature.shape, scale=0.01, data=feature), T(over_time.shape, "int16", scale=4e-5, data=over_time),
                 T((3,), "int32", scale=4e-8, data=rng.integers(-999, 999, 3).astype(np.int32)),
                 T((1, 30), "int16", scale=0.001, variable=True)],
        T((1, 3), scale=0.02, zero=9), "SVDFOptions", Rank=2, FusedActivationFunction=1)  # fmt: skip
    return net.model()


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.value)
@pytest.mark.parametrize("make", [decoder, attention, memory])
def test_on_a_core(tmp_path: Path, make, target: KernelTarget) -> None:
    model = make()
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    core, reference = TargetModel(path, target, tmp_path), Reference(model)
    rng, seen = np.random.default_rng(7), set()
    for _ in range(8):
        x = rng.integers(-128, 128, core.generated.input.shape, np.int8)
        y = core(x)
        np.testing.assert_array_equal(y, reference(x)[0])
        seen.add(y.tobytes())
    assert len(seen) == 8


@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "generic-rv32"])
@pytest.mark.parametrize("make", [decoder, memory])
def test_as_firmware_of_a_board(tmp_path: Path, make, board: str) -> None:
    """Built, booted and asked over its console; a model with state starts anew with each command."""
    model = make()
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    platform = load_platform(board).platform
    built = build(path, platform, options=BuildOptions(model_id="more01"))
    rng = np.random.default_rng(7)
    with load_backend("unicorn").open(platform, built.image, SessionOptions()) as session:
        dut = DutClient(session.console, session.clock, limit_s=60)
        dut.sync()
        for inferences in (1, 1, 3):
            x, reference = rng.integers(-128, 128, built.inputs[0].shape, np.int8), Reference(model)
            dut.load(x.tobytes())
            dut.infer(inferences, 1)
            lines = dut.command("output")
            got = bytes.fromhex("".join(line.removeprefix("m-output-") for line in lines).replace("-", ""))
            wanted = [reference(x)[0] for _ in range(inferences)][-1]
            np.testing.assert_array_equal(np.frombuffer(got, np.int8), wanted.reshape(-1))
