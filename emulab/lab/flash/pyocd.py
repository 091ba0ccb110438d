"""Flash through pyOCD as a library: ``--flash pyocd[:PROBE]``; the chip is
``backends.hardware.options.pyocd_target``."""

from __future__ import annotations

from typing import Any

from emulab.errors import ToolError
from emulab.lab.debug_probe import choose_probe, probe_errors
from emulab.lab.flash.base import AGAIN, FlashJob


class PyOcd:
    """Writes with pyOCD's programmer, then reads the flash back and compares."""

    def flash(self, job: FlashJob) -> str:
        target = job.option("pyocd_target", "pyocd", "pyocd_target: stm32l4r5zi")
        session = choose_probe("--flash pyocd", target, job.probe)
        from pyocd.flash.file_programmer import FileProgrammer

        with probe_errors("--flash pyocd", f"the flash may not be whole: {AGAIN}"), session:
            arguments: dict[str, Any] = {"file_format": "bin", "base_address": job.base} if job.format == "bin" else {}
            FileProgrammer(session, progress=lambda fraction: None).program(str(job.image), **arguments)
            differing = self._verify(session, job)
            if differing is not None:
                raise ToolError(
                    f"--flash pyocd: the flash differs from the image at {differing:#x}; "
                    f"the write was not whole: {AGAIN}"
                )
            session.target.reset()
        return f"flashed and verified {job.image.name} with pyOCD ({target})"

    def _verify(self, session: Any, job: FlashJob) -> int | None:
        """Address of the first byte of flash that is not the image's; None when all are."""
        from emulab.firmware.image import load_image

        for address, data in load_image(job.image, job.base).segments:
            region = session.target.memory_map.get_region_for_address(address)
            if region is None or not region.is_flash:
                continue
            read = bytes(session.target.read_memory_block8(address, len(data)))
            if read != data:
                return address + next(i for i, (a, b) in enumerate(zip(read, data, strict=True)) if a != b)
        return None
