"""The Bluetooth controller: commands in, events out, what goes on the air and which states that takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import simpy

from emulab.backends.unicorn.parts.hci import HciController

RESET = bytes([1, 0x03, 0x0C, 0])
PARAMETERS = bytes([1, 0x36, 0x20, 25, 0, 0x10, 0, 160, 0, 0, 160, 0, 0, 7, *[0] * 9, 0, 1, 0, 1, 0, 0])
DATA = bytes([1, 0x37, 0x20, 7, 0, 3, 1, 3, 2, 0xFF, 0xAB])


def enable(on: int, events: int) -> bytes:
    return bytes([1, 0x39, 0x20, 6, on, 1, 0, 0, 0, events])


class Machine:
    """What a part needs of a machine: a clock, a UART, a ledger."""

    def __init__(self) -> None:
        self.env = simpy.Environment()
        self.states: list[tuple[float, str]] = []
        self.notes: list[str] = []
        self.answers = bytearray()
        self.serial_ports = {"usart3": self}

    def now(self) -> float:
        return float(self.env.now)

    def after(self, delay_s: float, action: Callable[[], Any]) -> None:
        event = self.env.timeout(delay_s)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: action())

    def receive(self, data: bytes) -> None:
        self.answers += data

    def power_state(self, _component: str, state: str) -> None:
        self.states.append((self.now(), state))

    def note(self, text: str) -> None:
        self.notes.append(text)


def controller() -> tuple[Machine, HciController, Callable[[bytes], bytes]]:
    machine = Machine()
    made = HciController(machine, "radio", {"bus": "usart3"})  # type: ignore[arg-type]

    def tell(packet: bytes) -> bytes:
        machine.answers.clear()
        for byte in packet:
            made.received(byte)
        machine.env.run(until=machine.env.now + 1e-3)
        return bytes(machine.answers)

    return machine, made, tell


def test_advertising_happens_as_often_as_asked_and_then_sleeps() -> None:
    machine, radio, tell = controller()
    assert tell(RESET) == bytes([4, 0x0E, 4, 1, 0x03, 0x0C, 0])
    assert tell(PARAMETERS) == bytes([4, 0x0E, 5, 1, 0x36, 0x20, 0, 0])
    assert tell(DATA) == bytes([4, 0x0E, 4, 1, 0x37, 0x20, 0])
    assert tell(enable(1, 3)) == bytes([4, 0x0E, 4, 1, 0x39, 0x20, 0])
    machine.env.run(until=5.0)
    times = [time for time, _ in radio.sent]
    assert [data for _, data in radio.sent] == [b"\x02\xff\xab"] * 3
    assert all(0.1 <= b - a <= 0.11 for a, b in pairwise(times))
    on_air = [b - a for (a, s), (b, _) in pairwise(machine.states) if s == "tx"]
    assert on_air == pytest.approx([128e-6 + 3 * 8e-6] * 9)
    assert machine.states[-1][1] == "sleep" and machine.notes == []


def test_advertising_without_end_stops_when_told() -> None:
    machine, radio, tell = controller()
    for packet in (RESET, PARAMETERS, DATA, enable(1, 0)):
        tell(packet)
    machine.env.run(until=2.0)
    assert 18 <= len(radio.sent) <= 20
    tell(enable(0, 0))
    count = len(radio.sent)
    machine.env.run(until=4.0)
    assert len(radio.sent) == count and machine.states[-1][1] == "sleep"


@pytest.mark.parametrize(
    ("packet", "status"),
    [
        (enable(1, 1), 0x0C),  # before its parameters are set: disallowed
        (PARAMETERS[:5] + b"\x13" + PARAMETERS[6:], 0x12),  # connectable: not modelled
        (bytes([1, 0x37, 0x20, 5, 0, 3, 1, 40, 0]), 0x12),  # says 40 bytes, has one
        (bytes([1, 0x01, 0x10, 0]), 0x01),  # read local version: unknown here
    ],
)
def test_what_it_cannot_do_is_refused(packet: bytes, status: int) -> None:
    machine, radio, tell = controller()
    tell(RESET)
    answer = tell(packet)
    assert answer[:2] == bytes([4, 0x0E]) and answer[6] == status
    machine.env.run(until=1.0)
    assert radio.sent == []
    assert bool(machine.notes) is (status == 0x01)


def test_a_byte_out_of_step_is_told() -> None:
    machine, _, tell = controller()
    assert tell(b"\x55") == b"" and "no HCI command" in machine.notes[0]
