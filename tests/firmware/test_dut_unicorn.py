"""The DUT firmware on the embedded machine: its own clock, its pulses and its markers agree with virtual time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulab.backends.base import Session, SessionOptions, load_backend
from emulab.dut import DutClient
from emulab.errors import InputError
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import data_folder, load_platform
from emulab.model.scenario import Window

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
BOARDS = [
    "nucleo-l4r5zi",
    "hifive1-revb",
    "generic-rv32",
    "nucleo-g0b1re",
    "nucleo-u575zi-q",
    "nucleo-u385rg-q",
    "nucleo-u3c5zi-q",
    "disco-f746ng",
    "nrf52840-dk",
]


def start(board: str, windows: tuple[Window, ...] = (), **options: object) -> tuple[Firmware, Session, DutClient]:
    platform = load_platform(board).platform
    given = {"model_id": "har01", **options}
    built = build(HAR, platform, options=BuildOptions(**given))  # type: ignore[arg-type]
    session = load_backend("unicorn").open(platform, built.image, SessionOptions(windows=windows))
    dut = DutClient(session.console, session.clock, limit_s=60)
    dut.sync()
    return built, session, dut


@pytest.mark.parametrize("board", BOARDS)
def test_laps_are_virtual_time_and_markers_are_the_laps(board: str) -> None:
    window = Window.model_validate(
        {"name": "inference", "from": "marker:inference.begin", "to": "marker:inference.end", "inferences": 2}
    )
    built, session, dut = start(board, (window,))
    with session:
        clock_hz = load_platform(board).platform.board.clock_hz
        dut.load(bytes(built.input_bytes))
        result = dut.infer(2, 1)
        assert session.profiler is not None
        (seen,) = session.profiler.windows()
    assert result.start_s is not None and result.stop_s is not None
    lap_s = result.stop_s - result.start_s
    # what lies between marker and lap is a few instructions; a lap has a resolution of 1 us
    assert lap_s == pytest.approx(seen.profile.cycles / clock_hz, abs=5e-6, rel=2e-3)


@pytest.mark.parametrize("board", BOARDS)
def test_answers_equal_the_reference(board: str) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install tflite-micro")
    interpreter = runtime.Interpreter.from_file(str(HAR))
    built, session, dut = start(board)
    generator = np.random.default_rng(0)
    with session:
        for _ in range(3):
            tensor = generator.integers(-128, 128, built.inputs[0].shape, np.int8)
            interpreter.set_input(tensor, 0)
            interpreter.invoke()
            dut.load(tensor.tobytes())
            dut.infer(1, 0)
            lines = dut.command("output")
            got = bytes.fromhex("".join(line.removeprefix("m-output-") for line in lines).replace("-", ""))
            assert np.array_equal(np.frombuffer(got, np.int8), np.asarray(interpreter.get_output(0)).reshape(-1))


@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "hifive1-revb", "nucleo-u575zi-q", "nrf52840-dk"])
def test_energy_mode_pulses(board: str) -> None:
    built, session, dut = start(board, mode="energy")
    pin = load_platform(board).platform.board.timestamp_pin
    with session:
        dut.load(bytes(built.input_bytes))
        before = len(session.gpio_edges(pin))
        result = dut.infer(2, 0)
        edges = session.gpio_edges(pin)[before:]
        lines = [line.text for line in dut.log]
    assert [edge.level for edge in edges] == [False, True, False, True]
    for fall, rise in ((edges[0], edges[1]), (edges[2], edges[3])):
        assert 1e-6 <= rise.time_s - fall.time_s < 20e-6
    assert edges[2].time_s - edges[0].time_s > 1e-4
    assert len(result.results) == 7
    assert "m-timestamp-mode-energy" in lines and not any(line.startswith("m-lap-us") for line in lines)


def test_image_for_another_core_is_refused(tmp_path: Path) -> None:
    built = build(HAR, load_platform("generic-rv32").platform, options=BuildOptions(model_id="har01"))
    platform = load_platform("nucleo-l4r5zi").platform
    with pytest.raises(InputError, match="image is for riscv, but nucleo-l4r5zi has a cortex-m4"):
        load_backend("unicorn").open(platform, built.image, SessionOptions())
