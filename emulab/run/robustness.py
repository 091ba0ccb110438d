"""Robustness of a scenario's models: accuracy under noise on the host, kept by content, as details and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import write_text
from emulab.model.scenario import LoadedScenario, Robustness
from emulab.run.assets import resolve
from emulab.run.inputs import Inputs, content_key, host_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROLES = ("model", "golden")
"""Whose curve it is: the workload's model, and the float model it is held against."""


def robustness(
    inputs: Inputs, asked: Robustness, on_point: Callable[[str, float], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Role -> curves (:class:`emulab.quality.NoiseReport` as plain data, and the ``file`` they are of).

    InputError where the scenario has no dataset or no levels; HostModelUnavailable where the host runs no model.
    """
    if not asked.sweep:
        raise InputError.at(inputs.loaded.file, "robustness", "gives no levels; expected e.g. snr_db: [30, 20, 10]")
    if inputs.loaded.scenario.workload.stream is not None:
        return {"model": _of_stream(inputs, asked, on_point)}
    if inputs.dataset is None:
        raise InputError.at(inputs.loaded.file, "robustness", inputs.dataset_reason)
    files = {role: file for role, file in zip(ROLES, (inputs.model, inputs.golden), strict=True) if file is not None}
    if not files:
        raise InputError.at(inputs.loaded.file, "robustness", "the scenario names no model that the host could run")
    reports = _cached(list(dict.fromkeys(files.values())), inputs.dataset, asked, _background(inputs, asked), on_point)
    return {role: reports[str(file)] for role, file in files.items()}


def _background(inputs: Inputs, asked: Robustness) -> Path | None:
    if asked.background is None:
        return None
    return resolve(asked.background, inputs.loaded.folder, f"{inputs.loaded.file}: robustness.background")


def _of_stream(inputs: Inputs, asked: Robustness, on_point: Callable[[str, float], None] | None) -> dict[str, Any]:
    """Wake words found under noise, kept by content of model, recordings and what is asked."""
    import hashlib

    from emulab.cache import KeyPart, fetch_or_build
    from emulab.quality.noise import Surroundings
    from emulab.quality.samples import model_io
    from emulab.quality.stream_noise import stream_sweep
    from emulab.run.streaming import host_plan, recordings

    stream, model = inputs.loaded.scenario.workload.stream, inputs.model
    assert stream is not None
    if model is None:
        raise InputError.at(inputs.loaded.file, "robustness", "the scenario names no model that the host could run")
    heard, reason = recordings(inputs.loaded, stream)
    if reason:
        raise InputError.at(inputs.loaded.file, "robustness", f"needs recordings with wake words: {reason}")
    options, plan = host_plan(stream, *model_io(model))
    background = _background(inputs, asked)
    engine, code = host_engine()
    told = [asked.sweep, asked.seed, asked.hum_hz, stream.model_dump(mode="json")]
    sounds = hashlib.sha256(b"".join(samples.tobytes() for _, samples in heard)).hexdigest()
    words = [recording.model_dump(mode="json") for recording, _ in heard]
    key: list[KeyPart] = [model, json.dumps([told, words], sort_keys=True), sounds, engine, code]
    if background is not None:
        key.append(background)
    sweep: Any = asked.sweep  # the schema's fields are the kinds

    def build(place: Path) -> None:
        around = Surroundings(None, asked.hum_hz, background)
        report = stream_sweep(
            model, heard, options, plan, stream.late_s, sweep, seed=asked.seed, on_point=on_point, surroundings=around
        )
        write_text(place / "robustness.json", json.dumps(report.details()))

    entry = fetch_or_build("robustness", key, build)
    return {"file": model.name, **json.loads((entry / "robustness.json").read_text())}


def robustness_of(loaded: LoadedScenario, inputs: Inputs) -> tuple[dict[str, Quantity], dict[str, Any]]:
    """What a run tells of it: a metric per level (``accuracy_top1@snr_db=10``), and the curves for the reports."""
    from emulab.quality import HostModelUnavailable

    asked = loaded.scenario.robustness
    if asked is None:
        return {}, {}
    metric = "auc" if loaded.scenario.workload.task == "anomaly" else "accuracy_top1"
    reason = inputs.dataset_reason if inputs.dataset is None else ""
    stream = loaded.scenario.workload.stream
    if stream is not None:
        from emulab.quality.stream_noise import METRIC
        from emulab.run.streaming import recordings

        metric, reason = METRIC, recordings(loaded, stream)[1]
    if reason:
        return {_name(metric, kind, v): unavailable("1", reason) for kind, vs in asked.sweep.items() for v in vs}, {}
    try:
        found = robustness(inputs, asked)
    except HostModelUnavailable as error:
        names = [_name(metric, kind, level) for kind, levels in asked.sweep.items() for level in levels]
        return {name: unavailable("1", str(error)) for name in names}, {}
    metrics = {}
    for role, report in found.items():
        own = metric if role == "model" else f"{metric}_golden"
        source = f"{Path(report['file']).name} on the host, {report['samples']} samples of {report['dataset']}"
        for curve in report["curves"]:
            for point in curve["points"]:
                half = (point["interval"]["high"] - point["interval"]["low"]) / 2
                metrics[_name(own, curve["kind"], point["level"])] = Quantity(
                    value=point["quality"],
                    uncertainty=half / 1.96,
                    kind="emulated",
                    source=f"{source}, {report['where']} disturbed, seed {report['seed']}",
                )
    return metrics, {"robustness": found}


def _name(metric: str, kind: str, level: float) -> str:
    return f"{metric}@{kind}={level:g}"


def _cached(
    models: Sequence[Path],
    dataset: Any,
    asked: Robustness,
    background: Path | None,
    on_point: Callable[[str, float], None] | None,
) -> dict[str, dict[str, Any]]:
    from emulab.cache import KeyPart, fetch_or_build
    from emulab.quality import noise_sweeps
    from emulab.quality.noise import Surroundings

    engine, code = host_engine()
    asked_text = json.dumps([asked.sweep, asked.seed, asked.limit, asked.hum_hz, asked.sample_hz], sort_keys=True)
    around = Surroundings(asked.sample_hz, asked.hum_hz, background)

    def build(place: Path) -> None:
        reports = noise_sweeps(
            list(models),
            dataset,
            asked.sweep,  # type: ignore[arg-type]  # the schema's fields are the kinds
            seed=asked.seed,
            limit=asked.limit,
            on_point=on_point,
            surroundings=around,
        )
        write_text(place / "robustness.json", json.dumps([report.details() for report in reports]))

    key: list[KeyPart] = [*models, content_key(dataset, None), asked_text, engine, code]
    if background is not None:
        key.append(background)
    entry = fetch_or_build("robustness", key, build)
    found = json.loads((entry / "robustness.json").read_text())
    return {str(file): {"file": file.name, **report} for file, report in zip(models, found, strict=True)}
