"""Helium kernels as a Cortex-M55 runs them, in QEMU: they equal the reference interpreter bit for bit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emulab.dut import DutClient
from emulab.firmware.build import BuildOptions, build, kernel_target
from emulab.firmware.codegen import KernelTarget
from emulab.firmware.toolchain import compile_target, load_toolchain
from emulab.model.platform import load_platform

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "codegen")]
from codegen_host import Reference
from networks import network
from qemu_board import QemuBoard, missing

BOARD = "mps3-an547"

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")
if missing(BOARD):
    pytest.skip(missing(BOARD), allow_module_level=True)


def outputs(model: Path, inputs: list[np.ndarray], toolchain: str = "zig") -> Iterator[np.ndarray]:
    """What the firmware of *model* answers to each input."""
    firmware = build(model, load_platform(BOARD).platform, options=BuildOptions(toolchain=toolchain))
    with QemuBoard(BOARD, firmware.elf) as board:
        dut = DutClient(board, board.clock, limit_s=60)
        dut.sync()
        for x in inputs:
            dut.load(x.tobytes())
            dut.infer(1, 0)
            lines = dut.command("output")
            raw = b"".join(bytes.fromhex(line.removeprefix("m-output-").replace("-", "")) for line in lines)
            yield np.frombuffer(raw, np.int8)


def compare(model: Path, runs: int, toolchain: str = "zig") -> None:
    reference = Reference(model.read_bytes())
    rng = np.random.default_rng(3)
    shape = reference.interpreter.get_input_details(0)["shape"]
    inputs = [rng.integers(-128, 128, shape, np.int8) for _ in range(runs)]
    for x, y in zip(inputs, outputs(model, inputs, toolchain), strict=True):
        np.testing.assert_array_equal(y, reference(x)[0].reshape(-1))


def test_a_core_with_helium_gets_its_kernels() -> None:
    platform = load_platform(BOARD).platform
    assert kernel_target(platform) is KernelTarget.ARM_MVE
    assert kernel_target(platform, "arm_dsp") is KernelTarget.ARM_DSP


@pytest.mark.parametrize("seed", range(4))
def test_networks_of_random_shapes(tmp_path: Path, seed: int) -> None:
    model = tmp_path / "network.tflite"
    model.write_bytes(network(seed))
    compare(model, 6)


def test_with_the_gnu_compiler(tmp_path: Path) -> None:
    target = compile_target(load_platform(BOARD).platform.core)
    status = load_toolchain("gnu").status(target)
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    model = tmp_path / "network.tflite"
    model.write_bytes(network(5))
    compare(model, 4, "gnu")


def test_keyword_spotting(tmp_path: Path) -> None:
    assets = os.environ.get("EMULAB_ASSETS")
    if not assets:
        pytest.skip("EMULAB_ASSETS is not set; export EMULAB_ASSETS=<folder that holds mlperf-tiny/>")
    compare(Path(assets) / "mlperf-tiny" / "models" / "kws_ref_model.tflite", 24)
