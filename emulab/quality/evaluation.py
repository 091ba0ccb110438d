"""How good a model is on a dataset: on the host (:func:`evaluate`), or by a device's answers (:func:`score`)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.quantity import Quantity, Source
from emulab.quality.golden import HostModel, Kernels, LitertModel, load_host_model
from emulab.quality.metrics import (
    ClassFigures,
    Interval,
    argmax,
    auc,
    auc_interval,
    confusion_matrix,
    per_class,
    wilson,
)
from emulab.quality.samples import Dataset, Sample, Task, take

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one sample: the result vector, or one score where the task is anomaly detection."""

    name: str
    label: int
    values: tuple[float, ...]
    group: str = ""

    @property
    def guess(self) -> int:
        """Class with the greatest value, the first of equals."""
        return argmax(self.values)


@dataclass(frozen=True)
class QualityResult:
    """Answers to the samples of a dataset, and the figures that follow from them.

    ``source`` says who answered. Of a classification ``accuracy_top1`` counts; of anomaly detection ``auc``; the other
    is None. Groups (subjects) appear in :attr:`by_group`, with the spread over them.
    """

    task: Task
    dataset: str
    source: str
    labels: tuple[str, ...]
    answers: tuple[Answer, ...] = field(repr=False)
    available: int = 0
    """Samples the dataset holds; more than ``n`` where a limit was given."""

    @property
    def n(self) -> int:
        return len(self.answers)

    @property
    def metric(self) -> str:
        """Name of the figure that counts: ``accuracy_top1`` or ``auc``."""
        return "auc" if self.task == "anomaly" else "accuracy_top1"

    @property
    def value(self) -> float:
        """The figure that counts. InputError for an AUC of one kind of samples only."""
        found = self.auc if self.task == "anomaly" else self.accuracy_top1
        assert found is not None
        return found

    @property
    def correct(self) -> int:
        """Classification: number of right answers."""
        return sum(answer.guess == answer.label for answer in self.answers)

    @property
    def accuracy_top1(self) -> float | None:
        return None if self.task == "anomaly" else self.correct / self.n

    @cached_property
    def auc(self) -> float | None:
        if self.task != "anomaly":
            return None
        return auc([a.label for a in self.answers], [a.values[0] for a in self.answers])

    def interval(self, level: float = 0.95) -> Interval:
        """Confidence interval of :attr:`value`: Wilson for top-1, Hanley-McNeil for AUC."""
        if self.task == "anomaly":
            positives = sum(a.label != 0 for a in self.answers)
            return auc_interval(self.value, positives, self.n - positives, level)
        return wilson(self.correct, self.n, level)

    @cached_property
    def confusion(self) -> list[list[int]]:
        """Classification: counts, true class down, answered class across; empty for anomaly detection."""
        if self.task == "anomaly":
            return []
        classes = max(len(self.labels), max(len(a.values) for a in self.answers))
        return confusion_matrix([a.label for a in self.answers], [a.guess for a in self.answers], classes)

    @property
    def per_class(self) -> list[ClassFigures]:
        """Classification: figures per class; empty for anomaly detection."""
        names = [*self.labels, *(str(i) for i in range(len(self.labels), len(self.confusion)))]
        return per_class(self.confusion, names[: len(self.confusion)])

    @property
    def by_group(self) -> dict[str, float]:
        """Classification: top-1 per group, in the order they first occur; empty where the dataset has no groups."""
        hits: dict[str, list[bool]] = {}
        for answer in self.answers:
            if answer.group and self.task != "anomaly":
                hits.setdefault(answer.group, []).append(answer.guess == answer.label)
        return {group: sum(values) / len(values) for group, values in hits.items()}

    @property
    def group_spread(self) -> float | None:
        """Standard deviation of top-1 over groups; None with fewer than two."""
        values = list(self.by_group.values())
        return statistics.stdev(values) if len(values) > 1 else None

    def quantity(self, kind: Source = "emulated") -> Quantity:
        """:attr:`value` for a run record, with half the 68 % interval as its uncertainty."""
        interval = self.interval(0.6827)
        where = self.dataset if self.n >= self.available else f"first {self.n} of {self.available} of {self.dataset}"
        return Quantity(
            value=self.value,
            kind=kind,
            uncertainty=(interval.high - interval.low) / 2,
            source=f"{self.source}, {self.n} samples ({where})",
        )

    def details(self) -> dict[str, Any]:
        """All figures as plain data for a run record, without the single answers."""
        interval = self.interval()
        return {
            "metric": self.metric,
            "value": self.value,
            "interval": asdict(interval),
            "samples": self.n,
            "dataset": self.dataset,
            "source": self.source,
            "per_class": [
                {
                    "name": c.name,
                    "samples": c.samples,
                    "correct": c.correct,
                    "recall": c.recall,
                    "precision": c.precision,
                }
                for c in self.per_class
            ],
            "confusion": self.confusion,
            "by_group": self.by_group,
        }


