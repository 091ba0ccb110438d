"""Which operators are supported, in one table that lowering, messages and `emulab list ops` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulab.firmware.codegen.graph import Op
from emulab.firmware.codegen.lowering import Context, Lowered
from emulab.firmware.codegen.ops import conv, convert, elementwise, fully_connected, pooling, shape, softmax


@dataclass(frozen=True)
class SupportedOp:
    """One row of the table: element types it takes, what is particular about it, and how it becomes C."""

    kind: str
    types: str
    description: str
    lower: Callable[[Context, Op], Lowered]


_TABLE = (
    SupportedOp("ADD", "int8", "sum of two tensors, or of a tensor and a scalar", elementwise.lower_add),
    SupportedOp("AVERAGE_POOL_2D", "int8", "mean over a window", pooling.lower_pool),
    SupportedOp("CONV_2D", "int8", "any kernel, stride, dilation, groups; per-channel weights", conv.lower_conv),
    SupportedOp("DEPTHWISE_CONV_2D", "int8", "any kernel, stride, dilation, depth multiplier", conv.lower_depthwise),
    SupportedOp("DEQUANTIZE", "int8 to float32", "back to real values", convert.lower_dequantize),
    SupportedOp("EXPAND_DIMS", "any", "no code: shares the input's memory", shape.lower_reshape),
    SupportedOp(
        "FULLY_CONNECTED",
        "int8",
        "dense layer, per-tensor or per-channel weights",
        fully_connected.lower_fully_connected,
    ),
    SupportedOp("MAX_POOL_2D", "int8", "maximum over a window", pooling.lower_pool),
    SupportedOp("MUL", "int8", "product of two tensors, or of a tensor and a scalar", elementwise.lower_mul),
    SupportedOp("QUANTIZE", "float32 or int8 to int8", "to another quantisation", convert.lower_quantize),
    SupportedOp("RESHAPE", "any", "no code: shares the input's memory", shape.lower_reshape),
    SupportedOp("SOFTMAX", "int8", "over the last dimension, integer arithmetic", softmax.lower_softmax),
    SupportedOp("SQUEEZE", "any", "no code: shares the input's memory", shape.lower_reshape),
    SupportedOp("SUB", "int8", "difference of two tensors, or of a tensor and a scalar", elementwise.lower_add),
)

SUPPORTED_OPS: dict[str, SupportedOp] = {op.kind: op for op in _TABLE}
