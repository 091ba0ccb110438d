"""Inputs of a run: the model, its evaluation samples as the DUT takes them, and accuracy on the host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.quantity import Quantity, Source, unavailable
from emulab.model.record import write_text
from emulab.model.scenario import Dataset as DeclaredDataset
from emulab.model.scenario import LoadedScenario
from emulab.run.assets import find, resolve

if TYPE_CHECKING:
    from emulab.dut import AccuracySample
    from emulab.quality import Dataset, QualityResult
    from emulab.quality.samples import Sample

OUTPUT_STEP = 0.0005
"""DUTs print results with three decimals: two outputs are the same within half of the last one."""
SCORE_STEP = 0.01
"""Two anomaly scores are the same within this fraction: a step of one int8 output moves one of 640 squares."""


@dataclass
class Inputs:
    """What one scenario feeds a device and a host model. ``dataset_reason`` says why there is no dataset."""

    loaded: LoadedScenario
    model: Path | None
    golden: Path | None
    dataset: Dataset | None
    dataset_reason: str
    model_sha256: str = ""
    declared: DeclaredDataset | None = None
    """The dataset of the scenario that is used: its own, or the one named for where that is not here."""

    @property
    def samples(self) -> list[AccuracySample]:
        """Samples for accuracy mode, ``measure.accuracy_samples`` of them (0: all).

        The first ones; of an anomaly task ones evenly over the set, which may list all normal samples before the others.
        """
        measure = self.loaded.scenario.measure
        if self.dataset is None or "accuracy" not in measure.modes:
            return []
        from itertools import islice

        limit = measure.accuracy_samples or None
        chosen: Iterable[Sample] = islice(self.dataset, limit)
        if self.dataset.task == "anomaly" and limit is not None:
            places = set(evenly(len(self.dataset), limit))
            chosen = (sample for place, sample in enumerate(self.dataset) if place in places)
        return [self._sent(sample).dut_sample() for sample in chosen]

    def _sent(self, sample: Sample) -> Sample:
        """*sample* with the windows that accuracy mode sends of it: at most ``measure.accuracy_windows``, evenly spaced."""
        limit, stride = self.loaded.scenario.measure.accuracy_windows, sample.stride_bytes
        if not limit or stride is None or len(sample.real) <= limit:
            return sample
        step = -(-len(sample.real) // limit)
        return replace(sample, real=sample.real[::step], stride_bytes=stride * step)

    @property
    def samples_hash(self) -> str:
        """Content of what accuracy mode sends."""
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(sample.name.encode() + b"\0" + sample.data)
        return digest.hexdigest()

    def performance_inputs(self, image_bytes: int | None) -> list[bytes]:
        """One input for performance mode: the first sample (its first window), else random bytes from the seed."""
        if self.dataset is not None:
            sample = next(iter(self.dataset)).dut_sample()
            return [sample.data[: sample.size] if sample.size else sample.data]
        if self.loaded.scenario.workload.front_end:
            from emulab.quality.recordings import sent_example

            return [sent_example(self.loaded.scenario.seed)]
        import random

        size = image_bytes if image_bytes is not None else self._input_bytes()
        return [random.Random(self.loaded.scenario.seed).randbytes(size)]

    def _input_bytes(self) -> int:
        if self.model is None:
            workload = self.loaded.scenario.workload
            if workload.input_bytes is not None:
                return workload.input_bytes
            known = {"kws01": 490, "ic01": 3072, "vww01": 27648, "ad01": 2560}
            if workload.mlperf_id not in known:
                ids = ", ".join(known)
                message = f"how long is the image's input? give input_bytes: N, a dataset, or an mlperf_id of {ids}"
                raise InputError.at(self.loaded.file, "workload", message)
            return known[workload.mlperf_id]
        from emulab.quality.samples import model_io

        spec = model_io(self.model)[0]
        return spec.elements * {"int8": 1, "uint8": 1, "int16": 2, "float32": 4}.get(spec.dtype, 1)

    def quality(
        self, outputs: dict[str, list[float]], own_firmware: bool, host: bool = True, kind: Source = "emulated"
    ) -> tuple[dict[str, Quantity], dict[str, Any]]:
        """Accuracy of model and golden model on the host, and agreement of the DUT's *outputs* with the host's.

        A given image (not *own_firmware*) may hold any model: only what it answered itself counts for it. Without
        *host* nothing is evaluated there. ``kind`` says where the outputs come from.
        """
        workload = self.loaded.scenario.workload
        if workload.task in ("none", "streaming") and self.dataset is None:
            return {}, {}
        metric = "auc" if workload.task == "anomaly" else "accuracy_top1"
        if self.dataset is None:
            return {metric: unavailable("1", self.dataset_reason)}, {}
        metrics: dict[str, Quantity] = {}
        details: dict[str, Any] = {}
        for name, file in ((metric, self.model), (f"{metric}_golden", self.golden)):
            if file is None or not host or (name == metric and not own_firmware):
                continue
            metrics[name], found = self._host(name, file)
            if found:
                details[f"quality_{name}"] = found
        if outputs:
            host_answers = details.get(f"quality_{metric}", {}).get("answers", {})
            if host_answers and metric == "auc":
                host_answers = self._scores(outputs)
            more, counted = self._device(outputs, kind, host_answers)
            details["quality_device"] = counted
            known = metrics.get(metric)
            whole = counted["samples"] == len(self.dataset) and not counted.get("windows")
            if kind == "measured" or known is None or known.value is None or whole:
                metrics[metric] = more.pop("device")
            more.pop("device", None)
            metrics.update(more)
        elif kind == "measured":
            metrics.pop(metric, None)  # what the host computes is no measurement of a board
            own_firmware = False
        if metric not in metrics:
            reason = "accuracy mode was not asked for" if own_firmware else "no samples were answered in accuracy mode"
            metrics[metric] = unavailable("1", reason)
        for found in details.values():
            found.pop("answers", None)
        return metrics, details

    def _host(self, name: str, file: Path) -> tuple[Quantity, dict[str, Any]]:
        from emulab.quality import HostModelUnavailable

        try:
            found = _evaluate_cached(file, self.dataset, self.declared)
        except HostModelUnavailable as error:
            recorded = self.loaded.scenario.workload.golden_recorded.get(name)
            if recorded is None:
                return unavailable("1", str(error)), {}
            return Quantity(value=recorded, kind="recorded", source=f"model card ({error})"), {}
        return Quantity.model_validate(found.pop("quantity")), found

    def _scores(self, names: Mapping[str, object]) -> dict[str, list[float]]:
        """Anomaly scores of the model on the host, over the windows that the device was sent of the samples *names*."""
        from emulab.quality import load_host_model
        from emulab.quality.evaluation import answer

        assert self.dataset is not None and self.model is not None
        model = load_host_model(self.model)
        return {s.name: list(answer(model, self._sent(s), "anomaly")) for s in self.dataset if s.name in names}

    def _device(
        self, outputs: dict[str, list[float]], kind: Source, host: dict[str, list[float]]
    ) -> tuple[dict[str, Quantity], dict[str, Any]]:
        from emulab.quality import score

        assert self.dataset is not None
        result: QualityResult = score(self.dataset, outputs, "DUT")
        counted: dict[str, Any] = {"samples": result.n, "labels": list(result.labels)}
        anomaly = result.task == "anomaly"
        if anomaly and (limit := self.loaded.scenario.measure.accuracy_windows):
            counted["windows"] = limit
        if anomaly and len({answer.label for answer in result.answers}) < 2:
            metrics = {
                "device": unavailable("1", "samples of one kind alone have no AUC; raise measure.accuracy_samples")
            }
        else:
            metrics = {"device": result.quantity(kind)}
            counted["value"] = result.value
        if host:
            same = [a for a in result.answers if _same(a.values, host.get(a.name, []), anomaly)]
            counted["equal_outputs"] = len(same)
            said = (
                f"scores within {SCORE_STEP:.0%} of the host's"
                if anomaly
                else "outputs equal to the host's to three decimals"
            )
            if anomaly and "value" in counted:
                counted["host_value"] = score(self.dataset, host, "host").value
                said += f" (AUC of these {counted['value']:.3f}, of the host's {counted['host_value']:.3f})"
            metrics["agreement_host"] = Quantity(
                value=len(same) / result.n, kind=kind, source=f"{said}, {len(same)} of {result.n} samples"
            )
        return metrics, counted


def evenly(n: int, limit: int) -> list[int]:
    """Places of *limit* of n things, evenly over all of them: both kinds where one half is of one kind."""
    return list(range(n)) if limit >= n else [place * n // limit for place in range(limit)]


def _same(device: tuple[float, ...], host: list[float], score: bool) -> bool:
    """Whether two result vectors (with *score*: two anomaly scores) are the same as far as a device tells."""
    if len(device) != len(host):
        return False
    step = OUTPUT_STEP + 1e-6
    return all(abs(a - b) <= step + (SCORE_STEP * abs(b) if score else 0) for a, b in zip(device, host, strict=True))


def load_inputs(loaded: LoadedScenario, model_optional: bool = False) -> Inputs:
    """Resolve models and dataset of a scenario; a dataset may be absent, with the reason.

    A model must be there, unless it comes as an image or (*model_optional*) nothing is built from it.
    """
    workload = loaded.scenario.workload
    model = None
    if workload.model is not None:
        optional = model_optional or workload.firmware is not None
        model = _file(loaded, workload.model, "workload.model", optional)
    golden = None if workload.golden is None else _file(loaded, workload.golden, "workload.golden", optional=True)
    dataset: Dataset | None = None
    reason = "the scenario names no dataset"
    declared = workload.dataset
    while declared is not None:
        path = declared.path
        if path.startswith("asset:") and find(path.removeprefix("asset:")) is None:
            name = path.removeprefix("asset:")
            reason = f"evaluation inputs {name!r} are not here; set EMULAB_ASSETS to a folder that holds them"
            declared = declared.otherwise
        else:
            from emulab.quality import open_dataset

            place = resolve(path, loaded.folder, f"{loaded.file}: workload.dataset")
            reference = _reference(loaded)
            dataset = open_dataset(place, declared.format, reference or model, front_end=workload.front_end)
            if reference is not None and model is not None:
                from emulab.quality.datasets import Reencoded

                dataset = Reencoded(dataset, model)
            break
    digest = "" if model is None else hashlib.sha256(model.read_bytes()).hexdigest()
    return Inputs(loaded, model, golden, dataset, reason, digest, declared)


def _reference(loaded: LoadedScenario) -> Path | None:
    """The model that the dataset's samples were made for, where it is not the workload's own."""
    reference = loaded.scenario.workload.reference
    return None if reference is None else _file(loaded, reference, "workload.reference", optional=True)


def _file(loaded: LoadedScenario, path: str, key: str, optional: bool) -> Path | None:
    try:
        return resolve(path, loaded.folder, f"{loaded.file}: {key}")
    except InputError:
        if optional and path.startswith("asset:"):
            return None
        raise


def host_engine() -> tuple[str, str]:
    """Version of the engine that runs models here, and sha256 of the quality room. HostModelUnavailable without one."""
    from importlib.metadata import PackageNotFoundError, version

    from emulab.quality import HostModelUnavailable, host_model_available

    state = host_model_available()
    if not state.available:
        raise HostModelUnavailable(state.reason, state.how_to_install)
    try:
        engine = version("ai-edge-litert")
    except PackageNotFoundError:
        engine = ""
    room = Path(__file__).resolve().parent.parent / "quality"
    return engine, hashlib.sha256(b"".join(f.read_bytes() for f in sorted(room.glob("*.py")))).hexdigest()


def content_key(dataset: Dataset, limit: int | None) -> str:
    """sha256 over the names, labels and values of a dataset's first *limit* samples."""
    from emulab.quality.samples import take

    digest = hashlib.sha256()
    for sample in take(dataset, limit):
        digest.update(f"{sample.name}\0{sample.label}\0{sample.real.shape}".encode() + sample.real.tobytes())
    return digest.hexdigest()


def _evaluate_cached(model: Path, dataset: Any, declared: Any) -> dict[str, Any]:
    """Host evaluation as plain data, kept by content of model, samples and the quality room."""
    from emulab.cache import fetch_or_build
    from emulab.quality import evaluate

    engine, code = host_engine()
    limit = None if declared is None else declared.limit

    def build(place: Path) -> None:
        result = evaluate(model, dataset, limit)
        data = {
            **result.details(),
            "quantity": result.quantity("emulated").model_dump(mode="json"),
            "answers": {answer.name: [round(v, 9) for v in answer.values] for answer in result.answers},
        }
        write_text(place / "quality.json", json.dumps(data))

    entry = fetch_or_build("quality", [model, content_key(dataset, limit), engine, code], build)
    found: dict[str, Any] = json.loads((entry / "quality.json").read_text())
    return found
