"""What lowering an operator produces, and the context that hands out names for tensors, constants and scratch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Graph, Op, Quantisation, Subgraph, Tensor
from emulab.firmware.codegen.target import KernelTarget

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MIN_SPARE_BYTES = 5120
"""Scratch that is always granted: a fraction of what the reference interpreter itself needs besides tensors."""


@dataclass
class Lowered:
    """C of one operator: a function body, the kernels it calls, the buffers it may share.

    `aliases`: pairs (output, input) that are the same bytes, so that nothing is copied.
    `in_place`: pairs (output, input) where the output may overwrite an input that dies here.
    """

    body: list[str]
    sources: tuple[str, ...] = ()
    macs: int = 0
    scratch_bytes: int = 0
    aliases: tuple[tuple[int, int], ...] = ()
    in_place: tuple[tuple[int, int], ...] = ()
    weight_bytes: int = 0


@dataclass
class Constant:
    """A const array of the generated weights file."""

    symbol: str
    c_type: str
    values: NDArray[np.generic]
    comment: str = ""


@dataclass
class Context:
    """The subgraph being lowered, and what lowering has gathered so far."""

    graph: Graph
    subgraph: Subgraph
    target: KernelTarget
    constants: list[Constant] = field(default_factory=list)
    variables: dict[str, Tensor] = field(default_factory=dict)
    """Per variable a tensor of its type and size, in order of appearance: the n-th lies in buffer `v<n>`."""
    handles: dict[int, str] = field(default_factory=dict)
    """Which variable a RESOURCE tensor stands for."""
    reset: list[str] = field(default_factory=list)
    """C that gives variables their initial values."""
    prefix: str = ""
    spare: dict[int, int] = field(default_factory=dict)
    """Per operator, the arena bytes no tensor needs while it runs."""
    _symbols: dict[tuple[str, int], str] = field(default_factory=dict)
    _weights: int = 0

    def tensor(self, index: int | None) -> Tensor:
        if index is None:
            raise InputError("an input that must be there is left out")
        return self.subgraph.tensors[index]

    def input(self, op: Op, position: int) -> Tensor:
        """Input tensor `position`; InputError if it is left out."""
        index = op.inputs[position] if position < len(op.inputs) else None
        if index is None:
            raise InputError(f"input {position} is missing")
        return self.tensor(index)

    def optional(self, op: Op, position: int) -> Tensor | None:
        index = op.inputs[position] if position < len(op.inputs) else None
        return None if index is None else self.tensor(index)

    def output(self, op: Op, position: int = 0) -> Tensor:
        if position >= len(op.outputs):
            raise InputError(f"output {position} is missing")
        return self.tensor(op.outputs[position])

    def pointer(self, tensor: Tensor) -> str:
        """C expression for the address of a tensor's first element, typed."""
        if tensor.is_constant:
            symbol = self._symbols.get(("tensor", tensor.index))
            if symbol is None:
                symbol = self.constant(f"t{tensor.index}", tensor.dtype.c_type, tensor.array(), tensor.name)
                self._symbols[("tensor", tensor.index)] = symbol
            return symbol
        if tensor.is_variable:
            return f"(({tensor.dtype.c_type} *){self.variable(f'tensor {tensor.index}', tensor)})"
        return f"(({tensor.dtype.c_type} *)EMULAB_{self.prefix.upper()}T{tensor.index})"

    def scratch(self, op: Op) -> str:
        """C expression for the operator's scratch buffer."""
        return f"EMULAB_{self.prefix.upper()}S{op.index}"

    def variable(self, key: str, like: Tensor) -> str:
        """C expression for the address of a variable; every use must agree with `like` in type and size."""
        if key not in self.variables and like.is_variable and like.dtype is DType.INT8 and like.zero_point:
            self.reset.append(f"memset(EMULAB_V{len(self.variables)}, {like.zero_point}, {like.bytes});")
        known = self.variables.setdefault(key, like)
        if (known.dtype, known.bytes) != (like.dtype, like.bytes):
            raise InputError(f"tensor {like.name!r} {list(like.shape)} does not fit its variable {list(known.shape)}")
        return f"EMULAB_V{list(self.variables).index(key)}"

    def spare_bytes(self, op: Op) -> int:
        """Scratch an operator may use to be faster without making the arena much larger."""
        return max(self.spare.get(op.index, 0), MIN_SPARE_BYTES)

    def constant(self, name: str, c_type: str, values: NDArray[np.generic], comment: str = "") -> str:
        """Add a const array; returns its symbol."""
        symbol = f"emulab_{self.prefix}{name}"
        self.constants.append(Constant(symbol, c_type, values, comment))
        self._weights += values.nbytes
        return symbol

    def take_weight_bytes(self) -> int:
        """Bytes of constants added since the last call."""
        count, self._weights = self._weights, 0
        return count


def quantised(tensor: Tensor) -> Quantisation:
    """The tensor's quantisation; InputError naming the tensor if absent."""
    if tensor.quantisation is None:
        raise InputError(f"tensor {tensor.name!r} ({tensor.dtype.name}) has no quantisation parameters")
    return tensor.quantisation


def require_dtype(tensor: Tensor, *allowed: DType) -> None:
    if tensor.dtype not in allowed:
        names = " or ".join(d.name for d in allowed)
        raise InputError(f"tensor {tensor.name!r} is {tensor.dtype.name}, expected {names}")


def require_rank(tensor: Tensor, rank: int) -> None:
    if len(tensor.shape) != rank:
        raise InputError(f"tensor {tensor.name!r} has shape {list(tensor.shape)}, expected {rank} dimensions")


def require_shape(tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tensor.shape != expected:
        raise InputError(f"tensor {tensor.name!r} has shape {list(tensor.shape)}, expected {list(expected)}")


def struct(type_name: str, fields: dict[str, object], name: str = "p") -> list[str]:
    """Lines of a `static const` struct initialiser."""
    body = ", ".join(f".{key} = {value}" for key, value in fields.items())
    return [f"static const {type_name} {name} = {{{body}}};"]


def c_float(value: float) -> str:
    """A float literal of exactly this single-precision value."""
    import math

    if math.isnan(value):
        return '__builtin_nanf("")'
    if math.isinf(value):
        return "__builtin_inff()" if value > 0 else "-__builtin_inff()"
    return f"{float(value).hex()}f"
