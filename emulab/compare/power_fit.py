"""Prices of activity from one power trace: what a multiply-accumulate, a RAM access and a read of the flash cost.

    python -m emulab.compare.power_fit --platform P --firmware IMAGE --input FILE --trace RECORDING [-o prices.yaml]

The same firmware runs twice: on the board while a power monitor records it, and in the embedded machine, which counts
what it does a quarter of a millisecond at a time. The trace is folded on the inference; where in the inference it
begins is found with the prices, by least squares. A price below nothing is none. The result is what a platform's run
state takes as ``per_hz_a``, ``per_activity`` and ``typical_activity``.

``--firmware``, ``--input`` and ``--trace`` may be given several times, in the same order: builds of one board are
then fitted together, each at its own mean power. The firmware marks its windows with the platform's timestamp pin, as
in the energy mode of the DUT protocol. The method is ordinary regression of power on counted events, as in
Tiwari, Malik and Wolfe, "Power analysis of embedded software" (IEEE Trans. VLSI Systems, 1994).
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError, ToolError

if TYPE_CHECKING:
    from emulab.lab.captures import RecordedSession
    from emulab.model.platform import Platform

EVENTS = ("mac", "ram", "flash_array_read")
"""What is priced; ``ram`` is reads and writes alike."""

NAMES = {"mac": ("mac",), "ram": ("ram_read", "ram_write"), "flash_array_read": ("flash_array_read",)}
"""Event of the fit -> names of a power state's ``per_activity``."""

BINS = 288
"""Phases of one inference."""


SCALE_STEPS = 200
"""Limit of the steps in which the scales of several traces settle."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One inference as counted: events per cycle by phase (arrays of ``BINS``), and over the whole of it."""

    period_s: float
    clock_hz: float
    rates: Mapping[str, Any]
    mean: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """One inference as measured: mean power in watt by phase (array of ``BINS``), from an unknown phase on."""

    period_s: float
    sample_s: float
    power_w: Any
    voltage_v: float


@dataclass(frozen=True, slots=True)
class Prices:
    """Watt per event per cycle, and watt of a cycle without any; each with its standard error.

    ``residual_w`` is the standard deviation left of ``spread_w`` over the phases, of the traces together.
    """

    base_w: float
    base_error_w: float
    event_w: Mapping[str, float]
    error_w: Mapping[str, float]
    residual_w: float
    spread_w: float
    shifts: tuple[int, ...]


def nonnegative(columns: Any, values: Any) -> Any:
    """Least squares with no coefficient but the last below zero: the best of all subsets (columns are few)."""
    import numpy as np

    events = columns.shape[1] - 1
    best, found = math.inf, np.zeros(events + 1)
    for kept in itertools.product((True, False), repeat=events):
        chosen = [i for i in range(events) if kept[i]] + [events]
        part, *_ = np.linalg.lstsq(columns[:, chosen], values, rcond=None)
        if (part[:-1] < 0).any():
            continue
        left = float(((values - columns[:, chosen] @ part) ** 2).sum())
        if left < best:
            best, found = left, np.zeros(events + 1)
            found[chosen] = part
    return found


def smoothed(values: Any, width: int) -> Any:
    """Circular mean over *width* phases around each: what a monitor that averages over its sample sees."""
    import numpy as np

    width = max(width, 1)
    around = np.cumsum(np.concatenate([[0.0], values, values, values]))
    first = len(values) - width // 2 + np.arange(len(values))
    return (around[first + width] - around[first]) / width


def fold(samples: Any, period: float, bins: int = BINS) -> Any:
    """Mean of *samples* by phase of *period* (in samples); sample *i* stands for its middle. NaN samples are left out.

    Phases that no sample fell into are interpolated.
    """
    import numpy as np

    phase = ((np.arange(len(samples)) + 0.5) % period) / period
    index = np.minimum((phase * bins).astype(int), bins - 1)
    good = ~np.isnan(samples)
    number = np.bincount(index[good], minlength=bins)
    total = np.bincount(index[good], samples[good], minlength=bins)
    seen = np.nonzero(number)[0]
    if len(seen) < 2:
        raise InputError("the trace holds no inference: its window has fewer samples than it takes to fold it")
    return np.interp(np.arange(bins), seen, total[seen] / number[seen], period=bins)


