"""One evaluation sample, as real values for a host model and as bytes for a device; what yields them is a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from emulab.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emulab.dut.procedures import AccuracySample
    from emulab.firmware.codegen.graph import Tensor
    from emulab.firmware.trees import TreeEnsemble

Task = Literal["classification", "anomaly"]
Encoding = Literal["int8", "uint8", "float32"]
"""How a device is sent a sample: the model's int8 tensor, unsigned pixels (firmware subtracts 128), or float32 LE."""

INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1)}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Input or output tensor of a model: real = scale * (raw - zero_point) where dtype is an integer type."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def quantised(self) -> bool:
        return self.dtype in INTEGERS and self.scale > 0

    def quantise(self, real: NDArray[Any]) -> NDArray[Any]:
        """Real values -> raw values of ``dtype``: nearest step, saturating; float tensors pass as float32.

        Rounds halves to even in double precision, so that dequantised raw values come back exactly.
        """
        import numpy as np

        if not self.quantised:
            return np.asarray(real).astype(self.dtype, copy=False)
        low, high = INTEGERS[self.dtype]
        steps = np.rint(np.asarray(real, np.float64) / self.scale) + self.zero_point
        raw: NDArray[Any] = np.clip(steps, low, high).astype(self.dtype)
        return raw

    def dequantise(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Raw values -> real values, float32."""
        import numpy as np

        if not self.quantised:
            return np.asarray(raw).astype(np.float32)
        return ((np.asarray(raw, np.float64) - self.zero_point) * self.scale).astype(np.float32)

    @classmethod
    def of_tensor(cls, tensor: Tensor) -> TensorSpec:
        """From a tensor of a model file."""
        q = tensor.quantisation
        scale, zero = (float(q.scales[0]), int(q.zero_points[0])) if q and q.scales else (0.0, 0)
        return cls(tensor.name, tensor.shape, tensor.dtype.numpy_name, scale, zero)


def model_io(model: Path) -> tuple[TensorSpec, TensorSpec]:
    """First input and first output tensor of a .tflite file or a tree ensemble. InputError where it cannot be read."""
    from emulab.firmware.trees import SUFFIXES, read_trees

    if model.suffix in SUFFIXES:
        return trees_io(read_trees(model))
    from emulab.firmware.codegen.tflite_reader import read_model

    main = read_model(model).main
    return TensorSpec.of_tensor(main.tensors[main.inputs[0]]), TensorSpec.of_tensor(main.tensors[main.outputs[0]])


def trees_io(trees: TreeEnsemble) -> tuple[TensorSpec, TensorSpec]:
    """Input (int8 features) and output (integer sums per class) of a tree ensemble."""
    return (
        TensorSpec("features", (1, trees.features), "int8", trees.scale, 0),
        TensorSpec("answer", (1, trees.classes), "int32", trees.output_scale, 0),
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """One evaluation sample.

    ``real`` is float32 of shape (windows, *input shape without the batch*): one row per inference, more than one only
    where a file is fed in sliding windows. ``payload`` is what the device is sent; with ``window_bytes`` and
    ``stride_bytes`` it holds all windows of the file.
    """

    name: str
    label: int
    real: NDArray[np.float32]
    payload: bytes
    window_bytes: int | None = None
    stride_bytes: int | None = None
    group: str = ""
    """Who or what the sample is from (a subject), for the spread over groups; empty where the dataset does not say."""

    def dut_sample(self) -> AccuracySample:
        """The same for the accuracy procedure of :mod:`emulab.dut`."""
        from emulab.dut.procedures import AccuracySample

        return AccuracySample(self.name, self.payload, self.window_bytes, self.stride_bytes)


@runtime_checkable
class Dataset(Protocol):
    """Evaluation samples of one task, in a fixed order, read as they are asked for."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> Task: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, by class number; of an anomaly task ``("normal", "anomaly")``."""

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest real value a sample can hold: where the sensor saturates."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


@runtime_checkable
class Sensed(Protocol):
    """A dataset that also holds what the sensor saw: disturbances arise there, and go through the front end."""

    def signals(self, indices: Sequence[int]) -> Sequence[NDArray[np.float64]]:
        """The signals of the samples at *indices*, each (time, channel), in the sensor's unit."""

    def observe(self, index: int, sample: Sample, signal: NDArray[Any]) -> Sample:
        """*sample*, which is at *index*, as it would be had the sensor seen *signal*."""


def draw(n: int, limit: int | None, seed: int) -> list[int]:
    """Indices of at most *limit* of n samples, drawn at random and sorted.

    The first ones, or every so many, would be of few classes where a set is ordered by class or takes them in turn.
    InputError for a limit below 1.
    """
    import numpy as np

    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: expected a number of samples of at least 1")
    if limit is None or limit >= n:
        return list(range(n))
    return sorted(int(i) for i in np.random.default_rng(seed).choice(n, limit, replace=False))


def take(dataset: Dataset, limit: int | None) -> Iterator[Sample]:
    """The first *limit* samples, or all. InputError for a limit below 1."""
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: expected a number of samples of at least 1")
    for index, sample in enumerate(dataset):
        if limit is not None and index >= limit:
            return
        yield sample
