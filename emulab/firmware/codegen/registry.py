"""Which operators are supported, in one table that lowering, messages and `emulab list ops` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulab.firmware.codegen.graph import Op
from emulab.firmware.codegen.lowering import Context, Lowered
from emulab.firmware.codegen.ops import (
    activation,
    binary,
    conv,
    convert,
    elementwise,
    fully_connected,
    matmul,
    movement,
    pooling,
    rearrange,
    recurrent,
    reduce,
    resize,
    shape,
    softmax,
    state,
    transpose_conv,
    unary,
)
from emulab.firmware.codegen.target import KernelTarget


@dataclass(frozen=True)
class SupportedOp:
    """One row of the table: element types it takes, what is particular about it, and how it becomes C."""

    kind: str
    types: str
    description: str
    lower: Callable[[Context, Op], Lowered]
    tuned: tuple[KernelTarget, ...] = ()
    """Kernel sets with an int8 kernel of their own; every other set, and every other type, uses the portable one."""

    @property
    def kernels(self) -> str:
        """Kernel sets by their names, the portable one first."""
        return ", ".join(["portable", *(target.value for target in self.tuned)])


_BOTH = "int8, float32"
_THREE = "int8, int16, float32"
_COMPARED = "int8, int32, float32"
_ANY = "any"
_SETS = (KernelTarget.ARM_DSP, KernelTarget.ARM_MVE, KernelTarget.RV32IM)
_MVE = (KernelTarget.ARM_MVE,)
_NO_CODE = "no code: shares the input's memory"

_TABLE = (
    SupportedOp("SELECT", _ANY, "by a condition, one tensor or the other", binary.lower_select),
    SupportedOp("SELECT_V2", _ANY, "by a condition, one tensor or the other", binary.lower_select),
    SupportedOp("SVDF", _BOTH, "int8 or int16 state, kept between inferences", recurrent.lower_svdf),
    SupportedOp(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", _BOTH, "four gates; state kept between inferences", recurrent.lower_lstm
    ),
    SupportedOp("ARG_MIN", _BOTH, "index of the least element, int32", reduce.lower_arg),
    SupportedOp("BATCH_MATMUL", _BOTH, "matrices of which none need be constant", matmul.lower_matmul),
    SupportedOp("CUMSUM", "float32", "running sums", reduce.lower_cumsum),
    SupportedOp("L2_NORMALIZATION", _BOTH, "over the last dimension", reduce.lower_normalise),
    SupportedOp("LOG_SOFTMAX", "float32", "over the last dimension", reduce.lower_normalise),
    SupportedOp("MEAN", _THREE, "over any dimensions", reduce.lower_mean),
    SupportedOp("REDUCE_MAX", _BOTH, "over any dimensions", reduce.lower_extreme),
    SupportedOp("REDUCE_MIN", _BOTH, "over any dimensions", reduce.lower_extreme),
    SupportedOp("RESIZE_BILINEAR", _BOTH, "neighbours by table", resize.lower_resize_bilinear),
    SupportedOp("SUM", _THREE, "over any dimensions", reduce.lower_mean),
    SupportedOp(
        "TRANSPOSE_CONV", _THREE, "any kernel, stride; per-channel weights", transpose_conv.lower_transpose_conv
    ),
    SupportedOp("ABS", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("CAST", "int8, uint8, int16, int32, float32, bool", "from one to another", unary.lower_cast),
    SupportedOp("CEIL", "float32", "rounded up", unary.lower_unary),
    SupportedOp("ELU", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("EXP", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("FLOOR", "float32", "rounded down", unary.lower_unary),
    SupportedOp("GELU", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("LOG", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("LOGICAL_NOT", "bool", "by table", unary.lower_not, _MVE),
    SupportedOp("NEG", "float32", "sign changed", unary.lower_unary),
    SupportedOp("ROUND", "float32", "to the nearest whole number, half to even", unary.lower_unary),
    SupportedOp("RSQRT", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("SQRT", _BOTH, "8-bit by table", unary.lower_unary, _MVE),
    SupportedOp("SQUARE", "float32", "product with itself", unary.lower_unary),
    SupportedOp("ADD_N", "float32", "sum of several tensors", binary.lower_add_n),
    SupportedOp("DIV", _BOTH, "quotient, with broadcasting", binary.lower_div),
    SupportedOp("EQUAL", _COMPARED + ", bool", "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("FLOOR_DIV", "float32", "quotient rounded down", binary.lower_floor),
    SupportedOp("FLOOR_MOD", "float32", "rest of a quotient rounded down", binary.lower_floor),
    SupportedOp("GREATER", _COMPARED, "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("GREATER_EQUAL", _COMPARED, "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("LESS", _COMPARED, "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("LESS_EQUAL", _COMPARED, "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("LOGICAL_AND", "bool", "with broadcasting", binary.lower_logical),
    SupportedOp("LOGICAL_OR", "bool", "with broadcasting", binary.lower_logical),
    SupportedOp("MAXIMUM", _THREE + ", int32", "tensors of one quantisation, with broadcasting", binary.lower_extreme),
    SupportedOp("MINIMUM", _THREE + ", int32", "tensors of one quantisation, with broadcasting", binary.lower_extreme),
    SupportedOp("NOT_EQUAL", _COMPARED + ", bool", "to bool, with broadcasting", binary.lower_comparison),
    SupportedOp("PRELU", _BOTH, "slopes with broadcasting", binary.lower_prelu),
    SupportedOp("SQUARED_DIFFERENCE", _BOTH, "with broadcasting", binary.lower_squared_difference),
    SupportedOp("ZEROS_LIKE", _ANY, "zeros of a shape", rearrange.lower_fill),
    SupportedOp("TILE", _ANY, "constant multiples", rearrange.lower_tile),
    SupportedOp("SPACE_TO_DEPTH", _ANY, "blocks of pixels as channels", rearrange.lower_depth_to_space),
    SupportedOp("SPACE_TO_BATCH_ND", _ANY, "an image as blocks of images", rearrange.lower_batch_to_space),
    SupportedOp("SLICE", _ANY, "constant begin and size", rearrange.lower_slice),
    SupportedOp("REVERSE_V2", _ANY, "constant dimensions", rearrange.lower_reverse),
    SupportedOp("MIRROR_PAD", _ANY, "the reflection around a tensor", rearrange.lower_mirror_pad),
    SupportedOp("GATHER", _ANY, "int32 indices, constant or computed", rearrange.lower_gather),
    SupportedOp("FILL", _ANY, "one value, constant shape", rearrange.lower_fill),
    SupportedOp("EMBEDDING_LOOKUP", _ANY, "rows of a table by int32 index", rearrange.lower_gather),
    SupportedOp("DEPTH_TO_SPACE", _ANY, "channels as blocks of pixels", rearrange.lower_depth_to_space),
    SupportedOp("BROADCAST_TO", _ANY, "constant shape", rearrange.lower_tile),
    SupportedOp("BATCH_TO_SPACE_ND", _ANY, "blocks of images back into one", rearrange.lower_batch_to_space),
    SupportedOp("ADD", _THREE + ", int32", "sum, with broadcasting", elementwise.lower_add, _MVE),
    SupportedOp("ARG_MAX", _BOTH, "index of the greatest element, int32", reduce.lower_arg),
    SupportedOp("ASSIGN_VARIABLE", _ANY, "new value of a variable", state.lower_assign),
    SupportedOp("AVERAGE_POOL_2D", _THREE, "mean over a window", pooling.lower_pool, _MVE),
    SupportedOp("CALL_ONCE", _ANY, "initial values of variables", state.lower_call_once),
    SupportedOp("CONCATENATION", _ANY, "tensors of one quantisation", movement.lower_concatenation),
    SupportedOp("CONV_2D", _THREE, "any kernel, stride, dilation, groups; per-channel weights", conv.lower_conv, _SETS),
    SupportedOp(
        "DEPTHWISE_CONV_2D", _THREE, "any kernel, stride, dilation, depth multiplier", conv.lower_depthwise, _SETS
    ),
    SupportedOp(
        "DEQUANTIZE", "int8, uint8, int16, constant float16 to float32", "back to real values", convert.lower_dequantize
    ),
    SupportedOp("EXPAND_DIMS", _ANY, _NO_CODE, shape.lower_reshape),
    SupportedOp("FULLY_CONNECTED", _THREE, "dense layer, any batch", fully_connected.lower_fully_connected, _SETS),
    SupportedOp("HARD_SWISH", _BOTH, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("LEAKY_RELU", _THREE, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("LOGISTIC", _THREE, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("MAX_POOL_2D", _THREE, "maximum over a window", pooling.lower_pool, _MVE),
    SupportedOp("MUL", _THREE + ", int32", "product, with broadcasting", elementwise.lower_mul, _MVE),
    SupportedOp("PACK", _ANY, "tensors of one shape along a new dimension", movement.lower_pack),
    SupportedOp("PAD", _ANY, "zeros around a tensor", movement.lower_pad),
    SupportedOp("PADV2", _ANY, "a constant around a tensor", movement.lower_pad),
    SupportedOp(
        "QUANTIZE",
        "float32, int8, uint8, int16, int32; uint8 from or to int8 and float alone",
        "to a quantisation",
        convert.lower_quantize,
    ),
    SupportedOp("READ_VARIABLE", _ANY, "value of a variable", state.lower_read),
    SupportedOp("RELU", _THREE, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("RELU6", _THREE, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("RELU_N1_TO_1", _BOTH, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("RESHAPE", _ANY, _NO_CODE, shape.lower_reshape),
    SupportedOp("RESIZE_NEAREST_NEIGHBOR", _ANY, "rows and columns by table", resize.lower_resize_nearest),
    SupportedOp("SHAPE", _ANY, "a constant", shape.lower_shape),
    SupportedOp(
        "SOFTMAX", _THREE, "over the last dimension; int8 and int16 in integer arithmetic", softmax.lower_softmax
    ),
    SupportedOp("SPLIT", _ANY, "equal parts along a dimension", movement.lower_split),
    SupportedOp("SPLIT_V", _ANY, "parts of given sizes along a dimension", movement.lower_split),
    SupportedOp("SQUEEZE", _ANY, _NO_CODE, shape.lower_reshape),
    SupportedOp("STRIDED_SLICE", _ANY, "constant bounds, any stride", movement.lower_strided_slice),
    SupportedOp("SUB", _THREE + ", int32", "difference, with broadcasting", elementwise.lower_add, _MVE),
    SupportedOp("TANH", _THREE, "8-bit by table", activation.lower_activation, _MVE),
    SupportedOp("TRANSPOSE", _ANY, "constant permutation", movement.lower_transpose),
    SupportedOp("UNPACK", _ANY, "a dimension into tensors", movement.lower_pack),
    SupportedOp("VAR_HANDLE", _ANY, "names a variable that lives between inferences", state.lower_var_handle),
)

SUPPORTED_OPS: dict[str, SupportedOp] = {op.kind: op for op in sorted(_TABLE, key=lambda op: op.kind)}
"""Operator kind, as TensorFlow Lite spells it, to its row."""
