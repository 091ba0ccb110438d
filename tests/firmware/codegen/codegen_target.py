"""Generated C compiled for a bare core and run in Unicorn: the code a board would run, assembly included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from codegen_host import run_compiler, shared_object
from numpy.typing import NDArray

from emulab.firmware.codegen import GeneratedModel, KernelTarget, generate

FLASH, RAM, STACK_TOP, RETURN = 0x0800_0000, 0x2000_0000, 0x2020_0000, 0x080F_FFF0
LIBC = Path(__file__).parents[3] / "emulab" / "firmware" / "runtime" / "libc"
LINKER_SCRIPT = f"""
ENTRY(emulab_model_run)
SECTIONS {{
  . = {FLASH};
  .text : {{ KEEP(*(.text.emulab_model_*)) *(.text*) *(.rodata*) }}
  .exidx : {{ *(.ARM.exidx*) }}
  . = {RAM};
  .data : {{ *(.data*) }}
  .bss : {{ *(.bss*) *(COMMON) }}
}}
"""
CORES = {
    KernelTarget.ARM_DSP: ["-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"],
    KernelTarget.RV32IM: ["-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+a+c", "-mabi=ilp32"],
}
ENTRY_POINTS = ("emulab_model_run", "emulab_model_input", "emulab_model_output")


def compile_image(generated: GeneratedModel, folder: Path) -> Path:
    """An ELF with everything the model needs; mem* from the runtime's own C library."""
    script, image = folder / "link.ld", folder / "model.elf"
    script.write_text(LINKER_SCRIPT)
    flags = (*CORES[generated.target], "-O2", "-std=c11", "-ffreestanding", "-fno-sanitize=all")
    flags += ("-ffunction-sections", "-fdata-sections", *(f"-D{k}={v}" for k, v in generated.defines.items()))
    include = (*generated.include_dirs, LIBC / "include")
    own = [s for s in generated.sources if s.parent == include[0]]
    shared = (*(s for s in generated.sources if s not in own), LIBC / "string.c")
    objects = [shared_object(s, flags, include[1:]) for s in shared]
    run_compiler(
        *flags,
        *("-nostdlib", f"-Wl,-T,{script},--gc-sections", *(f"-I{d}" for d in include)),
        *(*map(str, own), *objects, "-o", str(image)),
    )
    return image


class TargetModel:
    """A generated model on the emulated core: call it with an input, get the output."""

    def __init__(self, model: Path, target: KernelTarget, folder: Path) -> None:
        import unicorn
        from elftools.elf.elffile import ELFFile
        from unicorn import arm_const, riscv_const

        out = folder / f"target-{target.value}"
        self.generated = generate(model, out, target=target)
        if target is KernelTarget.ARM_DSP:
            self.core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
            self.core.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
            self.sp, self.ra = arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR
            self.result, self.thumb = arm_const.UC_ARM_REG_R0, 1
        else:
            self.core = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            self.sp, self.ra = riscv_const.UC_RISCV_REG_SP, riscv_const.UC_RISCV_REG_RA
            self.result, self.thumb = riscv_const.UC_RISCV_REG_A0, 0
        self.core.mem_map(FLASH, 4 << 20)
        self.core.mem_map(RAM, 2 << 20)
        with compile_image(self.generated, out).open("rb") as file:
            elf = ELFFile(file)
            for segment in elf.iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    self.core.mem_write(segment["p_vaddr"], segment.data())
            symbols = elf.get_section_by_name(".symtab")
            self.address = {name: symbols.get_symbol_by_name(name)[0]["st_value"] & ~1 for name in ENTRY_POINTS}
        self.input = self.call("emulab_model_input")
        self.output = self.call("emulab_model_output")

    def call(self, name: str) -> int:
        self.core.reg_write(self.sp, STACK_TOP - 64)
        self.core.reg_write(self.ra, RETURN | self.thumb)
        self.core.emu_start(self.address[name] | self.thumb, RETURN, timeout=60_000_000)
        return int(self.core.reg_read(self.result))

    def __call__(self, value: NDArray[np.generic]) -> NDArray[np.generic]:
        d = self.generated.output
        self.core.mem_write(self.input, np.ascontiguousarray(value, self.generated.input.dtype).tobytes())
        self.call("emulab_model_run")
        return np.frombuffer(bytes(self.core.mem_read(self.output, d.bytes)), d.dtype).reshape(d.shape)
