"""Flash an Espressif chip: ``--flash esptool[:PORT]``. It writes a BIN at its base (an application: 0x10000)."""

from __future__ import annotations

import importlib.util
import sys

from emulab.errors import BackendUnavailable, InputError
from emulab.lab.flash.base import FlashJob, require_line, run_program


class EspTool:
    """esptool, run as a module of this Python; the chip's hash of what was written is its verification."""

    def flash(self, job: FlashJob) -> str:
        if job.format != "bin":
            raise InputError(f"--flash esptool: {job.image}: expected a BIN (make one with: esptool elf2image)")
        if importlib.util.find_spec("esptool") is None:
            raise BackendUnavailable("hardware", "--flash esptool: esptool is not installed", "pip install esptool")
        from importlib.metadata import version

        port = ["--port", job.probe] if job.probe else []
        base = 0x10000 if job.base is None else job.base
        verb = "write_flash" if int(version("esptool").partition(".")[0]) < 5 else "write-flash"
        command = [sys.executable, "-m", "esptool", *port, verb, f"{base:#x}", str(job.image)]
        output = run_program(command, "esptool")
        require_line(output, ["Hash of data verified"], "esptool")
        return f"flashed and verified {job.image.name} with esptool at {base:#x}"
