"""Read a `.tflite` file into the typed graph; whatever is wrong with it ends in one InputError line.

The flatbuffer is untrusted: every count is bounded before anything is allocated for it, every index is
checked, and what the flatbuffers runtime raises on garbage becomes an InputError.
Source of the layout: TensorFlow Lite `schema.fbs` (schema version 3), through the PyPI package `tflite`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Graph, Op, Quantisation, Subgraph, Tensor, short
from emulab.firmware.codegen.options import READERS, Options
from emulab.model.files import read_input

MAX_FILE_BYTES = 64 << 20
MAX_OPERATORS = 4096
MAX_TENSORS = 16384
MAX_NAME = 512
MAX_SUBGRAPHS = 64
MAX_RANK = 8
MAX_TENSOR_BYTES = 64 << 20
LOOPS = ("WHILE", "IF")
CONVERTERS = {
    ".onnx": "an ONNX model: convert it first, for instance by onnx2tf",
    ".keras": "a Keras model: convert it first by tf.lite.TFLiteConverter, or by `emulab quantize`",
    ".h5": "a Keras model: convert it first by tf.lite.TFLiteConverter",
    ".pt": "a PyTorch model: convert it first, for instance by ai-edge-torch",
    ".pth": "a PyTorch model: convert it first, for instance by ai-edge-torch",
}
"""What files of other frameworks are told, by suffix."""

_DTYPES = {
    "FLOAT32": DType.FLOAT32,
    "FLOAT16": DType.FLOAT16,
    "INT8": DType.INT8,
    "UINT8": DType.UINT8,
    "INT16": DType.INT16,
    "INT32": DType.INT32,
    "INT64": DType.INT64,
    "BOOL": DType.BOOL,
    "RESOURCE": DType.RESOURCE,
}
# What the flatbuffers runtime and the generated accessors raise when offsets point nowhere.
_GARBAGE = (struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError, KeyError)


def read_model(path: Path) -> Graph:
    """Read `path`; InputError names the file and what is wrong with it."""
    data = read_input(path, MAX_FILE_BYTES, "a TensorFlow Lite model")
    return parse_model(data, name=path.stem, origin=str(path))


def parse_model(data: bytes, *, name: str = "model", origin: str = "model") -> Graph:
    """Parse flatbuffer bytes; `origin` names them in messages."""
    if len(data) < 16 or data[4:8] != b"TFL3":
        what = CONVERTERS.get(Path(origin).suffix.lower(), "no TFL3 identifier")
        raise InputError(f"{origin}: not a TensorFlow Lite model ({what})" if data else f"{origin}: the file is empty")
    try:
        return _Reader(data, name, origin).graph()
    except InputError as error:
        text = str(error)
        raise (error if text.startswith(origin) else InputError(f"{origin}: {text}")) from None
    except _GARBAGE as error:
        kind = "" if isinstance(error, struct.error) else f"{type(error).__name__}: "
        raise InputError(f"{origin}: malformed or truncated model ({kind}{error})") from None


@lru_cache(maxsize=1)
def _operator_names() -> dict[int, str]:
    import tflite

    return {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}


@lru_cache(maxsize=1)
def _type_names() -> dict[int, str]:
    import tflite

    return {v: k for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}


def _bounded(count: int, limit: int, what: str) -> int:
    if not 0 <= count <= limit:
        raise InputError(f"{count} {what}, at most {limit} are supported")
    return count


class _Reader:
    """One pass over one file."""

    def __init__(self, data: bytes, name: str, origin: str) -> None:
        import tflite

        self.data, self.name, self.origin = data, name, origin
        self.model: Any = tflite.Model.GetRootAs(data, 0)
        if self.model.Version() != 3:
            raise InputError(f"schema version {self.model.Version()}, expected 3")
        self.buffers = _bounded(self.model.BuffersLength(), 2 * MAX_TENSORS, "buffers")
        self.codes = _bounded(self.model.OperatorCodesLength(), 1024, "operator codes")

    def graph(self) -> Graph:
        count = _bounded(self.model.SubgraphsLength(), MAX_SUBGRAPHS, "subgraphs")
        if count == 0:
            raise InputError("the model has no subgraph")
        return Graph(self.name, tuple(self.subgraph(i) for i in range(count)))

    def subgraph(self, index: int) -> Subgraph:
        table = self.model.Subgraphs(index)
        tensor_count = _bounded(table.TensorsLength(), MAX_TENSORS, "tensors")
        op_count = _bounded(table.OperatorsLength(), MAX_OPERATORS, "operators")
        inputs = self.indices(table.InputsLength(), table.Inputs, tensor_count, "graph input")
        outputs = self.indices(table.OutputsLength(), table.Outputs, tensor_count, "graph output")
        # Loops first: the tensors in them have shapes of their own that would be complained about.
        self.refuse_loops(table, op_count)
        tensors = tuple(self.tensor(table.Tensors(i), i) for i in range(tensor_count))
        ops = tuple(self.op(table.Operators(i), i, tensors) for i in range(op_count))
        if index == 0 and not (inputs and outputs):
            raise InputError("the model has no input or no output tensor")
        return Subgraph(
            f"subgraph{index}",
            tensors,
            ops,
            tuple(i for i in inputs if i is not None),
            tuple(i for i in outputs if i is not None),
        )

    def refuse_loops(self, table: Any, op_count: int) -> None:
        """InputError for control flow, which recurrent layers become unless they are unrolled."""
        for i in range(op_count):
            kind = self.kind(int(table.Operators(i).OpcodeIndex()), i)
            if kind in LOOPS:
                raise InputError(
                    f"operator {i} {kind} is not supported: loops have no fixed length here; make recurrent layers with "
                    "unroll=True, or convert them to UNIDIRECTIONAL_SEQUENCE_LSTM"
                )

    def indices(self, count: int, get: Any, limit: int, what: str) -> tuple[int | None, ...]:
        result: list[int | None] = []
        for j in range(_bounded(count, 4096, f"tensors as {what}s")):
            i = int(get(j))
            if i == -1:
                result.append(None)
            elif 0 <= i < limit:
                result.append(i)
            else:
                raise InputError(f"{what} {j} is tensor {i}, but there are {limit} tensors")
        return tuple(result)

    def tensor(self, table: Any, index: int) -> Tensor:
        raw = table.Name()
        # a damaged length makes the rest of the file a name, which no message should repeat
        name = short(raw.decode("utf-8", "replace"), MAX_NAME) if raw else f"tensor{index}"
        type_name = _type_names().get(int(table.Type()), f"type {table.Type()}")
        if type_name not in _DTYPES:
            raise InputError(f"tensor {name!r} has unsupported element type {type_name}")
        dtype = _DTYPES[type_name]
        shape = tuple(int(table.Shape(i)) for i in range(_bounded(table.ShapeLength(), MAX_RANK, "dimensions")))
        signature = [
            int(table.ShapeSignature(i)) for i in range(_bounded(table.ShapeSignatureLength(), MAX_RANK, "dimensions"))
        ]
        # A dynamic batch dimension (-1 first) converts to 1 in `shape`; anything else dynamic is refused.
        if any(d < 0 for d in shape) or any(d < 0 for d in signature[1:]):
            raise InputError(
                f"tensor {name!r} has a dynamic shape {signature or list(shape)}, expected a static one: give "
                "the model's inputs fixed sizes before converting it"
            )
        size = dtype.itemsize
        for d in shape:
            size *= d
            if size > MAX_TENSOR_BYTES:
                raise InputError(f"tensor {name!r} with shape {list(shape)} is larger than {MAX_TENSOR_BYTES} bytes")
        data = self.buffer(int(table.Buffer()), name)
        if data is not None and len(data) != size:
            raise InputError(
                f"tensor {name!r} with shape {list(shape)} needs {size} bytes of data, the file has {len(data)}"
            )
        if table.Sparsity() is not None:
            raise InputError(f"tensor {name!r} is sparse, which is not supported")
        return Tensor(index, name, shape, dtype, self.quantisation(table, name, shape), data, bool(table.IsVariable()))

    def buffer(self, index: int, name: str) -> bytes | None:
        if not 0 <= index < self.buffers:
            raise InputError(f"tensor {name!r} refers to buffer {index}, but there are {self.buffers} buffers")
        table = self.model.Buffers(index)
        length = _bounded(table.DataLength(), len(self.data), f"bytes in the buffer of tensor {name!r}")
        if length:
            return bytes(table.DataAsNumpy().tobytes())
        if table.Offset() > 1:
            start, size = int(table.Offset()), int(table.Size())
            if start + size > len(self.data):
                raise InputError(f"tensor {name!r}: its data lies beyond the end of the file")
            return self.data[start : start + size]
        return None

    def quantisation(self, table: Any, name: str, shape: tuple[int, ...]) -> Quantisation | None:
        q = table.Quantization()
        if q is None or q.ScaleLength() == 0:
            return None
        count = _bounded(q.ScaleLength(), 65536, f"quantisation scales of tensor {name!r}")
        scales = tuple(float(s) for s in q.ScaleAsNumpy())
        zeros_given = q.ZeroPointLength()
        zeros = tuple(int(z) for z in q.ZeroPointAsNumpy()) if zeros_given else (0,) * count
        axis = int(q.QuantizedDimension())
        if len(zeros) == 1 and count > 1:
            zeros *= count
        if len(zeros) != count:
            raise InputError(f"tensor {name!r} has {count} scales but {len(zeros)} zero points")
        if any(not 0.0 < s < 1e30 for s in scales):
            raise InputError(f"tensor {name!r} has a quantisation scale that is not a positive number")
        if any(not -(2**31) <= z < 2**31 for z in zeros):
            raise InputError(f"tensor {name!r} has a zero point outside 32 bits")
        if count > 1 and shape == (count,):
            axis = 0  # of biases some converters give the dimension of the weights
        if count > 1 and (not 0 <= axis < len(shape) or shape[axis] != count):
            raise InputError(f"tensor {name!r}: {count} scales do not match dimension {axis} of {list(shape)}")
        return Quantisation(scales, zeros, axis)

    def kind(self, code: int, index: int) -> str:
        """What an operator is, by its code."""
        if not 0 <= code < self.codes:
            raise InputError(f"operator {index} has operator code {code}, but there are {self.codes}")
        entry = self.model.OperatorCodes(code)
        number = max(int(entry.BuiltinCode()), int(entry.DeprecatedBuiltinCode()))
        kind = _operator_names().get(number, f"builtin {number}")
        if kind == "CUSTOM":
            custom = entry.CustomCode()
            kind = f"CUSTOM:{custom.decode('utf-8', 'replace') if custom else '?'}"
        return kind

    def op(self, table: Any, index: int, tensors: tuple[Tensor, ...]) -> Op:
        kind = self.kind(int(table.OpcodeIndex()), index)
        inputs = self.indices(table.InputsLength(), table.Inputs, len(tensors), f"operator {index} {kind} input")
        outputs = self.indices(table.OutputsLength(), table.Outputs, len(tensors), f"operator {index} {kind} output")
        return Op(
            index,
            kind,
            inputs,
            tuple(i for i in outputs if i is not None),
            self.options(table, kind),
        )

    def options(self, table: Any, kind: str) -> Options:
        if kind not in READERS:
            return Options()
        import tflite

        class_name, reader = READERS[kind]
        options = getattr(tflite, class_name)()
        union = table.BuiltinOptions()
        if union is None:
            raise InputError(f"operator {kind} has no options table")
        options.Init(union.Bytes, union.Pos)
        result = reader(options)
        assert isinstance(result, Options)
        return result
