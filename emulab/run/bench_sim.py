"""The simulated bench of ``emulab bench-sim``: firmware on any backend, behind a real port, with simulated power
monitors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulab.lab.bench.bench import Bench
from emulab.lab.bench.imperfection import Imperfection

if TYPE_CHECKING:
    from pathlib import Path

    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.model.scenario import LoadedScenario

IDLE_SHARE = 0.3
"""Idle current as a part of active current where nobody says it: a DUT that sleeps between commands."""
DEFAULT_ACTIVE_A = 0.012


@dataclass(frozen=True)
class BenchOptions:
    """What the bench is made of. ``line`` is ``pty``, ``tcp`` or ``tcp:PORT``; ``speed`` is world seconds per second.

    ``active_a`` and ``idle_a`` are the supply current while a command runs and otherwise. None takes it from the
    platform's power data: on the embedded machine as the firmware runs, else its mean while anything runs. A backend
    with a power meter of its own plays that instead.
    """

    backend: str = "unicorn"
    argument: str = ""
    line: str = "pty"
    monitors: Sequence[str] = ("ppk2",)
    speed: float = 1.0
    active_a: float | None = None
    idle_a: float | None = None
    interface_board: bool = False
    """The console is that of an MLPerf interface board, through which the board is spoken to."""
    imperfection: Imperfection = field(default_factory=Imperfection)
    seed: int = 0


def active_current(platform: Platform) -> float | None:
    """Supply current of the platform's power model while firmware runs; None without power data."""
    if platform.power is None:
        return None
    from emulab.energy import window_energy
    from emulab.model.record import WindowRecord

    second = window_energy(platform, WindowRecord(name="active", start_s=0.0, stop_s=1.0))
    supply = platform.power.supply_v.value
    return None if second.value is None or supply <= 0 else second.value / supply


@contextmanager
def bench_sim(platform: Platform, image: Image, options: BenchOptions | None = None) -> Iterator[Bench]:
    """Open *image* on the emulated board and put it on a simulated bench; leaving the context ends it.

    ``bench.console_url`` and ``bench.monitors`` are what ``--serial`` and ``--power`` take. Raises what the backend
    raises when it cannot open the board.
    """
    from emulab.backends.base import SessionOptions, load_backend

    options = options or BenchOptions()
    image.check_fits(platform)
    active = options.active_a if options.active_a is not None else active_current(platform)
    active = DEFAULT_ACTIVE_A if active is None else active
    idle = options.idle_a if options.idle_a is not None else IDLE_SHARE * active
    session_options = SessionOptions(profile=False, seed=options.seed, argument=options.argument)
    backend = load_backend(options.backend)
    with backend.open(backend.firmware_platform(platform), image, session_options) as session:
        meter = None
        machine = getattr(session, "machine", None)
        if machine is not None and platform.power is not None and options.active_a is None:
            from emulab.run.bench_sim_power import ModelledPower, PoweredSession

            meter = ModelledPower(platform, machine)
        with Bench(
            session if meter is None else PoweredSession(session, meter),
            pin=platform.board.timestamp_pin,
            line=options.line,
            monitors=options.monitors,
            imperfection=options.imperfection,
            speed=options.speed,
            idle_a=idle,
            active_a=active,
            interface_board=options.interface_board,
            waits_at=meter.idle_a if meter is not None and options.idle_a is None else None,
        ) as bench:
            yield bench


def bench_image(loaded: LoadedScenario, platform: Platform, given: Path | None, base: int | None, mode: str) -> Image:
    """The image to play: *given*, the scenario's own, or one built from its model in *mode* (performance or energy)."""
    from emulab.firmware.image import load_image
    from emulab.run.assets import resolve

    workload = loaded.scenario.workload
    if given is None and workload.firmware is not None:
        given = resolve(workload.firmware, loaded.folder, f"{loaded.file}: workload.firmware")
    if given is not None:
        return load_image(given, base)
    from emulab.firmware.build import BuildOptions, build

    assert workload.model is not None
    model = resolve(workload.model, loaded.folder, f"{loaded.file}: workload.model")
    options = BuildOptions(**{"model_id": workload.mlperf_id or workload.name, **loaded.scenario.build, "mode": mode})
    return build(model, platform, options=options).image
