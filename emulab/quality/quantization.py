"""Quantise a float .tflite model after training, and say what it costs in accuracy.

The arithmetic is `ai-edge-quantizer`'s (weights per channel, activations per tensor, int32 bias). The ranges of the
activations are ours: the least and greatest value each tensor takes over the representative samples. The library's own
calibration averages ranges over samples, which clips rare peaks, and cannot run models without a signature.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.errors import InputError, ToolError
from emulab.model.record import write_bytes
from emulab.quality.divergence import Agreement, agreement
from emulab.quality.golden import LitertModel
from emulab.quality.samples import Dataset, Sample, Task

if TYPE_CHECKING:
    from emulab.firmware.codegen.graph import Subgraph

Activations = Literal["int8", "int16"]

INSTALL = "pip install 'emulab[quantize]'"
MAX_WINDOWS = 16
"""Of a sample with more windows than this, so many are used for the ranges, evenly spread."""


class QuantizerUnavailable(ToolError):
    """`ai-edge-quantizer` cannot be imported; the message has the line that installs it."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """A quantised model and what it lost: ``agreement`` holds both qualities, of samples not used for the ranges."""

    model: str
    output: str
    float_bytes: int
    quantised_bytes: int
    activations: Activations
    representative_samples: int
    agreement: Agreement | None

    @property
    def accuracy_lost(self) -> float | None:
        """Quality of the float model less that of the quantised one; None where nothing was evaluated."""
        found = self.agreement
        if found is None or found.float_quality is None or found.quantised_quality is None:
            return None
        return found.float_quality - found.quantised_quality

    def details(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "accuracy_lost": self.accuracy_lost}


def quantize(
    model: str | Path,
    output: str | Path,
    representative: Dataset,
    evaluation: Dataset | None = None,
    *,
    samples: int = 200,
    seed: int = 0,
    activations: Activations = "int8",
    limit: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Quantisation:
    """Quantise float *model* into *output* with the ranges seen on *representative*.

    At most *samples* of it are used, drawn with *seed*. The loss is measured on the first *limit* samples of
    *evaluation*; without one, on those samples of *representative* that were not drawn (at most half are drawn then,
    and nothing is measured of a set of one sample). Input and output of the result have the type of its activations.

    Raises InputError for a model that is not float or has several inputs or outputs, a bad sample, or an *output* that
    is the model itself; QuantizerUnavailable and HostModelUnavailable where a package is missing.
    """
    say = on_step or (lambda step: None)
    source, target = Path(model), Path(output)
    if samples < 1:
        raise InputError(f"representative samples: expected at least 1, found {samples}")
    if target.resolve() == source.resolve():
        raise InputError.at(target, "", "would overwrite the float model; name another --output")
    if len(representative) == 0:
        raise InputError(f"dataset {representative.name!r} is empty; ranges need at least one sample")
    graph = _float_graph(source)
    count = min(samples, len(representative))
    if evaluation is None:
        count = min(count, max(1, len(representative) // 2))
    drawn = _draw(len(representative), count, seed)
    say(f"ranges over {count} samples")
    ranges = _ranges(source, graph, (s for i, s in enumerate(representative) if i in drawn))
    say("quantise")
    blob = _quantise(source, ranges, activations)
    write_bytes(target, blob)
    rest: Dataset | None = evaluation
    if rest is None and len(drawn) < len(representative):
        rest = _Rest(representative, drawn)
    report = None
    if rest is not None:
        say("accuracy lost")
        report = agreement(target, source, rest, limit)
    return Quantisation(str(source), str(target), source.stat().st_size, len(blob), activations, count, report)


def _float_graph(model: Path) -> Subgraph:
    """The model's graph; InputError unless it is float with one input and one output."""
    from emulab.firmware.codegen.graph import DType
    from emulab.firmware.codegen.tflite_reader import read_model

    graph = read_model(model)
    main = graph.main
    if len(main.inputs) != 1 or len(main.outputs) != 1:
        found = f"{len(main.inputs)} inputs and {len(main.outputs)} outputs"
        raise InputError.at(model, "", f"only models with one input and one output can be quantised, found {found}")
    if any(tensor.dtype is DType.FLOAT16 for tensor in main.tensors):
        raise InputError.at(model, "", "its weights are float16: quantise the float32 model it was made from")
    if len(graph.subgraphs) != 1 or any(tensor.is_variable for tensor in main.tensors):
        raise InputError.at(model, "", "streaming models with state cannot be quantised after training")
    for index in (*main.inputs, *main.outputs):
        tensor = main.tensors[index]
        if tensor.dtype is not DType.FLOAT32:
            found = tensor.dtype.numpy_name
            raise InputError.at(model, f"tensor {tensor.name!r}", f"expected a float32 model, found {found}")
    return main


