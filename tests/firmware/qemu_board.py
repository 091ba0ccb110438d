"""DUT firmware on a stock QEMU machine: the machine's serial port as a Console, nothing of emulab's backends."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

MACHINES = {
    "mps2-an386": ("qemu-system-arm", ["-M", "mps2-an386", "-kernel", "{elf}"]),
    "mps3-an547": ("qemu-system-arm", ["-M", "mps3-an547", "-kernel", "{elf}"]),
    "netduinoplus2": ("qemu-system-arm", ["-M", "netduinoplus2", "-kernel", "{elf}"]),
    "generic-rv32": ("qemu-system-riscv32", ["-M", "virt", "-bios", "none", "-device", "loader,file={elf},cpu-num=0"]),
    "hifive1-revb": ("qemu-system-riscv32", ["-M", "sifive_e,revb=true", "-kernel", "{elf}"]),
}
PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}


def missing(board: str) -> str:
    """Why *board* cannot be run here, with the line that helps; empty when it can."""
    program = MACHINES[board][0]
    return "" if shutil.which(program) else f"{program} is not installed: apt install {PACKAGES[program]}"


class WallClock:
    """Time as it passes."""

    kind: Literal["virtual", "wall"] = "wall"

    def now_s(self) -> float:
        return time.monotonic()


class QemuBoard:
    """A running machine; its ``read`` and ``write`` are the console."""

    def __init__(self, board: str, elf: Path) -> None:
        program, arguments = MACHINES[board]
        self.clock = WallClock()
        self.process = subprocess.Popen(
            [
                program,
                *(a.format(elf=elf) for a in arguments),
                *("-display", "none", "-monitor", "none", "-serial", "stdio"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self, timeout_s: float) -> bytes:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        return os.read(descriptor, 65536) if ready else b""

    def __enter__(self) -> QemuBoard:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
