"""The audio front ends in NumPy: the integers that the C of ``firmware/runtime/audio`` computes, and what they approximate.

    features = extract("lfbe", samples, scale, zero_point)      # (hops, 40) int8, as the device computes them

Device and host agree bit for bit. :func:`log_mel` is the floating-point definition of ``lfbe``; an int8 value differs from
it by one step at most, where the value lies at the edge of a step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.firmware.audio import CHANNELS, SAMPLE_HZ, front_end

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 1024
"""Frames transformed at a time: bounds the memory a long recording takes."""


def extract(name: str, samples: NDArray[Any], scale: float, zero_point: int) -> NDArray[Any]:
    """Features of *samples* (1-D int16 at 16 kHz) from silence, as the model's int8 input: shape (hops, channels).

    The first ``front_end(name).delay`` hops give none. InputError for samples of another shape or type.
    """
    found = front_end(name)
    if samples.ndim != 1 or str(samples.dtype) != "int16":
        raise InputError(f"audio: expected a row of int16 samples, found {samples.dtype} of shape {samples.shape}")
    constants = found.scaling(scale, zero_point)
    return {"lfbe": _lfbe, "micro": _micro}[name](samples, constants)


def _tables(name: str) -> dict[str, NDArray[Any]]:
    return {key: values for key, (_, values) in front_end(name).tables().items()}


def _frames(samples: NDArray[Any], window: int, hop: int) -> NDArray[Any]:
    """Overlapping windows of *samples*: shape (n, window), a view."""
    import numpy as np

    if len(samples) < window:
        return np.empty((0, window), samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]


def log2_q16(x: NDArray[Any], deviation: NDArray[Any], shift: int) -> NDArray[Any]:
    """log2 of positive integers in 2^-16: leading bit and a table of 128 steps, interpolated with *shift*."""
    import numpy as np

    _, exponent = np.frexp(x.astype(np.float64))
    whole = exponent.astype(np.int64) - 1
    whole -= (x >> np.maximum(whole, 0)) == 0  # a double may have rounded up to the next power of two
    fraction = np.where(whole >= 16, x >> np.maximum(whole - 16, 0), x << np.maximum(16 - whole, 0)) & 0xFFFF
    segment = fraction >> 9
    start, stop = deviation[segment].astype(np.int64), deviation[segment + 1].astype(np.int64)
    result: NDArray[Any] = (whole << 16) + fraction + start + ((stop - start) * (fraction & 511) >> shift)
    return result


# -- lfbe ---------------------------------------------------------------------------------------------------


def _lfbe(samples: NDArray[Any], constants: dict[str, int]) -> NDArray[Any]:
    import numpy as np

    found, table = front_end("lfbe"), _tables("lfbe")
    hops = len(samples) // found.hop
    before = found.window - found.hop
    padded = np.concatenate([np.zeros(1 + before, np.int64), samples[: hops * found.hop].astype(np.int64)])
    emphasised = 32 * padded[1:] - 31 * padded[:-1]
    features = np.empty((hops, CHANNELS), np.int8)
    frames = _frames(emphasised, found.window, found.hop)
    for at in range(0, hops, BATCH):
        windowed = frames[at : at + BATCH] * 16 * table["hamming"].astype(np.int64) >> 32
        features[at : at + BATCH] = _lfbe_steps(_lfbe_energy(windowed, table), table, constants)
    return features


def _lfbe_energy(windowed: NDArray[Any], table: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Mel energies of windowed frames, 2^47 at full scale: (n, 1024) -> (n, 40) int64."""
    import numpy as np

    from emulab.firmware.audio.lfbe import order as lfbe_order
    from emulab.firmware.audio.lfbe import turns as lfbe_turns

    turns = lfbe_turns().astype(np.int64)

    def turn(re: NDArray[Any], im: NDArray[Any], by: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        cos, sin = by[:, 0], by[:, 1]
        return (re * cos >> 32) + (im * sin >> 32), (im * cos >> 32) - (re * sin >> 32)

    n, points = len(windowed), windowed.shape[1] // 2
    order = lfbe_order().astype(np.int64)
    re, im = windowed[:, 2 * order], windowed[:, 2 * order + 1]
    re, im = (np.stack([v[:, ::2] + v[:, 1::2], v[:, ::2] - v[:, 1::2]], axis=2).reshape(n, points) for v in (re, im))
    m = 2
    while m < points:
        re, im = re.reshape(n, -1, 4, m), im.reshape(n, -1, 4, m)
        step = 2 * points // (4 * m)
        k = np.arange(m) * step
        ar, ai = re[:, :, 0] >> 1, im[:, :, 0] >> 1
        (br, bi), (cr, ci), (dr, di) = (turn(re[:, :, j], im[:, :, j], turns[j * k]) for j in (1, 2, 3))
        sum_r, sum_i, other_r, other_i = ar + cr, ai + ci, br + dr, bi + di
        less_r, less_i, cross_r, cross_i = ar - cr, ai - ci, br - dr, bi - di
        re = np.stack([sum_r + other_r, less_r + cross_i, sum_r - other_r, less_r - cross_i], axis=2).reshape(n, points)
        im = np.stack([sum_i + other_i, less_i - cross_r, sum_i - other_i, less_i + cross_r], axis=2).reshape(n, points)
        m *= 4
    k = np.arange(1, points // 2 + 1)
    pr, pi, qr, qi = re[:, k], im[:, k], re[:, points - k], im[:, points - k]
    even_r, even_i = (pr + qr) >> 1, (pi - qi) >> 1
    odd_r, odd_i = turn(pr - qr, pi + qi, turns[k])
    power = np.zeros((n, points), np.int64)
    power[:, k] = _square(even_r + odd_i, even_i - odd_r)
    power[:, points - k] = _square(even_r - odd_i, even_i + odd_r)
    rising = power * table["mel_weight"].astype(np.int64)
    starts = table["mel_start"].astype(np.int64)
    up = np.stack([rising[:, a:b].sum(axis=1) for a, b in pairwise(starts)], axis=1)
    whole = np.stack([power[:, a:b].sum(axis=1) for a, b in pairwise(starts)], axis=1)
    energy: NDArray[Any] = up[:, :-1] + (whole[:, 1:] << 15) - up[:, 1:]
    return energy


def _square(re: NDArray[Any], im: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = (re * re + im * im) >> 16
    return result


def _lfbe_steps(energy: NDArray[Any], table: dict[str, NDArray[Any]], constants: dict[str, int]) -> NDArray[Any]:
    import numpy as np

    level = log2_q16(np.maximum(energy, 1), table["log_deviation"], 9)
    steps = (level * constants["STEPS_PER_OCTAVE"] >> 16) + constants["STEPS_AT_ONE"]
    steps = np.where(energy > 0, np.clip(steps, 0, constants["STEPS_MOST"]), 0) + constants["ZERO_POINT"] * 65536
    result: NDArray[Any] = np.clip(np.where(steps < 0, -(-steps >> 16), steps >> 16), -128, 127).astype(np.int8)
    return result


def log_mel(samples: NDArray[Any]) -> NDArray[Any]:
    """The definition of ``lfbe`` in floating point: features 0 to 1 of int16 samples, shape (hops, 40).

    mlcommons/tiny, benchmark/training/streaming_wakeword/get_dataset.py, restated; the window starts with silence.
    """
    import numpy as np

    window, hop = 1024, 512
    hops = len(samples) // hop
    x = np.concatenate([np.zeros(1 + window - hop), samples[: hops * hop] / 32768.0])
    frames = _frames(x[1:] - (1 - 2**-5) * x[:-1], window, hop)
    spectrum = np.fft.rfft(frames * np.hamming(window), axis=1)
    power = np.maximum(np.abs(spectrum) ** 2 / window, 1e-30)

    def mel(hz: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = 1127.0 * np.log1p(hz / 700.0)
        return result

    edges = np.linspace(0.0, float(mel(np.array(SAMPLE_HZ / 2))), CHANNELS + 2)
    bins = mel(np.arange(1, window // 2 + 1) * SAMPLE_HZ / window)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    energy = power[:, 1:] @ np.maximum(0.0, np.minimum(rise, fall))
    features: NDArray[Any] = np.clip((10 * np.log10(np.maximum(energy, 1e-30)) + 52) / 64, 0, 1)
    return features


# -- micro --------------------------------------------------------------------------------------------------


def _micro(samples: NDArray[Any], constants: dict[str, int]) -> NDArray[Any]:
    import numpy as np

    steps = constants["STEPS"]
    raw = np.minimum(micro_values(samples), 2047).astype(np.int64)
    features: NDArray[Any] = np.clip((raw * steps + (1 << 19) >> 20) + constants["ZERO_POINT"], -128, 127)
    return features.astype(np.int8)


def micro_values(samples: NDArray[Any]) -> NDArray[Any]:
    """What ``micro`` computes before the model's scaling, 25.6 per unit: shape (hops - 2, 40), int64."""
    import numpy as np

    found, table = front_end("micro"), _tables("micro")
    frames = _frames(samples, found.window, found.hop)
    values = np.empty((len(frames), CHANNELS), np.int64)
    noise = np.zeros(CHANNELS, np.int64)
    for at in range(0, len(frames), BATCH):
        amplitude = _micro_amplitude(frames[at : at + BATCH].astype(np.int64), table)
        for index, signal in enumerate(amplitude):
            signal, noise = _micro_denoised(signal, noise)
            ratio = signal * _micro_gain(noise, table["gain"].astype(np.int64)) >> _SNR_SHIFT
            ratio &= 0xFFFFFFFF
            shrunk = np.where(ratio < 2 << 12, ratio * ratio >> 20, (ratio >> 6) - 64)
            values[at + index] = _micro_log(shrunk << 3 & 0xFFFFFFFF, table["log_deviation"])
    return values


_SNR_SHIFT = 6


def _round15(product: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    result: NDArray[Any] = (product + (1 << 14) >> 15).astype(np.int16).astype(np.int64)
    return result


def _int16(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return values.astype(np.int16).astype(np.int64)


def _micro_amplitude(frames: NDArray[Any], table: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Root of the weighted energy per channel: (n, 480) -> (n, 40)."""
    import numpy as np

    n, points = len(frames), 256
    windowed = frames * table["hann"].astype(np.int64) >> 12
    most = np.where(windowed == -32768, 0, np.abs(windowed)).max(axis=1)  # -(-32768) has no place in 16 bits
    shift = 15 - np.frexp(most.astype(np.float64))[1].astype(np.int64)
    windowed = np.pad(_int16(windowed << shift[:, None]), ((0, 0), (0, 32)))
    order = table["order"].astype(np.int64)
    re, im = windowed[:, 2 * order], windowed[:, 2 * order + 1]
    turns = table["turn"].astype(np.int64).reshape(-1, 2)

    def turn(re: NDArray[Any], im: NDArray[Any], by: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        cos, sin = by[:, 0], by[:, 1]
        return _round15(re * cos - im * sin), _round15(re * sin + im * cos)

    m = 1
    while m < points:
        re, im = (_round15(v * 8191).reshape(n, -1, 4, m) for v in (re, im))
        k = np.arange(m) * (points // (4 * m))
        ar, ai = re[:, :, 0], im[:, :, 0]
        (br, bi), (cr, ci), (dr, di) = (turn(re[:, :, j], im[:, :, j], turns[j * k]) for j in (1, 2, 3))
        sum_r, sum_i, other_r, other_i = (_int16(v) for v in (ar + cr, ai + ci, br + dr, bi + di))
        less_r, less_i, cross_r, cross_i = (_int16(v) for v in (ar - cr, ai - ci, br - dr, bi - di))
        re = np.stack([sum_r + other_r, less_r + cross_i, sum_r - other_r, less_r - cross_i], axis=2)
        im = np.stack([sum_i + other_i, less_i - cross_r, sum_i - other_i, less_i + cross_r], axis=2)
        re, im = _int16(re).reshape(n, points), _int16(im).reshape(n, points)
        m *= 4
    k = np.arange(1, points // 2 + 1)
    pr, pi, qr, qi = (_round15(v * 16383) for v in (re[:, k], im[:, k], re[:, points - k], _int16(-im[:, points - k])))
    even_r, even_i = _int16(pr + qr), _int16(pi + qi)
    odd_r, odd_i = turn(_int16(pr - qr), _int16(pi - qi), table["half_turn"].astype(np.int64).reshape(-1, 2))
    energy = np.zeros((n, points), np.int64)
    energy[:, k] = _int16(even_r + odd_r >> 1) ** 2 + _int16(even_i + odd_i >> 1) ** 2
    energy[:, points - k] = _int16(even_r - odd_r >> 1) ** 2 + _int16(odd_i - even_i >> 1) ** 2
    starts = table["mel_start"].astype(np.int64)
    used = energy[:, starts[0] : starts[-1]]
    falling, rising = used * table["mel_weight"].astype(np.int64), used * table["mel_complement"].astype(np.int64)
    spans = [slice(a - starts[0], b - starts[0]) for a, b in pairwise(starts)]
    down = np.stack([falling[:, span].sum(axis=1) for span in spans], axis=1)
    up = np.stack([rising[:, span].sum(axis=1) for span in spans], axis=1)
    amplitude: NDArray[Any] = _root(up[:, :-1] + down[:, 1:]) >> shift[:, None]
    return amplitude


def _root(x: NDArray[Any]) -> NDArray[Any]:
    """The nearest whole square root; below 2^32 at most 0xFFFF."""
    import numpy as np

    root = np.sqrt(x.astype(np.float64)).astype(np.int64)
    root -= root * root > x
    root += (root + 1) ** 2 <= x
    result: NDArray[Any] = root + ((x - root * root > root) & ~((x >> 32 == 0) & (root == 0xFFFF)))
    return result


def _micro_denoised(signal: NDArray[Any], noise: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    from emulab.firmware.audio.micro import EVEN_SMOOTHING, ODD_SMOOTHING, SIGNAL_LEFT, SMOOTHING_BITS

    smoothing = np.where(np.arange(len(signal)) & 1, ODD_SMOOTHING, EVEN_SMOOTHING)
    fine = signal << SMOOTHING_BITS & 0xFFFFFFFF
    estimate = (fine * smoothing + noise * ((1 << 14) - smoothing) >> 14) & 0xFFFFFFFF
    rest = fine - np.minimum(estimate, fine) >> SMOOTHING_BITS
    return np.maximum(rest, signal * SIGNAL_LEFT >> 14), estimate


def _micro_gain(noise: NDArray[Any], gain: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    octave = np.frexp(np.maximum(noise, 2).astype(np.float64))[1].astype(np.int64)
    at = 4 * octave - 6
    fraction = np.where(octave < 11, noise << np.maximum(11 - octave, 0), noise >> np.maximum(octave - 11, 0)) & 0x3FF
    value = (gain[at + 2] * fraction >> 5) + gain[at + 1] * 32
    value = _int16((value * fraction + (1 << 14) >> 15) + gain[at])
    result: NDArray[Any] = np.where(noise < 2, gain[np.minimum(noise, 1)], value) & 0xFFFFFFFF
    return result


def _micro_log(x: NDArray[Any], deviation: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    natural = 45426 * log2_q16(np.maximum(x, 1), deviation, 16) + 32768 >> 16
    result: NDArray[Any] = np.where(x < 2, 0, (natural << 6) + 32768 >> 16)
    return result
