"""Turn a platform's ``soc.memory_system`` into the configuration words of the memory simulator (``probe/c/memsim.c``).

``devices`` are memories with an access time (a flash array, a bus to RAM, a serial flash), ``caches`` stand before
them, ``routes`` say by which cache or device fetches, reads and writes of each memory go. A memory without a route
costs nothing beyond what the pipeline model charges for an access.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from emulab.errors import InputError
from emulab.model.base import Schema, validate
from emulab.timing.base import Q8

if TYPE_CHECKING:
    from emulab.model.platform import Platform

VERSION = 4
HEADER_WORDS = 20
BACKING = 0xFFFF
CONTROL = {"always": 0, "instruction": 1, "data": 2}
REPLACEMENT = {"lru": 0, "round-robin": 1, "random": 2, "plru": 3}
FILL = {"sector": 0, "line": 1, "line-blocking": 2}
WRITE_POLICY = {"around": 0, "through": 1, "back": 2}
UNALIGNED = {"none": 0, "split": 1, "boundary": 2}


def _power_of_two(value: int) -> int:
    if value <= 0 or value & (value - 1):
        raise ValueError("must be a power of two")
    return value


class Device(Schema):
    """A memory array or a bus: every access takes ``1 + wait_states`` cycles, ``line_bytes`` at a time."""

    line_bytes: int = Field(description="bytes that one access yields")
    wait_states: int | list[tuple[float, int]] = Field(
        default=0, description="a number, or pairs [highest clock in Hz, wait states] for firmware that sets none"
    )
    set_by_firmware: bool = Field(default=False, description="the flash latency register changes them")
    reset_wait_states: int | None = Field(default=None, description="value after reset where the firmware sets them")
    overhead_cycles: float = Field(default=0, ge=0, description="added to every access: bus and interface")
    beat_cycles: float = Field(default=0, ge=0, description="per further line of a burst; 0: like the first")
    prefetch: Literal["none", "off", "on"] = Field(
        default="none", description="next-line prefetch: absent, or its state after reset"
    )
    prefetch_data: bool = Field(default=False, description="data reads start a prefetch too, not only fetches")
    buffers: Literal[0, 1, 2] = Field(
        default=1, description="output lines kept: none, one for all, or one each for code and data"
    )
    write_cycles: float = Field(default=0, ge=0)
    source: str = ""
    assumed: bool = False

    _check_line = field_validator("line_bytes")(_power_of_two)


class Cache(Schema):
    """A set-associative cache before a device or another cache."""

    behind: str = Field(
        description="the device or later cache it fills from; `memory`: the `memory` device of the route accessed"
    )
    size_bytes: int
    ways: int = Field(ge=1, le=256)
    line_bytes: int
    sector_bytes: int | None = Field(default=None, description="part of a line that is filled at a time")
    control: Literal["always", "instruction", "data"] = Field(
        default="always", description="which enable bit of the firmware switches it"
    )
    on: bool = Field(default=True, description="state after reset")
    replacement: Literal["lru", "round-robin", "random", "plru"] = "lru"
    fill: Literal["sector", "line", "line-blocking"] = Field(
        default="line", description="sector: only what was asked for; line: critical word first, rest in the background"
    )
    miss_cycles: float = Field(default=0, ge=0, description="look-up and hand-over on top of the access behind")
    write: Literal["around", "through", "back"] = "around"
    hit_under_miss: bool = True
    victim_cycles: float = Field(default=0, ge=0, description="for writing a dirty line back")
    source: str = ""
    assumed: bool = False

    _check_line = field_validator("line_bytes")(_power_of_two)


class Route(Schema):
    """How accesses to one memory go; cycles are added to each access."""

    fetch: str = ""
    read: str = ""
    write: str = ""
    memory: str = Field(default="", description="the device behind caches that say `behind: memory`")
    bus: str = Field(
        default="",
        description="bus of the core that data accesses take: dcode, system, ...; each memory is a slave of it",
    )
    fetch_cycles: float = Field(default=0, ge=0, description="per 32-bit word fetched")
    read_cycles: float = Field(default=0, ge=0)
    write_cycles: float = Field(default=0, ge=0)
    single_read_cycles: float = Field(
        default=0, ge=0, description="a read that is not of several words at once: LDR, but not LDM, LDRD or POP"
    )
    store_hold_cycles: float = Field(default=0, ge=0, description="how long a store occupies the write buffer")
    source: str = ""
    assumed: bool = False


class MemorySystem(Schema):
    """The ``memory_system`` section of a SoC."""

    devices: dict[str, Device] = Field(default={})
    caches: dict[str, Cache] = Field(default={})
    routes: dict[str, Route] = Field(default={})
    other_slave_cycles: float = Field(
        default=0, ge=0, description="first data access to another memory on the same bus: the bus matrix hands over"
    )
    assumed: bool = False
    source: str = ""


def wait_states_at(device: Device, clock_hz: float) -> int:
    """Wait states of *device* at a clock: the first entry whose limit is not below it."""
    if isinstance(device.wait_states, int):
        return device.wait_states
    for limit, states in device.wait_states:
        if clock_hz <= limit:
            return states
    return device.wait_states[-1][1] if device.wait_states else 0


def _name_words(name: str) -> list[int]:
    text = name.encode("ascii", "replace")[:16].ljust(16, b"\0")
    return [int.from_bytes(text[i : i + 4], "little") for i in range(0, 16, 4)]


def _q8(cycles: float) -> int:
    return round(cycles * Q8)


def memory_config(platform: Platform, clock_hz: float | None = None) -> array[int]:
    """Configuration of the memory simulator for *platform* as unsigned 32-bit words.

    With *clock_hz* the wait states are those a firmware would set for that clock (for backends that do not see the
    flash registers); without it the state is that after reset. Raises InputError naming the key that is wrong.
    """
    from emulab.timing import load_timing

    where = f"platform {platform.name}: soc.memory_system"
    system = validate(MemorySystem, platform.soc.memory_system, where)
    units: dict[str, int] = {"": 0, "memory": BACKING}
    for index, name in enumerate(system.caches):
        units[name] = 1 + index
    for index, name in enumerate(system.devices):
        if name in system.caches:
            raise InputError.at(where, f"devices.{name}", "a cache has the same name")
        units[name] = 257 + index

    def unit(name: str, place: str) -> int:
        if name not in units:
            raise InputError.at(where, place, f"no cache or device {name!r}; known: {', '.join(filter(None, units))}")
        return units[name]

    regions: list[int] = []
    count = 0
    buses = ["", *dict.fromkeys(route.bus for route in system.routes.values() if route.bus)]
    for slave, (name, memory) in enumerate(platform.soc.memories.items()):
        route = system.routes.get(name, Route())
        bases = [memory.base, *memory.aliases]
        for alias in platform.soc.aliases:
            low, size, target = alias["base"], alias["size_bytes"], alias["target"]
            offset = memory.base - target
            if 0 <= offset < size:
                bases.append(low + offset)
        for base in dict.fromkeys(bases):
            regions += [base & 0xFFFFFFFF, min(memory.size_bytes, 0xFFFFFFFF), memory.base & 0xFFFFFFFF]
            regions += [unit(getattr(route, k), f"routes.{name}.{k}") for k in ("fetch", "read", "write")]
            regions += [_q8(route.fetch_cycles), _q8(route.read_cycles), _q8(route.write_cycles)]
            regions += [_q8(route.store_hold_cycles), buses.index(route.bus), slave]
            regions += [unit(route.memory, f"routes.{name}.memory"), _q8(route.single_read_cycles)]
            count += 1
    for name in system.routes:
        if name not in platform.soc.memories:
            raise InputError.at(where, f"routes.{name}", f"no memory {name!r} in soc.memories")
    if count > 32 or len(system.caches) > 16 or len(system.devices) > 16:
        raise InputError(f"{where}: more than 32 memory ranges, 16 caches or 16 devices")
    words = _header(load_timing(platform), system, count) + regions
    for name, cache in system.caches.items():
        words += _cache_words(name, cache, unit(cache.behind, f"caches.{name}.behind"), where)
    for name, device in system.devices.items():
        words += _device_words(name, device, clock_hz)
    return array("I", words)


def _header(timing: Any, system: MemorySystem, regions: int) -> list[int]:
    """Header words: what of the pipeline model shows at run time (unaligned accesses, branch prediction)."""
    p: dict[str, float] = getattr(timing, "p", {})
    words = [VERSION, regions, len(system.caches), len(system.devices)]
    words += [UNALIGNED[getattr(timing, "unaligned", "none")], int(p.get("unaligned_boundary", 4))]
    words += [_q8(p.get("unaligned", 0)), _q8(p.get("data_step", 2))]
    words += [int(p.get("btb_entries", 0)), int(p.get("branch_counters", 0)), int(p.get("branch_history", 0))]
    words += [_q8(p.get("mispredict", 0)), _q8(p.get("btb_miss", 0)), int(p.get("return_stack", 0))]
    words += [_q8(p.get("fetch_ahead", 0)), _q8(p.get("other_bus", 0)), _q8(system.other_slave_cycles)]
    return words + [0] * (HEADER_WORDS - len(words))


def _cache_words(name: str, cache: Cache, behind: int, where: str) -> list[int]:
    sector = cache.sector_bytes or cache.line_bytes
    sets, rest = divmod(cache.size_bytes, cache.ways * cache.line_bytes)
    if rest or sets <= 0 or sets & (sets - 1):
        raise InputError.at(where, f"caches.{name}", "size must be ways x line x a power of two")
    if sector > cache.line_bytes or sector & (sector - 1) or cache.line_bytes // sector > 32:
        raise InputError.at(where, f"caches.{name}.sector_bytes", "must divide the line into at most 32 parts")
    return [
        *_name_words(name),
        behind,
        sets,
        cache.ways,
        cache.line_bytes,
        sector,
        CONTROL[cache.control],
        int(cache.on),
        REPLACEMENT[cache.replacement],
        FILL[cache.fill],
        _q8(cache.miss_cycles),
        WRITE_POLICY[cache.write],
        int(cache.hit_under_miss),
        _q8(cache.victim_cycles),
        0,
    ]


def _device_words(name: str, device: Device, clock_hz: float | None) -> list[int]:
    if clock_hz is not None:
        states = wait_states_at(device, clock_hz)
    elif device.set_by_firmware:
        states = device.reset_wait_states or 0
    else:
        states = wait_states_at(device, 0.0)
    return [
        *_name_words(name),
        device.line_bytes,
        states,
        int(device.set_by_firmware),
        _q8(device.beat_cycles),
        _q8(device.overhead_cycles),
        int(device.prefetch != "none"),
        int(device.prefetch == "on"),
        device.buffers,
        _q8(device.write_cycles),
        int(device.prefetch_data),
    ]
