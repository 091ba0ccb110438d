"""The typed graph between a model file and generated C: tensors, operators, subgraphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.options import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DType(Enum):
    """Element types a model may use; the value is (NumPy name, bytes per element, C type)."""

    FLOAT32 = ("float32", 4, "float")
    FLOAT16 = ("float16", 2, "uint16_t")
    INT8 = ("int8", 1, "int8_t")
    UINT8 = ("uint8", 1, "uint8_t")
    INT16 = ("int16", 2, "int16_t")
    INT32 = ("int32", 4, "int32_t")
    INT64 = ("int64", 8, "int64_t")
    BOOL = ("bool", 1, "uint8_t")
    RESOURCE = ("int32", 4, "int32_t")

    # RESOURCE and INT32 differ as members because an Enum aliases equal values.
    def __new__(cls, numpy_name: str, itemsize: int, c_type: str) -> DType:
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.numpy_name, member.itemsize, member.c_type = numpy_name, itemsize, c_type
        return member

    numpy_name: str
    itemsize: int
    c_type: str


def short(name: str, limit: int = 80) -> str:
    """Converters join the names of everything they fused; messages show the end, where the last operator is."""
    return name if len(name) <= limit else "..." + name[-limit:]


@dataclass(frozen=True)
class Quantisation:
    """Affine quantisation: real = scale * (q - zero_point); one entry, or one per slice along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1


@dataclass(frozen=True)
class Tensor:
    """One tensor: static shape, element type, quantisation, and data where it is a constant."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantisation: Quantisation | None = None
    data: bytes | None = field(default=None, repr=False)
    is_variable: bool = False

    @property
    def elements(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def bytes(self) -> int:
        return self.elements * self.dtype.itemsize

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        """Scale of a per-tensor quantised tensor."""
        return self._quantisation().scales[0]

    @property
    def zero_point(self) -> int:
        """Zero point of a per-tensor quantised tensor."""
        return self._quantisation().zero_points[0]

    def _quantisation(self) -> Quantisation:
        if self.quantisation is None:
            raise InputError(f"tensor {self.name!r} ({self.dtype.name}) has no quantisation parameters")
        return self.quantisation

    def array(self) -> NDArray[np.generic]:
        """The constant data as a NumPy array of `shape`; InputError if the tensor is not constant."""
        import numpy as np

        if self.data is None:
            raise InputError(f"tensor {self.name!r} must be a constant")
        return np.frombuffer(self.data, dtype=self.dtype.numpy_name).reshape(self.shape)


@dataclass(frozen=True)
class Op:
    """One operator: its position, kind (``CONV_2D``), tensors by index (None: optional input left out)."""

    index: int
    kind: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    options: Options


@dataclass(frozen=True)
class Subgraph:
    """Tensors and operators in execution order."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def describe(self, op: Op) -> str:
        """`operator 3 CONV_2D (output 'name')`, for messages."""
        out = f" (output {short(self.tensors[op.outputs[0]].name)!r})" if op.outputs else ""
        return f"operator {op.index} {op.kind}{out}"


@dataclass(frozen=True)
class Graph:
    """A model: its subgraphs, the first of which is run; others run by CALL_ONCE."""

    name: str
    subgraphs: tuple[Subgraph, ...]

    @property
    def main(self) -> Subgraph:
        return self.subgraphs[0]
