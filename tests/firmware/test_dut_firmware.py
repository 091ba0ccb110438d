"""The DUT firmware, running: every command of the protocol, and answers that equal the reference interpreter's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emulab.dut import DutClient, DutError
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import data_folder, load_platform

sys.path.insert(0, str(Path(__file__).parent))
from qemu_board import MACHINES, QemuBoard, missing

HAR = data_folder("scenarios") / "har-wearable"


def firmware(board: str, model: Path = HAR / "har_int8.tflite", **options: object) -> Firmware:
    if missing(board):
        pytest.skip(missing(board))
    given = {"model_id": "har01", **options}
    return build(model, load_platform(board).platform, options=BuildOptions(**given))  # type: ignore[arg-type]


def client(board: QemuBoard) -> DutClient:
    dut = DutClient(board, board.clock, limit_s=60)
    dut.sync()
    return dut


@pytest.fixture(scope="module", params=["mps2-an386", "generic-rv32"])
def dut(request: pytest.FixtureRequest) -> Iterator[DutClient]:
    with QemuBoard(request.param, firmware(request.param).elf) as board:
        yield client(board)


def test_boot_lines() -> None:
    with QemuBoard("mps2-an386", firmware("mps2-an386").elf) as board:
        lines = [line.text for line in client(board).log if line.direction == "<"]
    assert lines[0] == "m-timestamp-mode-performance"
    assert lines[1].startswith("m-lap-us-")
    assert lines[2:4] == ["m-init-done", "m-ready"]


def test_name_profile_timestamp(dut: DutClient) -> None:
    assert dut.command("name") == ["m-name-dut-[emulab]"]
    assert dut.profile() == ("emulab DUT firmware 1", "har01")
    first, second = dut.timestamp(), dut.timestamp()
    assert first is not None and second is not None and second > first > 0


def refused(dut: DutClient, command: str, answer: str) -> None:
    with pytest.raises(DutError):
        dut.command(command)
    assert [line.text for line in dut.log if line.direction == "<"][-2:] == [answer, "m-ready"]


def test_buffer(dut: DutClient) -> None:
    data = bytes(range(250)) + bytes(902)
    dut.load(data)
    assert dut.db_print() == data
    lines = dut.command("db print")
    assert lines[0] == "m-buffer-00-01-02-03-04-05-06-07" and len(lines) == len(data) // 8
    assert dut.command("db load 3") == ["m-[Expecting 3 bytes]"]
    refused(dut, "db a0B", "e-[Insufficient number of hex digits]")
    refused(dut, "db a0xx", "e-[Invalid hex digits 'xx']")
    assert dut.command("db B1c2ff00") == ["m-load-done"]  # beyond the announced bytes: disregarded
    assert dut.command("db print") == ["m-buffer-a0-b1-c2"]
    refused(dut, "db 00", "e-[No bytes are expected; use 'db load' first]")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("foo", "e-[Unknown command: foo]"),
        ("", "e-[Unknown command: ]"),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load", "e-[Command 'db load' requires the # of bytes]"),
        ("db load 0", "e-[Command 'db load' must be >0 bytes]"),
        ("db load -3", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 3x", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 1153", "e-[Supplied buffer size 1153 exceeds maximum of 1152]"),
        ("db load 99999999999", "e-[Supplied buffer size 2147483647 exceeds maximum of 1152]"),
        ("infer 0 0", "e-[Inference iterations must be >0]"),
        ("infer x", "e-[Inference iterations must be >0]"),
        ("infer 1 -1", "e-[Warmup iterations must be >=0]"),
        ("x" * 81, "e-[Command longer than 80 bytes]"),
        ("y" * 80, f"e-[Unknown command: {'y' * 80}]"),
        ("z" * 200, "e-[Command longer than 80 bytes]"),
    ],
)
def test_errors(dut: DutClient, command: str, answer: str) -> None:
    refused(dut, command, answer)
    assert dut.name() == "emulab"


def test_infer_lines(dut: DutClient) -> None:
    dut.load(bytes(1152))
    lines = dut.command("infer 2 1")
    kinds = [line.rstrip("0123456789") for line in lines[:-1]]
    assert kinds == ["m-warmup-start-", "m-warmup-done", "m-infer-start-", "m-lap-us-", "m-lap-us-", "m-infer-done"]
    assert lines[0] == "m-warmup-start-1" and lines[2] == "m-infer-start-2"
    assert lines[-1].startswith("m-results-[")
    assert dut.command("results") == [lines[-1]]
    assert dut.command("infer 1")[0] == "m-warmup-start-10"


def output_bytes(dut: DutClient) -> bytes:
    return b"".join(bytes.fromhex(line.removeprefix("m-output-").replace("-", "")) for line in dut.command("output"))


def reference(model: Path, tensor: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install tflite-micro")
    interpreter = runtime.Interpreter.from_file(str(model))
    interpreter.set_input(tensor, 0)
    interpreter.invoke()
    return np.asarray(interpreter.get_output(0)).reshape(-1)


def check_bit_exact(dut: DutClient, built: Firmware, model: Path, tensors: np.ndarray, sent: list[bytes]) -> None:
    scale, zero = built.outputs[0].scale, built.outputs[0].zero_point
    assert scale is not None and zero is not None
    for tensor, data in zip(tensors, sent, strict=True):
        dut.load(data)
        dut.infer(1, 0)
        expected = reference(model, tensor.reshape(built.inputs[0].shape))
        assert np.array_equal(np.frombuffer(output_bytes(dut), np.int8), expected)
        if built.options.model_id != "ad01":
            real = (expected.astype(np.int32) - zero).astype(np.float32) * np.float32(scale)
            assert dut.results() == [float(f"{value:.3f}") for value in real]


@pytest.mark.parametrize("toolchain", ["zig", "gnu"])
@pytest.mark.parametrize("board", ["mps2-an386", "netduinoplus2", "generic-rv32", "hifive1-revb"])
def test_har_is_bit_exact(board: str, toolchain: str) -> None:
    from emulab.firmware.toolchain import compile_target, load_toolchain

    status = load_toolchain(toolchain).status(compile_target(load_platform(board).platform.core))
    if not status.found:
        pytest.skip(f"{status.reason}: {status.how_to_install}")
    built = firmware(board, toolchain=toolchain)
    assert built.inputs[0].scale is not None
    windows = np.load(HAR / "eval.npz")
    name = next(n for n in windows.files if windows[n].ndim > 2)
    values = windows[name].astype(np.float32)
    if windows[name].dtype == np.int16:
        values = values / 32768.0
    q = np.clip(np.round(values / built.inputs[0].scale) + (built.inputs[0].zero_point or 0), -128, 127).astype(np.int8)
    chosen = q[:: max(1, len(q) // 20)][:20]
    with QemuBoard(board, built.elf) as running:
        check_bit_exact(client(running), built, HAR / "har_int8.tflite", chosen, [x.tobytes() for x in chosen])


MODELS = {
    "kws01": "kws_ref_model.tflite",
    "ic01": "pretrainedResnet_quant.tflite",
    "ad01": "ad01_int8.tflite",
    "vww01": "vww_96_int8.tflite",
}


@pytest.mark.slow
@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("board", ["mps2-an386", "generic-rv32"])
def test_mlperf_models_are_bit_exact(board: str, model_id: str) -> None:
    assets = os.environ.get("EMULAB_ASSETS")
    if not assets:
        pytest.skip("the MLPerf Tiny models are not in the repository: emulab assets pull, then set EMULAB_ASSETS")
    model = Path(assets) / "mlperf-tiny" / "models" / MODELS[model_id]
    built = firmware(board, model, model_id=model_id)
    inputs = sorted((Path(assets) / "mlperf-tiny" / "eval" / model_id).glob("*.bin"))
    if inputs:
        sent = [p.read_bytes()[: built.input_bytes] for p in inputs[:: max(1, len(inputs) // 20)][:20]]
    else:  # no inputs are published for this task: pictures of noise
        sent = list(np.random.default_rng(0).integers(0, 256, (20, built.input_bytes), np.uint8).astype(np.uint8))
        sent = [bytes(x) for x in sent]
    if built.input_format == "uint8":
        tensors = [(np.frombuffer(x, np.uint8).astype(np.int16) - 128).astype(np.int8) for x in sent]
    elif built.input_format == "float32":
        scale, zero = np.float32(built.inputs[0].scale), built.inputs[0].zero_point
        scaled = [np.frombuffer(x, np.float32) / scale for x in sent]
        # round half away from zero, as the reference firmware does
        tensors = [
            np.clip(np.trunc(s + np.copysign(np.float32(0.5), s)) + zero, -128, 127).astype(np.int8) for s in scaled
        ]
    else:
        tensors = [np.frombuffer(x, np.int8) for x in sent]
    with QemuBoard(board, built.elf) as running:
        check_bit_exact(client(running), built, model, np.stack(tensors), sent)


def test_anomaly_answer_is_the_mean_square_error() -> None:
    assets = os.environ.get("EMULAB_ASSETS")
    if not assets:
        pytest.skip("the MLPerf Tiny models are not in the repository: emulab assets pull, then set EMULAB_ASSETS")
    model = Path(assets) / "mlperf-tiny" / "models" / MODELS["ad01"]
    built = firmware("generic-rv32", model, model_id="ad01")
    data = sorted((Path(assets) / "mlperf-tiny" / "eval" / "ad01").glob("*.bin"))[3].read_bytes()[:2560]
    with QemuBoard("generic-rv32", built.elf) as running:
        dut = client(running)
        dut.load(data)
        (answer,) = dut.infer(1, 0).results
        q = np.frombuffer(output_bytes(dut), np.int8).astype(np.float32)
    real = (q - np.float32(built.outputs[0].zero_point)) * np.float32(built.outputs[0].scale)
    assert answer == pytest.approx(float(np.mean((real - np.frombuffer(data, np.float32)) ** 2)), abs=2e-3)


@pytest.mark.parametrize("board", ["mps2-an386", "generic-rv32"])
def test_float_model_answers_like_the_reference(board: str) -> None:
    model = HAR / "har_float32.tflite"
    built = firmware(board, model)
    tensors = np.random.default_rng(0).normal(0, 0.3, (3, *built.inputs[0].shape)).astype(np.float32)
    with QemuBoard(board, built.elf) as running:
        dut = client(running)
        for tensor in tensors:
            dut.load(tensor.tobytes())
            assert dut.infer(1, 0).results == pytest.approx(reference(model, tensor), abs=6e-4)


def test_all_machines_are_boards_of_emulab() -> None:
    for board in MACHINES:
        assert load_platform(board).platform.board.firmware