def evaluate(
    model: str | Path | HostModel,
    dataset: Dataset,
    limit: int | None = None,
    kernels: Kernels = "optimised",
    on_sample: Callable[[int], None] | None = None,
) -> QualityResult:
    """Run *model* on the host over the first *limit* samples of *dataset* (None: all) and count.

    Works for int8 and float32 models alike: samples are real values, quantised by the model's own input tensor.
    Raises HostModelUnavailable where LiteRT is missing, InputError for a bad model, sample or limit.
    """
    if isinstance(model, str | Path):
        name = Path(model).name
        model = load_host_model(model, kernels)
        if isinstance(model, LitertModel) and model.float_weights:
            name += " (its int8 weights computed in float)"
        source = f"{name} on the host ({kernels} kernels)"
    else:
        source = "host model"
    answers = []
    for index, sample in enumerate(take(dataset, limit)):
        answers.append(Answer(sample.name, sample.label, answer(model, sample, dataset.task), sample.group))
        if on_sample:
            on_sample(index)
    return QualityResult(dataset.task, dataset.name, source, dataset.labels, tuple(answers), len(dataset))


def answer(model: HostModel, sample: Sample, task: Task) -> tuple[float, ...]:
    """What *model* says of one sample: class values, of several windows their mean; or the anomaly score.

    The score is the mean squared difference between the dequantised output and the *real* input, over the elements of a
    window and then over the windows, as the reference device computes it (mlcommons/tiny, anomaly_detection).
    """
    import numpy as np

    rows: list[NDArray[Any]] = []
    for real in sample.real:
        if isinstance(model, LitertModel):
            model.reset()  # as the device does: a window does not depend on the one before
        output = model.output.dequantise(model.run(model.input.quantise(real))).reshape(-1)
        if task == "anomaly":
            if output.size != real.size:
                raise InputError(
                    f"anomaly detection needs a model that reproduces its input: {real.size} in, {output.size} out"
                )
            output = np.array([np.mean((output.astype(np.float64) - real.reshape(-1)) ** 2)])
        rows.append(output.astype(np.float64))
    return tuple(float(value) for value in np.mean(rows, axis=0))


def score(dataset: Dataset, outputs: Mapping[str, Sequence[float]], source: str = "device") -> QualityResult:
    """Count what a device answered: sample name -> result vector (of anomaly detection: one score).

    Only samples with an answer count. InputError where there is none, or an answer is of a sample unknown here.
    """
    answers = [
        Answer(sample.name, sample.label, tuple(float(v) for v in outputs[sample.name]), sample.group)
        for sample in dataset
        if sample.name in outputs
    ]
    if not answers:
        raise InputError(f"dataset {dataset.name!r}: none of its {len(dataset)} samples was answered")
    if len(answers) < len(outputs):
        strange = sorted(set(outputs) - {a.name for a in answers})
        raise InputError(f"dataset {dataset.name!r}: answer to {strange[0]!r}, which is no sample of it")
    return QualityResult(dataset.task, dataset.name, source, dataset.labels, tuple(answers), len(dataset))
