"""Execute one job: firmware, session, quality, energy -> one Result.

What a deterministic backend measures depends only on content (firmware, platform, inputs, what is measured, and
emulab's own code), so it is kept in the cache under that content; energy over the duty cycle is computed afresh.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.backends.base import load_backend, needs_image
from emulab.cache import fetch_or_build
from emulab.errors import BackendUnavailable, InputError
from emulab.model.platform import LoadedPlatform, load_platform
from emulab.model.quantity import Source
from emulab.model.record import Result, write_text
from emulab.model.scenario import LoadedScenario
from emulab.run.assets import resolve
from emulab.run.cosim import add_application, runs_application, why_no_application
from emulab.run.expectations import PHYSICAL_BACKENDS
from emulab.run.front_end import front_end_measure, front_end_time
from emulab.run.inputs import Inputs, load_inputs
from emulab.run.measure import measure
from emulab.run.memory import memory
from emulab.run.plan import Job, place_of
from emulab.run.published import stated
from emulab.run.robustness import robustness_of
from emulab.run.streaming import add_stream, step_inputs, stream_options
from emulab.run.windows import Plan, windows

if TYPE_CHECKING:
    from emulab.backends.base import Backend, Session
    from emulab.energy.steps import ComputeWindow
    from emulab.firmware.build import Firmware
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.run.engine import RunOptions

Step = Callable[[str], None]


@dataclass(frozen=True)
class _Built:
    """What runs: an image, and what is known of it when emulab built it. Neither where a backend runs what is there."""

    image: Image | None
    firmware: Firmware | None


def execute(
    loaded: LoadedScenario, job: Job, options: RunOptions, folder: Path, progress: Callable[[str, str], None]
) -> tuple[Result, dict[str, str]]:
    """Run *job*, its artifacts below *folder*. Returns the result and the hashes of what it depends on.

    Raises BackendUnavailable, InputError or ToolError.
    """

    loaded = loaded.variant(job.variant)
    platform = _platform(job.platform).platform
    if loaded.scenario.duty_cycle is not None and platform.power is not None:
        from emulab.energy.simulate import check_cycle

        check_cycle(loaded, platform)  # what is wrong with it is not to be waited for

    def step(what: str) -> None:
        progress(job.label, what)

    place = place_of(job)
    result, hashes = _run(loaded, job, options, folder / place, step)
    artifacts = {kind: f"{place}/{name}" for kind, name in result.artifacts.items()}
    return result.model_copy(update={"artifacts": artifacts}), hashes


def evaluate_job(loaded: LoadedScenario, job: Job) -> Result:
    """Run *job* for its metrics alone (a point of a sweep): nothing is written but the cache."""
    from emulab.run.energy import add_energy
    from emulab.run.engine import RunOptions

    result = _evaluated(loaded, job, RunOptions())
    return add_energy(loaded.variant(job.variant), _platform(job.platform).platform, result, None)


def compute_windows(loaded: LoadedScenario, job: Job, needed: Collection[str]) -> dict[str, ComputeWindow]:
    """Latency and energy of the windows *needed*, as *job* measures them; {} where none is.

    Nothing else of the scenario is done: no accuracy, no robustness, no stream, no duty cycle of its own, and its
    application is co-simulated only for a window that it alone marks.
    """
    from emulab.energy.simulate import windows_of_result
    from emulab.run.engine import RunOptions
    from emulab.run.windows import INFERENCE_WINDOW

    if not needed:
        return {}
    scenario = loaded.scenario
    modes = [mode for mode in scenario.measure.modes if mode != "accuracy"] or ["performance"]
    change: dict[str, Any] = {"measure": scenario.measure.model_copy(update={"modes": modes})}
    marked = {INFERENCE_WINDOW, *(window.name for window in scenario.measure.windows)}
    if scenario.application is not None and not (set(needed) - marked) & set(scenario.application.windows):
        change["application"] = None
    asked = LoadedScenario(scenario.model_copy(update=change), loaded.file, loaded.data)
    return windows_of_result(_evaluated(asked, job, RunOptions(accuracy=False)), _platform(job.platform).platform)


def _evaluated(loaded: LoadedScenario, job: Job, options: RunOptions) -> Result:
    """The measurement of *job* without artifacts, one per content in this process."""
    loaded = loaded.variant(job.variant)
    # Variants that differ in their duty cycle alone share one measurement; a process sees one state of the files.
    apart = {"duty_cycle", "expectations", "title", "description", "baseline", "published"}
    key = (str(loaded.folder), job, options.accuracy, loaded.scenario.model_dump_json(exclude=apart))
    if key not in _MEASURED:
        if len(_MEASURED) >= MEASURED_LIMIT:
            _MEASURED.pop(next(iter(_MEASURED)))
        _MEASURED[key] = _measurement(loaded, job, options, None, lambda what: None)[0]
    return _MEASURED[key]


_MEASURED: dict[tuple[str, Job, bool, str], Result] = {}
MEASURED_LIMIT = 256
"""Measurements a process keeps in memory; further ones come from the cache on disk."""


def _run(
    loaded: LoadedScenario, job: Job, options: RunOptions, folder: Path | None, step: Step
) -> tuple[Result, dict[str, str]]:
    from emulab.run.energy import add_energy

    result, hashes = _measurement(loaded, job, options, folder, step)
    step("energy")
    return add_energy(loaded, _platform(job.platform).platform, result, folder), hashes


def _measurement(
    loaded: LoadedScenario, job: Job, options: RunOptions, folder: Path | None, step: Step
) -> tuple[Result, dict[str, str]]:
    """All of a result but its energy."""
    scenario = loaded.scenario
    board = _platform(job.platform)
    platform = board.platform
    backend = load_backend(job.backend)
    fidelity = backend.fidelity(platform)
    if fidelity is None:
        able = ", ".join(sorted(platform.backends)) or "none"
        raise InputError(
            f"backend {backend.name!r} has no model of platform {platform.name!r}; those that have: {able}; "
            "see: emulab list backends"
        )
    state = _availability(job.backend, job.argument or str(options.extra.get(job.backend, "")))
    if not state.available:
        raise BackendUnavailable(backend.name, state.reason, state.how_to_install)
    build_platform = backend.firmware_platform(platform)
    needed = needs_image(backend, options.extra)
    step("inputs")
    inputs = load_inputs(loaded, model_optional=not needed)
    built = _Built(None, None)
    if needed:
        step("firmware")
        built = _fitting(loaded, build_platform, options)
    stream = scenario.workload.stream
    prepared = built.firmware is not None and (stream is not None or scenario.workload.front_end is not None)
    plan = Plan(
        platform=platform,
        build_platform=build_platform,
        image=built.image,
        measure=front_end_measure(scenario.measure) if prepared else scenario.measure,
        inputs=inputs.performance_inputs(None) if stream is None else step_inputs(loaded, built.firmware),
        samples=inputs.samples,
        layers=() if built.firmware is None else built.firmware.layers,
        expected_model=scenario.workload.mlperf_id,
        argument=job.argument,
        seed=scenario.seed,
        extra=dict(options.extra),
    )
    result = _measured(backend, plan, board, inputs, options.use_cache, folder, step)
    metrics = dict(result.metrics)
    details = dict(result.details)
    if scenario.workload.front_end is not None and (front_end := front_end_time(result)) is not None:
        metrics["front_end_s"] = front_end
    model = inputs.model
    outputs = result.details.get("outputs", {})
    sizes, memory_details = memory(built.image, built.firmware, platform, details.get("session", {}))
    metrics.update(sizes)
    if memory_details:
        details["memory"] = memory_details
    own = built.firmware is not None
    if options.accuracy:
        step("accuracy on the host")
        kind: Source = "measured" if backend.name in PHYSICAL_BACKENDS else "emulated"
        quality_metrics, quality_details = inputs.quality(outputs, own, needed or bool(outputs), kind)
        metrics.update(quality_metrics)
        details.update(quality_details)
    if own and options.accuracy:
        step("robustness")
        noise_metrics, noise_details = robustness_of(loaded, inputs)
        metrics.update(noise_metrics)
        details.update(noise_details)
    notes = list(result.notes)
    key = scenario.published.get(platform.name, "")
    if backend.name in PHYSICAL_BACKENDS and key:
        beside = stated(key, scenario.workload.mlperf_id or scenario.workload.name)
        notes += [f"beside it, {beside}"] if beside else []
    # What is there already ran what it ran: a recording may say what, else it stays unknown.
    known = result.details.get("session", {})
    result = result.model_copy(
        update={
            "fidelity": fidelity,
            "variant": job.variant,
            "metrics": metrics,
            "details": details,
            "notes": notes,
            "model_sha256": inputs.model_sha256 if needed else known.get("model_sha256", ""),
            "firmware_sha256": known.get("firmware_sha256", "") if built.image is None else built.image.sha256,
        }
    )
    if stream is not None and built.firmware is not None and model is not None and options.accuracy:
        result = add_stream(loaded, platform, backend, built.firmware, model, result, folder, step, options.use_cache)
    if options.firmware is None and runs_application(loaded, platform.name, backend.name):
        result = add_application(loaded, platform, result, folder, step, options.use_cache)
    elif options.firmware is None and (reason := why_no_application(loaded, platform.name, backend.name)):
        result = result.model_copy(update={"notes": [*result.notes, reason]})
    hashes = {f"platforms/{name}": digest for name, digest in board.hashes().items()}
    hashes["scenario"] = hashlib.sha256(json.dumps(loaded.data, sort_keys=True, default=str).encode()).hexdigest()
    if result.firmware_sha256:
        hashes[f"firmware {job.label}"] = result.firmware_sha256
    if model is not None:
        hashes[f"model {job.variant}".strip()] = inputs.model_sha256
    return result, hashes


def open_session(loaded: LoadedScenario, job: Job) -> Session:
    """Build (or read) the scenario's firmware and boot it: a live session, the caller's to close."""
    from emulab.backends.base import SessionOptions
    from emulab.run.engine import RunOptions

    loaded = loaded.variant(job.variant)
    platform = _platform(job.platform).platform
    backend = load_backend(job.backend)
    state = _availability(job.backend, job.argument)
    if not state.available:
        raise BackendUnavailable(backend.name, state.reason, state.how_to_install)
    build_platform = backend.firmware_platform(platform)
    image = _fitting(loaded, build_platform, RunOptions()).image if needs_image(backend, {}) else None
    measure = loaded.scenario.measure
    options = SessionOptions(
        windows=windows(measure, image), profile=measure.profile, seed=loaded.scenario.seed, argument=job.argument
    )
    return backend.open(build_platform, image, options)  # type: ignore[arg-type]  # None where none is needed


@lru_cache(maxsize=64)
def _platform(name: str) -> LoadedPlatform:
    return load_platform(name)


@lru_cache(maxsize=16)
def _availability(name: str, location: str = "") -> Any:
    """Whether backend *name* is here; *location*: where the user says its emulator is (``--qemu``, ``--renode``)."""
    backend = load_backend(name)
    at = getattr(backend, "available_at", None)
    return at(location) if at and location else backend.available()


def _fitting(loaded: LoadedScenario, platform: Platform, options: RunOptions) -> _Built:
    built = _firmware(loaded, platform, options)
    assert built.image is not None
    built.image.check_fits(platform)
    return built


def _firmware(loaded: LoadedScenario, platform: Platform, options: RunOptions) -> _Built:
    from emulab.firmware.image import load_image

    workload = loaded.scenario.workload
    given = options.firmware
    if given is None and workload.firmware is not None:
        given = resolve(workload.firmware, loaded.folder, f"{loaded.file}: workload.firmware")
    if given is not None:
        base = options.firmware_base
        if base is None and given.suffix.lower() == ".bin":
            base = _flash_base(platform)
        return _Built(load_image(given, base), None)
    assert workload.model is not None
    from emulab.firmware.build import build

    model = resolve(workload.model, loaded.folder, f"{loaded.file}: workload.model")
    firmware = build(model, platform, options=_build_options(loaded))
    return _Built(firmware.image, firmware)


def _build_options(loaded: LoadedScenario) -> Any:
    from emulab.firmware.build import BuildOptions

    scenario = loaded.scenario
    mode = "energy" if scenario.measure.modes == ["energy"] else "performance"
    given = {"model_id": scenario.workload.mlperf_id or scenario.workload.name, "mode": mode, **scenario.build}
    if scenario.workload.stream is not None:
        given["stream"] = stream_options(scenario.workload.stream)
    if scenario.workload.front_end is not None:
        given["front_end"] = scenario.workload.front_end
    known = [field.name for field in dataclasses.fields(BuildOptions)]
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"valid keys: {', '.join(known)}"
            raise InputError.at(loaded.file, f"build.{key}", f"unknown key {str(key)!r}; {hint}")
    return BuildOptions(**given)


def _flash_base(platform: Platform) -> int:
    flash = [m.base for m in platform.soc.memories.values() if m.kind == "flash"]
    if not flash:
        raise InputError(f"platform {platform.name!r} has no flash; give the image's load address with --base")
    return min(flash)


def _measured(
    backend: Backend,
    plan: Plan,
    board: LoadedPlatform,
    inputs: Inputs,
    use_cache: bool,
    folder: Path | None,
    step: Step,
) -> Result:
    """Measure, or take an equal measurement from the cache; artifacts end in *folder* where there is one."""
    deterministic = "virtual-time" in backend.capabilities and not plan.argument and not plan.extra
    if not (use_cache and deterministic) or plan.image is None:
        import tempfile

        if folder is not None:
            return measure(backend, plan, folder, step)
        with tempfile.TemporaryDirectory(prefix="emulab-") as scratch:
            return measure(backend, plan, Path(scratch), step)

    def build(place: Path) -> None:
        result = measure(backend, plan, place, step)
        write_text(place / "result.json", result.model_dump_json())

    entry = fetch_or_build("runs", _key(backend, plan, plan.image, board, inputs), build)
    result = Result.model_validate_json((entry / "result.json").read_text())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for file in entry.iterdir():
            if file.name != "result.json":
                shutil.copyfile(file, folder / file.name)
    return result


def _key(backend: Backend, plan: Plan, image: Image, board: LoadedPlatform, inputs: Inputs) -> list[str]:
    return [
        backend.name,
        _availability(backend.name).version,
        code_hash(),
        image.sha256,
        json.dumps(plan.platform.model_dump(mode="json", exclude={"power"}), sort_keys=True),
        json.dumps(plan.build_platform.model_dump(mode="json", exclude={"power"}), sort_keys=True),
        plan.measure.model_dump_json(),
        str(plan.seed),
        plan.expected_model,
        hashlib.sha256(b"".join(plan.inputs)).hexdigest(),
        inputs.samples_hash,
    ]


@lru_cache(maxsize=1)
def code_hash() -> str:
    """sha256 over emulab's own sources: a change of code is another measurement."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in ("backends", "dut", "firmware", "probe", "timing", "model", "run"):
        for file in sorted((package / room).rglob("*")):
            if file.suffix in (".py", ".c", ".h"):
                digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
