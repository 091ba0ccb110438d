# ruff: noqa: RUF012  (register tables are constants)
"""Nordic RADIO as a transmitter and listener, and RNG: nRF52840 Product Specification v1.7, 6.20 and 6.19.

A packet is read from RAM when its transmission starts; ramp-up, air time and ramp-down pass as on the chip. ``sent`` is
what went on the air. Nobody answers: reception waits for ever. Not modelled: RSSI, AES, IEEE 802.15.4's own functions,
direction finding, interframe spacing by hardware, DMA that the crystal's absence would spoil (told in a note).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from emulab.backends.unicorn.peripherals.base import register
from emulab.backends.unicorn.peripherals.nrf import NrfPeripheral

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

DISABLED, RX_RAMP, RX_IDLE, RX, TX_RAMP, TX_IDLE, TX, TX_DISABLE = 0, 1, 2, 3, 9, 10, 11, 12
BYTE_S = {0: 8e-6, 1: 4e-6, 3: 8e-6, 4: 4e-6, 5: 64e-6, 6: 16e-6, 15: 32e-6}
"""Air time of a byte by MODE: Nordic's own 1 and 2 Mbit/s, Bluetooth LE 1 and 2 Mbit/s, coded, IEEE 802.15.4."""
RAMP_S, FAST_RAMP_S = 140e-6, 40e-6
"""6.20.15.8, tTXEN with MODECNF0.RU of 0 and 1."""
DISABLE_S = 6e-6
READY_START, END_DISABLE, DISABLED_TXEN, DISABLED_RXEN, END_START = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 5
TXREADY_START, RXREADY_START, PHYEND_DISABLE, PHYEND_START = 1 << 18, 1 << 19, 1 << 20, 1 << 21
HIGH_POWER_DBM = 4
"""Above this transmit power the 8 dBm current is charged."""


class Packet(NamedTuple):
    """What was transmitted: when it began, in MHz, and the bytes S0, length, S1 and payload as on the air."""

    time_s: float
    frequency_mhz: int
    data: bytes


