"""Building: what fits is described, what does not is refused with numbers, and equal inputs give equal bytes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from emulab.errors import InputError, ToolError
from emulab.firmware.board import STACK_PATTERN
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import Platform, data_folder, load_platform, platform_names

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"


def board(name: str) -> Platform:
    return load_platform(name).platform


@pytest.fixture(scope="module")
def firmware() -> Firmware:
    return build(HAR, board("nucleo-l4r5zi"), options=BuildOptions(model_id="har01"))


def test_layers_are_functions_of_the_image(firmware: Firmware) -> None:
    image = firmware.image
    assert image.arch == "arm" and image.entry == image.symbols["emulab_reset"].address
    for layer in firmware.layers:
        symbol = image.symbols[layer.symbol]
        assert symbol.kind == "function" and (layer.address, layer.code_bytes) == (symbol.address, symbol.size)
        assert layer.symbol.startswith(f"emulab_layer_{layer.index}_")
        assert layer.flash_bytes == layer.code_bytes + layer.weight_bytes
    assert sum(layer.weight_bytes for layer in firmware.layers) == firmware.weight_bytes
    assert firmware.macs > 100_000


def test_memory_adds_up(firmware: Firmware) -> None:
    assert sum(firmware.flash_by_section.values()) == firmware.flash_bytes
    assert firmware.flash_by_section[".rodata.model"] >= firmware.weight_bytes
    assert firmware.arena_bytes < firmware.ram_bytes < firmware.arena_bytes + firmware.input_bytes + 2048
    low, high = (firmware.image.symbols[f"emulab_stack_{end}"].address for end in ("low", "high"))
    assert high - low == firmware.stack_bytes and firmware.stack_bytes % 16 == 0
    assert firmware.static_stack_bytes is not None
    assert firmware.static_stack_bytes < firmware.stack_bytes < 2 * firmware.static_stack_bytes
    # at the low end of RAM: a stack that overflows leaves the memory instead of eating the data
    assert low == 0x20000000
    assert firmware.image.symbols["emulab_stack_pattern"].address == STACK_PATTERN
    firmware.image.check_fits(board("nucleo-l4r5zi"))


def test_vector_table(firmware: Firmware) -> None:
    symbols, word = firmware.image.symbols, firmware.image.word
    assert word(0x08000000) == symbols["emulab_stack_high"].address
    assert word(0x08000004) == symbols["emulab_reset"].address | 1
    assert word(0x08000000 + 4 * (16 + 70)) == symbols["emulab_uart_interrupt"].address | 1


def test_code_starts_where_the_core_boots() -> None:
    image = build(HAR, board("hifive1-revb")).image
    assert image.entry == 0x20010000 and min(a for a, _ in image.segments) == 0x20010000
    assert image.arch == "riscv"


def test_markers_are_there(firmware: Firmware) -> None:
    for name in ("emulab_marker_inference.begin", "emulab_marker_inference.end"):
        assert firmware.image.symbols[name].size == 4


@pytest.mark.parametrize("toolchain", ["zig", "gnu"])
def test_equal_inputs_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolchain: str) -> None:
    from emulab.cache import cache_dir
    from emulab.firmware.toolchain import compile_target, load_toolchain

    platform = board("generic-rv32")
    status = load_toolchain(toolchain).status(compile_target(platform.core))
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    shared = cache_dir() / "zig"
    hashes = []
    for name in ("one", "a much longer two"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("EMULAB_CACHE", str(folder / "cache"))
        (folder / "cache").mkdir()
        if shared.is_dir():  # compiler-rt need not be built again; the objects are, their paths differ
            (folder / "cache" / "zig").symlink_to(shared)
        model = folder / "model.tflite"
        model.write_bytes(HAR.read_bytes())
        built = build(model, platform, options=BuildOptions(toolchain=toolchain))
        assert str(tmp_path).encode() not in built.elf.read_bytes()
        hashes.append(built.image.sha256)
    assert hashes[0] == hashes[1]


def test_second_build_is_the_first(tmp_path: Path, firmware: Firmware) -> None:
    again = build(HAR, board("nucleo-l4r5zi"), workdir=tmp_path, options=BuildOptions(model_id="har01"))
    assert again.image.sha256 == firmware.image.sha256 and again.elf == tmp_path / "firmware.elf"
    assert again.layers == firmware.layers


def test_model_too_big_for_ram() -> None:
    with pytest.raises(InputError) as caught:
        build(HAR, board("hifive1-revb"), options=BuildOptions(stack_bytes=16384))
    message = str(caught.value)
    match = re.fullmatch(
        r".*har_int8.tflite: does not fit hifive1-revb: ram needs (\d+) bytes \(arena (\d+), stack 16384, "
        r"all else (\d+)\) and has 16384 \(dtim\)",
        message,
    )
    assert match and 0 < int(match[3]) < 3000
    assert int(match[1]) == 16384 + int(match[2]) + int(match[3])
    assert caught.value.exit_code == 2


def test_keyword_spotting_does_not_fit_the_fe310() -> None:
    assets = os.environ.get("EMULAB_ASSETS")
    if not assets:
        pytest.skip("the MLPerf Tiny models are not in the repository: emulab assets pull, then set EMULAB_ASSETS")
    model = Path(assets) / "mlperf-tiny" / "models" / "kws_ref_model.tflite"
    with pytest.raises(InputError, match=r"does not fit hifive1-revb: ram needs \d+ bytes .* and has 16384"):
        build(model, board("hifive1-revb"))
    assert build(model, board("generic-rv32")).ram_bytes > 12000


def test_model_too_big_for_flash() -> None:
    platform = board("generic-rv32")
    small = platform.soc.memories["flash"].model_copy(update={"size_bytes": 16384})
    soc = platform.soc.model_copy(update={"memories": {**platform.soc.memories, "flash": small}})
    with pytest.raises(
        InputError, match=r"flash needs \d+ bytes \(weights \d+, all else \d+\) and has 16384 \(flash\)"
    ):
        build(HAR, platform.model_copy(update={"soc": soc}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "build.mode: expected one of performance, energy"),
        ({"optimise": "fast"}, "build.optimise"),
        ({"kernels": "avx"}, "build.kernels: expected one of auto, portable"),
        ({"toolchain": "keil"}, "known: zig, gnu"),
        ({"stack_bytes": 12}, "build.stack_bytes"),
        ({"stack_bytes": 1000}, "build.stack_bytes: expected a multiple of 16"),
        ({"constants": "tcm"}, "build.constants: expected one of auto, flash, ram"),
        ({"baud": 1}, "build.baud"),
        ({"model_id": 'x"; evil'}, "build.model_id"),
        ({"result": "mse"}, "build.result mse compares input and output, but their shapes"),
        ({"input_format": "raw"}, "build.input_format"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        build(HAR, board("generic-rv32"), options=BuildOptions(**options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_missing_model_and_broken_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        build(tmp_path / "none.tflite", board("generic-rv32"))
    (tmp_path / "broken.tflite").write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match=r"broken.tflite"):
        build(tmp_path / "broken.tflite", board("generic-rv32"))


def test_energy_mode_needs_a_pin() -> None:
    with pytest.raises(InputError, match=r"energy mode needs board\.firmware\.timestamp"):
        build(HAR, board("generic-rv32"), options=BuildOptions(mode="energy"))
    energy = build(HAR, board("nucleo-l4r5zi"), options=BuildOptions(mode="energy"))
    assert any(b"m-timestamp-mode-energy" in data for _, data in energy.image.segments)


def test_unwritable_output_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"file/out: cannot write firmware.elf: "):
        build(HAR, board("nucleo-l4r5zi"), workdir=tmp_path / "file" / "out", options=BuildOptions(model_id="har01"))


@pytest.mark.slow
@pytest.mark.parametrize("name", platform_names())
def test_every_shipped_board_builds(name: str) -> None:
    platform = board(name)
    if not platform.board.firmware:
        with pytest.raises(InputError, match=r"no `board.firmware`"):
            build(HAR, platform)
        return
    built = build(HAR, platform, options=BuildOptions(stack_bytes=2048))
    built.image.check_fits(platform)
    assert built.image.symbols["emulab_reset"].kind == "function"
