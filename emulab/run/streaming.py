"""Streaming: the board listens to a recording in real (virtual) time, and the host says what there was to hear.

The performance window of a streaming DUT is one step: samples of one hop (or three) through front end and model. Here
the same firmware listens to the modelled microphone while its power components are on the ledger, which gives mean
power over the recording with the core asleep between steps; its scores are held against the host's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.cache import fetch_or_build
from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Result, write_text
from emulab.run.assets import find, resolve
from emulab.run.front_end import front_end_time
from emulab.run.listening import listen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emulab.backends.base import Backend
    from emulab.firmware.audio.stream import StreamOptions, StreamPlan
    from emulab.firmware.build import Firmware
    from emulab.model.platform import Platform
    from emulab.model.scenario import LoadedScenario
    from emulab.model.streaming import Recording, Stream
    from emulab.quality.samples import TensorSpec

PLOT_POINTS = 2000


def stream_options(stream: Stream) -> StreamOptions:
    """What firmware is built with."""
    from emulab.firmware.audio.stream import StreamOptions

    found = stream.detection
    return StreamOptions(stream.front_end, found.output, found.threshold, found.average, found.refractory_s)


def step_inputs(loaded: LoadedScenario, firmware: Firmware | None) -> list[bytes]:
    """Five steps of synthetic sound, for the performance windows. InputError without firmware of ours."""
    from emulab.quality.streaming import synthetic_sound

    if firmware is None:
        raise InputError.at(loaded.file, "workload.stream", "needs a model that emulab builds firmware from")
    sound = synthetic_sound(1.0, loaded.scenario.seed).tobytes()
    size, middle = firmware.input_bytes, len(sound) // 2
    return [sound[middle + i * size : middle + (i + 1) * size] for i in range(5)]


def host_plan(stream: Stream, given: TensorSpec, answer: TensorSpec) -> tuple[StreamOptions, StreamPlan]:
    """Options and plan of a model that no firmware was built from. InputError where they do not fit."""
    from emulab.firmware.audio.stream import plan_stream
    from emulab.firmware.codegen.generator import TensorDescription

    def described(spec: TensorSpec) -> TensorDescription:
        scale = (spec.scale, spec.zero_point) if spec.quantised else (None, None)
        return TensorDescription(spec.name, spec.shape, spec.dtype, 0, *scale)

    options = stream_options(stream)
    return options, plan_stream(options, described(given), described(answer))


def stream_plan(options: StreamOptions, firmware: Firmware) -> StreamPlan:
    from emulab.firmware.audio.stream import plan_stream

    return plan_stream(options, firmware.inputs[0], firmware.outputs[0])


def add_stream(
    loaded: LoadedScenario,
    platform: Platform,
    backend: Backend,
    firmware: Firmware,
    model: Path,
    result: Result,
    folder: Path | None,
    step: Callable[[str], None],
    use_cache: bool = True,
) -> Result:
    """The result with what streaming adds: real-time margin, mean power, detections. Raises InputError, ToolError."""
    stream = loaded.scenario.workload.stream
    assert stream is not None
    options = stream_options(stream)
    plan = stream_plan(options, firmware)
    metrics = {**result.metrics, **_margin(result, plan)}
    artifacts = dict(result.artifacts)
    step("recordings on the host")
    heard, reason = recordings(loaded, stream)
    told = _host(model, heard, options, plan, stream)
    metrics.update(_accuracy(told, reason, stream))
    details: dict[str, Any] = {
        "front_end": stream.front_end,
        "step_s": plan.step_s,
        "threshold": stream.detection.threshold,
        "sound": reason or ", ".join(one["name"] for one in told),
        "recordings": told,
    }
    step("listening")
    device, why = _device(loaded, platform, backend, firmware, heard[0][1], stream, use_cache)
    if device is None:
        metrics["mean_power_w"] = unavailable("W", why)
    else:
        more, found = _device_metrics(device, told[0], plan, platform)
        metrics.update(more)
        details["device"] = found
        if folder is not None and device.get("trace"):
            write_text(folder / "stream.csv", device["trace"])
            artifacts["stream_trace"] = "stream.csv"
    for one in told:
        one.pop("raw", None)
    return result.model_copy(
        update={"metrics": metrics, "details": {**result.details, "stream": details}, "artifacts": artifacts}
    )


def _margin(result: Result, plan: StreamPlan) -> dict[str, Quantity]:
    """How much of a step's time the processing takes, and the front end's part of it."""
    metrics: dict[str, Quantity] = {}
    latency = result.metrics.get("latency_s")
    hop = front_end_time(result, plan.fresh_rows, f"{plan.fresh_rows} hops of {plan.front_end.name} per step, median")
    if hop is not None:
        metrics["front_end_s"] = hop
    if latency is not None and latency.value:
        metrics["real_time_margin"] = Quantity(
            value=plan.step_s / latency.value,
            kind=latency.kind,
            source=f"{1e3 * plan.step_s:g} ms of sound per step over latency; below 1 the device falls behind",
        )
    return metrics


# -- the host -----------------------------------------------------------------------------------------------


def recordings(loaded: LoadedScenario, stream: Stream) -> tuple[list[tuple[Recording, NDArray[Any]]], str]:
    """Recordings that are here with their samples, and why synthetic sound stands in their place (or nothing)."""
    from emulab.model.streaming import Recording
    from emulab.quality.streaming import read_wav, runner_list, synthetic_sound

    heard, reason = [], "the scenario names no recording"
    for index, recording in enumerate(stream.recordings):
        name = recording.path.removeprefix("asset:")
        if recording.path.startswith("asset:") and find(name) is None:
            reason = f"recording {name!r} is not here; fetch it with: emulab assets pull {name}"
            continue
        file = resolve(recording.path, loaded.folder, f"{loaded.file}: workload.stream.recordings.{index}")
        listed = runner_list(file) if file.suffix == ".json" else [(file, recording)]
        heard += [(one, read_wav(place)) for place, one in listed]
    if heard:
        return heard, ""
    sound = synthetic_sound(stream.emulate_s, loaded.scenario.seed)
    return [(Recording(path="synthetic sound"), sound)], f"synthetic sound without wake words ({reason})"


def _host(
    model: Path,
    heard: list[tuple[Recording, NDArray[Any]]],
    options: StreamOptions,
    plan: StreamPlan,
    stream: Stream,
) -> list[dict[str, Any]]:
    """Scores, detections and verdict per recording, as plain data."""
    import numpy as np

    from emulab.quality import HostModelUnavailable
    from emulab.quality.streaming import detections, host_scores, judge

    told = []
    for recording, samples in heard:
        words = [(float(a), float(b)) for a, b in recording.wake_words]
        one: dict[str, Any] = {
            "name": Path(recording.path.removeprefix("asset:")).name,
            "length_s": len(samples) / plan.front_end.sample_hz,
            "wake_words_s": words,
        }
        told.append(one)
        try:
            raw = host_scores(model, samples, options, plan)
        except HostModelUnavailable as error:
            one["reason"] = str(error)
            continue
        times = [plan.inference_s(i) for i in detections(raw, options, plan)]
        verdict = judge(times, words, stream.late_s)
        real = (raw - plan.output_zero_point) * plan.output_scale
        every = -(-len(real) // PLOT_POINTS) or 1
        kept = np.array([real[i : i + every].max() for i in range(0, len(real), every)])
        one.update(
            raw=raw.tolist(),
            score=[round(float(v), 4) for v in kept],
            score_step_s=every * plan.step_s,
            detections_s=times,
            hits=len(verdict.hits),
            delays_s=list(verdict.delays),
            misses_s=list(verdict.misses),
            false_accepts_s=list(verdict.false_accepts),
        )
    return told


def _accuracy(told: list[dict[str, Any]], reason: str, stream: Stream) -> dict[str, Quantity]:
    import statistics

    words = sum(len(one["wake_words_s"]) for one in told)
    missing = next((one["reason"] for one in told if "reason" in one), "") or reason
    if missing:
        return {name: unavailable("1", missing) for name in ("false_reject_rate", "false_accepts_per_s")}
    length_s = sum(one["length_s"] for one in told)
    misses, false = (sum(len(one[key]) for one in told) for key in ("misses_s", "false_accepts_s"))
    source = f"host model behind the device's front end, {words} wake words in {length_s:.0f} s"
    metrics = {
        "false_reject_rate": unavailable("1", "the recordings hold no wake word"),
        "false_accepts_per_s": Quantity(value=false / length_s, unit="1/s", kind="emulated", source=source),
    }
    if words:
        metrics["false_reject_rate"] = Quantity(value=misses / words, kind="emulated", source=source)
    delays = [delay for one in told for delay in one["delays_s"]]
    if delays:
        metrics["detection_delay_s"] = Quantity(
            value=statistics.median(delays),
            unit="s",
            kind="emulated",
            source=f"from the end of a wake word to its detection, median of {len(delays)}; below zero: before its end",
        )
    return metrics


# -- the device ---------------------------------------------------------------------------------------------


def _device(
    loaded: LoadedScenario,
    platform: Platform,
    backend: Backend,
    firmware: Firmware,
    samples: NDArray[Any],
    stream: Stream,
    use_cache: bool,
) -> tuple[dict[str, Any] | None, str]:
    """What the board said and drew while it listened (from the cache if it did before), or why it did not."""
    if "EMULAB_STREAM_AUDIO" not in _audio_defines(platform):
        return None, f"platform {platform.name!r} has no `board.firmware.audio`, so its firmware cannot listen"
    if backend.name != "unicorn":
        return None, f"backend {backend.name!r} has no microphone; the embedded machine (unicorn) has one"
    if platform.power is None:
        return None, f"platform {platform.name!r} has no power data"
    from emulab.run.execute import code_hash

    length_s = min(stream.emulate_s, len(samples) / 16_000)
    limit_s = loaded.scenario.measure.timeout_s * max(1.0, length_s)
    if not use_cache:
        return listen(backend, platform, firmware, samples, length_s, limit_s), ""
    energy = Path(__file__).resolve().parent.parent / "energy"
    key = [
        code_hash(),
        hashlib.sha256(b"".join(f.read_bytes() for f in sorted(energy.glob("*.py")))).hexdigest(),
        firmware.image.sha256,
        json.dumps(platform.model_dump(mode="json"), sort_keys=True),
        hashlib.sha256(samples.tobytes()).hexdigest(),
        repr(length_s),
    ]

    def build(place: Path) -> None:
        write_text(place / "stream.json", json.dumps(listen(backend, platform, firmware, samples, length_s, limit_s)))

    entry = fetch_or_build("streams", key, build)
    found: dict[str, Any] = json.loads((entry / "stream.json").read_text())
    return found, ""


def _audio_defines(platform: Platform) -> dict[str, str]:
    from emulab.firmware.board import audio_defines, firmware_spec

    return audio_defines(firmware_spec(platform))


def _device_metrics(
    device: dict[str, Any], host: dict[str, Any], plan: StreamPlan, platform: Platform
) -> tuple[dict[str, Quantity], dict[str, Any]]:
    assert platform.power is not None
    length_s = device["end_s"] - device["begin_s"]
    power_w = sum(device["charge_c"].values()) * device["supply_v"] / length_s
    accuracy = platform.power.accuracy.value if platform.power.accuracy is not None else None
    metrics = {
        "mean_power_w": Quantity(
            value=power_w,
            unit="W",
            kind="modelled",
            uncertainty=None if accuracy is None else accuracy * power_w,
            source=f"co-simulation over {length_s:.2f} s of sound at {device['supply_v']:g} V, "
            "the processor's supply without the microphone",
        ),
        "busy_share": Quantity(
            value=device["busy_share"], kind="modelled", source=f"time the core did not sleep, of {length_s:.2f} s"
        ),
    }
    scores = [s - 256 if plan.output_zero_point < 0 and s > 127 else s for s in device["scores"]]
    found: dict[str, Any] = {
        "length_s": length_s,
        "supply_v": device["supply_v"],
        "steps": device["steps"],
        "missed_steps": device["missed"],
        "detections_s": [plan.inference_s(i) for i in device["detections"]],
        "energy_by_component_j": {k: v * device["supply_v"] for k, v in device["charge_c"].items()},
    }
    if device["missed"]:
        metrics["missed_steps"] = Quantity(value=device["missed"], kind="emulated", source="steps lost: too slow")
    raw = host.get("raw", [])[: device["inferences"]][-len(scores) :] if scores else []
    if raw and not device["missed"]:
        pairs = list(zip(raw, scores[: len(raw)], strict=True))
        apart = [abs(a - b) for a, b in pairs]
        found["scores_compared"], found["most_apart_steps"] = len(pairs), max(apart)
        metrics["agreement_host"] = Quantity(
            value=sum(d <= 2 for d in apart) / len(pairs),
            kind="emulated",
            source=f"scores of the device within two steps of the host's, {len(pairs)} of the recording",
        )
    return metrics, found
