"""Flash through OpenOCD: ``--flash openocd[:PROBE]``; its configuration is
``backends.hardware.options.openocd_config``."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.lab.flash.base import FlashJob, find_program, require_line, run_program


class OpenOcd:
    """``program FILE verify reset exit``; several configuration files are separated by spaces."""

    def flash(self, job: FlashJob) -> str:
        config = job.option("openocd_config", "openocd", "openocd_config: board/st_nucleo_l4.cfg")
        if any(c in str(job.image) for c in '{}"\n'):
            raise InputError(f"--flash openocd: {job.image}: OpenOCD takes no path with braces or quotes")
        program = find_program(["openocd"], "openocd", "apt-get install openocd, or brew install open-ocd")
        command = [program]
        for file in config.split():
            command += ["-f", file]
        if job.probe:
            command += ["-c", f"adapter serial {job.probe}"]
        base = f" {job.base:#x}" if job.format == "bin" and job.base is not None else ""
        command += ["-c", f"program {{{job.image}}} verify reset exit{base}"]
        output = run_program(command, "openocd")
        require_line(output, ["Verified OK"], "openocd")
        return f"flashed and verified {job.image.name} with OpenOCD ({config})"
