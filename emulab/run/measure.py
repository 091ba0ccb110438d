"""Measure: open one session, drive the DUT through the scenario's modes, and tell what was seen as a Result."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emulab.errors import EmulabError, ToolError
from emulab.model.quantity import Quantity, Source, unavailable
from emulab.model.record import Result, WindowRecord, write_text

if TYPE_CHECKING:
    from emulab.backends.base import Backend, CurrentTrace, Session
    from emulab.dut import AccuracyOutput, AccuracySample, DutClient, PerformanceResult
    from emulab.dut.procedures import MeasuredWindow
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.model.record import LayerRow
    from emulab.model.scenario import Measure
    from emulab.probe.profile import Profile, WindowProfile
    from emulab.run.layers import LayerInfo

INFERENCE_WINDOW = "inference"
# From the timestamp that follows m-infer-start to the next one: the DUT's own window.
TIMESTAMP_START = r"console:m-infer-start-\d+\s+m-lap-us-"
TIMESTAMP_STOP = "console:m-lap-us-"
LAYER_WINDOW = "layer:"
LAYER_END = "emulab_layer_end"


class Timed(Protocol):
    """Anything with a start, a stop and a number of inferences."""

    @property
    def start_s(self) -> float: ...

    @property
    def stop_s(self) -> float: ...

    @property
    def inferences(self) -> int: ...


@dataclass(frozen=True)
class Plan:
    """What one session is asked to do. ``image`` is None where the backend runs what is there."""

    platform: Platform
    build_platform: Platform
    image: Image | None
    measure: Measure
    inputs: Sequence[bytes]
    samples: Sequence[AccuracySample] = ()
    layers: Sequence[LayerInfo] = ()
    expected_model: str = ""
    argument: str = ""
    seed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def measure(backend: Backend, plan: Plan, folder: Path, progress: Callable[[str], None]) -> Result:
    """Run the session; artifacts (console log, profile, trace) go to *folder*.

    Raises BackendUnavailable, InputError, or a ToolError whose message ends with what the firmware was doing.
    """
    from emulab.backends.base import SessionOptions
    from emulab.dut import DutClient

    options = SessionOptions(
        windows=(*windows(plan.measure, plan.image), *layer_windows(plan)),
        profile=plan.measure.profile,
        seed=plan.seed,
        output=folder,
        argument=plan.argument,
        extra=plan.extra,
    )
    progress("boot")
    # The board asked for: a backend that runs it on another machine's map still owes its timing.
    with backend.open(plan.platform, plan.image, options) as session:  # type: ignore[arg-type]
        client = DutClient(session.console, session.clock, limit_s=plan.measure.timeout_s)
        try:
            result = _drive(session, client, plan, folder, progress)
        except EmulabError as error:
            if not error.args or session is None:
                raise
            state = _state(session)
            raise type(error)(f"{error}; {state}") if state and state not in str(error) else error  # noqa: B904
        finally:
            _write_log(client, folder)
    return result.model_copy(
        update={"backend": backend.name, "artifacts": {**result.artifacts, "console": "console.log"}}
    )


def windows(measure: Measure, image: Image | None) -> tuple[Any, ...]:
    """The inference window and those of the scenario.

    Our own firmware marks its inferences (``emulab.h``); of any other image it is what the DUT itself times, from the
    timestamp after ``m-infer-start`` to the next one.
    """
    from emulab.model.scenario import Window

    start, stop = TIMESTAMP_START, TIMESTAMP_STOP
    if _marks_inference(image):
        start, stop = f"marker:{INFERENCE_WINDOW}.begin", f"marker:{INFERENCE_WINDOW}.end"
    inference = Window.model_validate({"name": INFERENCE_WINDOW, "from": start, "to": stop})
    return (inference, *measure.windows)


def layer_windows(plan: Plan) -> tuple[Any, ...]:
    """One window per layer: kernels are shared, so what a layer costs is what runs until the next one is entered."""
    from emulab.model.scenario import Window

    if not plan.layers or plan.image is None or not plan.measure.profile or LAYER_END not in plan.image.symbols:
        return ()
    # A layer that costs nothing (a reshape in place) may have no code at all.
    present = [(i, layer.symbol) for i, layer in enumerate(plan.layers) if layer.symbol in plan.image.symbols]
    ends = [*(symbol for _, symbol in present[1:]), LAYER_END]
    return tuple(
        Window.model_validate({"name": f"{LAYER_WINDOW}{index}", "from": start, "to": stop})
        for (index, start), stop in zip(present, ends, strict=True)
    )


def _state(session: Session) -> str:
    try:
        return session.describe_state()
    except EmulabError:
        return ""


def _write_log(client: DutClient, folder: Path) -> None:
    lines = [f"{line.time_s:14.6f} {line.direction} {line.text}" for line in client.log]
    write_text(folder / "console.log", "\n".join(lines) + "\n")


def _drive(session: Session, client: DutClient, plan: Plan, folder: Path, progress: Callable[[str], None]) -> Result:
    from emulab.dut import accuracy, energy, performance

    wanted = plan.measure
    virtual = session.clock.kind == "virtual"
    client.sync()
    name = client.name()
    profile, model = client.profile()
    notes = []
    if plan.expected_model and model and model != plan.expected_model:
        if not virtual:
            raise ToolError(
                f"wrong board or firmware attached: the DUT says it runs {model!r}, the scenario expects "
                f"{plan.expected_model!r}; attach the right one or give --flash"
            )
        notes.append(f"the DUT says it runs {model!r}, the scenario says {plan.expected_model!r}")
    metrics: dict[str, Quantity] = {}
    records: list[WindowRecord] = []
    artifacts: dict[str, str] = {}
    details: dict[str, Any] = {"dut": {"name": name, "profile": profile, "model": model}}
    replayed = bool(getattr(session.console, "recorded", False))
    # What was recorded on a board was measured there, though its clock is the recording's.
    origin: Source = "modelled" if virtual and not replayed else "measured"
    window_s = None if virtual else wanted.window_s
    modes = list(wanted.modes)
    if client.mode == "energy":
        modes = ["energy" if mode == "performance" else mode for mode in modes]
    modes = list(dict.fromkeys(modes))
    if "performance" in modes:
        progress("performance")
        inferences = wanted.inferences if virtual else None
        single: MeasuredWindow | None = None
        source = "DUT timestamps, median over windows"
        if virtual and not replayed and not _marks_inference(plan.image) and wanted.inferences > 1:
            single = performance(client, plan.inputs, 1, 1, wanted.warmups).windows[0]
            source += f"; windows of {wanted.inferences} less one of 1, since printing a timestamp is not inference"
        found = performance(client, plan.inputs, wanted.loops, inferences, wanted.warmups, window_s)
        if single is not None:
            found = _less_printing(found, single)
        metrics["latency_s"] = Quantity(
            value=found.latency_s,
            unit="s",
            kind=origin,
            uncertainty=found.latency_uncertainty_s,
            source=source,
        )
        records, more = _performance_windows(session, found, plan, corrected=single is not None)
        metrics.update(more)
        if not getattr(session, "timestamps_modelled", True):
            metrics.update(_window_latency(records, found.latency_s, details))
        details["performance_violations"] = found.violations
        details["results"] = found.windows[0].results
    if "energy" in modes:
        progress("energy")
        inferences = wanted.inferences if virtual else None
        pin = plan.platform.board.timestamp_pin
        if session.power_meter is None:
            measured_windows = _gpio_windows(session, client, plan, pin)
            latencies = [w.latency_s for w in measured_windows]
            metrics["latency_s"] = Quantity(
                value=statistics.median(latencies),
                unit="s",
                kind=origin,
                uncertainty=statistics.stdev(latencies) if len(latencies) > 1 else None,
                source=f"edges on {pin}, median over windows",
            )
            records = measured_windows
            metrics["energy_per_inference_j"] = unavailable("J", "the session has no power meter")
        else:
            outcome, trace = energy(
                session, client, plan.inputs, wanted.loops, inferences, wanted.warmups, pin, window_s
            )
            metrics["latency_s"] = Quantity(
                value=outcome.latency_s,
                unit="s",
                kind=origin,
                uncertainty=outcome.latency_uncertainty_s,
                source=outcome.alignment,
            )
            metrics["energy_per_inference_j"] = Quantity(
                value=outcome.energy_per_inference_j,
                unit="J",
                kind=origin,
                uncertainty=outcome.energy_uncertainty_j,
                source=trace.source or outcome.alignment,
            )
            metrics["power_w"] = Quantity(
                value=outcome.power_w,
                unit="W",
                kind=origin,
                uncertainty=outcome.power_uncertainty_w,
                source=trace.source,
            )
            records = [
                WindowRecord(
                    name=INFERENCE_WINDOW,
                    index=w.index,
                    start_s=w.start_s,
                    stop_s=w.stop_s,
                    inferences=w.inferences,
                    energy_j=e.energy_j,
                )
                for w, e in zip(outcome.windows, outcome.energies, strict=True)
            ]
            artifacts["energy_trace"] = _write_trace(trace, folder)
            details["energy_violations"] = outcome.violations
            details["lost_samples"] = trace.lost_samples
    recorded = session.details().get("recorded_modes", []) if replayed else []
    if "accuracy" in modes and replayed and "accuracy" not in recorded:
        notes.append("accuracy mode was not recorded")
        modes.remove("accuracy")
    if "accuracy" in modes and plan.samples:
        progress("accuracy")
        outputs = accuracy(client, plan.samples, lambda output: progress(f"accuracy: {output.name}"))
        artifacts["outputs"] = _write_outputs(outputs, folder)
        details["outputs"] = {output.name: output.results for output in outputs}
    session_details = session.details()
    for key, unit in (("stack_bytes", "B"), ("ram_used_bytes", "B")):
        if key in session_details:
            metrics[key] = Quantity(
                value=float(session_details[key]), unit=unit, kind="emulated", source="painted stack"
            )
    details["session"] = session_details
    return Result(
        platform=plan.platform.name,
        backend="",
        status="passed",
        metrics=metrics,
        windows=records,
        notes=[*notes, *session.notes()],
        artifacts=artifacts,
        details=details,
        firmware_sha256="" if plan.image is None else plan.image.sha256,
    )


def _gpio_windows(session: Session, client: DutClient, plan: Plan, pin: str) -> list[WindowRecord]:
    """Energy-mode firmware without a meter: windows between the two falling edges of its timestamp pin."""
    windows = []
    # The first pulse may start from whatever level the boot left the pin at: one window that does not count.
    client.load(plan.inputs[0])
    client.infer(1, 0)
    for index in range(plan.measure.loops):
        client.load(plan.inputs[index % len(plan.inputs)])
        before = len(session.gpio_edges(pin))
        client.infer(plan.measure.inferences, plan.measure.warmups)
        falling = [edge.time_s for edge in session.gpio_edges(pin)[before:] if not edge.level]
        if len(falling) != 2:
            raise ToolError(
                f"energy: window {index} has {len(falling)} falling edges on {pin or '(no pin)'}, expected 2; "
                "is board.timestamp_pin right?"
            )
        windows.append(
            WindowRecord(
                name=INFERENCE_WINDOW,
                index=index,
                start_s=falling[0],
                stop_s=falling[1],
                inferences=plan.measure.inferences,
            )
        )
    return windows


def _marks_inference(image: Image | None) -> bool:
    """Whether the firmware marks its inferences (``emulab.h``), as ours does."""
    return image is not None and f"emulab_marker_{INFERENCE_WINDOW}.begin" in image.symbols


def _less_printing(found: PerformanceResult, single: MeasuredWindow) -> PerformanceResult:
    """Windows without what they hold besides inference.

    A DUT prints its first timestamp after taking it, 1.5 ms at 115200 baud. Nothing in a window of ten seconds, much
    in one of two inferences: what a window of one inference takes more than the further ones do is taken off.
    """
    windows = []
    for window in found.windows:
        latency_s = (window.elapsed_s - single.elapsed_s) / (window.inferences - single.inferences)
        beside_s = max(0.0, single.elapsed_s - single.inferences * latency_s)
        windows.append(replace(window, start_s=window.start_s + beside_s))
    return replace(found, windows=windows)


def _performance_windows(
    session: Session, found: PerformanceResult, plan: Plan, corrected: bool = False
) -> tuple[list[WindowRecord], dict[str, Quantity]]:
    """Records of the windows, with counts. *corrected*: the window before the measured ones held one inference."""
    profiles = [] if session.profiler is None else session.profiler.windows()
    inference = [w for w in profiles if w.name == INFERENCE_WINDOW]
    records: list[WindowRecord] = []
    for window in found.windows:
        # The probe sees the trial windows too where there were some; the measured ones are the last.
        offset = len(inference) - len(found.windows) + window.index
        profiled = inference[offset] if 0 <= offset < len(inference) else None
        record = _window_record(INFERENCE_WINDOW, window.index, window, profiled)
        if corrected and profiled is not None and len(inference) > len(found.windows):
            record = _less_counts(record, inference[len(inference) - len(found.windows) - 1])
        if profiled is not None and not getattr(session, "timestamps_modelled", True):
            record = record.model_copy(update={"start_s": profiled.start_s, "stop_s": profiled.stop_s})
        if window.index == 0 and profiled is not None and profiled.profile is not None:
            layers = [w for w in profiles if w.name.startswith(LAYER_WINDOW) and _inside(w, profiled)]
            record = record.model_copy(update={"layers": _layers(profiled.profile, layers, plan, window.inferences)})
        records.append(record)
    for other in profiles:
        if other.name != INFERENCE_WINDOW and not other.name.startswith(LAYER_WINDOW):
            records.append(_window_record(other.name, other.index, other, other))
    return records, _window_metrics([r for r in records if r.name == INFERENCE_WINDOW])


def _less_counts(record: WindowRecord, single: WindowProfile) -> WindowRecord:
    """Cycles and instructions of the inferences alone, from a window of one and this one."""
    if single.profile is None or record.cycles is None or record.instructions is None or record.inferences < 2:
        return record
    scale = record.inferences / (record.inferences - 1)
    return record.model_copy(
        update={
            "cycles": round((record.cycles - single.profile.cycles) * scale),
            "instructions": round((record.instructions - single.profile.instructions) * scale),
            "stall_cycles": round(((record.stall_cycles or 0) - single.profile.stall_cycles) * scale),
        }
    )


def _window_latency(records: list[WindowRecord], told_s: float, details: dict[str, Any]) -> dict[str, Quantity]:
    """Latency from modelled cycles, for an emulator whose own clock (which the DUT prints) knows no pipeline."""
    details["dut_latency_s"] = told_s
    own = [w.latency_s for w in records if w.name == INFERENCE_WINDOW and w.cycles is not None]
    if not own:
        return {"latency_s": unavailable("s", "the emulator's clock counts instructions, and no window was profiled")}
    spread = statistics.stdev(own) if len(own) > 1 else None
    value = statistics.median(own)
    source = "modelled cycles between DUT timestamps, median over windows"
    return {"latency_s": Quantity(value=value, unit="s", kind="modelled", uncertainty=spread, source=source)}


def _inside(inner: WindowProfile, outer: WindowProfile) -> bool:
    return outer.start_s <= inner.start_s and inner.stop_s <= outer.stop_s


def _window_metrics(own: Sequence[WindowRecord]) -> dict[str, Quantity]:
    """Median over windows of what the probe counted, per inference."""
    metrics: dict[str, Quantity] = {}
    cycles = [w.cycles / w.inferences for w in own if w.cycles is not None]
    instructions = [w.instructions / w.inferences for w in own if w.instructions is not None]
    if cycles:
        metrics["cycles"] = Quantity(
            value=statistics.median(cycles), unit="cycle", kind="modelled", source="timing model of the core"
        )
    if instructions:
        metrics["instructions"] = Quantity(
            value=statistics.median(instructions), unit="instruction", kind="emulated", source="probe"
        )
    if own and own[0].cycles and own[0].stall_cycles is not None:
        share = own[0].stall_cycles / own[0].cycles
        metrics["stall_share"] = Quantity(value=share, kind="modelled", source="share of cycles lost to memory")
    return metrics


def _window_record(name: str, index: int, timed: Timed, profiled: WindowProfile | None) -> WindowRecord:
    record = WindowRecord(
        name=name, index=index, start_s=timed.start_s, stop_s=timed.stop_s, inferences=timed.inferences
    )
    profile = profiled.profile if profiled else None
    if profile is None:
        return record
    return record.model_copy(
        update={
            "cycles": profile.cycles,
            "instructions": profile.instructions,
            "stall_cycles": profile.stall_cycles,
            "region_reads": {k: v.bytes_read for k, v in profile.regions.items()},
            "region_writes": {k: v.bytes_written for k, v in profile.regions.items()},
            "cache_misses": dict(profile.misses),
        }
    )


def _layers(whole: Profile, layers: Sequence[WindowProfile], plan: Plan, inferences: int) -> list[LayerRow]:
    """Rows of the per-layer table; without layer windows (a vendor's image with symbols) rows per function."""
    from emulab.run.layers import InstructionClasses, SymbolMap, fold, layer_rows
    from emulab.timing import load_timing

    assert plan.image is not None, "what was profiled was given"
    if layers:
        classes = InstructionClasses(load_timing(plan.build_platform), plan.image.read)
        return layer_rows(whole, layers, plan.layers, inferences, classes)
    symbols = [(s.name, s.address, s.size) for s in plan.image.all_symbols if s.kind == "function"]
    return fold(whole, SymbolMap(symbols), inferences) if symbols else []


def _write_outputs(outputs: Sequence[AccuracyOutput], folder: Path) -> str:
    lines = ["name,results"]
    lines += [f"{output.name},{' '.join(f'{value:.6g}' for value in output.results)}" for output in outputs]
    write_text(folder / "outputs.csv", "\n".join(lines) + "\n")
    return "outputs.csv"


def _write_trace(trace: CurrentTrace, folder: Path) -> str:
    from emulab.energy.trace import write_csv

    return write_csv(trace, folder / "energy_trace.csv").name
