"""The bearing front end as firmware computes it: the integers of ``runtime/vibration/envelope.c``, in NumPy.

    steps = envelope_steps(counts, speed)        # (n, 4096) int16, (n,) in 0.1 rpm -> (n, 128) int8

Bit for bit what every core gives. Held against the definition in floating point
(:func:`emulab.quality.bearing.envelope_orders`) a feature differs by one step of 0.4 dB at most in all but a few.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.firmware import vibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 64
"""Windows transformed at a time: bounds the memory."""
HEADROOM = 30
_ROUND = 1 << 30


def envelope_steps(counts: NDArray[Any], speed: NDArray[Any]) -> NDArray[Any]:
    """Features of windows of samples at shaft speeds. InputError for other shapes, types, or speeds out of reach."""
    import numpy as np

    n = vibration.WINDOW
    if counts.ndim != 2 or counts.shape[1] != n or counts.dtype != np.int16 or speed.shape != (len(counts),):
        raise InputError(f"envelope: expected (n, {n}) int16 and (n,) speeds, found {counts.dtype} {counts.shape}")
    low, high = vibration.SLOWEST, vibration.FASTEST
    if len(speed) and not (low <= int(speed.min()) and int(speed.max()) <= high):
        raise InputError(f"envelope: expected shaft speeds from {low / 10:g} to {high / 10:g} rpm")
    steps = np.empty((len(counts), vibration.BINS), np.int8)
    for at in range(0, len(counts), BATCH):
        steps[at : at + BATCH] = _batch(counts[at : at + BATCH].astype(np.int64), speed[at : at + BATCH])
    return steps


def _batch(counts: NDArray[Any], speed: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    n = vibration.WINDOW
    x = counts * n - counts.sum(axis=1, keepdims=True)
    x = _scaled(x, _bits(np.abs(x).max(axis=1)) + n.bit_length() - 1 - HEADROOM)
    re, im = _rfft(x)
    first, last = vibration.BAND
    inside = (np.arange(re.shape[1]) >= first) & (np.arange(re.shape[1]) <= last)
    re, im = np.where(inside, re, 0), np.where(inside, im, 0)
    shift = _bits((np.abs(re) + np.abs(im)).sum(axis=1)) - HEADROOM
    re, im = (np.pad(v, ((0, 0), (0, n - v.shape[1]))) for v in (_scaled(re, shift), -_scaled(im, shift)))
    re, im = _fft(re, im)
    envelope = _root(re * re + im * im)
    envelope -= envelope.sum(axis=1, keepdims=True) // n
    envelope = envelope * _hann() >> 31
    tap = np.array(vibration.taps(), np.int64)
    padded = np.pad(envelope, ((0, 0), (len(tap) - 1, len(tap))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(tap), axis=1)[:, :: vibration.DOWN]
    slow = windows[:, : (n + len(tap)) // vibration.DOWN] @ tap >> 15  # symmetric: the order of taps is free
    slow = _scaled(slow, _bits(np.abs(slow).sum(axis=1)) - HEADROOM)
    re, im = _rfft(np.pad(slow, ((0, 0), (0, n - slow.shape[1]))))
    power = re * re + im * im
    half_orders = 2 * np.arange(vibration.BINS + 1, dtype=np.int64) + 1
    edges = -(-half_orders * vibration.LINES * speed.astype(np.int64)[:, None] // vibration.PER)
    peaks = np.stack([np.maximum.reduceat(p[: e[-1]], e[:-1]) for p, e in zip(power, edges, strict=True)])
    level = _log2(peaks)
    middle = np.sort(level, axis=1)[:, vibration.BINS // 2 - 1 : vibration.BINS // 2 + 1].sum(axis=1) >> 1
    steps = (level - middle[:, None]) * vibration.STEPS + (1 << 31) >> 32
    result: NDArray[Any] = np.clip(steps, -128, 127).astype(np.int8)
    return result


def _bits(value: NDArray[Any]) -> NDArray[Any]:
    """Bits that non-negative integers below 2^62 take."""
    import numpy as np

    high, low = value >> 32, value & 0xFFFFFFFF
    part = np.where(high > 0, high, low).astype(np.float64)  # 32 bits are exact in a double
    count: NDArray[Any] = np.frexp(part)[1].astype(np.int64) + np.where(high > 0, 32, 0)
    return count


def _scaled(x: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    shift = shift[:, None]
    result: NDArray[Any] = np.where(shift >= 0, x >> np.maximum(shift, 0), x << np.maximum(-shift, 0))
    return result


def _root(value: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    shift = (_bits(value) - 31) & ~1
    x = np.where(shift >= 0, value >> np.maximum(shift, 0), value << np.maximum(-shift, 0))
    r = 23211 + ((x >> 15) * 21845 >> 16)
    for _ in range(2):
        r = r + x // r >> 1
    result = np.where(shift >= 0, r << np.maximum(shift // 2, 0), r >> np.maximum(-shift // 2, 0))
    found: NDArray[Any] = np.where(value > 0, result, 0)
    return found


def _log2(value: NDArray[Any]) -> NDArray[Any]:
    """log2 as Q16, rounded down; 0 for 0."""
    import numpy as np

    high = np.maximum(_bits(value) - 1, 0)
    x = np.where(high > 31, value >> np.maximum(high - 31, 0), value << np.maximum(31 - high, 0)).astype(np.uint64)
    result = high
    for _ in range(16):
        square = x * x
        two = square >> np.uint64(63)
        x = square >> (np.uint64(31) + two)
        result = result << 1 | two.astype(np.int64)
    found: NDArray[Any] = np.where(value > 0, result, 0)
    return found


@lru_cache(maxsize=1)
def _sine() -> NDArray[Any]:
    """A whole turn of WINDOW steps, Q31, from the quarter that firmware has."""
    import numpy as np

    quarter = np.array(vibration.sine_table(), np.int64)
    half = np.concatenate([quarter[:-1], quarter[:0:-1]])
    return np.concatenate([half, -half])


@lru_cache(maxsize=1)
def _hann() -> NDArray[Any]:
    """Q31, from the sine that firmware interpolates."""
    import numpy as np

    n = vibration.WINDOW
    turns = (np.arange(n, dtype=np.int64) * vibration.TURN + (1 << 30)) & 0xFFFFFFFF
    rest = 33 - n.bit_length()
    start, stop = _sine()[turns >> rest], _sine()[((turns >> rest) + 1) % n]
    cos = start + ((stop - start) * (turns & (1 << rest) - 1) >> rest)
    half = np.where(cos < 0, -(-cos // 2), cos // 2)  # C rounds to zero
    window: NDArray[Any] = np.minimum((1 << 30) - half, 2**31 - 1)
    return window


def _turned(re: NDArray[Any], im: NDArray[Any], step: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times exp(-2 pi i step / WINDOW), each product rounded once."""
    n = vibration.WINDOW
    cos, sin = _sine()[(step + n // 4) % n], _sine()[step % n]
    return (re * cos + im * sin + _ROUND) >> 31, (im * cos - re * sin + _ROUND) >> 31


@lru_cache(maxsize=4)
def _reversed(m: int) -> NDArray[Any]:
    import numpy as np

    width = m.bit_length() - 1
    return np.array([int(f"{i:0{width}b}"[::-1], 2) for i in range(m)])


def _fft(re: NDArray[Any], im: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Complex FFT along the last axis, decimation in time, nothing scaled."""
    import numpy as np

    rows, m = re.shape
    re, im = re[:, _reversed(m)], im[:, _reversed(m)]
    half = 1
    while half < m:
        re, im = re.reshape(rows, -1, 2, half), im.reshape(rows, -1, 2, half)
        br, bi = re[:, :, 1], im[:, :, 1]
        if half > 1:
            tr, ti = _turned(br[..., 1:], bi[..., 1:], np.arange(1, half) * (vibration.WINDOW // (2 * half)))
            br, bi = np.concatenate([br[..., :1], tr], axis=-1), np.concatenate([bi[..., :1], ti], axis=-1)
        re = np.stack([re[:, :, 0] + br, re[:, :, 0] - br], axis=2).reshape(rows, m)
        im = np.stack([im[:, :, 0] + bi, im[:, :, 0] - bi], axis=2).reshape(rows, m)
        half *= 2
    return re, im


def _rfft(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bins 0 to n/2 of a real signal's spectrum, by a complex FFT of half the length."""
    import numpy as np

    n = x.shape[1]
    m = n // 2
    re, im = _fft(x[:, ::2], x[:, 1::2])
    k = np.arange(1, m // 2 + 1)
    ar, ai, br, bi = re[:, k], im[:, k], re[:, m - k], im[:, m - k]
    even_re, even_im = ar + br, ai - bi
    odd_re, odd_im = _turned(ai + bi, br - ar, k * (vibration.WINDOW // n))
    out_re, out_im = np.empty((len(x), m + 1), np.int64), np.zeros((len(x), m + 1), np.int64)
    out_re[:, 0], out_re[:, m] = re[:, 0] + im[:, 0], re[:, 0] - im[:, 0]
    out_re[:, k], out_im[:, k] = even_re + odd_re >> 1, even_im + odd_im >> 1
    out_re[:, m - k], out_im[:, m - k] = even_re - odd_re >> 1, odd_im - even_im >> 1
    return out_re, out_im
