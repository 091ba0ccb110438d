# ruff: noqa: RUF012  (register tables are constants)
"""Nordic PDM: a digital microphone's samples by EasyDMA, buffer after buffer (nRF52840 Product Specification 6.15).

A buffer's address is taken over when it starts (STARTED), so that firmware names the next one meanwhile. Samples appear
in RAM when a buffer is full (END), which is when firmware hears of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from emulab.backends.unicorn.peripherals.base import register
from emulab.backends.unicorn.peripherals.nrf import NrfPeripheral

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts.microphone import Microphone
    from emulab.model.soc import Peripheral as Spec

CLOCK_HZ = {0x08000000: 1.0e6, 0x08400000: 16e6 / 15.5, 0x08800000: 16e6 / 15, 0x0A000000: 1.28e6}


@register("nrf-pdm")
class NrfPdm(NrfPeripheral):
    """``microphone`` is what is on the line; it is heard at the rate that firmware sets up."""

    tasks = {0x000: "START", 0x004: "STOP"}
    events = {0x100: "STARTED", 0x104: "STOPPED", 0x108: "END"}
    layout: ClassVar[dict[str, int | dict[str, Any]]] = {
        "ENABLE": 0x500, "PDMCLKCTRL": {"offset": 0x504, "reset": 0x08400000}, "MODE": 0x508,
        "GAINL": {"offset": 0x518, "reset": 0x28}, "GAINR": {"offset": 0x51C, "reset": 0x28}, "RATIO": 0x520,
        "PSELCLK": {"offset": 0x540, "reset": 0xFFFFFFFF}, "PSELDIN": {"offset": 0x544, "reset": 0xFFFFFFFF},
        "SAMPLEPTR": 0x560, "SAMPLEMAXCNT": {"offset": 0x564, "writable": 0x7FFF},
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self.microphone: Microphone | None = None
        self._taken = 0
        self._buffer = (0, 0)
        self._due: Event | None = None

    @property
    def sample_hz(self) -> float:
        """Clock over ratio: 64, or 80 where the register says so."""
        return CLOCK_HZ.get(self.value["PDMCLKCTRL"], 16e6 / 15.5) / (80 if self.value["RATIO"] & 1 else 64)

    def task(self, name: str) -> None:
        if name == "STOP":
            if self._due is not None:
                self._due.cancel()
                self._due = None
            self.hold_clock(False)
            self.after(0.0, lambda: self.fire("STOPPED"))
        elif self.value["ENABLE"] & 1 and self._due is None:
            self._start()

    def _start(self) -> None:
        if self.microphone is None:
            self.note("nothing is on the audio line; nothing is received")
            return
        self.hold_clock(True)
        if abs(self.sample_hz / self.microphone.sample_hz - 1) > 1e-6:
            self.note(
                f"the firmware clocks the microphone at {self.sample_hz:.0f} Hz, the sound has "
                f"{self.microphone.sample_hz:.0f} Hz; it is heard at its own rate"
            )
        if self.microphone.start_s is None:
            self.microphone.start_s = self.now()
        self._taken = max(0, round((self.now() - self.microphone.start_s) * self.microphone.sample_hz + 0.4999))
        self._fill()

    def _fill(self) -> None:
        """Take over the buffer that firmware named, and come back when it is full."""
        assert self.microphone is not None
        self._buffer = (self.value["SAMPLEPTR"], self.value["SAMPLEMAXCNT"])
        self.fire("STARTED")
        frames = max(1, self._buffer[1] // self._slots)
        due_s = self.microphone.due_s(self._taken + frames) - self.now()
        self._due = self.after(max(due_s, 0.0), lambda: self._full(frames))

    @property
    def _slots(self) -> int:
        return 1 if self.value["MODE"] & 1 else 2

    def _full(self, frames: int) -> None:
        assert self.microphone is not None
        address, count = self._buffer
        if count:
            self.machine.poke(address, self.microphone.take(self._taken, frames, self._slots))
        self._taken += frames
        self.fire("END")
        self._fill()
