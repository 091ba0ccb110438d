"""A monitor that writes a CSV: ``--power csv:FILE``. The file is read when the run is over; its clock is its own."""

from __future__ import annotations

from pathlib import Path

from emulab.errors import InputError, ToolError
from emulab.lab.capture import Capture
from emulab.lab.captures import csv_table
from emulab.lab.power.base import MonitorOptions


class CsvFile:
    """Reads what another program recorded meanwhile. Windows are found by its logic pins or by correlation."""

    def __init__(self, options: MonitorOptions) -> None:
        if not options.address:
            raise InputError("--power csv: name the file, e.g. csv:capture.csv")
        self._file = Path(options.address)
        self._voltage_v = options.voltage_v

    def start(self) -> None:
        """The other program records."""

    def stop(self) -> None:
        """The other program ends its recording."""

    def capture(self) -> Capture:
        """The file as it is now. ToolError when it is not there."""
        try:
            text = self._file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(
                f"--power csv: {self._file}: cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None
        return csv_table.parse(text, self._file, self._voltage_v)

    def close(self) -> None:
        """Nothing is open."""
