"""A Bluetooth LE controller behind a UART: HCI over H4, extended advertising with legacy packets, one set.

Bluetooth Core Specification 5.4: volume 4 part A 2 (H4), part E 5.4 (packets), 7.3.2 and 7.8.53 to 7.8.56 (commands);
volume 6 part B 4.4.2.2 (advertising events: interval plus a random delay up to 10 ms), part A 3.1 (1 Mbit/s). Its power
states are those of ``platforms/parts/nrf52840-radio.yaml``. Not modelled: scanning, connections, security, listeners, and
the controller's own processor while it takes a command. Any other command is answered as unknown.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Machine

COMMAND, EVENT, COMPLETE = 0x01, 0x04, 0x0E
RESET, SET_PARAMETERS, SET_DATA, ENABLE = 0x0C03, 0x2036, 0x2037, 0x2039
UNKNOWN_COMMAND, DISALLOWED, INVALID = 0x01, 0x0C, 0x12
LEGACY_NONCONNECTABLE = 0x10
CHANNELS = 3
LEAD_S, RAMP_S, HEADER_S, BYTE_S = 360e-6, 140e-6, 128e-6, 8e-6
"""Times of an advertising event, as `uses.advertise` of the part has them."""
LATENCY_S = 200e-6
"""From the last byte of a command to the first of its answer, assumed."""
DELAY_S = 10e-3


class HciController:
    """One controller. ``sent`` is what it put on the air: (time of the event, advertising data)."""

    def __init__(self, machine: Machine, name: str, entry: dict[str, Any]) -> None:
        self.machine, self.name, self.port = machine, name, str(entry["bus"])
        self.sent: list[tuple[float, bytes]] = []
        self._packet = bytearray()
        self._random = random.Random(0)
        self._reset()

    def _reset(self) -> None:
        self._interval_s = 0.0
        self._data = b""
        self._events_left = 0
        self._unlimited = False
        self._train = getattr(self, "_train", 0) + 1  # whatever is due of an earlier advertising is void

    def received(self, byte: int) -> None:
        """A byte of the host; a whole command is answered."""
        self._packet.append(byte)
        if self._packet[0] != COMMAND:
            self._packet.clear()  # H4 out of step: a real controller asks for a reset
            self.machine.note(f"{self.name}: byte {byte:#04x} is no HCI command packet; ignored")
        elif len(self._packet) >= 4 and len(self._packet) == 4 + self._packet[3]:
            packet = bytes(self._packet)
            self._packet.clear()
            opcode = packet[1] | packet[2] << 8
            answer = self._command(opcode, packet[4:])
            event = bytes([EVENT, COMPLETE, 3 + len(answer), 1, packet[1], packet[2]]) + answer
            self.machine.after(LATENCY_S, lambda: self.machine.serial_ports[self.port].receive(event))

    def _command(self, opcode: int, given: bytes) -> bytes:
        """Return parameters: status first."""
        if opcode == RESET and not given:
            self._reset()
            self.machine.power_state(self.name, "sleep")
            return b"\0"
        if opcode == SET_PARAMETERS and len(given) == 25:
            least, most = (int.from_bytes(given[i : i + 3], "little") for i in (3, 6))
            if given[1] | given[2] << 8 != LEGACY_NONCONNECTABLE or not 32 <= least <= most:
                return bytes([INVALID, 0])
            self._interval_s = least * 0.625e-3
            return b"\0\0"  # status, transmit power: 0 dBm
        if opcode == SET_DATA and len(given) >= 4 and len(given) == 4 + given[3]:
            if given[3] > 31 or given[1] != 3:
                return bytes([INVALID])
            self._data = given[4:]
            return b"\0"
        if opcode == ENABLE and len(given) >= 2 and len(given) == 2 + 4 * given[1]:
            if given[0] and not self._interval_s:
                return bytes([DISALLOWED])
            self._train += 1
            self._events_left = given[5] if given[0] and given[1] else 0
            self._unlimited = bool(given[0]) and not self._events_left
            if given[0]:
                train = self._train
                self.machine.after(LATENCY_S, lambda: self._event(train))
            return b"\0"
        if opcode in (RESET, SET_PARAMETERS, SET_DATA, ENABLE):
            return bytes([INVALID, 0]) if opcode == SET_PARAMETERS else bytes([INVALID])
        self.machine.note(f"{self.name}: HCI command {opcode:#06x} is not modelled; answered as unknown")
        return bytes([UNKNOWN_COMMAND])

    # -- on the air -----------------------------------------------------------------------------------------

    def _event(self, train: int) -> None:
        """One advertising event: start the oscillator, then ramp and transmit on each channel."""
        if train != self._train:
            return
        machine = self.machine
        self.sent.append((machine.now(), self._data))
        packet_s = HEADER_S + BYTE_S * len(self._data)

        def state(name: str, after_s: float) -> None:
            machine.after(after_s, lambda: machine.power_state(self.name, name))

        machine.power_state(self.name, "ramp")
        at = LEAD_S
        for _ in range(CHANNELS):
            state("tx", at + RAMP_S)
            at += RAMP_S + packet_s
            state("ramp", at)
        state("sleep", at)
        if not self._unlimited:
            self._events_left -= 1
            if self._events_left <= 0:
                return
        machine.after(self._interval_s + self._random.uniform(0, DELAY_S), lambda: self._event(train))
