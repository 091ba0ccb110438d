"""Vibration of a rolling bearing: the front end that models see, and signals simulated from the physics.

Front end: envelope spectrum over shaft orders, in decibels above its median, one int8 per 0.1 order. Dividing by the
shaft speed makes a fault stand at the same place whatever the speed; dividing by the median takes the sensor's gain
out.

Simulation (model after R. B. Randall and J. Antoni, Mechanical Systems and Signal Processing 25 (2011) 485): each
time a rolling element meets the defect it excites a resonance that rings down; the times jitter by slip; an inner-race
or ball defect is loaded more or less as it turns with the shaft or the cage; noise covers the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from emulab.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Condition = Literal["normal", "ball", "inner_race", "outer_race"]
CONDITIONS: tuple[Condition, ...] = ("normal", "ball", "inner_race", "outer_race")

SAMPLE_RATE_HZ = 12_000
WINDOW = 4096
"""Samples per window: 0.341 s, ten turns at 1772 rpm."""
BINS = 128
ORDER_STEP = 0.1
STEPS_PER_DB = 2.5
SPEEDS_RPM = (1797.0, 1772.0, 1750.0, 1730.0)
"""Shaft speeds of the recordings the models were trained on, from no load to 3 hp."""
BAND_HZ = (1500.0, 5900.0)
"""Where the envelope is taken: above the machine's own lines, below half the sample rate."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Rolling elements and their size against the pitch circle (cosine of the contact angle included)."""

    elements: int
    ratio: float

    @property
    def cage(self) -> float:
        """Turns of the cage per turn of the shaft (FTF)."""
        return (1 - self.ratio) / 2

    @property
    def outer(self) -> float:
        """Elements passing a point of the outer race per turn (BPFO)."""
        return self.elements * (1 - self.ratio) / 2

    @property
    def inner(self) -> float:
        """Elements passing a point of the inner race per turn (BPFI)."""
        return self.elements * (1 + self.ratio) / 2

    @property
    def ball(self) -> float:
        """Strikes of a defect on an element, on both races, per turn (2 BSF)."""
        return (1 - self.ratio**2) / self.ratio


SKF_6205 = Geometry(9, 0.3126 / 1.537)
"""6205-2RS JEM: nine balls of 0.3126 inch on a pitch circle of 1.537 inch (Case Western Reserve University, Bearing
Data Center, bearing information)."""


def envelope_orders(signal: NDArray[np.floating], sample_rate_hz: float, speed_rpm: float) -> NDArray[np.int8]:
    """Front end: one window of acceleration (any unit) -> (BINS,) int8, bin *i* around order 0.1 (i + 1).

    A bin is the greatest spectral line in it, in steps of 0.4 dB above the median over bins, saturating.
    InputError for a window too short or a shaft too slow for the resolution, or values that are not finite.
    """
    import numpy as np

    x = np.asarray(signal, np.float64)
    n = len(x)
    turn_hz = speed_rpm / 60
    if x.ndim != 1 or n < 64 or not np.isfinite(x).all():
        raise InputError(f"bearing: expected one window of finite samples, found shape {x.shape}")
    if turn_hz <= 0 or n * turn_hz / sample_rate_hz < 5:
        raise InputError(f"bearing: {n} samples at {speed_rpm:g} rpm hold less than five turns of the shaft")
    frequency = np.fft.fftfreq(n, 1 / sample_rate_hz)
    band = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    envelope = np.abs(np.fft.ifft(np.where(band, 2 * np.fft.fft(x - x.mean()), 0)))
    lines = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(n), 4 * n))
    orders = np.arange(len(lines)) * sample_rate_hz / (4 * n) / turn_hz
    edges = np.searchsorted(orders, (np.arange(BINS + 1) + 0.5) * ORDER_STEP)
    peaks = np.array([lines[a : max(b, a + 1)].max() for a, b in pairwise(edges)])
    level = 20 * np.log10(np.maximum(peaks, 1e-12) / max(float(np.median(peaks)), 1e-12))
    result: NDArray[np.int8] = np.clip(np.rint(level * STEPS_PER_DB), -128, 127).astype(np.int8)
    return result


