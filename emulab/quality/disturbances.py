"""What a real sensor does to a signal: one table of disturbances, each a function of the signal, a level and a seed.

Noise of every colour is relative to the *dataset's* mean power of a channel about its mean, since a noise floor does not
know how strong the signal of the moment is; its own power is that over the whole band, from the window's lowest
frequency to half the sample rate. A sample sees the same pattern at every level, only stronger.

=================== ============================================================================================
``snr_db``          white Gaussian noise per channel (last axis)
``pink_db``         power falls with frequency (1/f): electronics, wind, traffic
``brown_db``        power falls with its square: rumble, drift of MEMS sensors
``hum_db``          mains: a tone of ``hum_hz`` in all channels with its second and third harmonic, at a half and a
                    third of its amplitude (assumed), at a drawn phase
``impulse_db``      one time step in a hundred is hit, all channels at once, each by a Gaussian of its own: switching
``background_db``   a stretch of a recording of your own, drawn per sample, brought to the sensor's sample rate
``gain``            factor on all channels: sensitivity tolerance, or a gesture made larger or smaller
``contrast``        images: factor about the image's mean
``offset``          added to all channels, as a fraction of half the sensor's range: bias; of images: brightness
``drift``           offset that grows from nothing at the window's start to the level at its end
``clip``            the sensor saturates at this fraction of half its range
``dropout``         fraction of time steps (first axis; of images: rows) lost at random, the last good one held
``shift``           the window begins earlier by this fraction of its length (negative: later), ends held
``jitter``          time steps taken early or late, standard deviation in sample periods, straight lines between them
``blur``            images: Gaussian, standard deviation in pixels
``bits``            resolution of an ideal converter over the sensor's range
=================== ============================================================================================

Whatever leaves the sensor's range saturates there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from emulab.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal[
    "snr_db",
    "pink_db",
    "brown_db",
    "hum_db",
    "impulse_db",
    "background_db",
    "gain",
    "contrast",
    "offset",
    "drift",
    "clip",
    "dropout",
    "shift",
    "jitter",
    "blur",
    "bits",
]
Needs = Literal["", "signal", "image"]

IMPULSE_SHARE = 0.01
HUM_HARMONICS = ((1, 1.0), (2, 1 / 2), (3, 1 / 3))


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One kind: how it is called, what its levels are, and which samples it makes sense of."""

    name: str
    axis: str
    unit: str
    text: Callable[[float], str]
    """A level, as people read it."""
    needs: Needs = ""
    valid: Callable[[float], bool] = math.isfinite
    worse: Literal["up", "down"] = "up"
    """Which way levels get worse."""


def _noise(name: str, axis: str, needs: Needs = "signal") -> Disturbance:
    return Disturbance(name, f"signal to {axis}, dB", "dB", lambda v: f"{name} at SNR {v:g} dB", needs, worse="down")


def _percent(text: str) -> Callable[[float], str]:
    return lambda v: text.format(f"{v * 100:g}")


DISTURBANCES: dict[Kind, Disturbance] = {
    "snr_db": Disturbance("noise", "signal to noise, dB", "dB", lambda v: f"SNR {v:g} dB", worse="down"),
    "pink_db": _noise("pink noise", "pink noise"),
    "brown_db": _noise("brown noise", "brown noise"),
    "hum_db": _noise("mains hum", "hum"),
    "impulse_db": _noise("impulses", "impulsive noise"),
    "background_db": _noise("background", "background"),
    "gain": Disturbance("gain", "gain", "1", lambda v: f"gain x {v:g}", valid=lambda v: v >= 0),
    "contrast": Disturbance(
        "contrast", "contrast", "1", lambda v: f"contrast x {v:g}", "image", lambda v: v >= 0, worse="down"
    ),
    "offset": Disturbance(
        "offset", "offset, of half the range", "half range", lambda v: f"offset {v * 100:+g} % of half range"
    ),
    "drift": Disturbance(
        "drift",
        "drift over the window, of half the range",
        "half range",
        lambda v: f"drift to {v * 100:+g} % of half range",
        "signal",
    ),
    "clip": Disturbance(
        "saturation",
        "saturation, of half the range",
        "half range",
        _percent("saturates at {} % of half range"),
        valid=lambda v: 0 < v <= 1,
        worse="down",
    ),
    "dropout": Disturbance(
        "drop-outs", "time steps lost", "1", _percent("{} % of time steps lost"), valid=lambda v: 0 <= v <= 1
    ),
    "shift": Disturbance(
        "time shift",
        "shift, of the window",
        "window",
        lambda v: f"shifted by {v * 100:+g} % of the window",
        "signal",
        lambda v: -1 < v < 1,
    ),
    "jitter": Disturbance(
        "jitter",
        "jitter, sample periods",
        "sample period",
        lambda v: f"jitter of {v:g} sample periods",
        "signal",
        lambda v: 0 <= v <= 1000,
    ),
    "blur": Disturbance(
        "blur", "blur, pixels", "pixel", lambda v: f"blur of {v:g} px", "image", lambda v: 0 <= v <= 64
    ),
    "bits": Disturbance(
        "resolution",
        "bits of the sensor's converter",
        "bit",
        lambda v: f"{v:g}-bit sensor",
        valid=lambda v: v == int(v) and 1 <= v <= 24,
        worse="down",
    ),
}


