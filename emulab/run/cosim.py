"""A scenario's application: built, run on the embedded machine with its parts, its energy told as firmware spent it.

The figures are for ``application.duration_s`` from reset. They end in the result as metrics, as windows (the phases the
firmware marks), in ``details.application`` and as the current trace of one wake.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.cache import fetch_or_build
from emulab.errors import InputError, ToolError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Result, WindowRecord, write_text
from emulab.run.assets import resolve

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine
    from emulab.energy.cosim import FirmwareMeter, FirmwarePhases, Forwarded
    from emulab.energy.trace import BucketTrace
    from emulab.firmware.application import ApplicationFirmware
    from emulab.model.application import Application
    from emulab.model.platform import Platform
    from emulab.model.scenario import LoadedScenario

BACKEND = "unicorn"
BUSES = r"(spi|i2c|uart|uarte|usart|lpuart|adc)\d*$"
"""Names of peripherals that a part may be on."""
TRACE_STEP_S, TRACE_BUCKETS = 1e-3, 16384
TRACED_WAKE = 1
"""The wake whose current is traced, counted from 0: the first one may still hold what comes after a reset."""


def runs_application(loaded: LoadedScenario, platform: str, backend: str) -> bool:
    """Whether the scenario has an application for this platform, and the backend can tell its energy."""
    application = loaded.scenario.application
    return application is not None and backend == BACKEND and platform in application.platforms


def why_no_application(loaded: LoadedScenario, platform: str, backend: str) -> str:
    """Why the scenario's application is not run there, in a line; empty where it is, or where there is none."""
    application = loaded.scenario.application
    if application is None or runs_application(loaded, platform, backend):
        return ""
    if platform not in application.platforms:
        return f"application: it runs on {', '.join(application.platforms)}, not on {platform}; the model alone was run"
    return f"application: its energy is told by the {BACKEND} backend, not by {backend}; the model alone was run"


def platform_with_parts(loaded: LoadedScenario, platform: Platform) -> Platform:
    """*platform* with the application's parts on its buses."""
    application = _application(loaded)
    buses = [name for name in platform.soc.peripherals if re.match(BUSES, name)]
    for spec in platform.soc.peripherals.values():
        buses += [spec.parameters[key] for key in ("spi", "i2c") if key in spec.parameters]
    wired = platform.name in application.wiring
    parts = application.parts_on(platform.name)
    for name, entry in parts.items():
        bus = entry.get("bus")
        if bus not in buses:
            key = f"application.wiring.{platform.name}.{name}.bus" if wired else f"application.parts.{name}.bus"
            raise InputError.at(loaded.file, key, f"no bus {bus!r} on {platform.name}; there are: {', '.join(buses)}")
    fitted = {**platform.board.parts, **parts}
    return platform.model_copy(update={"board": platform.board.model_copy(update={"parts": fitted})})


def build_firmware(loaded: LoadedScenario, platform: Platform) -> ApplicationFirmware:
    """The application's firmware; InputError where it is not written for *platform*."""
    from emulab.firmware.application import build_application

    application, workload, build = _application(loaded), loaded.scenario.workload, loaded.scenario.build
    if platform.name not in application.platforms:
        raise InputError.at(
            loaded.file,
            "application.platforms",
            f"it runs on {', '.join(application.platforms)}, not on {platform.name}",
        )
    sources = [resolve(path, loaded.folder, f"{loaded.file}: application.sources") for path in application.sources]
    model = None
    if workload.model is not None:
        model = resolve(workload.model, loaded.folder, f"{loaded.file}: workload.model")
    options = {key: build[key] for key in ("toolchain", "optimise", "kernels", "stack_bytes") if key in build}
    return build_application(sources, platform_with_parts(loaded, platform), model=model, **options)


def add_application(
    loaded: LoadedScenario,
    platform: Platform,
    result: Result,
    folder: Path | None,
    step: Callable[[str], None],
    use_cache: bool = True,
) -> Result:
    """*result* with what the application's firmware does and draws; the trace of one wake goes to *folder*."""
    from emulab.energy.network import require_power

    application = _application(loaded)
    require_power(platform)
    step("application: build")
    firmware = build_firmware(loaded, platform)
    board = platform_with_parts(loaded, platform)
    step(f"application: {application.duration_s:g} s")

    def build(place: Path) -> None:
        data, trace = cosimulate(board, firmware, application)
        write_text(place / "application.json", json.dumps(data))
        from emulab.energy.trace import write_csv

        write_csv(trace.current_trace(board.power.supply_v.value if board.power else 0.0), place / "wake.csv")

    if use_cache:
        entry = fetch_or_build("applications", _key(board, firmware, application), build)
        return _added(loaded, board, result, entry, folder)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="emulab-") as scratch:
        build(Path(scratch))
        return _added(loaded, board, result, Path(scratch), folder)


