"""Graphs made smaller: channels that always hold one value are left out, for many of a trained network are dead.

From a convolution, the value is followed through depthwise convolutions, pooling and reshaping to the convolution or
dense layer that sums it up; there it becomes part of the bias, and everything that computed it is cut from the weights.
Outputs stay the same bit for bit. Channels are left out in fours, the unit the kernels work in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import activation_range, padding, scale
from emulab.firmware.codegen.graph import DType, Op, Quantisation, Subgraph, Tensor
from emulab.firmware.codegen.ops.channels import bias_values, constant_outputs, convolution_multipliers
from emulab.firmware.codegen.options import ConvOptions, PoolOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D")
UNIT = 4


def prune_constant_channels(graph: Subgraph) -> Subgraph:
    """The same function with fewer channels; `graph` itself where nothing can be left out."""
    work = _Work(list(graph.tensors), list(graph.ops), graph.outputs)
    for index in range(len(work.ops)):
        if work.ops[index].kind == "CONV_2D" and _prunable(work, work.ops[index]):
            _prune_from(work, index)
    if len(work.tensors) == len(graph.tensors):
        return graph
    return replace(graph, tensors=tuple(work.tensors), ops=tuple(work.ops))


def widen_half_constants(graph: Subgraph) -> Subgraph:
    """Weights kept in half precision as floats: each DEQUANTIZE of such a constant becomes a constant."""
    import numpy as np

    tensors = list(graph.tensors)
    ops: list[Op] = []
    for op in graph.ops:
        x = tensors[op.inputs[0]] if op.kind == "DEQUANTIZE" and op.inputs and op.inputs[0] is not None else None
        if x is None or x.dtype is not DType.FLOAT16 or not x.is_constant or len(op.outputs) != 1:
            ops.append(replace(op, index=len(ops)))
            continue
        y = tensors[op.outputs[0]]
        if y.dtype is not DType.FLOAT32 or y.shape != x.shape or y.index in graph.outputs:
            raise InputError(f"{graph.describe(op)}: cannot give {y.dtype.name} {list(y.shape)} from {list(x.shape)}")
        tensors[y.index] = replace(y, data=x.array().astype(np.float32).tobytes())
    if len(ops) == len(graph.ops):
        return graph
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


@dataclass
class _Work:
    """Tensors and operators as they are rewritten."""

    tensors: list[Tensor]
    ops: list[Op]
    outputs: tuple[int, ...]

    def inputs(self, op: Op) -> list[Tensor]:
        return [self.tensors[i] for i in op.inputs if i is not None]

    def output(self, op: Op) -> Tensor:
        return self.tensors[op.outputs[0]]

    def only_consumer(self, tensor: int) -> int | None:
        """Index of the one operator that reads a tensor; None if there are more or it leaves the graph."""
        users = [k for k, op in enumerate(self.ops) if tensor in op.inputs]
        return users[0] if len(users) == 1 and tensor not in self.outputs else None

    def substitute(self, index: int, position: int, tensor: Tensor) -> None:
        """Give an operator a constant of its own at an input position."""
        op = self.ops[index]
        self.tensors.append(replace(tensor, index=len(self.tensors)))
        inputs = list(op.inputs)
        inputs[position] = len(self.tensors) - 1
        self.ops[index] = replace(op, inputs=tuple(inputs))


def _prunable(work: _Work, op: Op) -> bool:
    """An int8 layer with constant weights and a bias, of one group (or, depthwise, of multiplier 1)."""
    if len(op.inputs) != 3 or None in op.inputs or len(op.outputs) != 1:
        return False
    x, w, bias = work.inputs(op)
    y = work.output(op)
    if not (w.is_constant and bias.is_constant and bias.dtype is DType.INT32):
        return False
    if any(t.dtype is not DType.INT8 or t.quantisation is None for t in (x, w, y)):
        return False
    if op.kind == "FULLY_CONNECTED":
        return len(w.shape) == 2 and 0 not in w.shape
    if not all(len(t.shape) == 4 and 0 not in t.shape for t in (x, w, y)):
        return False
    same = x.shape[3] == (w.shape[3] if op.kind == "CONV_2D" else y.shape[3])
    return same and bias.elements == y.shape[3] == w.shape[0 if op.kind == "CONV_2D" else 3]


def _is_padded(op: Op, x: Tensor, w: Tensor) -> bool:
    o = op.options
    assert isinstance(o, ConvOptions)
    for size, kernel, stride, dilation in (
        (x.shape[1], w.shape[1], o.stride_h, o.dilation_h),
        (x.shape[2], w.shape[2], o.stride_w, o.dilation_w),
    ):
        before, out = padding(o.same_padding, size, kernel, stride, dilation)
        if before or (out - 1) * stride + (kernel - 1) * dilation + 1 > size:
            return True
    return False


def _constant_channels(work: _Work, op: Op) -> dict[int, int]:
    x, w, bias = work.inputs(op)
    y = work.output(op)
    o = op.options
    assert isinstance(o, ConvOptions)
    channels = y.shape[3]
    return constant_outputs(
        w.array().reshape(channels, -1),
        bias_values(bias, channels),
        convolution_multipliers(x, w, y, channels, 0),
        x.zero_point,
        y.zero_point,
        activation_range(o.activation, y),
    )


def _through_depthwise(work: _Work, op: Op, known: dict[int, int]) -> dict[int, int]:
    """Outputs of the channels whose input is known: of one that is not the zero point, only without padding."""
    x, w, bias = work.inputs(op)
    y = work.output(op)
    o = op.options
    assert isinstance(o, ConvOptions)
    channels, padded = y.shape[3], _is_padded(op, x, w)
    multipliers, biases = convolution_multipliers(x, w, y, channels, 3), bias_values(bias, channels)
    sums = w.array().reshape(-1, channels).astype("int64").sum(axis=0)
    low, high = activation_range(o.activation, y)
    result = {}
    for c, value in known.items():
        if value == x.zero_point or not padded:
            total = biases[c] + (value - x.zero_point) * int(sums[c])
            m = multipliers[c]
            if abs(total) < 2**31 >> max(m.shift, 0):
                result[c] = min(max(scale(total, m) + y.zero_point, low), high)
    return result


def _prune_from(work: _Work, start: int) -> None:
    """Follow the constant channels of one convolution to where they are summed, and cut them if that is possible."""
    known = _constant_channels(work, work.ops[start])
    path, at = [start], start
    while known:
        consumer = work.only_consumer(work.ops[at].outputs[0])
        if consumer is None:
            return
        op, x = work.ops[consumer], work.output(work.ops[at])
        if op.kind == "DEPTHWISE_CONV_2D" and _prunable(work, op):
            known = _through_depthwise(work, op, known)
        elif op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and x.dtype is DType.INT8 and len(x.shape) == 4:
            assert isinstance(op.options, PoolOptions)
            low, high = activation_range(op.options.activation, work.output(op))
            known = {c: min(max(v, low), high) for c, v in known.items()}
        elif op.kind == "RESHAPE" and x.elements == x.shape[-1] == work.output(op).shape[-1]:
            pass
        elif op.kind in ("CONV_2D", "FULLY_CONNECTED") and _prunable(work, op):
            _cut(work, path, consumer, known)
            return
        else:
            return
        path.append(consumer)
        at = consumer


def _cut(work: _Work, path: list[int], end: int, known: dict[int, int]) -> None:
    """Remove the channels `known` along `path`, and fold their values into the bias of operator `end`."""
    last = work.ops[end]
    x, w, bias = work.inputs(last)
    if w.shape[-1] != x.shape[-1]:
        return
    if last.kind == "CONV_2D" and _is_padded(last, x, w):
        known = {c: v for c, v in known.items() if v == x.zero_point}
    channels = w.shape[-1]
    live = channels - len(known)
    count = channels - max(-(-live // UNIT) * UNIT, UNIT)
    if count <= 0:
        return
    dead = sorted(known)[:count]
    kept = [c for c in range(channels) if c not in set(dead)]
    weights = w.array().reshape(-1, *([1] * (4 - len(w.shape))), *w.shape[1:]).astype("int64")
    folded = bias.array().astype("int64")
    zero = w.quantisation.zero_points[0] if w.quantisation else 0
    for c in dead:
        folded = folded + (known[c] - x.zero_point) * (weights[..., c] - zero).reshape(len(folded), -1).sum(axis=1)
    if abs(folded).max() >= 2**31:
        return

    def take(axis: int) -> Callable[[NDArray[np.generic]], NDArray[np.generic]]:
        return lambda a: a.take(kept, axis=axis)

    work.substitute(end, 1, _constant(w, take(len(w.shape) - 1), len(w.shape) - 1, kept))
    work.substitute(end, 2, replace(bias, data=folded.astype("int32").tobytes()))
    for index in path:
        op = work.ops[index]
        if op.kind in WINDOW_KINDS:
            axis = 0 if op.kind == "CONV_2D" else 3
            _, w, bias = work.inputs(op)
            work.substitute(index, 1, _constant(w, take(axis), axis, kept))
            work.substitute(index, 2, _constant(bias, lambda b: b.reshape(-1).take(kept), 0, kept))
        y = work.output(op)
        work.tensors[y.index] = replace(y, shape=(*y.shape[:-1], len(kept)))


def _constant(
    tensor: Tensor, pick: Callable[[NDArray[np.generic]], NDArray[np.generic]], axis: int, kept: list[int]
) -> Tensor:
    """A constant with some slices along `axis` left out, and its per-channel quantisation with it."""
    values = pick(tensor.array())
    q = tensor.quantisation
    if q is not None and q.per_channel and q.axis == axis:
        q = Quantisation(tuple(q.scales[c] for c in kept), tuple(q.zero_points[c] for c in kept), axis)
    return replace(tensor, shape=tuple(values.shape), data=values.tobytes(), quantisation=q)
