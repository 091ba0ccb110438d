"""Fixed-point FFT, sine and logarithm against NumPy, compiled for the host."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emulab.firmware
from emulab.firmware.toolchain import zig_binary

SOURCE = Path(emulab.firmware.__file__).parent / "runtime" / "signal" / "rfft.c"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    binary = zig_binary()
    assert binary is not None, "ziglang is a dependency of emulab"
    file = tmp_path_factory.mktemp("signal") / "libsignal.so"
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([binary, "cc", *flags, str(SOURCE), "-o", str(file)], check=True, timeout=120)
    found = ctypes.CDLL(str(file))
    found.emulab_rfft_power.restype = ctypes.c_uint64
    found.emulab_log2.argtypes = [ctypes.c_uint64]
    found.emulab_sin.argtypes = [ctypes.c_uint32]
    return found


def spectrum(library: Any, x: np.ndarray) -> np.ndarray:
    n, data = len(x), x.astype(np.int32)
    assert library.emulab_rfft(data.ctypes.data_as(ctypes.c_void_p), n) == 0
    bins = np.concatenate([[data[0]], data[2::2] + 1j * data[3::2], [data[1]]])
    powers = [library.emulab_rfft_power(data.ctypes.data_as(ctypes.c_void_p), n, k) for k in (0, 1, n // 2)]
    assert powers == [round(abs(bins[k]) ** 2) for k in (0, 1, n // 2)] or max(powers) > 2**52
    return bins


@pytest.mark.parametrize("n", [8, 16, 64, 512, 1024])
def test_spectrum_is_numpys_within_a_few_units(library: Any, n: int) -> None:
    x = np.random.default_rng(n).integers(-(2**30) // n + 1, 2**30 // n, n)
    # one rounding per product: the error grows with the stages, not with the values
    assert np.abs(spectrum(library, x) - np.fft.rfft(x)).max() < 0.6 * np.log2(n) * np.sqrt(n)


@pytest.mark.parametrize("n", [16, 512])
def test_extremes_do_not_overflow(library: Any, n: int) -> None:
    top = 2**30 // n - 1
    for x in (np.full(n, top), np.full(n, -top), top * (-1) ** np.arange(n), top * (np.arange(n) == 3)):
        assert np.abs(spectrum(library, x) - np.fft.rfft(x)).max() < 8 * np.sqrt(n)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**20), 2**20), min_size=64, max_size=64))
def test_any_signal(library: Any, x: list[int]) -> None:
    values = np.array(x)
    assert np.abs(spectrum(library, values) - np.fft.rfft(values)).max() < 25


@pytest.mark.parametrize("n", [0, 4, 48, 2048])
def test_other_lengths_are_refused(library: Any, n: int) -> None:
    assert library.emulab_rfft((ctypes.c_int32 * max(n, 1))(), n) == -1


def test_logarithm_and_sine(library: Any) -> None:
    assert library.emulab_log2(0) == 0
    for value in (1, 2, 3, 1000, 2**31 + 1, 2**40 + 12345, 2**63, 2**64 - 1):
        assert 0 <= np.log2(float(value)) - library.emulab_log2(value) / 65536 < 2 / 65536
    for turns in np.random.default_rng(1).integers(0, 2**32, 500).tolist():
        assert library.emulab_sin(turns) / 2**31 == pytest.approx(np.sin(2 * np.pi * turns / 2**32), abs=5e-6)
