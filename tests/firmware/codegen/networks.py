"""Little random networks that pass through most kernels: odd sizes, strides, channel counts, saturation."""

from __future__ import annotations

import numpy as np
from tflite_builder import O, T, build_model

from emulab.firmware.codegen.fixed_point import padding

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "ADD", "LOGISTIC", "MUL", "CONV_2D", "AVERAGE_POOL_2D")


class _Network:
    def __init__(self, seed: int, dtype: str = "int8") -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.tensors: list[T] = []
        self.ops: list[O] = []

    def activation(self, shape: tuple[int, ...], scale: float, zero: int | None = None) -> int:
        if self.dtype == "int16":
            zero = 0
        elif zero is None:
            zero = int(self.rng.integers(-128, 100))
        self.tensors.append(T(shape, self.dtype, scale=scale, zero=zero))
        return len(self.tensors) - 1

    def weights(self, x: int, shape: tuple[int, ...], channels: int, axis: int, taps: int) -> list[int]:
        """Weights and bias; scales so that sums of `taps` random products fill the output range."""
        spread = (2.0 ** self.rng.uniform(-2, 1, channels) / np.sqrt(taps)).astype(np.float32)
        scales = (spread * np.float32(0.01)).astype(np.float32)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.tensors.append(T(shape, "int8", scale=scales, axis=axis, data=values))
        bias = self.rng.integers(-9000, 9000, channels)
        kind = "int64" if self.dtype == "int16" else "int32"
        bias_scales = np.float32(np.asarray(self.tensors[x].scale)) * scales
        self.tensors.append(T((channels,), kind, scale=bias_scales, data=bias.astype(kind)))
        return [len(self.tensors) - 2, len(self.tensors) - 1]

    def window(self, kind: str, x: int) -> int:
        n, h, w, c = self.tensors[x].shape
        depthwise, pool = kind == "DEPTHWISE_CONV_2D", kind.endswith("POOL_2D")
        out_c = c if depthwise or pool else int(self.rng.integers(1, 40))
        kh, kw = (int(v) for v in self.rng.integers(1, 4, 2))
        stride = int(self.rng.integers(1, 3))
        same = bool(self.rng.integers(0, 2)) or kh > h or kw > w
        shape = (n, padding(same, h, kh, stride, 1)[1], padding(same, w, kw, stride, 1)[1], out_c)
        options = {"Padding": 0 if same else 1, "StrideH": stride, "StrideW": stride}
        options["FusedActivationFunction"] = int(self.rng.choice([0, 1, 3]))
        if pool:
            source = self.tensors[x]
            y = self.activation(shape, float(np.asarray(source.scale)), int(np.asarray(source.zero)))
            self.ops.append(O(kind, [x], [y], "Pool2DOptions", options | {"FilterHeight": kh, "FilterWidth": kw}))
            return y
        weight_shape = (1, kh, kw, c) if depthwise else (out_c, kh, kw, c)
        taps = kh * kw * (1 if depthwise else c)
        parts = self.weights(x, weight_shape, out_c, 3 if depthwise else 0, taps)
        y = self.activation(shape, 0.05 if self.dtype == "int8" else 0.0005)
        options |= {"DilationHFactor": 1, "DilationWFactor": 1}
        if depthwise:
            options["DepthMultiplier"] = 1
        self.ops.append(O(kind, [x, *parts], [y], f"{'Depthwise' if depthwise else ''}Conv2DOptions", options))
        return y

    def layer(self, kind: str, x: int, scale: float) -> int:
        t = self.tensors[x]
        if kind in ("ADD", "MUL"):
            y = self.activation(tuple(t.shape), float(np.asarray(t.scale)) * (2.1 if kind == "ADD" else 1))
            self.ops.append(O(kind, [x, x], [y], f"{kind.title()}Options", {"FusedActivationFunction": 1}))
            return y
        if kind == "LOGISTIC":
            int8 = self.dtype == "int8"
            y = self.activation(tuple(t.shape), 1 / 256 if int8 else 1 / 32768, -128)
            self.ops.append(O(kind, [x], [y]))
            return y
        return self.window(kind, x)


def network(seed: int, dtype: str = "int8") -> bytes:
    """A model with one input and one output of 1 to 40 values."""
    tensors, ops, first, last = parts(seed, dtype)
    return build_model(tensors, ops, [first], [last])


def parts(seed: int, dtype: str = "int8") -> tuple[list[T], list[O], int, int]:
    """Tensors and operators of `network`, and the positions of its input and output."""
    n = _Network(seed, dtype)
    rng = n.rng
    scale = 0.05 if dtype == "int8" else 0.0005
    shape = (1, int(rng.integers(5, 14)), int(rng.integers(5, 14)), int(rng.integers(1, 24)))
    x = first = n.activation(shape, scale)
    for kind in KINDS:
        x = n.layer(kind, x, scale)
    flat = int(np.prod(n.tensors[x].shape))
    out = int(rng.integers(1, 41))
    parts = n.weights(x, (out, flat), 1, 0, flat)
    n.tensors[-1].shape = (out,)
    n.tensors[-1].data = np.resize(n.tensors[-1].data, out)
    y = n.activation((1, out), scale)
    n.ops.append(O("FULLY_CONNECTED", [x, *parts], [y], "FullyConnectedOptions", {"FusedActivationFunction": 0}))
    return n.tensors, n.ops, first, y
