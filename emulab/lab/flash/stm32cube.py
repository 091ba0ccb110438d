"""Flash through STM32CubeProgrammer: ``--flash stm32cubeprogrammer[:PROBE]``, over SWD."""

from __future__ import annotations

from emulab.lab.flash.base import FlashJob, find_program, require_line, run_program


class Stm32CubeProgrammer:
    """``STM32_Programmer_CLI -c port=SWD -w FILE -v -rst``."""

    def flash(self, job: FlashJob) -> str:
        program = find_program(
            ["STM32_Programmer_CLI", "STM32_Programmer_CLI.exe"],
            "stm32cubeprogrammer",
            "STM32CubeProgrammer from st.com, its bin folder on PATH",
        )
        connect = ["-c", "port=SWD", "mode=UR", *([f"sn={job.probe}"] if job.probe else [])]
        write = ["-w", str(job.image), *([f"{job.base:#x}"] if job.format == "bin" and job.base is not None else [])]
        output = run_program([program, *connect, *write, "-v", "-rst"], "stm32cubeprogrammer")
        require_line(output, ["Download verified successfully"], "stm32cubeprogrammer")
        return f"flashed and verified {job.image.name} with STM32CubeProgrammer"
