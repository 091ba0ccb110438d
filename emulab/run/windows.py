"""Windows of a session: which are asked for, and the records made of what the probe counted in them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import WindowRecord
from emulab.run.front_end import FRONT_END_WINDOW

if TYPE_CHECKING:
    from emulab.backends.base import Session
    from emulab.dut import AccuracySample, PerformanceResult
    from emulab.dut.procedures import MeasuredWindow
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.model.record import LayerRow
    from emulab.model.scenario import Measure
    from emulab.probe.profile import Profile, WindowProfile
    from emulab.run.layers import LayerInfo

    Classes = Callable[[Iterable[Profile]], dict[str, int]]

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


def windows(measure: Measure, image: Image | None) -> tuple[Any, ...]:
    """The inference window and those of the scenario.

    Our own firmware marks its inferences (``emulab.h``); of any other image it is what the DUT itself times, from the
    timestamp after ``m-infer-start`` to the next one.
    """
    from emulab.model.scenario import Window

    start, stop = TIMESTAMP_START, TIMESTAMP_STOP
    if marks_inference(image):
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


def marks_inference(image: Image | None) -> bool:
    """Whether the firmware marks its inferences (``emulab.h``), as ours does."""
    return image is not None and f"emulab_marker_{INFERENCE_WINDOW}.begin" in image.symbols


def less_printing(found: PerformanceResult, single: MeasuredWindow) -> PerformanceResult:
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


def performance_windows(
    session: Session, found: PerformanceResult, plan: Plan, corrected: bool = False
) -> tuple[list[WindowRecord], dict[str, Quantity]]:
    """Records of the windows, with counts. *corrected*: the window before the measured ones held one inference."""
    profiles = [] if session.profiler is None else session.profiler.windows()
    inference = [w for w in profiles if w.name == INFERENCE_WINDOW]
    classes = _classes(plan)
    records: list[WindowRecord] = []
    for window in found.windows:
        # The probe sees the trial windows too where there were some; the measured ones are the last.
        offset = len(inference) - len(found.windows) + window.index
        profiled = inference[offset] if 0 <= offset < len(inference) else None
        record = _window_record(INFERENCE_WINDOW, window.index, window, profiled, classes, plan.platform)
        if corrected and profiled is not None and len(inference) > len(found.windows):
            single = inference[len(inference) - len(found.windows) - 1]
            one = _window_record(INFERENCE_WINDOW, 0, single, single, classes, plan.platform)
            record = _less_counts(record, one)
        if profiled is not None and not getattr(session, "timestamps_modelled", True):
            record = record.model_copy(update={"start_s": profiled.start_s, "stop_s": profiled.stop_s})
        if window.index == 0 and profiled is not None and profiled.profile is not None:
            layers = [w for w in profiles if _of_layers(w) and _inside(w, profiled)]
            rows = _layers(profiled.profile, layers, plan, window.inferences, classes)
            record = record.model_copy(update={"layers": rows})
        records.append(record)
    for other in profiles:
        if other.name != INFERENCE_WINDOW and not other.name.startswith(LAYER_WINDOW):
            records.append(_window_record(other.name, other.index, other, other, classes, plan.platform))
    return records, _window_metrics([r for r in records if r.name == INFERENCE_WINDOW])


def _less_counts(record: WindowRecord, single: WindowRecord) -> WindowRecord:
    """Counts of the inferences alone, from a window of one and this one."""
    if record.cycles is None or single.cycles is None or record.inferences < 2:
        return record
    scale = record.inferences / (record.inferences - 1)

    def alone(whole: float | None, one: float | None) -> int:
        return round(((whole or 0) - (one or 0)) * scale)

    counts: dict[str, Any] = {
        name: alone(getattr(record, name), getattr(single, name)) for name in ("cycles", "instructions", "stall_cycles")
    }
    for name in ("region_reads", "region_writes", "cache_misses", "instruction_classes", "activity"):
        before = getattr(single, name)
        counts[name] = {key: max(0, alone(number, before.get(key))) for key, number in getattr(record, name).items()}
    return record.model_copy(update=counts)


def window_latency(records: list[WindowRecord], told_s: float, details: dict[str, Any]) -> dict[str, Quantity]:
    """Latency from modelled cycles, for an emulator whose own clock (which the DUT prints) knows no pipeline."""
    details["dut_latency_s"] = told_s
    own = [w.latency_s for w in records if w.name == INFERENCE_WINDOW and w.cycles is not None]
    if not own:
        return {"latency_s": unavailable("s", "the emulator's clock counts instructions, and no window was profiled")}
    spread = statistics.stdev(own) if len(own) > 1 else None
    value = statistics.median(own)
    source = "modelled cycles between DUT timestamps, median over windows"
    return {"latency_s": Quantity(value=value, unit="s", kind="modelled", uncertainty=spread, source=source)}


def _of_layers(window: WindowProfile) -> bool:
    """A layer's own window, or that of the front end before them."""
    return window.name.startswith(LAYER_WINDOW) or window.name == FRONT_END_WINDOW


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


def _window_record(
    name: str, index: int, timed: Timed, profiled: WindowProfile | None, classes: Classes, platform: Platform
) -> WindowRecord:
    from emulab.energy.windows import profile_activity

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
            "instruction_classes": classes([profile]),
            "activity": profile_activity(platform, profile),
        }
    )


def _classes(plan: Plan) -> Classes:
    """Counts executed instructions per class; of nothing where the image is not known."""
    from emulab.run.layers import InstructionClasses
    from emulab.timing import load_timing

    if plan.image is None:
        return lambda profiles: {}
    return InstructionClasses(load_timing(plan.build_platform), plan.image.read)


def _layers(
    whole: Profile, layers: Sequence[WindowProfile], plan: Plan, inferences: int, classes: Classes
) -> list[LayerRow]:
    """Rows of the per-layer table; without layer windows (a vendor's image with symbols) rows per function."""
    from emulab.energy.windows import profile_activity
    from emulab.run.layers import SymbolMap, fold, layer_rows

    assert plan.image is not None, "what was profiled was given"
    if any(w.name.startswith(LAYER_WINDOW) for w in layers):
        return layer_rows(
            whole, layers, plan.layers, inferences, classes, lambda profile: profile_activity(plan.platform, profile)
        )
    symbols = [(s.name, s.address, s.size) for s in plan.image.all_symbols if s.kind == "function"]
    return fold(whole, SymbolMap(symbols), inferences) if symbols else []
