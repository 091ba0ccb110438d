"""Quantised against float, sample by sample, and the layer where they part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.quality.evaluation import answer
from emulab.quality.golden import Kernels, LitertModel
from emulab.quality.metrics import argmax
from emulab.quality.samples import Dataset, Sample, TensorSpec, take

if TYPE_CHECKING:
    from emulab.firmware.codegen.graph import Subgraph

_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_MONOTONE = {"SOFTMAX", "LOGISTIC", "LOG_SOFTMAX"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A sample the two models answer differently. ``margin``: the float model's lead of its answer over the other's."""

    name: str
    label: int
    float_answer: int
    quantised_answer: int
    margin: float


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far the quantised model is off after one layer.

    ``error`` is the root mean square difference of the layer's output (dequantised) over the root mean square of the
    float output; ``added`` what this layer puts on top of the worst of its inputs, as independent errors add: in
    squares (0: it forgives); ``floor`` the error of rounding and saturating the float output itself: a layer whose
    error is all floor needs a better scale, not better arithmetic.
    """

    index: int
    op: str
    float_tensor: str
    quantised_tensor: str
    error: float
    added: float
    floor: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Quantised against float over a dataset.

    ``layers`` are in model order, over the samples that disagree (over the first ones where all agree);
    ``parts_at`` is the layer that adds the most error, None where the graphs cannot be matched (``layers_reason``). A
    last SOFTMAX or LOGISTIC does not count: it stretches what came before and cannot change the answer by itself.
    Of an anomaly task ``agreement`` is None: its answers are scores, compared by ``score_rms``; a quality is None where
    only one kind of samples was seen.
    """

    samples: int
    agreement: float | None
    float_quality: float | None
    quantised_quality: float | None
    metric: str
    disagreements: tuple[Disagreement, ...]
    score_rms: float
    layers: tuple[LayerError, ...]
    layer_samples: int
    layers_reason: str = ""

    @property
    def parts_at(self) -> LayerError | None:
        counted = [layer for layer in self.layers if layer.op not in _MONOTONE]
        return max(counted, key=lambda layer: layer.added, default=None)

    def details(self) -> dict[str, Any]:
        """Plain data for a run record."""
        parts_at = self.parts_at
        return {**asdict(self), "parts_at": None if parts_at is None else parts_at.index}


def agreement(
    quantised: str | Path,
    golden: str | Path,
    dataset: Dataset,
    limit: int | None = None,
    layer_samples: int = 16,
    kernels: Kernels = "optimised",
) -> Agreement:
    """Run both models on the host over the first *limit* samples and say where they differ.

    The layer table is made from at most *layer_samples* samples (0: no table). Raises HostModelUnavailable without
    LiteRT, InputError where the models do not take the same input or give outputs of different size.
    """
    import numpy as np

    from emulab.quality.metrics import auc

    paths = Path(quantised), Path(golden)
    wide = layer_samples > 0
    q, f = (LitertModel(path, kernels, keep_tensors=wide) for path in paths)
    if (q.input.elements, q.output.elements) != (f.input.elements, f.output.elements):
        raise InputError.at(
            paths[0],
            "",
            f"takes {q.input.shape} and gives {q.output.shape}, but {paths[1].name} takes {f.input.shape} "
            f"and gives {f.output.shape}",
        )
    anomaly = dataset.task == "anomaly"
    labels: list[int] = []
    answers: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([], [])
    apart: list[Disagreement] = []
    different: list[Sample] = []
    first: list[Sample] = []
    for sample in take(dataset, limit):
        pair = [answer(model, sample, dataset.task) for model in (q, f)]
        labels.append(sample.label)
        for column, values in zip(answers, pair, strict=True):
            column.append(values)
        first += [sample] if len(first) < layer_samples else []
        if not anomaly and argmax(pair[0]) != argmax(pair[1]):
            a, b = argmax(pair[1]), argmax(pair[0])
            apart.append(Disagreement(sample.name, sample.label, a, b, pair[1][a] - pair[1][b]))
            different += [sample] if len(different) < layer_samples else []
    n = len(labels)

    def quality(column: Sequence[tuple[float, ...]]) -> float | None:
        if anomaly:
            if len({label != 0 for label in labels}) < 2:
                return None
            return auc(labels, [values[0] for values in column])
        return sum(argmax(values) == label for values, label in zip(column, labels, strict=True)) / n

    used = different or first
    layers, reason = _layer_table(q, f, used) if used else ((), "no layer table was asked for")
    return Agreement(
        samples=n,
        agreement=None if anomaly else 1 - len(apart) / n,
        float_quality=quality(answers[1]),
        quantised_quality=quality(answers[0]),
        metric="auc" if anomaly else "accuracy_top1",
        disagreements=tuple(apart),
        score_rms=float(np.sqrt(np.mean((np.array(answers[0]) - np.array(answers[1])) ** 2))),
        layers=layers,
        layer_samples=len(used) if layers else 0,
        layers_reason=reason,
    )