@dataclass(frozen=True)
class Conditions:
    """What a disturbance must know of the dataset: AC power per channel, where the sensor saturates, its sample rate."""

    power: NDArray[np.float64]
    low: float
    high: float
    sample_hz: float | None = None
    """None: the samples are no signal over time (features, images), or nobody said at which rate."""
    hum_hz: float = 50.0
    background: NDArray[np.float64] | None = None
    """A recording at ``sample_hz``, (time,), of unit mean power about its mean."""


def check_levels(kind: str, levels: Sequence[float]) -> None:
    """InputError for a kind that is unknown, or a level that makes no sense of it."""
    if kind not in DISTURBANCES:
        raise InputError(f"noise sweep: unknown kind {kind!r}; expected one of {', '.join(DISTURBANCES)}")
    found = DISTURBANCES[kind]
    for level in levels:
        if not math.isfinite(level) or not found.valid(level):
            raise InputError(f"noise sweep: {level} is not a level of {kind!r} ({found.unit})")


def check_suits(kind: Kind, shape: tuple[int, ...], conditions: Conditions) -> None:
    """InputError where samples of *shape*, (time, ..., channel), are not what *kind* disturbs."""
    needs, long = DISTURBANCES[kind].needs, [n for n in shape[:-1] if n > 1]
    if needs == "image" and len(long) < 2:
        raise InputError(f"noise sweep: {kind} is of images; these samples are of shape {shape}")
    if needs == "signal" and (len(long) != 1 or conditions.sample_hz is None):
        raise InputError(
            f"noise sweep: {kind} needs a signal over time, at a known rate; these samples, of shape {shape}, are "
            "features or images, or their dataset lacks `sample_rate_hz` (else give robustness.sample_hz)"
        )
    if kind == "background_db" and conditions.background is None:
        raise InputError("noise sweep: background_db needs a recording: robustness.background (--background-file)")


def perturb(
    real: NDArray[np.floating[Any]], kind: Kind, level: float, random: np.random.Generator, conditions: Conditions
) -> NDArray[np.float32]:
    """One sample, (windows, time, ..., channel), disturbed; the same shape, float32."""
    import numpy as np

    x = real.astype(np.float64)
    low, high = conditions.low, conditions.high
    half, middle = (high - low) / 2, (high + low) / 2
    if kind in _PATTERNS:
        pattern = _PATTERNS[kind](x.shape, random, conditions)
        x = x + pattern * np.sqrt(conditions.power * 10 ** (-level / 10))
    elif kind == "gain":
        x = x * level
    elif kind == "contrast":
        mean = x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
        x = mean + (x - mean) * level
    elif kind == "offset":
        x = x + level * half
    elif kind == "drift":
        x = x + _along(np.linspace(0.0, level * half, x.shape[1]), x)
    elif kind == "clip":
        x = np.clip(x, middle - level * half, middle + level * half)
    elif kind == "dropout":
        x = _hold(x, np.asarray(random.random(x.shape[1]) < level))
    elif kind == "shift":
        x = _at(x, np.arange(x.shape[1]) - round(level * x.shape[1]))
    elif kind == "jitter":
        x = _at(x, np.arange(x.shape[1]) + level * random.standard_normal(x.shape[1]))
    elif kind == "blur":
        x = _blurred(x, level)
    elif kind == "bits":
        width = (high - low) / (2 ** int(level) - 1)
        x = np.rint((x - low) / width) * width + low
    disturbed: NDArray[np.float32] = np.clip(x, low, high).astype(np.float32)
    return disturbed


