"""Typed options of each operator, read from the model's flatbuffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


@dataclass(frozen=True)
class Options:
    """An operator without options."""


@dataclass(frozen=True)
class ActivationOptions(Options):
    """ADD, SUB, MUL, DIV, CONCATENATION: the fused activation."""

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
class TransposeConvOptions(Options):
    """TRANSPOSE_CONV."""

    same_padding: bool
    stride_h: int
    stride_w: int
    activation: str


@dataclass(frozen=True)
class MatMulOptions(Options):
    """BATCH_MATMUL: which operands have their last two dimensions exchanged."""

    left_transposed: bool
    right_transposed: bool


@dataclass(frozen=True)
class CumsumOptions(Options):
    """CUMSUM."""

    exclusive: bool
    reverse: bool


@dataclass(frozen=True)
class LstmOptions(Options):
    """UNIDIRECTIONAL_SEQUENCE_LSTM; a clip of 0 is none."""

    activation: str
    cell_clip: float
    time_major: bool


@dataclass(frozen=True)
class SvdfOptions(Options):
    """SVDF."""

    activation: str
    rank: int


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
    """RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

    align_corners: bool
    half_pixel_centers: bool


@dataclass(frozen=True)
class LeakyReluOptions(Options):
    """LEAKY_RELU."""

    alpha: float


@dataclass(frozen=True)
class GeluOptions(Options):
    """GELU: by the hyperbolic tangent, or exactly."""

    approximate: bool


@dataclass(frozen=True)
class PackOptions(Options):
    """PACK and UNPACK."""

    axis: int
    count: int


@dataclass(frozen=True)
class BlockOptions(Options):
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

    block_size: int


@dataclass(frozen=True)
class GatherOptions(Options):
    """GATHER."""

    axis: int
    batch_dims: int


@dataclass(frozen=True)
class MirrorPadOptions(Options):
    """MIRROR_PAD: whether the border itself is repeated."""

    symmetric: bool


@dataclass(frozen=True)
class CallOnceOptions(Options):
    """CALL_ONCE: which subgraph."""

    subgraph: int


@dataclass(frozen=True)
class VarHandleOptions(Options):
    """VAR_HANDLE: the variable's name; equal names share one variable."""

    container: str
    shared_name: str


Getter = str | Callable[[Any], object]
"""How a field is read: the accessor's name in the flatbuffer's class, or a function of the table."""


def _activation(table: Any) -> str:
    code = int(table.FusedActivationFunction())
    if not 0 <= code < len(ACTIVATIONS):
        raise ValueError(f"unknown activation {code}")
    return ACTIVATIONS[code]


def _same_padding(table: Any) -> bool:
    return bool(table.Padding() == 0)


def _flag(accessor: str) -> Callable[[Any], bool]:
    return lambda table: bool(getattr(table, accessor)())


def _text(accessor: str) -> Callable[[Any], str]:
    return lambda table: (getattr(table, accessor)() or b"").decode("utf-8", "replace")


def _reader(kind: type[Options], fields: Mapping[str, Getter]) -> Callable[[Any], Options]:
    """Reads a flatbuffer table into `kind`, field by field."""

    def read(table: Any) -> Options:
        values = {
            name: getattr(table, getter)() if isinstance(getter, str) else getter(table)
            for name, getter in fields.items()
        }
        return kind(**values)

    return read


_ACTIVATION: dict[str, Getter] = {"activation": _activation}
_WINDOW: dict[str, Getter] = {
    "same_padding": _same_padding,
    "stride_h": "StrideH",
    "stride_w": "StrideW",
    **_ACTIVATION,
}
_CONV: dict[str, Getter] = {**_WINDOW, "dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor"}
_POOL = _reader(PoolOptions, {**_WINDOW, "filter_h": "FilterHeight", "filter_w": "FilterWidth"})

_RESIZE = _reader(
    ResizeOptions, {"align_corners": _flag("AlignCorners"), "half_pixel_centers": _flag("HalfPixelCenters")}
)

