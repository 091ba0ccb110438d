"""DMA of the STM32 families that have no channels of the L4 kind: GPDMA (U5, U3), streams (F7, H7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.session import UnicornSession

Start = Callable[..., UnicornSession]
CODE = 0x08000200
RAM = 0x20001000
IDLE = [0xBF30, 0xE7FD]  # wfi; b back
EN, RESET, SUSP, TCIE, HTIE = 1, 2, 4, 1 << 8, 1 << 9
GPDMA = 0x40020000
GPDMA_IRQ = 29
STREAMS = {"nucleo-h7a3zi-q": 0x40020400, "disco-f746ng": 0x40026400}
RX_STREAM, TX_STREAM = 2, 7
DMA2_IRQS = (56, 57, 58, 59, 60, 68, 69, 70)
USART1 = {"nucleo-u575zi-q": 0x40013800, "nucleo-h7a3zi-q": 0x40011000, "disco-f746ng": 0x40011000}


def clears(address: int, value: int) -> list[int]:
    """A handler: r7 counts, the flag is cleared (movw and movt of r0 and r1; str r1, [r0]; adds r7, #1; dsb; bx lr)."""
    code = []
    for register, word in ((0, address), (1, value)):
        for opcode, v in ((0xF240, word & 0xFFFF), (0xF2C0, word >> 16)):
            code += [opcode | (v >> 11 & 1) << 10 | v >> 12, (v >> 8 & 7) << 12 | register << 8 | v & 0xFF]
    return [*code, 0x6001, 0x3701, 0xF3BF, 0x8F4F, 0x4770]


def start(thumb: Start, platform: str, irq: int, handler: list[int]) -> Machine:
    """A board asleep, with one interrupt enabled."""
    code = [*IDLE, 0xBF00, 0xBF00, *handler]
    machine = thumb(code, {16 + irq: CODE + 8}, platform=platform).machine
    machine.bus_write(0xE000E100 + 4 * (irq // 32), 4, 1 << irq % 32)
    machine.env.run(until=1e-6)
    return machine


def put(machine: Machine, base: int, **words: int) -> None:
    """Registers of a GPDMA channel."""
    offsets = {"CLBAR": 0, "CFCR": 0x0C, "CCR": 0x14, "CTR1": 0x40, "CTR2": 0x44, "CBR1": 0x48, "CSAR": 0x4C, "CDAR": 0x50,
               "CLLR": 0x7C}  # fmt: skip
    for name, value in words.items():
        machine.bus_write(base + offsets[name], 4, value)


def run(machine: Machine, for_s: float) -> None:
    machine.env.run(until=machine.env.now + for_s)


@pytest.mark.parametrize("platform", ["nucleo-u575zi-q", "nucleo-u385rg-q"])
def test_gpdma_copies_memory_and_tells_half_and_end(thumb: Start, platform: str) -> None:
    channel = GPDMA + 0x50
    machine = start(thumb, platform, GPDMA_IRQ, clears(channel + 0x0C, 0x7F00))
    data = bytes(range(64))
    machine.poke(RAM, data)
    put(
        machine,
        channel,
        CTR1=2 | 1 << 3 | 2 << 16 | 1 << 19,
        CTR2=1 << 9,
        CBR1=64,
        CSAR=RAM,
        CDAR=RAM + 0x100,
        CCR=TCIE | EN,
    )
    assert machine.bus_read(channel + 0x10, 4) & 1 == 0  # under way
    assert machine.peek(RAM + 0x100, 64) != data
    run(machine, 1e-3)
    assert machine.peek(RAM + 0x100, 64) == data
    assert machine.engine.registers[7] == 1
    assert machine.bus_read(channel + 0x10, 4) == 1  # idle, the flags cleared by the handler
    assert machine.bus_read(channel + 0x14, 4) & EN == 0
    assert machine.bus_read(channel + 0x4C, 4) == RAM + 64
    assert machine.notes == []


def test_gpdma_follows_a_list_and_can_be_suspended(thumb: Start) -> None:
    channel = GPDMA + 0x50 + 0x80
    machine = start(thumb, "nucleo-u575zi-q", GPDMA_IRQ + 1, clears(channel + 0x0C, 0x7F00))
    machine.poke(RAM, b"first   second  ")
    # an item that loads size, source, target and the link: none follows
    item = b"".join(w.to_bytes(4, "little") for w in (8, RAM + 8, RAM + 0x208, 0))
    machine.poke(RAM + 0x400, item)
    link = 1 << 29 | 1 << 28 | 1 << 27 | 1 << 16 | (RAM + 0x400) & 0xFFFC
    put(machine, channel, CTR1=1 << 3 | 1 << 19, CTR2=1 << 9 | 3 << 30, CBR1=8, CSAR=RAM, CDAR=RAM + 0x200)
    put(machine, channel, CLBAR=RAM & 0xFFFF0000, CLLR=link, CCR=TCIE | EN)
    run(machine, 1e-3)
    assert machine.peek(RAM + 0x200, 16) == b"first   second  "
    assert machine.engine.registers[7] == 1  # of the last item alone, as TCEM says
    put(machine, channel, CBR1=0xFFFF, CSAR=RAM, CDAR=RAM + 0x200, CLLR=0, CTR2=24, CCR=EN)
    put(machine, channel, CCR=EN | SUSP)
    assert machine.bus_read(channel + 0x10, 4) & 1 << 13
    put(machine, channel, CCR=RESET)
    assert machine.bus_read(channel + 0x10, 4) == 1 and machine.bus_read(channel + 0x14, 4) & EN == 0


def usart_on(machine: Machine, base: int) -> None:
    machine.bus_write(base + 0x0C, 4, 139)  # BRR
    machine.bus_write(base + 0x08, 4, 3 << 6)  # CR3: DMAT, DMAR
    machine.bus_write(base, 4, 1 | 1 << 2 | 1 << 3)


@pytest.mark.parametrize("platform", ["nucleo-u575zi-q", "nucleo-u385rg-q", "nucleo-u3c5zi-q"])
def test_gpdma_serves_a_usart_both_ways(thumb: Start, platform: str) -> None:
    channel, usart = GPDMA + 0x50, 0x40013800
    machine = start(thumb, platform, GPDMA_IRQ, clears(channel + 0x0C, 0x7F00))
    machine.poke(RAM, b"by DMA\n")
    put(machine, channel, CTR1=1 << 3, CTR2=25 | 1 << 10, CBR1=7, CSAR=RAM, CDAR=usart + 0x28, CCR=TCIE | HTIE | EN)
    usart_on(machine, usart)
    run(machine, 0.01)
    assert bytes(machine.console.output) == b"by DMA\n"
    assert machine.engine.registers[7] == 2  # half and end
    put(machine, channel + 0x80, CTR1=1 << 19, CTR2=24, CBR1=5, CSAR=usart + 0x24, CDAR=RAM + 0x40, CCR=EN)
    machine.console.write(b"hello")
    run(machine, 0.01)
    assert machine.peek(RAM + 0x40, 5) == b"hello"
    assert machine.bus_read(channel + 0x80 + 0x10, 4) & 1 << 8


def stream(machine: Machine, base: int, number: int, control: int, **words: int) -> None:
    at = base + 0x10 + 24 * number
    for name, offset in (("NDTR", 4), ("PAR", 8), ("M0AR", 12), ("FCR", 20)):
        if name in words:
            machine.bus_write(at + offset, 4, words[name])
    machine.bus_write(at, 4, control)


@pytest.mark.parametrize("platform", STREAMS)
def test_streams_copy_memory_and_interrupt(thumb: Start, platform: str) -> None:
    base = STREAMS[platform]
    machine = start(thumb, platform, DMA2_IRQS[0], clears(base + 8, 0x3F))
    machine.poke(RAM, bytes(range(32)))
    # memory to memory takes the FIFO: PAR is the source, both addresses count up, words
    control = 2 << 6 | 1 << 9 | 1 << 10 | 2 << 11 | 2 << 13 | 1 << 4 | 1
    stream(machine, base, 0, control, NDTR=8, PAR=RAM, M0AR=RAM + 0x100, FCR=7)
    run(machine, 1e-3)
    assert machine.peek(RAM + 0x100, 32) == bytes(range(32))
    assert machine.engine.registers[7] == 1
    assert machine.bus_read(base + 0x10, 4) & 1 == 0 and machine.bus_read(base + 0x14, 4) == 0


@pytest.mark.parametrize("platform", STREAMS)
def test_streams_serve_a_usart_both_ways(thumb: Start, platform: str) -> None:
    base, usart = STREAMS[platform], USART1[platform]
    machine = start(thumb, platform, DMA2_IRQS[TX_STREAM], clears(base + 12, 0x3F << 22))
    if platform == "nucleo-h7a3zi-q":
        machine.bus_write(0x40020800 + 4 * (8 + TX_STREAM), 4, 42)
        machine.bus_write(0x40020800 + 4 * (8 + RX_STREAM), 4, 41)
    channel = 4 << 25 if platform == "disco-f746ng" else 0
    machine.poke(RAM, b"by DMA\n")
    stream(machine, base, TX_STREAM, channel | 1 << 10 | 1 << 6 | 1 << 4 | 1, NDTR=7, PAR=usart + 0x28, M0AR=RAM)
    usart_on(machine, usart)
    run(machine, 0.02)
    assert bytes(machine.console.output) == b"by DMA\n"
    assert machine.engine.registers[7] == 1
    stream(machine, base, RX_STREAM, channel | 1 << 10 | 1, NDTR=5, PAR=usart + 0x24, M0AR=RAM + 0x40)
    machine.console.write(b"hello")
    run(machine, 0.02)
    assert machine.peek(RAM + 0x40, 5) == b"hello"
    assert machine.bus_read(base, 4) >> 16 & 0x3F == 0x30  # LISR of stream 2: half and complete


def test_a_circular_stream_goes_on(thumb: Start) -> None:
    base, usart = STREAMS["disco-f746ng"], USART1["disco-f746ng"]
    machine = start(thumb, "disco-f746ng", DMA2_IRQS[RX_STREAM], clears(base + 8, 0x3F << 16))
    machine.console.port_name = "usart1"
    stream(machine, base, RX_STREAM, 4 << 25 | 1 << 8 | 1 << 10 | 1 << 4 | 1, NDTR=4, PAR=usart + 0x24, M0AR=RAM)
    usart_on(machine, usart)
    machine.console.write(b"abcdefghij")
    run(machine, 0.02)
    assert machine.peek(RAM, 4) == b"ijgh"
    assert machine.engine.registers[7] == 2
    assert machine.bus_read(base + 0x10 + 24 * RX_STREAM + 4, 4) == 2
