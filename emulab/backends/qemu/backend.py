"""QemuBackend: which platforms QEMU runs, at which fidelity, and how a session is put together."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emulab.backends.base import Availability, Capability, SessionOptions
from emulab.backends.qemu import install, machines
from emulab.errors import BackendUnavailable, InputError, ToolError

if TYPE_CHECKING:
    from emulab.backends.qemu.session import QemuSession
    from emulab.backends.stack import StackRegion
    from emulab.firmware.image import Image
    from emulab.model.platform import BackendMapping, Platform

_SOURCES = ("qemu_plugin.c", "qemu_link.c")
_OPTIONS = {"platform", "serial", "cpu", "memory", "bios", "icount_shift", "arguments", "kernel"}


class QemuBackend:
    """Firmware in QEMU system emulation, deterministic (``-icount``), counted by the probe as a TCG plugin.

    A board file may say under ``backends.qemu``: ``machine`` (QEMU's name), ``fidelity``, and ``options``:
    ``platform`` (board file of the machine, at fidelity core), ``serial`` (index of the console among the machine's
    UARTs), ``cpu``, ``memory`` (``-m``), ``bios`` (``-bios``),
    ``icount_shift`` (2^N ns per instruction), ``kernel`` (false: load segments instead of passing the ELF with ``-kernel``).

    QEMU is looked for in the folder after ``--backend qemu:`` or ``--qemu``, in ``$EMULAB_QEMU``, and on the PATH.
    """

    name = "qemu"
    capabilities: frozenset[Capability] = frozenset(
        {"console", "virtual-time", "profile", "cycles", "memory-accesses", "stack"}
    )

    def available(self) -> Availability:
        return self.available_at("")

    def available_at(self, location: str) -> Availability:
        """Whether QEMU is in the folder *location*, or where it is looked for without one."""
        found, missing = [], []
        for arch in install.PROGRAMS:
            try:
                qemu = install.find(arch, location)
                found.append(f"{qemu.version_text} ({arch})")
            except ToolError as error:
                missing.append(str(error))
        if not found:
            return Availability(False, "", missing[0], install.how_to_install())
        from emulab.probe.build import compiler

        try:
            compiler()
        except ToolError as error:
            return Availability(False, ", ".join(found), str(error), "pip install ziglang")
        hint = install.how_to_install() if missing else ""
        origin = ", $EMULAB_QEMU" if os.environ.get("EMULAB_QEMU") and not location else ""
        return Availability(True, ", ".join(found) + origin, "; ".join(missing), hint)

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        mapping = platform.backends.get(self.name)
        if mapping is not None and mapping.machine:
            return mapping.fidelity
        return "core" if self._stand_in(platform) else None

    def _stand_in(self, platform: Platform) -> str:
        """Name of the platform of a machine with the same core, empty where there is none."""
        mapping = platform.backends.get(self.name)
        if mapping is not None and mapping.options.get("platform"):
            return str(mapping.options["platform"])
        if machines.arch_of(platform) == "riscv":
            return machines.RISCV
        return machines.BY_CORE.get(platform.core.name, "")

    def firmware_platform(self, platform: Platform) -> Platform:
        if self.fidelity(platform) == "board":
            return platform
        from emulab.model.platform import load_platform

        name = self._stand_in(platform)
        if not name:
            raise InputError(f"platform {platform.name}: QEMU has no machine with a {platform.core.name}")
        machine = load_platform(name).platform
        # The code must be what the platform's own core executes, on the machine's map.
        return machine.model_copy(update={"core": platform.core})

    def open(self, platform: Platform, image: Image, options: SessionOptions) -> QemuSession:
        machine = self.firmware_platform(platform)
        mapping = machine.backends.get(self.name)
        if mapping is None or not mapping.machine:
            raise InputError(f"platform {machine.name}: backends.qemu.machine: missing")
        unknown = set(mapping.options) - _OPTIONS
        if unknown:
            raise InputError(
                f"platform {machine.name}: backends.qemu.options: unknown key {sorted(unknown)[0]!r}; "
                f"valid keys: {', '.join(sorted(_OPTIONS))}"
            )
        try:
            qemu = install.find(machines.arch_of(machine), options.argument or str(options.extra.get("qemu") or ""))
        except ToolError as error:
            raise BackendUnavailable(self.name, str(error), install.how_to_install()) from None
        needed = mapping.machine.partition(",")[0]
        if needed not in qemu.machines():
            raise BackendUnavailable(
                self.name,
                f"QEMU {qemu.version_text} has no machine {needed!r}; for another QEMU give --qemu DIR or set $EMULAB_QEMU",
            )
        image.check_fits(machine)
        return _open(platform, machine, mapping, image, options, qemu)


def _open(
    platform: Platform,
    machine: Platform,
    mapping: BackendMapping,
    image: Image,
    options: SessionOptions,
    qemu: install.Qemu,
) -> QemuSession:
    from emulab.backends.qemu.counts import Counts, Snapshot
    from emulab.backends.qemu.process import QemuProcess
    from emulab.backends.qemu.session import FAULT_EDGE, QemuSession
    from emulab.backends.qemu.stream import PluginConfiguration
    from emulab.backends.windows import WindowTracker
    from emulab.probe.build import C_FOLDER, PROBE_SOURCES, build_library
    from emulab.timing import load_timing

    timing = load_timing(platform)
    tracker: WindowTracker[Snapshot] = WindowTracker(options.windows, image.resolve, "qemu")
    faults = fault_handlers(machine, image)
    edges = [
        (i, address if i in tracker.markers else address & ~1, partner, armed)
        for i, (address, partner, armed) in enumerate(tracker.addresses)
    ]
    edges += [(FAULT_EDGE + i, address, -1, True) for i, address in enumerate(faults)]
    memsim, costs, counters = memory_simulator(platform)
    configuration = PluginConfiguration(
        regions=machines.memory_ranges(machine),
        uarts=machines.uart_of(machine),
        edges=edges,
        markers=frozenset(tracker.markers),
        icount_shift=icount_shift(machine, mapping),
        uart_fifo=machines.uart_fifo(machine),
        uart_delays=machines.uart_delays(machine, qemu.version),
        count_memory=options.profile,
        memsim=memsim,
        memories_cost=costs,
        moved=machines.moved_memories(machine, platform) if machine.name != platform.name and memsim else [],
    )
    counts = Counts(timing, platform.board.clock_hz, configuration.region_names, counters)
    plugin = build_library(
        f"emulab_qemu{qemu.plugin_interface}",
        [C_FOLDER / name for name in (*_SOURCES, *PROBE_SOURCES)],
        sorted(C_FOLDER.glob("*.h")),
        plugin_flags(qemu),
    )
    notes = []
    if machine.name != platform.name:
        notes.append(
            f"fidelity core: rebuilt for QEMU {mapping.machine}, whose map differs; timing and energy of {platform.name}"
        )
    if not qemu.sleeps_by_its_clock:
        notes.append(f"time asleep varies with the host in QEMU {qemu.version_text}; from 10.0 on it repeats")
    stack = stack_of(machine, image)
    process = QemuProcess()
    names = {FAULT_EDGE + i: name for i, name in enumerate(faults.values())}
    session = QemuSession(process, image, counts, tracker, names, notes, configuration.uart_delays, stack)
    try:
        arguments = machine_arguments(machine, mapping, image, process.folder, qemu)
        if stack and not stack.painted_by_firmware:
            paint = process.folder / "paint.bin"
            paint.write_bytes(stack.paint())
            arguments += ["-device", f"loader,file={paint},addr=0x{stack.low:x},force-raw=on"]
        process.start(qemu.path, plugin, configuration.text(), arguments)
        session.start()
    except BaseException:
        session.close()
        raise
    return session


def stack_of(machine: Platform, image: Image) -> StackRegion | None:
    """Where *image* has its stack on *machine*; None where that cannot be told."""
    from emulab.backends.stack import riscv_initial_sp, stack_region

    if machines.arch_of(machine) == "riscv":
        top = riscv_initial_sp(image)
    else:
        base = machine.soc.vector_base
        start = base if base is not None else image.segments[0][0]
        try:
            top = int.from_bytes(image.read(start, 4), "little")
        except (InputError, ValueError, IndexError):
            top = 0
    ranges = [(base, base + size) for found in machines.memory_ranges(machine).values() for base, size in found]
    return stack_region(image, top, lambda a: next(((low, end) for low, end in ranges if low <= a < end), None))


def plugin_flags(qemu: install.Qemu) -> list[str]:
    import sys

    flags = ["-fvisibility=hidden", f"-DEMULAB_PLUGIN_API={qemu.plugin_interface}"]
    return [*flags, "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else flags


def memory_simulator(platform: Platform) -> tuple[list[int], bool, list[str]]:
    """Configuration words of the memory simulator, whether memories (or a branch predictor) cost anything beyond
    misaligned accesses, and the names of its counters; all empty where nothing can stall."""
    from emulab.probe.core import ProbeCore
    from emulab.timing.memory import memory_config

    words = list(memory_config(platform, platform.board.clock_hz))
    system = platform.soc.memory_system
    costs = any(system.get(key) for key in ("devices", "caches", "routes")) or any(words[8:14])
    if not costs and not words[4]:
        return [], False, []
    probe = ProbeCore(words)
    try:
        return words, costs, list(probe.memory_counters())
    finally:
        probe.close()


def icount_shift(machine: Platform, mapping: BackendMapping) -> int:
    """Time per instruction is a power of two of nanoseconds: the one nearest to one instruction per cycle."""
    chosen = mapping.options.get("icount_shift")
    return max(0, min(10, round(math.log2(1e9 / machine.board.clock_hz)))) if chosen is None else int(chosen)


def machine_arguments(
    machine: Platform, mapping: BackendMapping, image: Image, folder: Path, qemu: install.Qemu
) -> list[str]:
    """Command line of *qemu* for *machine* running *image*."""
    chosen = mapping.options
    # sleep=off: time asleep passes at once, by QEMU's clock alone, so that it repeats.
    shift, sleep = icount_shift(machine, mapping), "off" if qemu.sleeps_by_its_clock else "on"
    arguments = ["-machine", mapping.machine, "-icount", f"shift={shift},align=off,sleep={sleep}"]
    arguments += ["-semihosting-config", "enable=on,target=native"]
    for option in ("cpu",):
        if chosen.get(option):
            arguments += [f"-{option}", str(chosen[option])]
    if chosen.get("memory"):
        arguments += ["-m", str(chosen["memory"])]
    arguments += ["-serial", "null"] * int(chosen.get("serial", 0)) + ["-serial", "chardev:emulab-console"]
    if chosen.get("bios"):
        arguments += ["-bios", str(chosen["bios"])]
    return arguments + load_arguments(machine, mapping, image, folder)


def load_arguments(machine: Platform, mapping: BackendMapping, image: Image, folder: Path) -> list[str]:
    """How the image gets into memory: the ELF itself, else its segments as raw files."""
    riscv = machines.arch_of(machine) == "riscv"
    if image.format == "elf" and mapping.options.get("kernel", True) and not riscv:
        return ["-kernel", str(image.path.resolve())]
    arguments: list[str] = []
    for index, (address, data) in enumerate(image.segments):
        file = folder / f"segment{index}.bin"
        file.write_bytes(data)
        arguments += ["-device", f"loader,file={file},addr=0x{address:x},force-raw=on"]
    if riscv and image.entry is not None:
        arguments += ["-device", f"loader,addr=0x{image.entry:x},cpu-num=0"]
    return arguments


def fault_handlers(machine: Platform, image: Image) -> dict[int, str]:
    """Addresses of HardFault, MemManage, BusFault and UsageFault handlers of a Cortex-M image, with their names.

    A handler that other vectors share (the usual default handler) counts as well: nothing enters it on purpose.
    """
    if machines.arch_of(machine) != "arm":
        return {}
    base = machine.soc.vector_base
    table = image.segments[0][0] if image.segments else 0
    for start in (base, table):
        if start is None:
            continue
        try:
            words = image.read(start + 12, 16)
        except (InputError, ValueError, IndexError):
            continue
        if len(words) == 16:
            found: dict[int, str] = {}
            for i, name in enumerate(("HardFault", "MemManage fault", "BusFault", "UsageFault")):
                address = int.from_bytes(words[4 * i : 4 * i + 4], "little")
                if address & 1:
                    found.setdefault(address & ~1, f"its {name} handler ({image.describe(address & ~1)})")
            return found
    return {}