def cosimulate(
    platform: Platform, firmware: ApplicationFirmware, application: Application
) -> tuple[dict[str, Any], BucketTrace]:
    """Run *firmware* on *platform*: (what it did and drew, as plain data; the current of one wake)."""
    from emulab.backends.unicorn.machine import Machine
    from emulab.energy.cosim import FirmwareMeter, FirmwarePhases, forward

    trace = _WakeTrace()
    machine = Machine(platform, firmware.image)
    try:
        meter = FirmwareMeter(platform, machine, trace=trace)
        phases = FirmwarePhases(machine, meter, application.windows)
        begun = 0

        def on_begin(name: str, time_s: float) -> None:
            nonlocal begun
            if name == application.windows[0]:
                if begun == TRACED_WAKE:
                    trace.open(time_s)
                elif begun == TRACED_WAKE + 1:
                    trace.close()
                begun += 1

        phases.on_begin = on_begin

        def run(until_s: float) -> None:
            if until_s > machine.env.now:
                machine.env.run(until=until_s)

        done = forward(run, meter, application.duration_s, least_s=application.repeats_s)
        if not phases.counts[application.windows[0]]:
            raise ToolError(
                f"application: window {application.windows[0]!r} never ended in {application.duration_s:g} s; the firmware "
                f"is at {machine.where(machine.engine.pc)}, {'asleep' if machine.asleep else 'running'}"
            )
        data = _told(machine, meter, phases, done, application, firmware)
    finally:
        machine.close()
    return data, trace.bucket


class _WakeTrace:
    """A trace that listens between two instants."""

    def __init__(self) -> None:
        from emulab.energy.trace import BucketTrace

        self.bucket = BucketTrace(TRACE_STEP_S, TRACE_BUCKETS)
        self._open = False

    def open(self, time_s: float) -> None:
        from emulab.energy.trace import BucketTrace

        self.bucket = BucketTrace(TRACE_STEP_S, TRACE_BUCKETS, start_s=time_s)
        self._open = True

    def close(self) -> None:
        self._open = False

    def add(self, start_s: float, stop_s: float, current_a: float) -> None:
        if self._open:
            self.bucket.add(max(start_s, self.bucket.start_s), stop_s, current_a)

    def impulse(self, time_s: float, charge_c: float) -> None:
        if self._open:
            self.bucket.impulse(time_s, charge_c)

    def spread(self, start_s: float, stop_s: float, charge_c: float, peak_a: float) -> None:
        begin_s = max(start_s, self.bucket.start_s)
        if self._open and stop_s > begin_s:
            self.bucket.spread(begin_s, stop_s, charge_c * (stop_s - begin_s) / (stop_s - start_s), peak_a)

    def mark(self, name: str, time_s: float) -> None:
        if self._open:
            self.bucket.mark(name, time_s)


def _told(
    machine: Machine,
    meter: FirmwareMeter,
    phases: FirmwarePhases,
    done: Forwarded,
    application: Application,
    firmware: ApplicationFirmware,
) -> dict[str, Any]:
    """All that is kept, in SI units; per-wake figures are averages over the duration."""
    from emulab.energy.repeats import by_component

    volts = meter.power.supply_v.value
    executed = max(phases.counts[application.windows[0]], 1)
    wakes = executed
    if done.steady is not None:
        # exact: what was executed, and whole cycles of what one cycle holds
        cycles = round((done.duration_s - done.executed_s) / done.steady.period_s)
        wakes = executed + cycles * _wakes_per_cycle(phases, done, application)
    by_phase: dict[str, float] = {}
    for (_, phase), charge in done.parts_c.items():
        by_phase[phase] = by_phase.get(phase, 0.0) + charge
    charges = by_component(done.parts_c)
    return {
        "duration_s": done.duration_s,
        "executed_s": done.executed_s,
        "cycle_s": None if done.steady is None else done.steady.period_s,
        "wakes": wakes,
        "supply_v": volts,
        "mean_current_a": sum(charges.values()) / done.duration_s,
        "peak_current_a": meter.ledger.peak_current_a,
        "charge_by_component_c": charges,
        "charge_by_phase_c": by_phase,
        "time_by_phase_s": done.phase_s,
        "flash_bytes": firmware.flash_bytes,
        "ram_bytes": firmware.ram_bytes,
        "stack_bytes": firmware.stack_bytes,
        "firmware_sha256": firmware.image.sha256,
        "notes": list(machine.notes),
        "windows": [
            {
                "name": o.name,
                "index": index,
                "start_s": o.start_s,
                "stop_s": o.stop_s,
                "cycles": o.cycles,
                "instructions": o.instructions,
                "charge_c": sum(o.charge_c.values()),
            }
            for name in application.windows
            for index, o in enumerate(phases.seen[name])
        ],
    }


