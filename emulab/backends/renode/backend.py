"""RenodeBackend: which platforms Renode runs, and how its session is put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.backends.base import Availability, Capability, SessionOptions
from emulab.backends.renode import cores, install, repl
from emulab.errors import BackendUnavailable, InputError, ToolError

if TYPE_CHECKING:
    from emulab.backends.renode.session import RenodeSession
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform


_STEP_LIMIT_S = 60.0
"""How long a step of making the machine may take."""


class RenodeBackend:
    """Firmware in Renode. Without ``backends.renode`` a board is composed from its platform file.

    A board file may say under ``backends.renode``: ``machine`` (a ``.repl`` that ships with Renode), ``fidelity``, and
    ``options``: ``uart`` (Renode's name of the console, default ``sysbus.`` and the platform's name of it).
    ``options.extra["keep_resc"]`` (a path, or True for one in the run folder) leaves a script that can be run by hand;
    ``options.extra["renode_metrics"]`` counts accesses to memory and peripherals (Renode's profiler: slow).

    Renode is what ``--renode`` or ``--backend renode:`` names, else ``$RENODE``, else on the PATH.
    """

    name = "renode"
    capabilities: frozenset[Capability] = frozenset({"console", "virtual-time", "cycles"})

    def available(self) -> Availability:
        return self.available_at("")

    def available_at(self, location: str) -> Availability:
        """Whether *location* (or, without one, what is found) starts a Renode that is new enough."""
        try:
            version = install.version_of(install.find(location))
        except ToolError as error:
            return Availability(False, "", str(error), install.HOW_TO_INSTALL)
        return Availability(True, ".".join(map(str, version)))

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        if not platform.core.cpu.get("renode"):
            return None
        if cores.executed_in_part(platform):
            return "core"
        mapping = platform.backends.get(self.name)
        return mapping.fidelity if mapping else "board"

    def firmware_platform(self, platform: Platform) -> Platform:
        return cores.buildable(platform)

    def open(self, platform: Platform, image: Image, options: SessionOptions) -> RenodeSession:
        if self.fidelity(platform) is None:
            raise InputError(f"platform {platform.name}: Renode has no {platform.core.name}")
        image.check_fits(platform)
        cores.check_image(image, platform)
        try:
            command = install.find(options.argument or str(options.extra.get("renode", "")))
        except ToolError as error:
            raise BackendUnavailable(self.name, str(error), install.HOW_TO_INSTALL) from None
        return open_session(platform, image, options, command)


def open_session(platform: Platform, image: Image, options: SessionOptions, command: list[str]) -> RenodeSession:
    """Start Renode by *command*, make the machine, connect its console."""
    from emulab.backends.renode.mix import counter_patterns, price_image
    from emulab.backends.renode.monitor_commands import SCRIPT
    from emulab.backends.renode.process import RenodeProcess
    from emulab.backends.renode.session import Instant, RenodeSession
    from emulab.backends.windows import WindowTracker
    from emulab.firmware.image import platform_arch
    from emulab.timing import load_timing

    if image.format != "elf":
        raise InputError.at(image.path, "", "the Renode backend loads ELF images; convert this one")
    tracker: WindowTracker[Instant] = WindowTracker(options.windows, image.resolve, "renode")
    mapping = platform.backends.get("renode")
    chosen: dict[str, Any] = mapping.options if mapping else {}
    uart = str(chosen.get("uart") or f"sysbus.{platform.board.console.peripheral}")
    description = repl.compose(platform) if not (mapping and mapping.machine) else ""
    process = RenodeProcess(command)
    try:
        # while Renode starts
        file, ours = process.folder / "platform.repl", process.folder / "emulab.py"
        file.write_text(description, encoding="utf-8")
        ours.write_text(SCRIPT, encoding="ascii")
        mix = price_image(image, load_timing(platform))
        mips = repl.performance_mips(platform.board.clock_hz / mix.mean)
        place = repl.quote(file) if description else f"@{mapping.machine if mapping else ''}"
        lines = repl.machine_commands(image.path.resolve(), place)
        keep = options.extra.get("keep_resc")
        if keep:
            folder = options.output or Path.cwd()
            script = folder / f"{platform.name}.resc" if keep is True else Path(str(keep))
            keep_script(script, description, place, [*lines, *repl.time_commands(mips), f"showAnalyzer {uart}"])

        process.connect()
        for line in [*lines, f"include {repl.quote(ours)}"]:
            process.monitor.execute(line, _STEP_LIMIT_S)
        counters = counter_patterns(platform_arch(platform))
        patterns = " ".join(f"{name}={pattern}" for name, pattern in counters.items())
        notes = [
            "windows on console lines end at the end of the line; instructions are exact there",
            "cycles: executed instructions times the mean cost of the image's code, branches taken assumed 70 %; "
            "wait states and caches of memories cost nothing",
        ]
        if cores.executed_in_part(platform):
            notes.insert(
                0, f"fidelity core: rebuilt for Armv8-M; Renode executes {platform.core.name} code only in part"
            )
        problem = process.monitor.execute(f'emulab_attach "{uart}" {mips} "{patterns}"', _STEP_LIMIT_S)
        if problem:
            notes.append(problem)
        if platform.soc.peripherals[platform.board.console.peripheral].type == "nrf-uarte":
            process.monitor.execute("emulab_easydma")
        metrics = process.folder / "metrics.bin" if options.extra.get("renode_metrics") else None
        if metrics is not None:
            process.monitor.execute(f"machine EnableProfiler {repl.quote(metrics)}")
        names = [] if problem else list(counters)
        session = RenodeSession(process, image, tracker, mix, platform.board.clock_hz, mips, names, notes)
        session.metrics = metrics
        return session
    except BaseException:
        process.close()
        raise


def keep_script(path: Path, description: str, place: str, lines: list[str]) -> None:
    """Write the Monitor commands as a .resc (and the .repl beside it) that a user can run: ``renode FILE``."""
    from emulab.model.record import write_text

    beside = path.with_suffix(".repl")
    if description:
        write_text(beside, description)
        lines = [line.replace(place, repl.quote(beside.resolve())) for line in lines]
    write_text(path, "\n".join(["# run with: renode " + path.name, *lines, "start"]) + "\n")
