"""The C of the front ends, on the host, against NumPy and against the original: bit for bit."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emulab.errors import InputError
from emulab.firmware.audio import front_end
from emulab.firmware.audio.header import frontend_header
from emulab.quality.audio import extract, log_mel, micro_values

RUNTIME = Path(__file__).parents[3] / "emulab" / "firmware" / "runtime" / "audio"
SCALE = {"lfbe": 0.0038910505827516317, "micro": 0.10196078568696976}


def signals() -> dict[str, NDArray[np.int16]]:
    """What a front end must survive: speech-like sweeps, silence, full scale, an offset at the end of the range."""
    rng, t = np.random.default_rng(1), np.arange(24_000) / 16_000
    sweep = 8000 * np.sin(2 * np.pi * (300 + 900 * t) * t) * (np.sin(9 * t) > 0) + rng.normal(size=len(t)) * 60
    return {
        "sweep": sweep.astype(np.int16),
        "silence": np.zeros(8_000, np.int16),
        "one step": rng.integers(-1, 2, 8_000).astype(np.int16),
        "full scale": rng.integers(-32768, 32768, 16_000).astype(np.int16),
        "square": np.where(np.arange(16_000) // 37 % 2, 32767, -32768).astype(np.int16),
        "offset": np.full(8_000, -32768, np.int16),
        "all of it": np.concatenate([np.zeros(3_000), sweep, np.full(2_000, -32768), sweep]).astype(np.int16),
    }


class OnHost:
    """The C of one front end as a shared library."""

    def __init__(self, name: str, folder: Path) -> None:
        self.front_end = front_end(name)
        (folder / "emulab_frontend.h").write_text(frontend_header(self.front_end, SCALE[name], -128))
        cc = shlex.split(os.environ["CC"]) if os.environ.get("CC") else [sys.executable, "-m", "ziglang", "cc"]
        library = folder / f"{name}.so"
        flags = ["-shared", "-fPIC", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-const-variable"]
        command = [*cc, *flags, f"-I{folder}", f"-I{RUNTIME}", str(RUNTIME / self.front_end.source), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        self.library = ctypes.CDLL(str(library))

    def __call__(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        self.library.emulab_frontend_reset()
        row, rows = np.zeros(self.front_end.channels, np.int8), []
        for at in range(0, len(samples) - self.front_end.hop + 1, self.front_end.hop):
            hop = np.ascontiguousarray(samples[at : at + self.front_end.hop])
            if self.library.emulab_frontend_hop(
                hop.ctypes.data_as(ctypes.c_void_p), row.ctypes.data_as(ctypes.c_void_p)
            ):
                rows.append(row.copy())
        return np.array(rows).reshape(-1, self.front_end.channels)


@pytest.fixture(scope="module", params=["lfbe", "micro"])
def on_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnHost:
    return OnHost(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("kind", signals())
def test_c_and_numpy_agree_bit_for_bit(on_host: OnHost, kind: str) -> None:
    samples, name = signals()[kind], on_host.front_end.name
    found = on_host(samples)
    assert len(found) == len(samples) // on_host.front_end.hop - on_host.front_end.delay
    np.testing.assert_array_equal(found, extract(name, samples, SCALE[name], -128))


def test_features_say_something(on_host: OnHost) -> None:
    features = on_host(signals()["sweep"])
    assert features.std() > 20
    assert len(np.unique(features)) > 100


@pytest.mark.parametrize("kind", signals())
def test_micro_is_the_original_bit_for_bit(kind: str) -> None:
    original = pytest.importorskip("pymicro_features", reason="the original is missing: pip install pymicro-features")
    samples, frontend, rows = signals()[kind], original.MicroFrontend(), []
    for at in range(0, len(samples) - 159, 160):
        found = frontend.process_samples(samples[at : at + 160].tobytes())
        assert found.samples_read == 160
        if found.features:
            rows.append(found.features)
    np.testing.assert_array_equal(micro_values(samples) * 0.0390625, np.array(rows))


@pytest.mark.parametrize("kind", signals())
def test_lfbe_is_its_definition_to_one_step(kind: str) -> None:
    samples, scale = signals()[kind], SCALE["lfbe"]
    real = log_mel(samples) / scale - 128
    wanted = np.clip(np.trunc(real), -128, 127)
    found = extract("lfbe", samples, scale, -128)
    assert np.abs(found - wanted).max() <= 1
    # where they part, the value lies at the edge of a step
    apart = found != wanted
    assert apart.mean() < 0.01
    assert np.abs(real - np.round(real))[apart].max(initial=0) < 0.02


def test_wrong_input_is_one_line() -> None:
    with pytest.raises(InputError, match="row of int16 samples, found float64"):
        extract("lfbe", np.zeros(1000), 0.004, -128)
    with pytest.raises(InputError, match=r"input scale 0\.0037 of the model does not suit its features"):
        extract("micro", np.zeros(1000, np.int16), 0.0037, -128)
    with pytest.raises(InputError, match="front end 'mfcc' is unknown; known: lfbe, micro"):
        extract("mfcc", np.zeros(1000, np.int16), 0.004, -128)
