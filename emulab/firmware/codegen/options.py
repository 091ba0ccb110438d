"""Typed options of each operator, read from the model's flatbuffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


@dataclass(frozen=True)
class Options:
    """An operator without options."""


@dataclass(frozen=True)
class ActivationOptions(Options):
    """ADD, SUB, MUL, CONCATENATION: the fused activation."""

    activation: str = "NONE"
    axis: int = 0


@dataclass(frozen=True)
class ConvOptions(Options):
    """CONV_2D and DEPTHWISE_CONV_2D."""

    same_padding: bool
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    activation: str
    depth_multiplier: int = 0


@dataclass(frozen=True)
class PoolOptions(Options):
    """AVERAGE_POOL_2D and MAX_POOL_2D."""

    same_padding: bool
    stride_h: int
    stride_w: int
    filter_h: int
    filter_w: int
    activation: str


@dataclass(frozen=True)
class FullyConnectedOptions(Options):
    """FULLY_CONNECTED; `shuffled` marks a weights format nobody but the x86 runtime reads."""

    activation: str
    keep_num_dims: bool
    shuffled: bool


@dataclass(frozen=True)
class SoftmaxOptions(Options):
    """SOFTMAX."""

    beta: float


@dataclass(frozen=True)
class ReduceOptions(Options):
    """MEAN and the other reductions."""

    keep_dims: bool


@dataclass(frozen=True)
class StridedSliceOptions(Options):
    """STRIDED_SLICE bit masks."""

    begin_mask: int
    end_mask: int
    ellipsis_mask: int
    new_axis_mask: int
    shrink_axis_mask: int
    offset: bool


@dataclass(frozen=True)
class SplitOptions(Options):
    """SPLIT and SPLIT_V."""

    num_splits: int


@dataclass(frozen=True)
class ResizeOptions(Options):
    """RESIZE_NEAREST_NEIGHBOR."""

    align_corners: bool
    half_pixel_centers: bool


@dataclass(frozen=True)
class LeakyReluOptions(Options):
    """LEAKY_RELU."""

    alpha: float


@dataclass(frozen=True)
class PackOptions(Options):
    """PACK and UNPACK."""

    axis: int
    count: int


@dataclass(frozen=True)
class BatchMatMulOptions(Options):
    """BATCH_MATMUL."""

    adj_x: bool
    adj_y: bool


@dataclass(frozen=True)
class CallOnceOptions(Options):
    """CALL_ONCE: which subgraph."""

    subgraph: int


@dataclass(frozen=True)
class VarHandleOptions(Options):
    """VAR_HANDLE: the variable's name; equal names share one variable."""

    container: str
    shared_name: str


def _activation(table: Any) -> str:
    code = int(table.FusedActivationFunction())
    if not 0 <= code < len(ACTIVATIONS):
        raise ValueError(f"unknown activation {code}")
    return ACTIVATIONS[code]


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def _conv(t: Any) -> Options:
    return ConvOptions(
        t.Padding() == 0, t.StrideH(), t.StrideW(), t.DilationHFactor(), t.DilationWFactor(), _activation(t)
    )


def _depthwise(t: Any) -> Options:
    return ConvOptions(
        t.Padding() == 0,
        t.StrideH(),
        t.StrideW(),
        t.DilationHFactor(),
        t.DilationWFactor(),
        _activation(t),
        t.DepthMultiplier(),
    )


def _pool(t: Any) -> Options:
    return PoolOptions(t.Padding() == 0, t.StrideH(), t.StrideW(), t.FilterHeight(), t.FilterWidth(), _activation(t))


def _strided_slice(t: Any) -> Options:
    return StridedSliceOptions(
        t.BeginMask(), t.EndMask(), t.EllipsisMask(), t.NewAxisMask(), t.ShrinkAxisMask(), bool(t.Offset())
    )


# operator kind -> (class in the tflite package, reader). A kind that is absent has no options worth reading.
READERS: dict[str, tuple[str, Any]] = {
    "CONV_2D": ("Conv2DOptions", _conv),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _depthwise),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _pool),
    "MAX_POOL_2D": ("Pool2DOptions", _pool),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        lambda t: FullyConnectedOptions(_activation(t), bool(t.KeepNumDims()), t.WeightsFormat() != 0),
    ),
    "SOFTMAX": ("SoftmaxOptions", lambda t: SoftmaxOptions(float(t.Beta()))),
    "ADD": ("AddOptions", lambda t: ActivationOptions(_activation(t))),
    "SUB": ("SubOptions", lambda t: ActivationOptions(_activation(t))),
    "MUL": ("MulOptions", lambda t: ActivationOptions(_activation(t))),
    "CONCATENATION": ("ConcatenationOptions", lambda t: ActivationOptions(_activation(t), int(t.Axis()))),
    "MEAN": ("ReducerOptions", lambda t: ReduceOptions(bool(t.KeepDims()))),
    "SUM": ("ReducerOptions", lambda t: ReduceOptions(bool(t.KeepDims()))),
    "REDUCE_MAX": ("ReducerOptions", lambda t: ReduceOptions(bool(t.KeepDims()))),
    "STRIDED_SLICE": ("StridedSliceOptions", _strided_slice),
    "SPLIT": ("SplitOptions", lambda t: SplitOptions(int(t.NumSplits()))),
    "SPLIT_V": ("SplitVOptions", lambda t: SplitOptions(int(t.NumSplits()))),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        lambda t: ResizeOptions(bool(t.AlignCorners()), bool(t.HalfPixelCenters())),
    ),
    "LEAKY_RELU": ("LeakyReluOptions", lambda t: LeakyReluOptions(float(t.Alpha()))),
    "PACK": ("PackOptions", lambda t: PackOptions(int(t.Axis()), int(t.ValuesCount()))),
    "UNPACK": ("UnpackOptions", lambda t: PackOptions(int(t.Axis()), int(t.Num()))),
    "BATCH_MATMUL": ("BatchMatMulOptions", lambda t: BatchMatMulOptions(bool(t.AdjX()), bool(t.AdjY()))),
    "CALL_ONCE": ("CallOnceOptions", lambda t: CallOnceOptions(int(t.InitSubgraphIndex()))),
    "VAR_HANDLE": ("VarHandleOptions", lambda t: VarHandleOptions(_text(t.Container()), _text(t.SharedName()))),
}