@register("nrf-radio")
class NrfRadio(NrfPeripheral):
    """The 2.4 GHz radio."""

    tasks = {
        0x00: "TXEN",
        0x04: "RXEN",
        0x08: "START",
        0x0C: "STOP",
        0x10: "DISABLE",
        0x14: "RSSISTART",
        0x18: "RSSISTOP",
    }
    events = {
        0x100: "READY", 0x104: "ADDRESS", 0x108: "PAYLOAD", 0x10C: "END", 0x110: "DISABLED", 0x11C: "RSSIEND",
        0x130: "CRCOK", 0x134: "CRCERROR", 0x138: "FRAMESTART", 0x154: "TXREADY", 0x158: "RXREADY", 0x16C: "PHYEND",
    }  # fmt: skip
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "CRCSTATUS": {"offset": 0x400, "writable": 0}, "PACKETPTR": 0x504, "FREQUENCY": 0x508, "TXPOWER": 0x50C, "MODE": 0x510,
        "PCNF0": 0x514, "PCNF1": 0x518, "BASE0": 0x51C, "BASE1": 0x520, "PREFIX0": 0x524, "PREFIX1": 0x528, "TXADDRESS": 0x52C,
        "RXADDRESSES": 0x530, "CRCCNF": 0x534, "CRCPOLY": 0x538, "CRCINIT": 0x53C, "TIFS": 0x544,
        "STATE": {"offset": 0x550, "writable": 0}, "DATAWHITEIV": {"offset": 0x554, "reset": 0x40}, "BCC": 0x560,
        "MODECNF0": {"offset": 0x650, "reset": 0x200}, "POWER": {"offset": 0xFFC, "reset": 1},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.sent: list[Packet] = []
        self._due: Event | None = None

    def _later(self, delay_s: float, action: Any) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self.after(delay_s, action)

    def _state(self, number: int, consumes: str) -> None:
        self.value["STATE"] = number
        if number != DISABLED:
            self.hold_clock(True)
        self.state("radio", consumes)

    def task(self, name: str) -> None:
        state = self.value["STATE"]
        if name in ("TXEN", "RXEN") and state == DISABLED:
            clock = self.machine.peripherals.get("clock")
            if clock is not None and not clock.read(0x40C, 4) & 1:
                self.note("the radio starts without the crystal oscillator (HFXO): a real one is off its frequency")
            sends = name == "TXEN"
            self._state(TX_RAMP if sends else RX_RAMP, "ramp")
            fast = self.value["MODECNF0"] & 1
            self._later(FAST_RAMP_S if fast else RAMP_S, lambda: self._ready(sends))
        elif name == "START" and state in (TX_IDLE, RX_IDLE):
            self._start(state == TX_IDLE)
        elif name == "STOP" and state in (TX, RX):
            self._idle(state == TX)
        elif name == "DISABLE":
            self._disable()

    def _idle(self, sends: bool) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._state(TX_IDLE if sends else RX_IDLE, self._transmits() if sends else "rx")

    def _transmits(self) -> str:
        dbm = (self.value["TXPOWER"] & 0xFF ^ 0x80) - 0x80
        return "tx8" if dbm > HIGH_POWER_DBM else "tx"

    def _ready(self, sends: bool) -> None:
        self._idle(sends)
        self.fire("READY")
        self.fire("TXREADY" if sends else "RXREADY")
        if self.value["SHORTS"] & (READY_START | (TXREADY_START if sends else RXREADY_START)):
            self._start(sends)

    def _packet(self) -> bytes:
        """S0, LENGTH, S1 and payload (6.20.1): in RAM each takes whole bytes, on the air LENGTH and S1 share them."""
        layout, limits, pointer = self.value["PCNF0"], self.value["PCNF1"], self.value["PACKETPTR"]
        s0, length_bits, s1_bits = layout >> 8 & 1, layout & 0xF, layout >> 16 & 0xF
        head = s0 + bool(length_bits) + (bool(s1_bits) or bool(layout >> 20 & 1))
        data = self.machine.peek(pointer, head)
        length = data[s0] & (1 << length_bits) - 1 if length_bits else 0
        length = min(length + (limits >> 8 & 0xFF), limits & 0xFF)
        return data + self.machine.peek(pointer + head, length)

    def _start(self, sends: bool) -> None:
        if not sends:
            self._state(RX, "rx")  # until somebody stops it: nobody is on the air
            return
        packet = self._packet()
        self.sent.append(Packet(self.now(), 2400 + (self.value["FREQUENCY"] & 0x7F), packet))
        self._state(TX, self._transmits())
        byte_s = BYTE_S.get(self.value["MODE"], 8e-6)
        preamble = 2 if self.value["MODE"] in (1, 4) else 1
        address = (self.value["PCNF1"] >> 16 & 7) + 1
        crc = self.value["CRCCNF"] & 3
        self.after((preamble + address) * byte_s, lambda: self.fire("ADDRESS"))
        self.after((preamble + address + len(packet)) * byte_s, lambda: self.fire("PAYLOAD"))
        self._later((preamble + address + len(packet) + crc) * byte_s, self._sent)

    def _sent(self) -> None:
        self._idle(True)
        self.fire("END")
        self.fire("PHYEND")
        shorts = self.value["SHORTS"]
        if shorts & (END_DISABLE | PHYEND_DISABLE):
            self._disable()
        elif shorts & (END_START | PHYEND_START):
            self._start(True)

    def _disable(self) -> None:
        sends = self.value["STATE"] in (TX_RAMP, TX_IDLE, TX)
        if sends:
            self._state(TX_DISABLE, "ramp")
        self._later(DISABLE_S if sends else 0.0, self._disabled)

    def _disabled(self) -> None:
        self._due = None
        self._state(DISABLED, "off")
        self.fire("DISABLED")
        if self.value["SHORTS"] & DISABLED_TXEN:
            self.task("TXEN")
        elif self.value["SHORTS"] & DISABLED_RXEN:
            self.task("RXEN")
        self.hold_clock(self.value["STATE"] != DISABLED)

    def write_POWER(self, old: int, new: int) -> None:
        if old & 1 and not new & 1:
            if self._due is not None:
                self._due.cancel()
            for key in self.value:
                self.value[key] = self.registers[key].reset
            self._state(DISABLED, "off")
            self.hold_clock(False)


@register("nrf-rng")
class NrfRng(NrfPeripheral):
    """Random bytes, the same ones in every run; 30 us each, 120 us with bias correction (6.19.3)."""

    tasks = {0x00: "START", 0x04: "STOP"}
    events = {0x100: "VALRDY"}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {"CONFIG": 0x504, "VALUE": {"offset": 0x508, "writable": 0}}

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._seed = 0x2545F491
        self._due: Event | None = None

    def task(self, name: str) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self.hold_clock(name == "START")
        if name == "START":
            self._due = self.after(120e-6 if self.value["CONFIG"] & 1 else 30e-6, self._drawn)

    def _drawn(self) -> None:
        for shift in (13, -17, 5):  # xorshift32, Marsaglia 2003
            moved = self._seed << shift if shift > 0 else self._seed >> -shift
            self._seed = (self._seed ^ moved) & 0xFFFFFFFF
        self.value["VALUE"] = self._seed >> 24
        self.fire("VALRDY")
        if self.value["SHORTS"] & 1:
            self._due = None
            self.hold_clock(False)
        else:
            self._due = self.after(120e-6 if self.value["CONFIG"] & 1 else 30e-6, self._drawn)
