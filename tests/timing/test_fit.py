"""The fit finds parameters that are in the data, keeps within ranges, and says what it cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.errors import InputError
from emulab.model.platform import load_platform
from emulab.timing import embench, fit, load_core_timing
from emulab.timing.samples import Executed, Sample, read_rows, run_program

LOOP = bytes.fromhex("0138fdd1")  # subs r0, #1; bne back
RETURN = bytes.fromhex("01301847")  # adds r0, #1; bx r3
HAZARD = bytes.fromhex("04310868")  # adds r1,#4; ldr r0,[r1]


def samples(truth: dict[str, float]) -> list[Sample]:
    """Programs of three kinds of blocks in different proportions, 'measured' under other parameters than the platform's."""
    platform = load_platform("nucleo-l4r5zi").platform
    model = load_core_timing(platform.core, truth)
    result = []
    for index, (loops, returns, hazards) in enumerate([(1000, 10, 10), (100, 800, 50), (50, 60, 900), (500, 400, 300)]):
        blocks = (
            Executed(0x08000000, LOOP, loops, loops, loops),
            Executed(0x08000100, RETURN, returns, returns, 0),
            Executed(0x08000200, HAZARD, hazards, 0, 0),
        )
        bare = Sample(f"p{index}", platform, blocks, 0.0, 0.0, 1.0)
        result.append(Sample(f"p{index}", platform, blocks, 0.0, 0.0, bare.priced(model)))
    return result


def test_finds_the_parameters_that_made_the_data() -> None:
    truth = {"refill_direct": 1.5, "refill_indirect": 3.0, "address_hazard": 0.5}
    rows = samples(truth)
    model = load_core_timing(rows[0].platform.core)
    free = {n: type(model).PARAMETERS[n] for n in truth}  # type: ignore[attr-defined]
    values = {n: model.p[n] for n in truth}  # type: ignore[attr-defined]
    deviation, slopes = fit.design(rows, free, values)
    change = fit.solve(deviation, slopes, [-9.0] * 3, [9.0] * 3)
    for name, moved in zip(truth, change, strict=True):
        assert values[name] + moved == pytest.approx(truth[name], abs=0.05)
    text = fit.report(rows, free, values)
    assert "left out: mean absolute" in text and all(f"| p{i} |" in text for i in range(4))


def test_stays_within_the_range() -> None:
    rows = samples({"refill_direct": 3.0})
    model = load_core_timing(rows[0].platform.core)
    free = {"refill_direct": type(model).PARAMETERS["refill_direct"]}  # type: ignore[attr-defined]
    deviation, slopes = fit.design(rows, free, {"refill_direct": 1.0})
    assert fit.solve(deviation, slopes, [-0.25], [0.25])[0] == pytest.approx(0.25)


def test_rows_name_platform_by_board_and_skip_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    index = tmp_path / "index.csv"
    index.write_text(
        "file,board,measured_latency_ms,clock_mhz\n"
        "images/a.bin,NUCLEO-L4R5ZI,2.0,120\n"
        "images/b.bin,NUCLEO-L4R5ZI,2.0,120\n"
        "images/a.bin,UNKNOWN,2.0,120\n"
        "images/a.bin,NUCLEO-L4R5ZI,,120\n"
    )
    assert list(read_rows(index)) == [(tmp_path / "a.bin", "nucleo-l4r5zi", pytest.approx(240000.0))]


def test_rows_with_nonsense_say_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    index = tmp_path / "index.csv"
    index.write_text("file,platform,measured_cycles\na.bin,nucleo-l4r5zi,many\n")
    with pytest.raises(InputError, match="line 2"):
        list(read_rows(index))


