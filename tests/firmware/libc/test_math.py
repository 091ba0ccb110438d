"""Single-precision functions against double precision on the host, in units in the last place."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

POINTER = ctypes.POINTER(ctypes.c_float)


def call(libc: ctypes.CDLL, name: str, *inputs: np.ndarray) -> np.ndarray:
    out = np.empty_like(inputs[0])
    arrays = [np.ascontiguousarray(a, dtype=np.float32).ctypes.data_as(POINTER) for a in inputs]
    getattr(libc, f"map_{name}")(*arrays, out.ctypes.data_as(POINTER), len(out))
    return out


def every_exponent(seed: int, count: int = 400_000) -> np.ndarray:
    """Random bit patterns: all magnitudes, subnormals, infinities and NaN."""
    bits = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    special = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, np.inf, -np.inf, np.nan, 8388607.5], np.float32)
    return np.concatenate([special, np.nextafter(special, np.float32(0)), bits.view(np.float32)])


def worst_ulp(got: np.ndarray, exact: np.ndarray) -> float:
    """Largest error in ulp of the exact value; infinities and NaN must agree where rounding decides."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    special = ~np.isfinite(rounded)
    both = np.where(np.isnan(rounded), np.isnan(got), got == rounded)
    # where the exact value rounds to infinity the largest float is within one ulp
    close = special & np.isfinite(exact) & (np.abs(got) == np.finfo(np.float32).max)
    assert np.all(both[special] | close[special])
    ordinary = ~special & np.isfinite(got)
    limit = ~special & np.isinf(got)
    assert np.all(np.abs(rounded[limit]) >= np.float32(3.402823e38))
    spacing = np.spacing(np.abs(rounded[ordinary])).astype(np.float64)
    return float(np.max(np.abs(got[ordinary].astype(np.float64) - exact[ordinary]) / spacing, initial=0))


CASES: list[tuple[str, Callable[[Any], Any], tuple[float, float] | None, float]] = [
    ("expf", np.exp, (-104, 89), 1.0),
    ("exp2f", np.exp2, (-150, 128), 1.0),
    ("expm1f", np.expm1, (-20, 89), 2.0),
    ("logf", np.log, None, 1.0),
    ("log2f", np.log2, None, 0.51),
    ("log10f", np.log10, None, 0.51),
    ("tanhf", np.tanh, (-10, 10), 2.0),
    ("sqrtf", np.sqrt, None, 0.5),
]


@pytest.mark.parametrize(("name", "exact", "span", "limit"), CASES, ids=[c[0] for c in CASES])
def test_transcendental(
    libc: ctypes.CDLL, name: str, exact: Callable[[Any], Any], span: tuple[float, float] | None, limit: float
) -> None:
    x = every_exponent(1)
    if span is not None:
        x = np.concatenate([x, np.random.default_rng(2).uniform(*span, 400_000).astype(np.float32)])
    x = np.concatenate([x, np.random.default_rng(3).uniform(0.5, 2, 200_000).astype(np.float32)])
    with np.errstate(all="ignore"):
        assert worst_ulp(call(libc, name, x), exact(x.astype(np.float64))) <= limit


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "rint", "fabs"])
def test_rounding_is_exact(libc: ctypes.CDLL, name: str) -> None:
    x = np.concatenate([every_exponent(4), np.random.default_rng(5).uniform(-9e6, 9e6, 200_000).astype(np.float32)])
    got, expected = call(libc, f"{name}f", x), getattr(np, name)(x)
    assert np.array_equal(got, expected, equal_nan=True)
    assert np.array_equal(np.signbit(got[~np.isnan(x)]), np.signbit(expected[~np.isnan(x)]))


def test_round_goes_away_from_zero(libc: ctypes.CDLL) -> None:
    x = np.concatenate([every_exponent(6), (np.arange(-2000, 2000) / 4).astype(np.float32)])
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        expected = np.copysign(np.floor(np.abs(wide) + 0.5), wide).astype(np.float32)
    assert np.array_equal(call(libc, "roundf", x), expected, equal_nan=True)


def test_two_arguments(libc: ctypes.CDLL) -> None:
    x, y = every_exponent(7), every_exponent(8)
    with np.errstate(all="ignore"):
        assert np.array_equal(call(libc, "fminf", x, y), np.fmin(x, y), equal_nan=True)
        assert np.array_equal(call(libc, "fmaxf", x, y), np.fmax(x, y), equal_nan=True)
        assert np.array_equal(call(libc, "copysignf", x, y), np.copysign(x, y), equal_nan=True)
        near = np.abs(np.where(np.isfinite(x), x, 1)) < 1e20
        a, b = x[near][:50_000], np.random.default_rng(9).uniform(-3, 3, len(x[near][:50_000])).astype(np.float32)
        assert np.array_equal(call(libc, "fmodf", a, b), np.fmod(a, b), equal_nan=True)


def test_pow(libc: ctypes.CDLL) -> None:
    generator = np.random.default_rng(10)
    x = np.concatenate([every_exponent(11, 100_000), generator.uniform(0, 10, 300_000).astype(np.float32)])
    y = np.concatenate([every_exponent(12, 100_000), generator.uniform(-40, 40, 300_000).astype(np.float32)])
    whole = np.arange(-20, 20, dtype=np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, -1.0, 1.0, -2.0, np.nan, 0.5, 2.5, -3.0], np.float32)
    grid = np.array(np.meshgrid(special, np.concatenate([special, whole]))).reshape(2, -1)
    x, y = np.concatenate([x, grid[0]]), np.concatenate([y, grid[1]])
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
        got = call(libc, "powf", x, y)
        assert worst_ulp(got, exact) <= 0.55
        zero = exact == 0
        assert np.array_equal(np.signbit(got[zero]), np.signbit(exact[zero]))
