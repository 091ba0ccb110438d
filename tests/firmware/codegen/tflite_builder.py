"""Little `.tflite` files for tests: tensors and operators given as Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "resource": 13,
}


@dataclass
class T:
    """A tensor; with `data` it is a constant."""

    shape: Sequence[int]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero: int | Sequence[int] = 0
    axis: int = 0
    data: NDArray[np.generic] | None = None
    name: str = ""
    signature: Sequence[int] | None = None
    variable: bool = False


@dataclass
class O:  # noqa: E742 - as short as T
    """An operator; `options` are the keyword arguments of the class of that name in the `tflite` package."""

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options_type: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def constant(values: Any, dtype: str = "int32", **kwargs: Any) -> T:
    data = np.asarray(values, dtype)
    return T(data.shape, dtype, data=data, **kwargs)


def _ints(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, np.int32)))


def _quantisation(b: flatbuffers.Builder, t: T) -> int:
    scales = np.atleast_1d(np.asarray(t.scale, np.float32))
    zeros = np.broadcast_to(np.asarray(t.zero, np.int64), scales.shape)
    scale, zero = b.CreateNumpyVector(scales), b.CreateNumpyVector(np.ascontiguousarray(zeros))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scale)
    tflite.QuantizationParametersAddZeroPoint(b, zero)
    tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
    return int(tflite.QuantizationParametersEnd(b))


def _tensor(b: flatbuffers.Builder, t: T, index: int, buffer: int) -> int:
    name, shape = b.CreateString(t.name or f"tensor_{index}"), _ints(b, t.shape)
    signature = None if t.signature is None else _ints(b, t.signature)
    quantisation = None if t.scale is None else _quantisation(b, t)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, TYPES[t.dtype])
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, name)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    if t.variable:
        tflite.TensorAddIsVariable(b, True)
    if quantisation is not None:
        tflite.TensorAddQuantization(b, quantisation)
    return int(tflite.TensorEnd(b))


def _options(b: flatbuffers.Builder, op: O) -> int:
    strings = {k: b.CreateString(v) for k, v in op.options.items() if isinstance(v, str)}
    getattr(tflite, f"{op.options_type}Start")(b)
    for key, value in op.options.items():
        getattr(tflite, f"{op.options_type}Add{key}")(b, strings.get(key, value))
    return int(getattr(tflite, f"{op.options_type}End")(b))


def _vector(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def build_model(
    tensors: Sequence[T], ops: Sequence[O], inputs: Sequence[int], outputs: Sequence[int], *, version: int = 3
) -> bytes:
    """The flatbuffer of a model with one subgraph."""
    b = flatbuffers.Builder(4096)
    buffers, numbers = [], []
    tflite.BufferStart(b)
    buffers.append(tflite.BufferEnd(b))
    for t in tensors:
        if t.data is None:
            numbers.append(0)
            continue
        raw = b.CreateByteVector(np.ascontiguousarray(t.data).tobytes())
        tflite.BufferStart(b)
        tflite.BufferAddData(b, raw)
        numbers.append(len(buffers))
        buffers.append(tflite.BufferEnd(b))
    kinds = sorted({op.kind for op in ops})
    codes = []
    for kind in kinds:
        code = getattr(tflite.BuiltinOperator, kind)
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, 1)
        codes.append(tflite.OperatorCodeEnd(b))
    tensor_tables = [_tensor(b, t, i, numbers[i]) for i, t in enumerate(tensors)]
    op_tables = []
    for op in ops:
        options = _options(b, op) if op.options_type else None
        op_inputs, op_outputs = _ints(b, op.inputs), _ints(b, op.outputs)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, kinds.index(op.kind))
        tflite.OperatorAddInputs(b, op_inputs)
        tflite.OperatorAddOutputs(b, op_outputs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, op.options_type))
            tflite.OperatorAddBuiltinOptions(b, options)
        op_tables.append(tflite.OperatorEnd(b))
    tensor_vector, op_vector = _vector(b, tensor_tables), _vector(b, op_tables)
    input_vector, output_vector = _ints(b, inputs), _ints(b, outputs)
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensor_vector)
    tflite.SubGraphAddInputs(b, input_vector)
    tflite.SubGraphAddOutputs(b, output_vector)
    tflite.SubGraphAddOperators(b, op_vector)
    subgraphs = _vector(b, [tflite.SubGraphEnd(b)])
    code_vector, buffer_vector = _vector(b, codes), _vector(b, buffers)
    description = b.CreateString("test")
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, version)
    tflite.ModelAddOperatorCodes(b, code_vector)
    tflite.ModelAddSubgraphs(b, subgraphs)
    tflite.ModelAddBuffers(b, buffer_vector)
    tflite.ModelAddDescription(b, description)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())
