"""ST X-NUCLEO-LPM01A: ``--power lpm01a:PORT``. It supplies the board, 1.8 V to 3.3 V, and gives energy per
millisecond."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from emulab.errors import InputError, ToolError
from emulab.lab import hosttime
from emulab.lab.capture import Capture
from emulab.lab.ports import LINE_ERRORS, open_port
from emulab.lab.power import lpm01a_text as wire
from emulab.lab.power.base import MonitorOptions
from emulab.lab.power.stream import StreamReader

BAUD = 3_686_400
RATE_HZ = 1000.0
ANSWER_S = 10.0
TAIL_S = 0.1
"""The acquisition goes on this long after it was asked to stop, so that the last event is in it."""


class Lpm01a:
    """An LPM01A under host control. Edges of its D7 are events, which become marks."""

    def __init__(self, options: MonitorOptions) -> None:
        if not options.address:
            raise InputError("--power lpm01a: name its port, e.g. lpm01a:/dev/ttyACM1")
        if not 1.8 <= options.voltage_v <= 3.3:
            raise InputError(f"--power lpm01a: supply of {options.voltage_v:g} V; the LPM01A gives 1.8 V to 3.3 V")
        self._options = options
        self._clock = options.clock or hosttime.now_s
        self._port = open_port(options.address, BAUD, "power monitor LPM01A")
        self._reader = StreamReader(self._port)
        self._begin = 0
        self._start_s = 0.0
        try:
            for command in (
                "htc",
                "pwr off",
                "acqtime inf",
                "trigdelay 0",
                "trigsrc sw",
                "eventsrc d7 fal",
                "output energy",
                "format ascii_dec",
                "freq 1k",
                f"volt {round(options.voltage_v * 1000)}m",
                "pwr on nostatus",
            ):
                self._command(command)
        except BaseException:
            self._reader.stop()
            self._port.close()
            raise

    def _command(self, command: str) -> None:
        """Send one command and wait for ``ack COMMAND``."""
        before = len(self._reader.data)
        try:
            self._port.write(command.encode() + b"\r\n")
        except LINE_ERRORS as error:
            raise ToolError(f"power monitor LPM01A {self._options.address}: takes no commands ({error})") from None
        if self._reader.wait_for(f"ack {command}".encode(), ANSWER_S, before):
            return
        said = bytes(self._reader.data[before:])[-80:].decode("ascii", "backslashreplace").strip()
        why = self._reader.trouble or (f"it said {said!r}" if said else "it said nothing")
        raise ToolError(f"power monitor LPM01A {self._options.address}: did not acknowledge {command!r}; {why}")

    def start(self) -> None:
        """Start an acquisition."""
        self._begin = len(self._reader.data)
        self._start_s = self._clock()
        self._command("start")

    def stop(self) -> None:
        """Stop the acquisition; its end is confirmed by the monitor, else the capture is marked incomplete."""
        time.sleep(TAIL_S)
        try:
            self._port.write(b"stop\r\n")
        except LINE_ERRORS:
            return  # the reader says that the line is gone
        self._reader.wait_for(b"Acquisition completed", ANSWER_S, self._begin)

    def capture(self) -> Capture:
        """What came between start and stop. ToolError when nothing did."""
        text = bytes(self._reader.data[self._begin :]).decode("ascii", "replace")
        # The acknowledgement of `start` is no sample.
        text = text.replace("ack start", "").replace("ack stop", "")
        capture = wire.decode(text, RATE_HZ, self._options.voltage_v, self._start_s)
        trouble = self._reader.trouble or capture.incomplete
        return replace(capture, incomplete=trouble, source=f"LPM01A {self._options.address}")

    def close(self) -> None:
        """Give control back to the monitor's buttons and free the port."""
        with contextlib.suppress(*LINE_ERRORS):  # the reader says when the line is gone
            self._port.write(b"hrc\r\n")
        self._reader.stop()
        self._port.close()