def _layer_table(q: LitertModel, f: LitertModel, samples: Sequence[Sample]) -> tuple[tuple[LayerError, ...], str]:
    """Errors per layer, or the reason why there are none."""
    import numpy as np

    from emulab.firmware.codegen.tflite_reader import read_model

    try:
        graphs = read_model(q.path).main, read_model(f.path).main
    except InputError as problem:
        return (), str(problem)
    pairs = _match(*graphs)
    if isinstance(pairs, str):
        return (), pairs
    difference, floor, power = (np.zeros(len(pairs)) for _ in range(3))
    for sample in samples:
        for real in sample.real:
            q.run(q.input.quantise(real))
            f.run(f.input.quantise(real))
            for k, (a, b) in enumerate(pairs):
                spec = TensorSpec.of_tensor(graphs[0].tensors[graphs[0].ops[a].outputs[0]])
                wide = f.tensor(graphs[1].ops[b].outputs[0]).astype(np.float64)
                near = spec.dequantise(q.tensor(graphs[0].ops[a].outputs[0])).astype(np.float64)
                ideal = spec.dequantise(spec.quantise(wide)).astype(np.float64)
                power[k] += np.mean(wide**2)
                difference[k] += np.mean((near.reshape(wide.shape) - wide) ** 2)
                floor[k] += np.mean((ideal - wide) ** 2)
    error = np.sqrt(difference / np.maximum(power, 1e-30))
    worst: dict[int, float] = {index: 0.0 for index in graphs[1].inputs}
    rows = []
    for k, (a, b) in enumerate(pairs):
        op = graphs[1].ops[b]
        before = max((worst[i] for i in op.inputs if i is not None and i in worst), default=0.0)
        for output in op.outputs:
            worst[output] = float(error[k])
        rows.append(
            LayerError(
                index=graphs[0].ops[a].index,
                op=op.kind,
                float_tensor=graphs[1].tensors[op.outputs[0]].name,
                quantised_tensor=graphs[0].tensors[graphs[0].ops[a].outputs[0]].name,
                error=float(error[k]),
                added=math.sqrt(max(float(error[k]) ** 2 - before**2, 0.0)),
                floor=float(math.sqrt(floor[k] / max(power[k], 1e-30))),
            )
        )
    return tuple(rows), ""


def _match(q: Subgraph, f: Subgraph) -> list[tuple[int, int]] | str:
    """Pairs of operator positions that compute the same layer, or why they cannot be found.

    A converter keeps the order of layers; the quantised graph may have conversions at its ends.
    """
    columns = [[i for i, op in enumerate(g.ops) if op.kind not in _CONVERSIONS and op.outputs] for g in (q, f)]
    if len(columns[0]) != len(columns[1]):
        return f"the quantised model has {len(columns[0])} layers, the float model {len(columns[1])}"
    for a, b in zip(*columns, strict=True):
        left, right = q.tensors[q.ops[a].outputs[0]], f.tensors[f.ops[b].outputs[0]]
        if q.ops[a].kind != f.ops[b].kind or left.elements != right.elements:
            return (
                f"layer {a} differs: {q.ops[a].kind} {left.shape} in the quantised model, "
                f"{f.ops[b].kind} {right.shape} in the float model"
            )
    return list(zip(*columns, strict=True))