# -- patterns of unit power, added at a level -----------------------------------------------------------------


def _white(shape: tuple[int, ...], random: np.random.Generator, conditions: Conditions) -> NDArray[Any]:
    return random.standard_normal(shape)


def _coloured(exponent: float) -> Callable[..., NDArray[Any]]:
    """Noise whose power falls as f^-exponent, without what is constant over the window."""

    def make(shape: tuple[int, ...], random: np.random.Generator, conditions: Conditions) -> NDArray[Any]:
        import numpy as np

        n = shape[1]
        gain = np.arange(n // 2 + 1, dtype=float)
        gain[1:] **= -exponent / 2
        pairs = np.where((np.arange(n // 2 + 1) * 2) % n, 2, 1)  # a line stands for itself and its mirror image
        gain /= np.sqrt((gain**2 * pairs).sum() / n) or 1.0
        spectrum = np.fft.rfft(random.standard_normal(shape), axis=1) * _along(gain, np.empty((1, *shape[1:])))
        return np.asarray(np.fft.irfft(spectrum, n, axis=1))

    return make


def _hum(shape: tuple[int, ...], random: np.random.Generator, conditions: Conditions) -> NDArray[Any]:
    import numpy as np

    assert conditions.sample_hz is not None
    phase = 2 * np.pi * (np.arange(shape[1]) * conditions.hum_hz / conditions.sample_hz + random.random())
    tone = sum(weight * np.sin(k * phase) for k, weight in HUM_HARMONICS)
    unit = math.sqrt(sum(weight**2 for _, weight in HUM_HARMONICS) / 2)
    return np.broadcast_to(_along(np.asarray(tone) / unit, np.empty(shape)), shape)


def _impulses(shape: tuple[int, ...], random: np.random.Generator, conditions: Conditions) -> NDArray[Any]:
    import numpy as np

    hit = _along((random.random(shape[1]) < IMPULSE_SHARE).astype(float), np.empty(shape))
    return np.asarray(hit * random.standard_normal(shape) / math.sqrt(IMPULSE_SHARE))


def _background(shape: tuple[int, ...], random: np.random.Generator, conditions: Conditions) -> NDArray[Any]:
    import numpy as np

    recording = conditions.background
    assert recording is not None
    stretch = recording[(int(random.integers(len(recording))) + np.arange(shape[1])) % len(recording)]
    return np.broadcast_to(_along(stretch, np.empty(shape)), shape)


_PATTERNS: dict[str, Callable[..., NDArray[Any]]] = {
    "snr_db": _white,
    "pink_db": _coloured(1),
    "brown_db": _coloured(2),
    "hum_db": _hum,
    "impulse_db": _impulses,
    "background_db": _background,
}


def _along(values: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """Values over time, to be broadcast against (windows, time, ..., channel)."""
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def _hold(x: NDArray[Any], lost: NDArray[Any]) -> NDArray[Any]:
    """Replace lost time steps by the last good one; before the first good one by that; nothing good: zeros."""
    import numpy as np

    good = np.flatnonzero(~lost)
    if not len(good):
        return np.zeros_like(x)
    source = good[np.maximum(np.searchsorted(good, np.arange(len(lost)), side="right") - 1, 0)]
    held: NDArray[Any] = x[:, source]
    return held


def _at(x: NDArray[Any], when: NDArray[Any]) -> NDArray[Any]:
    """*x* at other times (in time steps, between its ends), straight lines between its own."""
    import numpy as np

    when = np.clip(when, 0, x.shape[1] - 1)
    before = np.floor(when).astype(int)
    part = _along(when - before, x)
    moved: NDArray[Any] = x[:, before] * (1 - part) + x[:, np.minimum(before + 1, x.shape[1] - 1)] * part
    return moved


def _blurred(x: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Rows and columns, axes 1 and 2, through a Gaussian; the edge pixel goes on beyond the edge."""
    import numpy as np

    if sigma == 0:
        return x
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        padded = np.pad(x, [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
        x = windows @ weights
    return x
