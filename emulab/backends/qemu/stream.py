"""What the plugin and the host say to each other: configuration, records and commands (see probe/c/qemu_link.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from emulab.timing.base import BlockCost

UART_EDGE = 0xFFFFFFFF
PLAIN_EDGE = 0xFFFFFFFE
UNKNOWN_BYTE = 0xFFFFFFFF

_HEAD = struct.Struct("=II")
_BLOCK = struct.Struct("=IIII")
_EDGE = struct.Struct("=IIIIQQQQII")
_REGION = struct.Struct("=QQQQ")
_COUNT = struct.Struct("=IIQQQQ")
_SMALL = struct.Struct("=II")
_PRICE = struct.Struct("=8I")
_RECORD_LIMIT = 1 << 28


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block seen for the first time; the plugin waits for its price. Indices count from 0."""

    index: int
    address: int
    instructions: int
    code: bytes


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """Totals since reset, and counts per block since the edge before."""

    id: int
    byte: int | None
    """what was sent to the console; None where the UART sends later"""
    cycles_q8: int
    instructions: int
    stall_q8: int
    idle_ns: int
    idles: int
    late_chunks: int
    regions: tuple[tuple[int, int, int, int], ...]
    """(reads, writes, bytes read, bytes written)"""
    counters: tuple[int, ...]
    blocks: tuple[tuple[int, int, int, int, int], ...]
    """(block index, executed, left by a taken branch, stalls in 1/256 cycle, branch costs in 1/256 cycle)"""
    last: bool = False


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """Where the firmware is: it waits for input, sleeps, or was asked."""

    kind: Literal["await", "idle", "state"]
    pc: int
    value: int
    """await: chunks of input taken so far; otherwise: 1 where the core sleeps"""


Record = BlockRecord | EdgeRecord | SignalRecord
_SIGNALS: dict[int, Literal["await", "idle", "state"]] = {3: "await", 4: "idle", 5: "state"}


class RecordStream:
    """Cuts the bytes of the event pipe into records. ValueError where they are not such records."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        self._pending += data
        position = 0
        while len(self._pending) - position >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._pending, position)
            if length > _RECORD_LIMIT:
                raise ValueError(f"record of {length} bytes")
            end = position + _HEAD.size + length
            if len(self._pending) < end:
                break
            yield _decode(kind, bytes(self._pending[position + _HEAD.size : end]))
            position = end
        del self._pending[:position]


def _decode(kind: int, payload: bytes) -> Record:
    if kind == 1:
        number, address, size, instructions = _BLOCK.unpack_from(payload)
        return BlockRecord(number, address, instructions, payload[_BLOCK.size : _BLOCK.size + size])
    if kind in (2, 6):
        number, byte, idles, late, cycles, instructions, stall, idle_ns, regions, counters = _EDGE.unpack_from(payload)
        at = _EDGE.size
        counted = tuple(_REGION.iter_unpack(payload[at : at + regions * _REGION.size]))
        at += regions * _REGION.size
        values = struct.unpack_from(f"={counters}Q", payload, at)
        at += counters * 8
        blocks = tuple((i, n, t, s, b) for i, _, n, t, s, b in _COUNT.iter_unpack(payload[at:]))
        stored = None if byte == UNKNOWN_BYTE else byte & 0xFF
        return EdgeRecord(
            number, stored, cycles, instructions, stall, idle_ns, idles, late, counted, values, blocks, kind == 6
        )
    if kind in _SIGNALS:
        return SignalRecord(_SIGNALS[kind], *_SMALL.unpack(payload))
    raise ValueError(f"record of unknown type {kind}")


def data_command(data: bytes) -> bytes:
    """A chunk of console input."""
    return _HEAD.pack(1, len(data)) + data


RUN = _HEAD.pack(2, 0)
"""Let the firmware run on where it polls an empty receiver."""
HOLD = _HEAD.pack(3, 0)
"""Stop the firmware where it polls an empty receiver."""
QUERY = _HEAD.pack(4, 0)
"""Ask for a state record."""


def price_command(index: int, cost: BlockCost) -> bytes:
    """Static cost of block *index*, which the plugin waits for."""
    words = _PRICE.pack(
        index, cost.cycles_q8, cost.taken_q8, cost.entry_q8, cost.branch_kind, cost.behind, *cost.late_q8
    )
    return _HEAD.pack(5, _PRICE.size) + words


@dataclass(frozen=True)
class PluginConfiguration:
    """What the plugin counts, and what it must know of the machine; lines of a word and hexadecimal numbers."""

    regions: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """memories as (base, size) ranges by name; everything else counts as `device`"""
    uarts: Sequence[tuple[int, int, int]] = ()
    """(address stored to, loaded from, polled) of the console, once per alias"""
    edges: Sequence[tuple[int, int, int, bool]] = ()
    """(id, address executed, index of the other end or -1, armed)"""
    markers: frozenset[int] = frozenset()
    """ids of edges whose address is stored to instead"""
    icount_shift: int = 0
    """an instruction takes 2^N ns of QEMU's time"""
    uart_fifo: int = 1
    """bytes of input that the console's model takes at once"""
    uart_delays: bool = False
    """whether the UART sends later than it is stored to"""
    count_memory: bool = True
    memsim: Sequence[int] = ()
    """configuration of the memory simulator"""
    memories_cost: bool = False
    """False: nothing but misaligned accesses can stall"""
    moved: Sequence[tuple[int, int, int]] = ()
    """(base, size, base on the timed platform)"""

    @property
    def region_names(self) -> list[str]:
        return ["device", *self.regions]

    def text(self) -> str:
        lines = [f"uart_delays {int(self.uart_delays)}", f"count_memory {int(self.count_memory)}"]
        lines += [f"shift {self.icount_shift}", f"fifo {self.uart_fifo}"]
        lines += [f"memory {word:x}" for word in self.memsim]
        if self.memsim:
            lines.append(f"simulate {int(self.memories_cost)}")
        lines += [f"moved {base:x} {size:x} {(to - base) & 0xFFFFFFFF:x}" for base, size, to in self.moved]
        lines.append("region 0 fffff000 0 1")
        for index, ranges in enumerate(self.regions.values()):
            lines += [f"region {base:x} {size:x} {index + 1} 0" for base, size in ranges]
        lines += [f"uart {store:x} {load:x} {poll:x}" for store, load, poll in self.uarts]
        for number, address, partner, armed in self.edges:
            word = "marker" if number in self.markers else "edge"
            lines.append(f"{word} {number} {address:x} {partner} {int(armed)}")
        return "\n".join(lines) + "\n"
