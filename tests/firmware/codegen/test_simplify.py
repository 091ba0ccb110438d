"""Constant channels are left out, and the outputs stay the reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflite_builder import O, T, build_model

from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


def network(seed: int, *, same: bool, dead_value: int, pooled: bool, used_twice: bool = False) -> bytes:
    """CONV, DEPTHWISE, CONV (or pooling, RESHAPE, dense) where half of the first layer's channels are constant."""
    rng = np.random.default_rng(seed)
    c, classes = 16, 5
    dead = rng.permutation(c)[: c // 2]
    scales = (0.02 * 2.0 ** rng.uniform(-2, 1, c)).astype(np.float32)
    bias = rng.integers(-500, 500, c)
    scales[dead] = 1e-8  # the kind of scale that dead channels train to
    bias[dead] = np.round(dead_value * 0.1 / (0.05 * 1e-8)).astype(np.int64) if dead_value > 0 else -(10**6)
    first = T((c, 1, 1, 3), scale=scales, data=rng.integers(-127, 128, (c, 1, 1, 3)).astype(np.int8))
    tensors = [
        T((1, 6, 6, 3), scale=0.05, zero=-10),
        first,
        T((c,), "int32", data=bias.astype(np.int32)),
        T((1, 6, 6, c), scale=0.1, zero=-128),
        T((1, 3, 3, c), scale=[0.02] * c, axis=3, data=rng.integers(-127, 128, (1, 3, 3, c)).astype(np.int8)),
        T((c,), "int32", data=rng.integers(-900, 900, c).astype(np.int32)),
    ]
    size = 6 if same else 4
    tensors.append(T((1, size, size, c), scale=0.3, zero=-20))
    relu = {**CONV, "FusedActivationFunction": 1, "Padding": 0}
    depthwise = {**CONV, "FusedActivationFunction": 0, "Padding": 0 if same else 1, "DepthMultiplier": 1}
    ops = [
        O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", relu),
        O("DEPTHWISE_CONV_2D", [3, 4, 5], [6], "DepthwiseConv2DOptions", depthwise),
    ]
    dense = rng.integers(-127, 128, (classes, c)).astype(np.int8)
    last_bias = T((classes,), "int32", data=rng.integers(-900, 900, classes).astype(np.int32))
    if pooled:
        pool = {"StrideH": 1, "StrideW": 1, "FilterHeight": size, "FilterWidth": size, "Padding": 1}
        tensors += [T((1, 1, 1, c), scale=0.3, zero=-20), T((1, c), scale=0.3, zero=-20)]
        tensors += [T((classes, c), scale=0.02, data=dense), last_bias, T((1, classes), scale=0.5, zero=3)]
        ops += [
            O("AVERAGE_POOL_2D", [6], [7], "Pool2DOptions", pool),
            O("RESHAPE", [7], [8]),
            O("FULLY_CONNECTED", [8, 9, 10], [11], "FullyConnectedOptions", {}),
        ]
        return build_model(tensors, ops, [0], [11])
    tensors += [T((classes, 1, 1, c), scale=[0.02] * classes, data=dense.reshape(classes, 1, 1, c)), last_bias]
    tensors += [T((1, size, size, classes), scale=0.5, zero=3)]
    ops.append(O("CONV_2D", [6, 7, 8], [9], "Conv2DOptions", {**CONV, "Padding": 0}))
    return build_model(tensors, ops, [0], [9, 6] if used_twice else [9])


def check(model: bytes, folder: Path, *, pruned: bool, outputs: int = 1) -> None:
    path = folder / "model.tflite"
    path.write_bytes(model)
    reference, rng = Reference(model, outputs=outputs), np.random.default_rng(0)
    inputs = [rng.integers(-128, 128, (1, 6, 6, 3), np.int8) for _ in range(3)]
    expected = [[np.array(y) for y in reference(x)] for x in inputs]
    for target in (KernelTarget.PORTABLE, KernelTarget.ARM_DSP):
        host = HostModel(path, target, folder)
        layers = host.generated.layers
        assert (sum(x.executed_macs for x in layers) < host.generated.macs) is pruned
        for x, wanted in zip(inputs, expected, strict=True):
            for y, z in zip(host(x), wanted, strict=True):
                np.testing.assert_array_equal(y, z)
    whole = generate(path, folder / "whole", target=KernelTarget.PORTABLE, prune_constant_channels=False)
    assert sum(x.executed_macs for x in whole.layers) == whole.macs == host.generated.macs


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1000), st.booleans(), st.booleans())
def test_dead_channels_are_left_out(tmp_path: Path, seed: int, same: bool, pooled: bool) -> None:
    check(network(seed, same=same, dead_value=0, pooled=pooled), tmp_path, pruned=True)


def test_other_constants_only_without_padding(tmp_path: Path) -> None:
    """Beside the image is the zero point, so a constant that is not the zero point differs at the border."""
    check(network(1, same=False, dead_value=9, pooled=True), tmp_path, pruned=True)
    check(network(1, same=True, dead_value=9, pooled=True), tmp_path, pruned=False)


def test_channels_that_leave_the_graph_stay(tmp_path: Path) -> None:
    check(network(2, same=True, dead_value=0, pooled=False, used_twice=True), tmp_path, pruned=False, outputs=2)


def test_a_zero_point_beyond_its_type_takes_the_general_requantisation() -> None:
    from emulab.firmware.codegen.fixed_point import Multiplier
    from emulab.firmware.codegen.ops.channels import EXACT, channel_table

    weights, multipliers = np.ones((2, 3), np.int8), [Multiplier(1 << 30, -20)] * 2
    assert channel_table(weights, [0, 0], multipliers, 0, 5, (-128, 127)).mode != EXACT
    for zero in (-108030, 2**31 - 1, -(2**31)):
        assert channel_table(weights, [0, 0], multipliers, 0, zero, (-128, 127)).mode == EXACT