def test_command_lines_refuse_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit.main([str(tmp_path / "none.csv"), "--core", "cortex-m4"]) == 2
    assert embench.main([str(tmp_path)]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2 and all(line.startswith("error: ") for line in errors)


def test_embench_sets_compilers_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for name in ("old", "new"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "crc32.elf").write_bytes(tiny_elf())
        folders.append(str(folder))
    compiled = [["--compiled", "0.5", f"gcc {n}", f] for n, f in enumerate(folders)]
    output = tmp_path / "table.md"
    arguments = [*compiled[0], *compiled[1], "--compiled", "2.0", "gcc 9", folders[0]]
    assert embench.main([*arguments, "--note", "made by hand", "--output", str(output)]) == 0
    text = output.read_text()
    header = "| program | code bytes | cycles | gcc 0: code | differ | gcc 0: cycles | error | gcc 1: code | differ |"
    assert header in text
    row = next(line for line in text.splitlines() if line.startswith("| crc32 | 296 | 64160000 |"))
    assert row.count("-100.00%") == 2
    assert "| program | cycles | gcc 9: cycles | error |" in text
    assert text.endswith("- made by hand\n")
    for wrong, said in (
        (["--compiled", "1.5", "gcc", folders[0]], "expected a release of Embench: one of 0.5, 0.5-Os, 2.0"),
        ([*compiled[0], *compiled[0]], "need different names of compilers"),
        ([], "expected a FOLDER of programs"),
    ):
        assert embench.main(wrong) == 2
        assert said in capsys.readouterr().err


def test_code_sizes_counted_the_published_way_stand_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crc32.elf").write_bytes(tiny_elf())
    (tmp_path / "code_bytes.csv").write_text("crc32,296\n")
    assert embench.main([str(tmp_path)]) == 0
    assert "| crc32 | 296 | 64160000 | 296 | +0.0% |" in capsys.readouterr().out
    (tmp_path / "code_bytes.csv").write_text("crc32,many\n")
    assert embench.main([str(tmp_path)]) == 2
    assert "code_bytes.csv:1: expected 'program,bytes'" in capsys.readouterr().err


def test_program_between_two_triggers_runs_on_the_embedded_machine(tmp_path: Path) -> None:
    """A hand-made ELF: 1000 rounds of a three-cycle loop between the triggers."""
    from emulab.firmware.image import load_image

    elf = tmp_path / "loop.elf"
    elf.write_bytes(tiny_elf())
    platform = load_platform("netduinoplus2").platform
    sample = run_program(platform, load_image(elf), "loop", 3000.0)
    assert sample.emulated_cycles == pytest.approx(3000, abs=20)
    assert sample.priced(load_core_timing(platform.core)) == pytest.approx(sample.emulated_cycles, abs=2)
    slower = load_core_timing(platform.core, {"refill_direct": 2})
    assert sample.priced(slower) == pytest.approx(sample.emulated_cycles + 1000, abs=10)


def tiny_elf() -> bytes:
    """Vector table and code at 0x08000000, with the two trigger symbols."""
    import struct

    code = bytes.fromhex(
        "00f006f8"  # 40: bl start_trigger (50)
        "4ff47a70"  # 44: mov.w r0, #1000
        "0138fdd1"  # 48: subs r0, #1; bne 48
        "00f002f8"  # 4c: bl stop_trigger (54)
        "7047c046"  # 50: bx lr (start_trigger)
        "7047fee7"  # 54: bx lr (stop_trigger); b .
    )
    base, text = 0x08000000, struct.pack("<16I", 0x20001000, *[0x08000041] * 15) + code
    names = b"\0start_trigger\0stop_trigger\0"
    symbols = bytes(16)
    symbols += struct.pack("<IIIBBH", 1, base + 0x51, 4, 0x12, 0, 1)
    symbols += struct.pack("<IIIBBH", 15, base + 0x55, 2, 0x12, 0, 1)
    section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    offset = 52 + 32
    places = []
    body = b""
    for part in (text, symbols, names, section_names):
        places.append((offset + len(body), len(part)))
        body += part + bytes(-len(part) % 4)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01" + bytes(9), 2, 40, 1, base + 0x41, 52, offset + len(body), 0x5000200,
        52, 32, 1, 40, 5, 4,
    )  # fmt: skip
    program = struct.pack("<8I", 1, places[0][0], base, base, len(text), len(text), 5, 4)
    sections = bytes(40)
    kinds = [
        (1, 1, 6, base, 0, 0, 4, 0),
        (7, 2, 0, 0, 3, 1, 4, 16),
        (15, 3, 0, 0, 0, 0, 1, 0),
        (23, 3, 0, 0, 0, 0, 1, 0),
    ]
    for (name, kind, flags, address, link, info, align, entry), (at, size) in zip(kinds, places, strict=True):
        sections += struct.pack("<10I", name, kind, flags, address, at, size, link, info, align, entry)
    return header + program + body + sections
