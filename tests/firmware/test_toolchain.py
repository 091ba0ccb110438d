"""Toolchains: flags from the core, and failures that are one line with a log behind them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from emulab.errors import InputError, ToolError
from emulab.firmware import toolchain as toolchains
from emulab.firmware.toolchain import (
    CompileJob,
    LinkOverflow,
    compile_all,
    compile_target,
    first_error,
    load_toolchain,
    run_tool,
)
from emulab.model.platform import load_platform
from emulab.model.soc import Core, TimingSpec


def core(isa: str, **more: object) -> Core:
    return Core(name="core", isa=isa, timing=TimingSpec(model="x"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "zig", "gnu"),
    [
        (core("armv6-m"), "thumb-freestanding-eabi -mcpu=cortex_m0plus", "-mcpu=cortex-m0plus -mfloat-abi=soft"),
        (
            core("armv7e-m", fpu="single", dsp=True),
            "thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp",
            "-mfpu=fpv4-sp-d16",
        ),
        (
            core("armv7e-m", fpu="double", dsp=True, cpu={"zig": "cortex_m7", "gcc": "cortex-m7"}),
            "cortex_m7+fp_armv8d16",
            "-mfpu=fpv5-d16",
        ),
        (core("armv8-m.main", fpu="single", dsp=True), "cortex_m33+fp_armv8d16sp+dsp", "-mfpu=fpv5-sp-d16"),
        (core("armv8-m.main"), "thumb-freestanding-eabi -mcpu=cortex_m33-dsp", "-mcpu=cortex-m33+nodsp"),
        (core("rv32imac"), "riscv32-freestanding -mcpu=sifive_e31+m+a+c+zicsr", "-march=rv32imac_zicsr_zifencei"),
        (core("rv32imafc", fpu="single"), "-mabi=ilp32f", "-mabi=ilp32f"),
        (core("rv32imc"), "-mcpu=sifive_e31-a+m+c+zicsr", "-march=rv32imc_zicsr_zifencei"),
        (core("rv32imac_zba_zbb_zbs"), "+m+a+c+zba+zbb+zbs+zicsr", "-march=rv32imac_zba_zbb_zbs_zicsr_zifencei"),
    ],
)
def test_flags(made: Core, zig: str, gnu: str) -> None:
    target = compile_target(made)
    assert zig in " ".join(target.zig_flags)
    assert gnu in " ".join(target.gnu_flags)


def _float_instructions(tmp_path: Path, name: str, made: Core) -> tuple[bytes, bytes]:
    """Object code of a float and of a long long division."""
    source = tmp_path / "f.c"
    source.write_text("float f(float a, float b) { return a / b; }\n")
    compile_all(load_toolchain(name), compile_target(made), [CompileJob(source, tmp_path / "f.o")])
    content = (tmp_path / "f.o").read_bytes()
    return content, b"__aeabi_fdiv" if made.isa.startswith("arm") else b"__divsf3"


@pytest.mark.parametrize("name", ["zig", "gnu"])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("isa", ["armv7e-m", "rv32"])
def test_fpu_is_used_exactly_where_the_core_has_one(tmp_path: Path, name: str, hard: bool, isa: str) -> None:
    if isa == "rv32":
        made = core("rv32imafc", fpu="single") if hard else core("rv32imac")
    else:
        made = core(isa, fpu="single" if hard else "none")
    status = load_toolchain(name).status(compile_target(made))
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    content, call = _float_instructions(tmp_path, name, made)
    assert (call in content) != hard


def test_compiler_error_is_one_line_and_a_log(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int f(void)\n{\n    return missing;\n}\n")
    log = tmp_path / "logs" / "build.log"
    job = CompileJob(source, tmp_path / "broken.o")
    with pytest.raises(ToolError, match=r"compiling broken.c with zig: broken.c:3:12: error: .*missing") as caught:
        compile_all(load_toolchain("zig"), compile_target(core("armv6-m")), [job], log)
    assert "\n" not in str(caught.value) and str(log) in str(caught.value)
    assert "return missing" in log.read_text()
    assert not job.output.exists()


def test_missing_gnu_toolchain_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    toolchains._gcc_version.cache_clear()
    try:
        target = compile_target(core("rv32imac"))
        status = load_toolchain("gnu").status(target)
        assert not status.found and "apt install gcc-riscv64-unknown-elf" in status.how_to_install
        with pytest.raises(ToolError, match="riscv64-unknown-elf-gcc is not on PATH; install it with: apt"):
            load_toolchain("gnu").compile(target, CompileJob(tmp_path / "a.c", tmp_path / "a.o"))
    finally:
        toolchains._gcc_version.cache_clear()


def test_unknown_toolchain() -> None:
    with pytest.raises(InputError, match="'keil' is unknown; known: zig, gnu"):
        load_toolchain("keil")


def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "alive"
    marker.touch()  # a busy host may end it before its first word
    script = f"(while :; do echo x >> {marker}; sleep 0.1; done) & wait"
    with pytest.raises(ToolError, match="sh did not finish within 1 s"):
        run_tool(["sh", "-c", script], 1.0, tmp_path)
    time.sleep(0.3)
    size = marker.stat().st_size
    time.sleep(0.5)
    assert marker.stat().st_size == size


@pytest.mark.parametrize("name", ["zig", "gnu"])
def test_overflow_names_region_and_bytes(tmp_path: Path, name: str) -> None:
    target = compile_target(core("armv6-m"))
    status = load_toolchain(name).status(target)
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    source = tmp_path / "big.c"
    source.write_text(
        "char big[5000]; const volatile char text[3000] = {1}; void emulab_reset(void) { big[0] = text[1]; }\n"
    )
    (tmp_path / "a.ld").write_text(
        "MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 1K  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4K }\n"
        "SECTIONS { .text : { *(.text .text.* .rodata .rodata.*) } > FLASH "
        ".bss (NOLOAD) : { *(.bss .bss.* COMMON) } > RAM /DISCARD/ : { *(.ARM.* .comment) } }\n"
    )
    objects = compile_all(load_toolchain(name), target, [CompileJob(source, tmp_path / "big.o", flags=("-O0",))])
    with pytest.raises(LinkOverflow) as caught:
        load_toolchain(name).link(target, objects, tmp_path / "a.ld", tmp_path / "a.elf")
    regions = dict(caught.value.regions)
    assert regions["RAM"] == 5000 - 4096
    assert 1900 < regions["FLASH"] < 2300


def test_first_error_picks_the_cause() -> None:
    output = "In file included from /x/y/a.c:1:\n/x/y/b.h:7:3: error: unknown type name 'foo'\nnote: here\n1 error\n"
    assert first_error(output) == "b.h:7:3: error: unknown type name 'foo'"
    assert (
        first_error("ld.lld: error: undefined symbol: g\n>>> referenced by a.c") == "ld.lld: error: undefined symbol: g"
    )
    assert first_error("") == "no output"


def test_memory_functions_call_nothing() -> None:
    """A compiler that sees a copy loop in memcpy turns it into a call of memcpy unless told not to."""
    import tempfile

    from elftools.elf.elffile import ELFFile

    source = Path(toolchains.__file__).parent / "runtime" / "libc" / "string.c"
    include = (source.parent / "include",)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("zig", "gnu"):
            for board in ("nucleo-l4r5zi", "generic-rv32"):
                target = compile_target(load_platform(board).platform.core)
                if not load_toolchain(name).status(target).found:
                    continue
                for level in ("-O2", "-O3", "-Os"):
                    out = Path(folder) / "string.o"
                    job = CompileJob(source, out, include, flags=(level, "-fno-builtin"))
                    compile_all(load_toolchain(name), target, [job])
                    with out.open("rb") as stream:
                        elf = ELFFile(stream)
                        relocated = [
                            (section.name, elf.get_section_by_name(".symtab").get_symbol(r["r_info_sym"]).name)
                            for section in elf.iter_sections()
                            if section["sh_type"] in ("SHT_REL", "SHT_RELA")
                            and section.name.startswith((".rel.text.mem", ".rela.text.mem"))
                            for r in section.iter_relocations()
                        ]
                    calls = [(where, to) for where, to in relocated if to.startswith(("mem", "__aeabi_mem"))]
                    assert calls == [], (name, board, level)


def test_tools_are_run_without_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "a; touch owned.c"
    file.write_text("int x;\n")
    job = CompileJob(file, tmp_path / "a.o")
    compile_all(load_toolchain("zig"), compile_target(core("armv6-m")), [job])
    assert job.output.exists() and not list(tmp_path.glob("owned*"))