# operator kind -> (class in the tflite package, reader). A kind that is absent has no options worth reading.
READERS: dict[str, tuple[str, Callable[[Any], Options]]] = {
    "CONV_2D": ("Conv2DOptions", _reader(ConvOptions, _CONV)),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        _reader(ConvOptions, {**_CONV, "depth_multiplier": "DepthMultiplier"}),
    ),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _reader(TransposeConvOptions, _WINDOW)),
    "BATCH_MATMUL": (
        "BatchMatMulOptions",
        _reader(MatMulOptions, {"left_transposed": _flag("AdjX"), "right_transposed": _flag("AdjY")}),
    ),
    "CUMSUM": (
        "CumsumOptions",
        _reader(CumsumOptions, {"exclusive": _flag("Exclusive"), "reverse": _flag("Reverse")}),
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        "UnidirectionalSequenceLSTMOptions",
        _reader(LstmOptions, {**_ACTIVATION, "cell_clip": "CellClip", "time_major": _flag("TimeMajor")}),
    ),
    "SVDF": ("SVDFOptions", _reader(SvdfOptions, {**_ACTIVATION, "rank": "Rank"})),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        _reader(
            FullyConnectedOptions,
            {**_ACTIVATION, "keep_num_dims": _flag("KeepNumDims"), "shuffled": _flag("WeightsFormat")},
        ),
    ),
    "SOFTMAX": ("SoftmaxOptions", _reader(SoftmaxOptions, {"beta": "Beta"})),
    "ADD": ("AddOptions", _reader(ActivationOptions, _ACTIVATION)),
    "SUB": ("SubOptions", _reader(ActivationOptions, _ACTIVATION)),
    "DIV": ("DivOptions", _reader(ActivationOptions, _ACTIVATION)),
    "MUL": ("MulOptions", _reader(ActivationOptions, _ACTIVATION)),
    "CONCATENATION": ("ConcatenationOptions", _reader(ActivationOptions, {**_ACTIVATION, "axis": "Axis"})),
    "MEAN": ("ReducerOptions", _reader(ReduceOptions, {"keep_dims": _flag("KeepDims")})),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        _reader(
            StridedSliceOptions,
            {
                "begin_mask": "BeginMask",
                "end_mask": "EndMask",
                "ellipsis_mask": "EllipsisMask",
                "new_axis_mask": "NewAxisMask",
                "shrink_axis_mask": "ShrinkAxisMask",
                "offset": _flag("Offset"),
            },
        ),
    ),
    "SPLIT": ("SplitOptions", _reader(SplitOptions, {"num_splits": "NumSplits"})),
    "SPLIT_V": ("SplitVOptions", _reader(SplitOptions, {"num_splits": "NumSplits"})),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "LEAKY_RELU": ("LeakyReluOptions", _reader(LeakyReluOptions, {"alpha": "Alpha"})),
    "GELU": ("GeluOptions", _reader(GeluOptions, {"approximate": _flag("Approximate")})),
    "PACK": ("PackOptions", _reader(PackOptions, {"axis": "Axis", "count": "ValuesCount"})),
    "UNPACK": ("UnpackOptions", _reader(PackOptions, {"axis": "Axis", "count": "Num"})),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", _reader(BlockOptions, {"block_size": "BlockSize"})),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", _reader(BlockOptions, {"block_size": "BlockSize"})),
    "GATHER": ("GatherOptions", _reader(GatherOptions, {"axis": "Axis", "batch_dims": "BatchDims"})),
    "MIRROR_PAD": ("MirrorPadOptions", _reader(MirrorPadOptions, {"symmetric": _flag("Mode")})),
    "CALL_ONCE": ("CallOnceOptions", _reader(CallOnceOptions, {"subgraph": "InitSubgraphIndex"})),
    "VAR_HANDLE": (
        "VarHandleOptions",
        _reader(VarHandleOptions, {"container": _text("Container"), "shared_name": _text("SharedName")}),
    ),
}