def simulate(
    condition: Condition,
    random: np.random.Generator,
    speed_rpm: float = 1772.0,
    geometry: Geometry = SKF_6205,
    samples: int = WINDOW,
    snr_db: tuple[float, float] = (-15.0, 10.0),
) -> NDArray[np.float64]:
    """One window of acceleration, (samples,), of unit noise power, at :data:`SAMPLE_RATE_HZ`.

    Severity, resonance (2 to 5 kHz, damping 2 to 8 %), slip (0.5 to 2 % of a period), load zone and phase are drawn
    from *random*; ``snr_db`` is the range of the fault's power over the noise's.
    """
    import numpy as np

    if condition not in CONDITIONS:
        raise InputError(f"bearing: unknown condition {condition!r}; expected one of {', '.join(CONDITIONS)}")
    turn_hz = speed_rpm / 60
    time = np.arange(samples) / SAMPLE_RATE_HZ
    noise = random.standard_normal(samples)
    shaft = sum(
        random.uniform(0, 0.5) * np.sin(2 * np.pi * k * turn_hz * time + random.uniform(0, 2 * np.pi))
        for k in (1, 2, 3)
    )
    if condition == "normal":
        return noise + shaft
    order = {"ball": geometry.ball, "inner_race": geometry.inner, "outer_race": geometry.outer}[condition]
    modulation = {"ball": geometry.cage, "inner_race": 1.0, "outer_race": 0.0}[condition]
    resonance_hz, damping = random.uniform(2000, 5000), random.uniform(0.02, 0.08)
    period_s = 1 / (order * turn_hz)
    count = int(samples / SAMPLE_RATE_HZ / period_s) + 4
    slip = random.normal(0, random.uniform(0.005, 0.02) * period_s, count)
    strikes = (np.arange(count) - 2 + random.uniform()) * period_s + slip
    depth, phase = random.uniform(0.5, 1.0), random.uniform(0, 2 * np.pi)
    force = 1 + (depth * np.cos(2 * np.pi * modulation * turn_hz * strikes + phase) if modulation else 0 * strikes)
    force = np.maximum(force, 0) * random.uniform(0.7, 1.3, count)
    since = time[:, None] - strikes[None, :]
    decay = np.minimum(damping * 2 * np.pi * resonance_hz * np.maximum(since, 0), 300)  # far from underflow
    ringing = np.where(since >= 0, np.exp(-decay) * np.sin(2 * np.pi * resonance_hz * since), 0.0)
    fault = ringing @ force
    gain = 10 ** (random.uniform(*snr_db) / 20) / max(float(fault.std()), 1e-12)
    result: NDArray[np.float64] = fault * gain + noise + shaft
    return result


def simulated_set(
    n: int, seed: int, speeds_rpm: Sequence[float] = SPEEDS_RPM
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """n windows through the front end, (n, BINS) int8, and their class numbers, in turn over the conditions."""
    return simulated_signals(n, seed, speeds_rpm)[:2]


def simulated_signals(
    n: int, seed: int, speeds_rpm: Sequence[float] = SPEEDS_RPM
) -> tuple[NDArray[np.int8], NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]:
    """As :func:`simulated_set`, with the signals, (n, WINDOW), and the shaft speeds, (n,) rpm."""
    import numpy as np

    random = np.random.default_rng(seed)
    x, signals, speeds = np.empty((n, BINS), np.int8), np.empty((n, WINDOW), np.float32), np.empty(n)
    y = (np.arange(n) % len(CONDITIONS)).astype(np.uint8)
    for index, label in enumerate(y):
        speeds[index] = float(random.choice(np.asarray(speeds_rpm, float)))
        signal = simulate(CONDITIONS[label], random, speeds[index])
        x[index] = envelope_orders(signal, SAMPLE_RATE_HZ, speeds[index])
        signals[index] = signal
    return x, y, signals, speeds
