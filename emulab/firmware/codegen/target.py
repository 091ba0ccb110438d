"""Which kernels generated code calls: what the core's instruction set offers."""

from __future__ import annotations

from enum import Enum


class KernelTarget(Enum):
    """Instruction set the kernels are written for; the value is how scenarios and the command line spell it."""

    PORTABLE = "portable"
    """Plain C11, any core."""
    ARM_DSP = "arm_dsp"
    """Armv7E-M and Armv8-M with the DSP extension (Cortex-M4, M7, M33): two 16-bit MACs per instruction."""
    ARM_MVE = "arm_mve"
    """Armv8.1-M with Helium (Cortex-M55): 16 8-bit MACs per instruction."""
    RV32IM = "rv32im"
    """RISC-V with multiply."""

    @property
    def defines(self) -> dict[str, str]:
        """Preprocessor definitions the kernels expect."""
        # Cores with Helium have the DSP instructions too.
        return {"EMULAB_KERNELS_ARM_DSP": "1"} if self in (KernelTarget.ARM_DSP, KernelTarget.ARM_MVE) else {}

    @property
    def reads_past_bytes(self) -> int:
        """How far kernels may read, never write, past the end of a tensor."""
        return 16 if self is KernelTarget.ARM_MVE else 8

    def suffix(self, *sets: str) -> str:
        """`_mve` or the like, of functions and files, where this is one of the kernel sets given; else nothing."""
        short = {KernelTarget.ARM_DSP: "dsp", KernelTarget.ARM_MVE: "mve", KernelTarget.RV32IM: "rv32"}.get(self, "")
        return f"_{short}" if short in sets else ""
