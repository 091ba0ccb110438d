"""Measure: open one session, drive the DUT through the scenario's modes, and tell what was seen as a Result."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import EmulabError, ToolError
from emulab.model.quantity import Quantity, Source, unavailable
from emulab.model.record import Result, WindowRecord, write_text
from emulab.run.windows import (
    INFERENCE_WINDOW,
    Plan,
    layer_windows,
    less_printing,
    marks_inference,
    performance_windows,
    window_latency,
    windows,
)

if TYPE_CHECKING:
    from emulab.backends.base import Backend, CurrentTrace, Session
    from emulab.dut import AccuracyOutput, DutClient
    from emulab.dut.procedures import MeasuredWindow


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
    from emulab.timing import accuracy_text

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
        if virtual and not replayed and not marks_inference(plan.image) and wanted.inferences > 1:
            single = performance(client, plan.inputs, 1, 1, wanted.warmups).windows[0]
            source += f"; windows of {wanted.inferences} less one of 1, since printing a timestamp is not inference"
        if origin == "modelled" and getattr(session, "timestamps_modelled", True):
            source += f"; {accuracy_text(plan.platform)}"
        found = performance(client, plan.inputs, wanted.loops, inferences, wanted.warmups, window_s)
        if single is not None:
            found = less_printing(found, single)
        metrics["latency_s"] = Quantity(
            value=found.latency_s,
            unit="s",
            kind=origin,
            uncertainty=found.latency_uncertainty_s,
            source=source,
        )
        records, more = performance_windows(session, found, plan, corrected=single is not None)
        metrics.update(more)
        if not getattr(session, "timestamps_modelled", True):
            metrics.update(window_latency(records, found.latency_s, details))
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
                source=f"edges on {pin}, median over windows"
                + (f"; {accuracy_text(plan.platform)}" if origin == "modelled" else ""),
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


def _write_outputs(outputs: Sequence[AccuracyOutput], folder: Path) -> str:
    lines = ["name,results"]
    lines += [f"{output.name},{' '.join(f'{value:.6g}' for value in output.results)}" for output in outputs]
    write_text(folder / "outputs.csv", "\n".join(lines) + "\n")
    return "outputs.csv"


def _write_trace(trace: CurrentTrace, folder: Path) -> str:
    from emulab.energy.trace import write_csv

    return write_csv(trace, folder / "energy_trace.csv").name