def _ranges(model: Path, graph: Subgraph, samples: Iterator[Sample]) -> dict[str, dict[str, Any]]:
    """Least and greatest value of every activation, by tensor name, in the form `ai-edge-quantizer` takes."""
    import numpy as np

    from emulab.firmware.codegen.graph import DType

    host = LitertModel(model, keep_tensors=True)
    indices = [*graph.inputs, *(index for op in graph.ops for index in op.outputs)]
    tensors = [graph.tensors[index] for index in dict.fromkeys(indices)]
    tensors = [tensor for tensor in tensors if tensor.dtype is DType.FLOAT32 and not tensor.is_constant]
    low = {tensor.name: math.inf for tensor in tensors}
    high = {tensor.name: -math.inf for tensor in tensors}
    for sample in samples:
        picked = np.unique(np.linspace(0, len(sample.real) - 1, MAX_WINDOWS).astype(int))
        for real in sample.real[picked]:
            host.run(host.input.quantise(real))
            for tensor in tensors:
                values = host.tensor(tensor.index)
                low[tensor.name] = min(low[tensor.name], float(values.min()))
                high[tensor.name] = max(high[tensor.name], float(values.max()))
    for tensor in tensors:
        if not (math.isfinite(low[tensor.name]) and math.isfinite(high[tensor.name])):
            raise InputError.at(model, f"tensor {tensor.name!r}", "takes values that are not finite numbers")
    return {
        tensor.name: {
            "min": np.full((1,) * len(tensor.shape), low[tensor.name], np.float32),
            "max": np.full((1,) * len(tensor.shape), high[tensor.name], np.float32),
        }
        for tensor in tensors
    }


def _quantise(model: Path, ranges: dict[str, dict[str, Any]], activations: Activations) -> bytes:
    """Bytes of the quantised model. InputError for what the quantizer refuses."""
    try:
        from ai_edge_litert.tools import flatbuffer_utils
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise QuantizerUnavailable(f"ai-edge-quantizer cannot be imported: {error}; {INSTALL}") from None
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model.read_bytes()))
    for code in content.operatorCodes:
        # Old converters only filled the one-byte field; the quantizer reads the other and would see ADD everywhere.
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    work = quantizer.Quantizer(bytes(flatbuffer_utils.convert_object_to_bytearray(content)))
    work.load_quantization_recipe(recipe.static_wi8_ai8() if activations == "int8" else recipe.static_wi8_ai16())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise InputError.at(model, "", f"ai-edge-quantizer refuses the model: {reason}") from None
    return bytes(result.quantized_model)


def _draw(n: int, count: int, seed: int) -> frozenset[int]:
    import numpy as np

    return frozenset(int(i) for i in np.random.default_rng(seed).choice(n, count, replace=False))


class _Rest:
    """What of a dataset was not drawn."""

    def __init__(self, dataset: Dataset, drawn: frozenset[int]) -> None:
        self._dataset, self._drawn = dataset, drawn
        self.name, self.labels = dataset.name, dataset.labels
        self.task: Task = dataset.task

    @property
    def value_range(self) -> tuple[float, float]:
        return self._dataset.value_range

    def __len__(self) -> int:
        return len(self._dataset) - len(self._drawn)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for index, sample in enumerate(self._dataset) if index not in self._drawn)