def _wakes_per_cycle(phases: FirmwarePhases, done: Forwarded, application: Application) -> int:
    """Wakes in one steady cycle: its time by the mean time between the wakes that were seen."""
    assert done.steady is not None
    seen = phases.seen[application.windows[0]]
    if len(seen) < 2:
        return 1
    return round(done.steady.period_s / ((seen[-1].start_s - seen[0].start_s) / (len(seen) - 1)))


def _key(platform: Platform, firmware: ApplicationFirmware, application: Application) -> list[str]:
    from emulab.run.execute import code_hash

    energy = Path(__file__).resolve().parent.parent / "energy"
    model = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(energy.glob("*.py")))).hexdigest()
    parts = [str(entry.get("part", "")) for entry in platform.board.parts.values()]
    from emulab.energy.parts import load_component

    components = {name: load_component(name).model_dump_json() for name in parts if name}
    return [
        code_hash(),
        model,
        firmware.image.sha256,
        json.dumps(platform.model_dump(mode="json"), sort_keys=True, default=str),
        json.dumps(components, sort_keys=True),
        application.model_dump_json(),
    ]


def _added(loaded: LoadedScenario, platform: Platform, result: Result, entry: Path, folder: Path | None) -> Result:
    data: dict[str, Any] = json.loads((entry / "application.json").read_text())
    source = f"{data['wakes']:.0f} wakes of the application's firmware, co-simulated"
    volts, mean_a = data["supply_v"], data["mean_current_a"]
    metrics = {
        **result.metrics,
        "application_energy_per_wake_j": Quantity(
            value=mean_a * data["duration_s"] * volts / data["wakes"], unit="J", kind="modelled", source=source
        ),
        "application_mean_current_a": Quantity(value=mean_a, unit="A", kind="modelled", source=source),
    }
    life = _battery_life(loaded, platform, data, source)
    if life is not None:
        metrics["application_battery_life_s"] = life
    windows = [
        WindowRecord(
            name=w["name"],
            index=w["index"],
            start_s=w["start_s"],
            stop_s=w["stop_s"],
            cycles=w["cycles"],
            instructions=w["instructions"],
            energy_j=w["charge_c"] * volts,
        )
        for w in data.pop("windows")
        # the model alone is measured by the DUT firmware, under the same name
        if not any(other.name == w["name"] for other in result.windows)
    ]
    artifacts = dict(result.artifacts)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "wake.csv", (entry / "wake.csv").read_text())
        artifacts["application_trace"] = "wake.csv"
    notes = [f"application: {note}" for note in data.pop("notes")]
    return result.model_copy(
        update={
            "metrics": metrics,
            "windows": [*result.windows, *windows],
            "artifacts": artifacts,
            "details": {**result.details, "application": data},
            "notes": [*result.notes, *notes],
        }
    )


def _battery_life(loaded: LoadedScenario, platform: Platform, data: dict[str, Any], source: str) -> Quantity | None:
    """Life of the duty cycle's battery under the application's mean current and its peaks; None without a battery."""
    from emulab.energy.battery import load_store

    cycle = loaded.scenario.duty_cycle
    battery = None if cycle is None else cycle.battery
    if battery is None:
        return None
    if battery.regulator is not None:
        return unavailable("s", "the application is co-simulated without the battery's regulator")
    power = platform.power
    minimum_v = power.minimum_v.value if power is not None and power.minimum_v is not None else 0.0
    mean_a = data["mean_current_a"]
    life = load_store(battery).life(lambda _volts: mean_a, data["peak_current_a"], minimum_v)
    return Quantity(value=life.life_s, unit="s", kind="modelled", source=f"{source}; {life.reason}")


def _application(loaded: LoadedScenario) -> Application:
    application = loaded.scenario.application
    if application is None:
        hint = "its model is built by emulab build MODEL.tflite, a node's whole firmware by docs/cosimulation.md"
        raise InputError.at(loaded.file, "application", f"the scenario ships no firmware; {hint}")
    return application
