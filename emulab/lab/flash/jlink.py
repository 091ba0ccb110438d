"""Flash through SEGGER J-Link: ``--flash jlink[:SERIAL]``; the chip is ``backends.hardware.options.jlink_device``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from emulab.errors import InputError
from emulab.lab.flash.base import FlashJob, find_program, require_line, run_program


class JLink:
    """J-Link Commander with a script: reset, load, verify, run. Verification is J-Link's own, reported per bank."""

    def flash(self, job: FlashJob) -> str:
        device = job.option("jlink_device", "jlink", "jlink_device: nRF52840_xxAA")
        if '"' in str(job.image) or "\n" in str(job.image):
            raise InputError(f"--flash jlink: {job.image}: J-Link takes no path with quotes")
        if job.format == "elf" and job.image.suffix.lower() not in (".elf", ".out", ".axf"):
            raise InputError(f"--flash jlink: {job.image}: J-Link tells an ELF by its suffix; rename it to .elf")
        program = find_program(["JLinkExe", "JLink", "JLink.exe"], "jlink", "the J-Link software pack from segger.com")
        base = f" {job.base:#x}" if job.format == "bin" and job.base is not None else ""
        lines = ["exitonerror 1", "r", "h", f'loadfile "{job.image}"{base}']
        if job.format == "bin" and job.base is not None:
            lines.append(f'verifybin "{job.image}" {job.base:#x}')
        lines += ["r", "g", "exit"]
        with tempfile.TemporaryDirectory(prefix="emulab-jlink-") as folder:
            script = Path(folder) / "flash.jlink"
            script.write_text("\n".join(lines) + "\n")
            command = [program, "-device", device, "-if", "SWD", "-speed", "4000", "-autoconnect", "1", "-NoGui", "1"]
            command += ["-SelectEmuBySN", job.probe] if job.probe else []
            output = run_program([*command, "-CommandFile", str(script)], "jlink")
        require_line(output, ["Verify successful", "O.K."], "jlink")
        return f"flashed and verified {job.image.name} with J-Link ({device})"
