"""What serial ports share: bytes take their time on the line, both ways."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emulab.backends.unicorn.parts import make_serial_device
from emulab.backends.unicorn.peripherals.base import RegisterFile

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.backends.unicorn.parts import SerialDevice
    from emulab.model.soc import Peripheral as Spec


class SerialPort(RegisterFile):
    """Shift registers of a UART. Subclasses give registers, :meth:`byte_time_s` and the three notifications."""

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        machine.serial_ports[name] = self
        self.sending: deque[int] = deque()
        self._arriving: deque[int] = deque()
        self._busy: Event | None = None
        self._next_arrival: Event | None = None
        self._device: SerialDevice | None = None

    def start(self) -> None:
        """Connect what the board's parts have at the other end; without one, the line leads to the console."""
        self._device = make_serial_device(self.machine, self.name)

    def byte_time_s(self) -> float:
        """Seconds one frame takes on the line."""
        raise NotImplementedError

    def receiver_on(self) -> bool:
        """Whether bytes on the line are taken in; while not, the sender waits."""
        return True

    def sent_one(self) -> None:
        """A byte left the shift register (the queue may hold more)."""

    def received(self, byte: int) -> None:
        """A byte is complete in the receiver."""

    # -- out ------------------------------------------------------------------------------------------------

    def transmit(self, byte: int) -> None:
        """The firmware stored *byte* to be sent."""
        if self._device is None:
            self.machine.console.stored(self.name, byte)
        self.sending.append(byte)
        if self._busy is None:
            self._busy = self.after(self.byte_time_s(), self._shifted)

    @property
    def transmitting(self) -> bool:
        return bool(self.sending)

    def _shifted(self) -> None:
        byte = self.sending.popleft()
        self._busy = self.after(self.byte_time_s(), self._shifted) if self.sending else None
        if self._device is not None:
            self._device.received(byte)
        else:
            self.machine.console.sent(self.name, byte)
        self.sent_one()

    # -- in -------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the host; they arrive one frame time apart."""
        self._arriving.extend(data)
        if self._next_arrival is None and self._arriving and self.receiver_on():
            self._next_arrival = self.after(self.byte_time_s(), self._arrived)

    def receiver_changed(self) -> None:
        """The receiver was switched on, or its speed set: bytes held back may come now."""
        self.receive(b"")

    def _arrived(self) -> None:
        self._next_arrival = None
        if not self.receiver_on() or not self._arriving:
            return
        byte = self._arriving.popleft()
        if self._arriving:
            self._next_arrival = self.after(self.byte_time_s(), self._arrived)
        self.received(byte)
