"""The bearing front end: C of the firmware, built for the host, against NumPy bit for bit, and against its definition."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.firmware import vibration
from emulab.firmware.codegen.generator import TensorDescription
from emulab.firmware.toolchain import zig_binary
from emulab.quality import open_dataset
from emulab.quality.bearing import envelope_orders, simulated_signals
from emulab.quality.envelope import envelope_steps
from emulab.quality.recordings import sent, sent_example

SHIPPED = Path(__file__).resolve().parents[2] / "scenarios" / "predictive-maintenance"
N = vibration.WINDOW


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    binary = zig_binary()
    assert binary is not None, "ziglang is a dependency of emulab"
    folder = tmp_path_factory.mktemp("envelope")
    vibration.write_headers(folder, TensorDescription("x", (1, 128), "int8", 128, 1.0, 0))
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-D{name}={value}" for name, value in vibration.DEFINES]
    flags += [f"-I{place}" for place in (folder, *(source.parent for source in vibration.SOURCES))]
    file = folder / "libenvelope.so"
    subprocess.run([binary, "cc", *flags, *map(str, vibration.SOURCES), "-o", str(file)], check=True, timeout=300)
    return ctypes.CDLL(str(file))


def device(library: Any, counts: np.ndarray, speed: int) -> np.ndarray:
    """What firmware makes of one window."""
    data = np.frombuffer(sent(counts, speed), np.uint8).copy()
    steps = np.ones(vibration.BINS, np.int32)
    status = library.emulab_envelope(data.ctypes.data_as(ctypes.c_void_p), steps.ctypes.data_as(ctypes.c_void_p))
    assert status == (0 if vibration.SLOWEST <= speed <= vibration.FASTEST else -1)
    return steps


def test_firmware_is_numpy_bit_for_bit_and_the_definition_within_a_step(library: Any) -> None:
    _, _, signals, speeds = simulated_signals(48, 5)
    counts = np.rint(signals * (32767 / np.abs(signals).max())).astype(np.int16)
    speed = np.rint(speeds * 10).astype(np.int64)
    host = envelope_steps(counts, speed)
    assert all((device(library, c, int(s)) == h).all() for c, s, h in zip(counts, speed, host, strict=True))
    defined = np.stack([envelope_orders(x, vibration.SAMPLE_HZ, s) for x, s in zip(signals, speeds, strict=True)])
    apart = np.abs(host.astype(int) - defined)
    assert apart.max() <= 1 and (apart == 0).mean() > 0.97


@pytest.mark.parametrize("speed", [vibration.SLOWEST, 17_970, vibration.FASTEST])
def test_extremes_neither_overflow_nor_differ(library: Any, speed: int) -> None:
    random, t = np.random.default_rng(1), np.arange(N)
    windows = np.stack(
        [
            0 * t,
            0 * t - 32768,
            np.where(t % 2, 32767, -32768),
            32767 * (t == 7),
            np.rint(32767 * np.sin(2 * np.pi * 1000 / N * t)),
            random.integers(-2, 3, N),
            random.integers(-32768, 32768, N),
            np.where(random.random(N) < 0.5, 32767, -32768),
            np.rint(32767 * np.sin(2 * np.pi * 1000 / N * t)) * (t % 128 < 40),
        ]
    ).astype(np.int16)
    host = envelope_steps(windows, np.full(len(windows), speed))
    assert all((device(library, w, speed) == h).all() for w, h in zip(windows, host, strict=True))
    assert not host[:2].any()  # silence, whatever its offset
    for index in (6, 7, 8):
        defined = envelope_orders(windows[index].astype(float), vibration.SAMPLE_HZ, speed / 10)
        assert np.abs(defined.astype(int) - host[index]).max() <= 1


def test_gain_and_offset_of_the_sensor_do_not_count() -> None:
    quiet = np.frombuffer(sent_example(3)[4:], "<i2") // 32
    windows = np.stack([quiet, quiet * 16, quiet * 16 + 900]).astype(np.int16)
    steps = envelope_steps(windows, np.full(3, 17_720))
    assert (steps[0] == steps[1]).all() and np.abs(steps[2].astype(int) - steps[1]).max() <= 1


def test_speeds_and_windows_out_of_reach(library: Any) -> None:
    counts = np.ones((1, N), np.int16)
    for speed in (0, vibration.SLOWEST - 1, vibration.FASTEST + 1):
        assert not device(library, counts[0], speed).any()
        with pytest.raises(InputError, match="from 879 to 4200 rpm"):
            envelope_steps(counts, np.array([speed]))
    with pytest.raises(InputError, match="expected"):
        envelope_steps(counts[:, 1:], np.array([17_720]))


def test_what_a_device_with_the_front_end_is_sent() -> None:
    model = SHIPPED / "cnn_int8.tflite"
    features = list(open_dataset(SHIPPED / "eval.npz", "bearing", model))
    raw = list(open_dataset(SHIPPED / "eval.npz", "bearing", model, front_end="envelope"))
    assert {len(sample.payload) for sample in raw} == {vibration.SENT_BYTES}
    step = model_step(features[0].real, features[0].payload)
    apart = np.abs(np.stack([a.real - b.real for a, b in zip(features, raw, strict=True)])) / step
    assert apart.max() < 1.5 and (apart < 0.5).mean() > 0.97
    assert [s.label for s in raw] == [s.label for s in features]
    with pytest.raises(InputError, match="expected 'bearing'"):
        open_dataset(SHIPPED / "eval.npz", "npz", model, front_end="envelope")


def model_step(real: np.ndarray, payload: bytes) -> float:
    """What one step of the model's input is worth."""
    raw = np.frombuffer(payload, np.int8).astype(float)
    return float(np.abs(real).max() / np.abs(raw).max())


def test_models_that_take_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives 128 features"):
        vibration.check_model(tmp_path / "m.tflite", TensorDescription("x", (1, 64), "int8", 64, 1.0, 0))
