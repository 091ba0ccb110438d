"""QEMU machines: which one runs a core whose own board QEMU lacks, and how their UARTs are seen by the probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.model.platform import Platform


@dataclass(frozen=True, slots=True)
class UartLayout:
    """Offsets of the data register as stored to and as loaded from, and of what is polled for received bytes."""

    store: int
    load: int
    poll: int
    delayed_from: tuple[int, int] | None = None
    """QEMU version from which its model sends bytes later than they are stored"""
    fifo: int = 1
    """bytes that its model has room for from reset on"""


# Source: the reference manual of each UART.
UARTS = {
    "cmsdk-uart": UartLayout(0x00, 0x00, 0x04),  # Arm DDI 0479 4.3: DATA, STATE
    "sifive-uart": UartLayout(0x00, 0x04, 0x04, (9, 2), fifo=8),  # FE310-G002 manual 18: txdata, rxdata
    "ns16550": UartLayout(0x00, 0x00, 0x05),  # THR, RBR, LSR
    "nrf-uart": UartLayout(0x51C, 0x518, 0x108),  # nRF51 RM 29: TXD, RXD, EVENTS_RXDRDY
    "stm32-usart-v1": UartLayout(0x04, 0x04, 0x00),  # ST RM0090 30.6: DR, SR
    "stm32-usart": UartLayout(0x28, 0x24, 0x1C),  # ST RM0432 50.8: TDR, RDR, ISR
    "opentitan-uart": UartLayout(0x1C, 0x18, 0x14, (0, 0)),  # OpenTitan UART: WDATA, RDATA, STATUS
}

# Core -> the platform of the QEMU machine that has it, for boards that QEMU does not model.
BY_CORE = {
    "cortex-m0": "microbit",
    "cortex-m0plus": "mps2-an385",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
RISCV = "generic-rv32"


def arch_of(platform: Platform) -> Literal["arm", "riscv"]:
    return "riscv" if platform.core.isa.startswith("rv") else "arm"


def uart_of(platform: Platform) -> list[tuple[int, int, int]]:
    """(store, load, poll) addresses of the platform's console, once per alias of its peripheral.

    InputError where the console is a UART that this backend does not know.
    """
    name = platform.board.console.peripheral
    peripheral = platform.soc.peripherals.get(name)
    if peripheral is None:
        raise InputError(
            f"platform {platform.name}: board.console.peripheral: no peripheral {name!r} in soc.peripherals"
        )
    layout = UARTS.get(peripheral.type)
    if layout is None:
        raise InputError(
            f"platform {platform.name}: the QEMU backend does not know the console type {peripheral.type!r}; "
            f"it knows {', '.join(sorted(UARTS))}"
        )
    bases = [peripheral.base]
    for alias in platform.soc.aliases:
        offset = peripheral.base - alias["target"]
        if 0 <= offset < alias["size_bytes"]:
            bases.append(alias["base"] + offset)
    return [(b + layout.store, b + layout.load, b + layout.poll) for b in dict.fromkeys(bases)]


def uart_fifo(platform: Platform) -> int:
    """Bytes of input that QEMU's model of the platform's console takes at once."""
    return UARTS[platform.soc.peripherals[platform.board.console.peripheral].type].fifo


def uart_delays(platform: Platform, version: tuple[int, ...]) -> bool:
    """Whether QEMU *version* models the platform's console so that it sends later than it is stored to."""
    layout = UARTS[platform.soc.peripherals[platform.board.console.peripheral].type]
    return layout.delayed_from is not None and tuple(version[:2]) >= layout.delayed_from


def memory_ranges(platform: Platform) -> dict[str, list[tuple[int, int]]]:
    """(base, size) of every memory and its aliases, by name."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for name, memory in platform.soc.memories.items():
        bases = [memory.base, *memory.aliases]
        for alias in platform.soc.aliases:
            offset = memory.base - alias["target"]
            if 0 <= offset < alias["size_bytes"]:
                bases.append(alias["base"] + offset)
        ranges[name] = [(base, memory.size_bytes) for base in dict.fromkeys(bases)]
    return ranges


def moved_memories(machine: Platform, timed: Platform) -> list[tuple[int, int, int]]:
    """Where the machine's code and data lie on the timed platform: (base, size, base there), by kind and size.

    Code goes to the largest flash (or memory that can hold it), data to the largest RAM; sizes may differ, addresses
    are translated as offsets.
    """

    def largest(platform: Platform, *kinds: str) -> tuple[int, int] | None:
        found = [(m.size_bytes, m.base) for m in platform.soc.memories.values() if m.kind in kinds]
        return max(found) if found else None

    moved = []
    for kinds in (("flash", "rom", "external", "tcm-instruction"), ("ram", "tcm-data")):
        here, there = largest(machine, *kinds), largest(timed, *kinds)
        if here and there:
            moved.append((here[1], here[0], there[1]))
    return moved
