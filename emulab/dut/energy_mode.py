"""The energy procedure of MLPerf Tiny: windows between the DUT's GPIO pulses, energy from the power meter's trace.

In energy mode the DUT prints no timestamps but pulses a pin (idle high, falling edge) at both ends of a window. Where
no pin can be seen the windows come from the DUT's own timestamps, and last from the arrival of its lines.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulab.dut.client import DutClient
from emulab.dut.procedures import (
    LOOPS,
    MIN_WINDOW_S,
    MeasuredWindow,
    TimedWindows,
    inferences_for,
    measured,
    spread,
    violations,
)
from emulab.errors import InputError, ToolError
from emulab.lab.integrate import WindowEnergy, integrate

if TYPE_CHECKING:
    from emulab.backends.base import CurrentTrace, Session


@dataclass(frozen=True, slots=True)
class EnergyResult(TimedWindows):
    """Windows with their energy. ``alignment`` says how windows were found in the trace."""

    energies: list[WindowEnergy]
    alignment: str
    violations: list[str] = field(default_factory=list)

    @property
    def energies_per_inference_j(self) -> list[float]:
        """Joules per inference, window by window."""
        return [e.energy_j / w.inferences for w, e in zip(self.windows, self.energies, strict=True)]

    @property
    def energy_per_inference_j(self) -> float:
        """Median over windows."""
        return statistics.median(self.energies_per_inference_j)

    @property
    def energy_uncertainty_j(self) -> float:
        """Standard deviation over windows, joules per inference."""
        return spread(self.energies_per_inference_j)

    @property
    def powers_w(self) -> list[float]:
        """Mean power, window by window."""
        return [e.energy_j / e.duration_s for e in self.energies]

    @property
    def power_w(self) -> float:
        """Mean power in a window, the median over windows."""
        return statistics.median(self.powers_w)

    @property
    def power_uncertainty_w(self) -> float:
        """Standard deviation over windows."""
        return spread(self.powers_w)


def energy(
    session: Session,
    client: DutClient,
    inputs: Sequence[bytes],
    loops: int = LOOPS,
    inferences: int | None = None,
    warmups: int = 10,
    pin: str = "",
    window_s: float | None = None,
    on_window: Callable[[MeasuredWindow], None] | None = None,
) -> tuple[EnergyResult, CurrentTrace]:
    """Energy mode on *session*: one capture over all loops, then energy between the edges of every window.

    ``pin`` is the board's timestamp pin. Raises InputError without inputs, ToolError without a power meter, with a
    trace that does not cover the windows, or with an odd number of edges in a window.
    """
    if not inputs or loops < 1:
        raise InputError(f"energy: needs at least one input and one loop, got {len(inputs)} and {loops}")
    meter = session.power_meter
    if meter is None:
        raise ToolError("energy: this session has no power meter; name one with --power, or use a backend that has one")
    windows: list[MeasuredWindow] = []
    spans: list[tuple[float, float]] = []
    count = inferences
    earlier = client.windows_run
    meter.start()
    try:
        for index in range(loops):
            client.load(inputs[index % len(inputs)])
            if index == 0 and (inferences is None or window_s is not None):
                found = inferences_for(client, MIN_WINDOW_S if window_s is None else window_s)
                count = found if inferences is None else max(inferences, found)
            assert count is not None
            extra = 0.0 if window_s is None or client.clock.kind == "virtual" else 3 * window_s
            before = len(session.gpio_edges(pin)) if pin else 0
            result = client.infer(count, warmups, limit_s=client.limit_s + extra)
            window = measured(index, result)
            if window.clock == "dut":
                # The DUT's clock starts at its own zero: its duration, placed where its lines arrived. They come late at
                # times and never early: the earlier of the two places is the better one.
                start = min(result.seen_start_s, result.seen_stop_s - window.elapsed_s)
                window = MeasuredWindow(
                    index, start, start + window.elapsed_s, result.inferences, warmups, "dut", result.results
                )
            edges = [edge.time_s for edge in session.gpio_edges(pin)[before:] if not edge.level] if pin else []
            if len(edges) == 2:
                window = MeasuredWindow(index, edges[0], edges[1], result.inferences, warmups, "gpio", result.results)
            elif edges:
                raise ToolError(f"energy: window {index} has {len(edges)} falling edges on {pin}, expected 2")
            windows.append(window)
            spans.append(result.span_s)
            if on_window:
                on_window(window)
    finally:
        meter.stop()
    trace = meter.capture()
    windows, alignment = place(windows, trace, spans, client.windows_run - earlier)
    energies = [
        integrate(trace.start_s, trace.step_s, trace.mean_a, trace.voltage_v, window.start_s, window.stop_s)
        for window in windows
    ]
    return EnergyResult(windows, energies, alignment, violations(windows, "energy")), trace


def place(
    windows: list[MeasuredWindow], trace: CurrentTrace, spans: Sequence[tuple[float, float]] = (), run: int = 0
) -> tuple[list[MeasuredWindow], str]:
    """Windows on the trace's clock: by the edges the monitor saw itself, else as they were timed.

    *spans* and *run* are what :func:`emulab.lab.align.match_edges` takes to tell edges whatever the host's delays.
    A monitor that watches the timestamp pin marks ``falling`` edges on its own clock, which no clock error moves.
    Windows that the trace does not cover are on another clock: those are found by correlation.
    """
    from emulab.lab.align import correlate, match_edges

    marks = [when for name, when in trace.marks if name == "falling"]
    pairs = match_edges([(w.start_s, w.stop_s) for w in windows], marks, spans, run)
    if pairs is not None:
        placed = [
            MeasuredWindow(w.index, start, stop, w.inferences, w.warmups, "gpio", w.results)
            for w, (start, stop) in zip(windows, pairs, strict=True)
        ]
        return placed, "gpio edges seen by the power monitor"
    if not all(_covered(window, trace) for window in windows):
        shift = correlate(trace.start_s, trace.step_s, trace.mean_a, [(w.start_s, w.stop_s) for w in windows])
        if shift is not None:
            moved = [
                MeasuredWindow(
                    w.index, w.start_s + shift, w.stop_s + shift, w.inferences, w.warmups, w.clock, w.results
                )
                for w in windows
            ]
            return moved, "correlation of activity and current"
    if all(window.clock == "gpio" for window in windows):
        return windows, "gpio edges seen by the backend"
    if all(window.clock == "dut" for window in windows):
        return windows, "timestamps of the DUT"
    seen = f"; the monitor saw {len(marks)} edges of {2 * run}" if marks and len(marks) != 2 * run else ""
    return windows, f"arrival of the DUT's lines{seen}"


def _covered(window: MeasuredWindow, trace: CurrentTrace) -> bool:
    end = trace.start_s + len(trace.mean_a) * trace.step_s
    return trace.start_s - trace.step_s <= window.start_s and window.stop_s <= end + trace.step_s
