"""Which kernels generated code calls: what the core's instruction set offers."""

from __future__ import annotations

from enum import Enum


class KernelTarget(Enum):
    """Instruction set the kernels are written for; the value is how scenarios and the command line spell it."""

    PORTABLE = "portable"
    """Plain C11, any core."""
    ARM_DSP = "arm_dsp"
    """Armv7E-M and Armv8-M with the DSP extension (Cortex-M4, M7, M33): two 16-bit MACs per instruction."""
    RV32IM = "rv32im"
    """RISC-V with multiply."""

    @property
    def defines(self) -> dict[str, str]:
        """Preprocessor definitions the kernels expect."""
        return {"EMULAB_KERNELS_ARM_DSP": "1"} if self is KernelTarget.ARM_DSP else {}
