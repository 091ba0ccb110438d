"""Nordic Power Profiler Kit II: ``--power ppk2:PORT``. It supplies the board (default) or measures in its supply."""

from __future__ import annotations

import contextlib
import time

from emulab.errors import InputError, ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.ports import LINE_ERRORS, open_port
from emulab.lab.power import ppk2_packet as packet
from emulab.lab.power.base import MonitorOptions
from emulab.lab.power.stream import StreamReader

METADATA_S = 5.0
TAIL_S = 0.1
"""Sampling goes on this long after it was asked to stop, since the host hears of a window's end late."""


class Ppk2:
    """A PPK2. Calibration is read when it is opened; 100 000 samples/s, edges of logic pin D0 to D7 marked."""

    def __init__(self, options: MonitorOptions) -> None:
        if not options.address:
            raise InputError("--power ppk2: name its port, e.g. ppk2:/dev/ttyACM1")
        if not 0.8 <= options.voltage_v <= 5.0:
            raise InputError(f"--power ppk2: supply of {options.voltage_v:g} V; the PPK2 gives 0.8 V to 5 V")
        self._options = options
        self._clock = options.clock or hosttime.now_s
        self._port = open_port(options.address, 115200, "power monitor PPK2")
        self._reader: StreamReader | None = None
        self._start_s = 0.0
        self._stopped_s: float | None = None
        try:
            self.modifiers = self._calibration()
            self._send(packet.SET_POWER_MODE, packet.MODE_SOURCE if options.source else packet.MODE_AMPERE)
            millivolt = round(options.voltage_v * 1000)
            self._send(packet.REGULATOR_SET, millivolt >> 8, millivolt & 0xFF)
            self._send(packet.DEVICE_RUNNING_SET, 1)
        except BaseException:
            self._port.close()
            raise

    def _send(self, *command: int) -> None:
        try:
            self._port.write(bytes(command))
        except LINE_ERRORS as error:
            raise ToolError(f"power monitor PPK2 {self._options.address}: takes no commands ({error})") from None

    def _calibration(self) -> packet.Modifiers:
        """Ask for the metadata. A PPK2 that still measures from before is stopped first."""
        self._send(packet.AVERAGE_STOP)
        time.sleep(0.05)
        self._port.reset_input_buffer()
        self._send(packet.GET_META_DATA)
        deadline, text = time.monotonic() + METADATA_S, b""
        while b"END" not in text:
            if time.monotonic() > deadline:
                said = f"it said {text[-40:]!r}" if text else "it said nothing"
                raise ToolError(
                    f"power monitor PPK2 {self._options.address}: gave no calibration; {said}; is it a PPK2?"
                )
            try:
                text += self._port.read(max(1, self._port.in_waiting))
            except LINE_ERRORS as error:
                raise ToolError(f"power monitor PPK2 {self._options.address}: the line is gone ({error})") from None
        return packet.parse_metadata(text.decode("ascii", "replace"))

    def start(self) -> None:
        """Start sampling."""
        if self._reader is not None:
            self._reader.stop()
        self._port.reset_input_buffer()
        self._reader = StreamReader(self._port)
        self._start_s, self._stopped_s = self._clock(), None
        self._send(packet.AVERAGE_START)

    def stop(self) -> None:
        """Stop sampling; what is on its way is still taken."""
        if self._reader is None:
            return
        time.sleep(TAIL_S)
        with contextlib.suppress(*LINE_ERRORS):  # the reader says when the line is gone
            self._port.write(bytes([packet.AVERAGE_STOP]))
            self._stopped_s = self._stopped_s or hosttime.now_s()
        self._reader.settle()
        self._reader.stop()

    def capture(self) -> Capture:
        """What came between start and stop; ``incomplete`` says why it is not whole. ToolError when nothing came."""
        if self._reader is None:
            raise ToolError("power monitor PPK2: nothing was captured; start it first")
        from dataclasses import replace

        reader = self._reader
        try:
            capture = packet.decode(
                bytes(reader.data),
                self.modifiers,
                self._options.voltage_v,
                self._start_s,
                self._options.pin,
                reader.arrivals,
                self._stopped_s,
            )
        except ToolError as error:
            raise ToolError(f"{error}; {reader.trouble}" if reader.trouble else str(error)) from None
        return replace(capture, incomplete=reader.trouble, source=f"PPK2 {self._options.address}")

    def close(self) -> None:
        """Stop and free the port. The board's supply stays on."""
        self.stop()
        self._port.close()