def best_period(samples: Any, expected: float, spread: float = 0.002, steps: int = 401) -> float:
    """Period in samples near *expected* at which the folded trace varies most: a coarse search, then a fine one.

    A phase that slips over the window smears the trace, so that the right period is the one that keeps it sharp.
    """
    import numpy as np

    def sharpness(period: Any) -> float:
        return float(fold(samples, float(period), BINS // 3).std())

    coarse = max(expected * np.linspace(1 - spread, 1 + spread, steps), key=sharpness)
    step = expected * 2 * spread / (steps - 1)
    return float(max(np.linspace(coarse - step, coarse + step, 41), key=sharpness))


def read_trace(recorded: RecordedSession) -> Trace:
    """Every window of *recorded* folded on its own inference, laid over one another, averaged.

    Each window has its own period: a board's clock drifts by a tenth of a percent between them. InputError where
    there is no power capture, or no window of ten inferences.
    """
    import numpy as np

    capture = recorded.capture
    if capture is None:
        raise InputError(f"{recorded.source}: holds no power capture")

    power = np.asarray(capture.values, float)
    if capture.quantity == "A":
        if capture.voltage_v <= 0:
            raise InputError(f"{capture.source}: supply voltage is not known; give --voltage")
        power = power * capture.voltage_v
    folded: list[Any] = []
    periods = []
    for window in recorded.windows:
        first = math.ceil((window.start_s - capture.start_s) / capture.step_s)
        last = math.floor((window.stop_s - capture.start_s) / capture.step_s)
        samples = power[max(first, 0) : max(last, 0)]
        if window.inferences < 10 or window.latency_s < 4 * capture.step_s:
            continue
        period = best_period(samples, window.latency_s / capture.step_s)
        one = fold(samples, period)
        periods.append(period * capture.step_s)
        if folded:
            level = folded[0] - folded[0].mean()
            turn = max(range(BINS), key=lambda k: float(np.roll(one, k) @ level))
            one = np.roll(one, turn)
        folded.append(one)
    if not folded:
        raise InputError(
            f"{recorded.source}: no window of ten inferences or more, each of four samples ({capture.step_s * 4e3:g} ms) "
            "or more, to fold on one inference"
        )
    return Trace(float(np.mean(periods)), capture.step_s, np.mean(folded, axis=0), capture.voltage_v)


def _columns(timeline: Timeline, trace: Trace, shift: int) -> Any:
    import numpy as np

    width = round(BINS * trace.sample_s / trace.period_s)
    return np.array([np.roll(smoothed(timeline.rates[event], width), shift) for event in EVENTS] + [np.ones(BINS)]).T


def fit(pairs: Sequence[tuple[Timeline, Trace]]) -> Prices:
    """Prices at the scale of the first pair; the others draw as much more throughout as their mean says.

    InputError where nothing varies.
    """
    import numpy as np

    measured = [np.asarray(trace.power_w, float) for _, trace in pairs]
    shifts = []
    for (timeline, trace), own in zip(pairs, measured, strict=True):
        if own.std() < 1e-6 * own.mean():
            raise InputError("the power does not vary over the inference, so nothing can be told from it")

        def left(shift: int, timeline: Timeline = timeline, trace: Trace = trace, own: Any = own) -> float:
            columns = _columns(timeline, trace, shift)
            return float((own - columns @ nonnegative(columns, own)).std())

        shifts.append(min(range(BINS), key=left))
    parts = [_columns(*pair, shift) for pair, shift in zip(pairs, shifts, strict=True)]
    columns = np.concatenate(parts)
    scales = np.array([own.mean() / measured[0].mean() for own in measured])
    for _ in range(SCALE_STEPS):
        together = np.concatenate([own / scale for own, scale in zip(measured, scales, strict=True)])
        found = nonnegative(columns, together)
        before, scales = (
            scales,
            np.array([own.mean() / (part @ found).mean() for own, part in zip(measured, parts, strict=True)]),
        )
        scales = scales / scales[0]
        if np.allclose(scales, before, rtol=1e-12, atol=0):
            break
    residual = float((together - columns @ found).std())
    # neighbouring phases share samples: only as many are independent as samples fit into an inference
    independent = sum(trace.period_s / trace.sample_s for _, trace in pairs)
    error = residual * np.sqrt(np.diag(np.linalg.pinv(columns.T @ columns)) * len(columns) / independent)
    return Prices(
        float(found[-1]), float(error[-1]),
        {event: float(found[i]) for i, event in enumerate(EVENTS)},
        {event: float(error[i]) for i, event in enumerate(EVENTS)},
        residual, float(together.std()), tuple(shifts),
    )  # fmt: skip


def timeline(platform: Platform, firmware: Path, data: bytes, step_s: float = 2.5e-4) -> Timeline:
    """Run *firmware* on the embedded machine: one inference to warm up, three counted, the middle one returned."""
    import numpy as np

    from emulab.backends.base import SessionOptions, load_backend
    from emulab.backends.unicorn.windows import profile_between, take_snapshot
    from emulab.dut import DutClient
    from emulab.energy.windows import profile_activity
    from emulab.firmware.image import load_image
    from emulab.run.layers import InstructionClasses
    from emulab.timing import load_timing

    base = platform.soc.vector_base if firmware.suffix == ".bin" else None
    image = load_image(firmware, base)
    pin = platform.board.timestamp_pin
    with load_backend("unicorn").open(platform, image, SessionOptions()) as session:
        client = DutClient(session.console, session.clock, limit_s=180.0)
        client.sync()
        client.profile()
        client.infer(1, 0)
        client.load(data)
        machine: Any = session.machine  # type: ignore[attr-defined]
        seen: list[Any] = []
        before = len(session.gpio_edges(pin))

        def watch() -> Any:
            while True:
                seen.append(take_snapshot(machine))
                yield machine.env.timeout(step_s)

        machine.env.process(watch())
        client.infer(3, 0)
        edges = [edge.time_s for edge in session.gpio_edges(pin)[before:] if not edge.level]
        if len(edges) != 2:
            raise ToolError(
                f"{firmware.name}: {len(edges)} falling edges on {pin}, expected 2; the image should mark its windows "
                "with the timestamp pin (energy mode)"
            )
        period_s = (edges[1] - edges[0]) / 3
        classes = InstructionClasses(load_timing(platform), image.read)
        starts, counted = [], []
        for one, other in itertools.pairwise(seen):
            if edges[0] <= one.time_s and other.time_s <= edges[1]:
                profile = profile_between(machine, one, other)
                starts.append(one.time_s)
                counted.append(_events(profile_activity(platform, profile) | classes([profile])))
        clock_hz = machine.core_hz
    phases = edges[0] + period_s * (1 + np.arange(BINS) / BINS)
    index = np.clip(np.searchsorted(starts, phases, side="right") - 1, 0, len(starts) - 1)
    cycles = np.array([max(events["cycle"], 1.0) for events in counted])
    rates = {event: (np.array([events[event] for events in counted]) / cycles)[index] for event in EVENTS}
    mean = {event: sum(events[event] for events in counted) / float(cycles.sum()) for event in EVENTS}
    return Timeline(period_s, clock_hz, rates, mean)


def _events(counts: Mapping[str, float]) -> dict[str, float]:
    found = {event: float(sum(counts.get(name, 0) for name in names)) for event, names in NAMES.items()}
    return found | {"cycle": float(counts["cycle"])}


def snippet(prices: Prices, first: Timeline, trace: Trace, source: str) -> str:
    """The run state as platform YAML: coulomb per event at the trace's supply and the machine's clock."""
    per_cycle = 1.0 / (trace.voltage_v * first.clock_hz)

    def number(value: float, error: float, unit: str) -> str:
        return f'{{value: {value:.4g}, unit: {unit}, uncertainty: {error:.2g}, source: "{source}"}}'

    lines = [
        f"# {prices.residual_w * 1e3:.3f} mW left of {prices.spread_w * 1e3:.3f} mW over the inference",
        "run:",
        f"  per_hz_a: {number(prices.base_w * per_cycle, prices.base_error_w * per_cycle, 'A/Hz')}",
        "  per_activity:",
    ]
    for event, names in NAMES.items():
        for name in names:
            lines.append(
                f"    {name}: {number(prices.event_w[event] * per_cycle, prices.error_w[event] * per_cycle, 'C')}"
            )
    lines.append(f"  # events per cycle: {', '.join(f'{k} {v:.4g}' for k, v in first.mean.items())}")
    return "\n".join(lines) + "\n"


def run(arguments: argparse.Namespace) -> int:
    from emulab.compare.fidelity import emit
    from emulab.lab.captures import read_recording
    from emulab.model.files import read_input
    from emulab.model.platform import load_platform

    if not len(arguments.firmware) == len(arguments.input) == len(arguments.trace):
        raise InputError("--firmware, --input and --trace belong together: give each as often as the others")
    platform = load_platform(arguments.platform).platform
    options = {} if arguments.voltage is None else {"voltage_v": str(arguments.voltage)}
    pairs = []
    for firmware, data, file in zip(arguments.firmware, arguments.input, arguments.trace, strict=True):
        counted = timeline(platform, firmware, read_input(data, 1 << 24, "an input of the model"))
        pairs.append((counted, read_trace(read_recording(file, options))))
        print(
            f"{firmware.name}: {counted.period_s * 1e3:.4g} ms counted, {pairs[-1][1].period_s * 1e3:.4g} ms recorded",
            file=sys.stderr,
        )
    if pairs[0][1].voltage_v <= 0:
        raise InputError.at(arguments.trace[0], "", "the supply voltage is not known; give --voltage")
    source = f"fitted: power trace {arguments.trace[0].name} against counted events"
    emit(snippet(fit(pairs), *pairs[0], source), arguments.output)
    return 0


def main(argv: list[str] | None = None) -> int:
    from emulab.compare.fidelity import exit_code

    parser = argparse.ArgumentParser(prog="python -m emulab.compare.power_fit", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--platform", required=True, help="platform that the firmware is for")
    parser.add_argument("--firmware", type=Path, action="append", default=[], required=True, help="energy-mode image")
    parser.add_argument("--input", type=Path, action="append", default=[], required=True, help="one input of its model")
    parser.add_argument("--trace", type=Path, action="append", default=[], required=True, help="recording of the board")
    parser.add_argument("--voltage", type=float, default=None, help="supply in volt, where the recording does not say")
    parser.add_argument("-o", "--output", type=Path, default=None, help="file to write; default: print")
    return exit_code(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
