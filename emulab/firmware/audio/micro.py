"""Tables of ``micro``: the front end of microWakeWord, TensorFlow Lite Micro's audio microfrontend.

Configuration as in the PyPI package `pymicro-features`: 30 ms Hann window, 10 ms hop, 512-point FFT in 16 bits,
40 channels from 125 to 7500 Hz, noise reduction (smoothing 0.025 and 0.06 for even and odd channels, at least 0.05 of the
signal kept), PCAN (strength 0.95, offset 80, 21 bits of gain), natural logarithm times 64. A feature is 1/25.6 of it.
Restated from tensorflow/tflite-micro, lite/experimental/microfrontend; bit for bit the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.firmware.audio import CHANNELS, SAMPLE_HZ, FrontEnd
from emulab.firmware.audio.lfbe import log_deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW, HOP, FFT, POINTS = 480, 160, 512, 256
LOW_HZ, HIGH_HZ = 125.0, 7500.0
WEIGHT_BITS = 12
CORRECTION_BITS = 3  # log2(512) less half of the weights' bits
SMOOTHING_BITS = 10
EVEN_SMOOTHING, ODD_SMOOTHING, SIGNAL_LEFT = (int(share * (1 << 14)) for share in (0.025, 0.06, 0.05))
GAIN_BITS, STRENGTH, OFFSET = 21, 0.95, 80.0
SNR_SHIFT = GAIN_BITS - CORRECTION_BITS - 12
FEATURE_STEP = 0.0390625
FEATURE_SHIFT = 20


def order() -> NDArray[Any]:
    """Where each input goes before four passes of radix 4, its own inverse: shape (256,)."""
    import numpy as np

    index = np.arange(POINTS)
    return ((index & 3) << 6 | (index >> 2 & 3) << 4 | (index >> 4 & 3) << 2 | index >> 6).astype(np.uint8)


def _q15(angle: NDArray[Any]) -> NDArray[Any]:
    """cos and sin of *angle*, rounded to 15 bits: shape (n, 2)."""
    import numpy as np

    parts = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.floor(0.5 + 32767 * parts).astype(np.int16)


def mel_weights() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(weights, complements of weights, first bin of each of 41 spans and the end); single precision as the original."""
    import numpy as np

    f32 = np.float32

    def mel(hz: Any) -> Any:
        return f32(1127.0) * np.log1p(f32(hz) / f32(700.0))

    low, high = mel(LOW_HZ), mel(HIGH_HZ)
    spacing = f32(f32(high - low) / f32(CHANNELS + 1))
    centres = [f32(low + f32(spacing * f32(i + 1))) for i in range(CHANNELS + 1)]
    hz_per_bin = f32(0.5) * f32(SAMPLE_HZ) / f32(POINTS)
    at = int(f32(1.5) + f32(LOW_HZ) / hz_per_bin)
    starts, weights, complements = [at], [], []
    for channel, centre in enumerate(centres):
        below = low if channel == 0 else centres[channel - 1]
        while mel(f32(at) * hz_per_bin) <= centre:
            weight = f32(f32(centre - mel(f32(at) * hz_per_bin)) / f32(centre - below))
            weights.append(int(np.floor(weight * f32(1 << WEIGHT_BITS) + f32(0.5))))
            complements.append(int(np.floor((f32(1) - weight) * f32(1 << WEIGHT_BITS) + f32(0.5))))
            at += 1
        starts.append(at)
    return np.array(weights, np.int16), np.array(complements, np.int16), np.array(starts, np.int16)


def gain() -> NDArray[Any]:
    """The gain of PCAN by noise level: two values, then three of a parabola per octave and one unused: shape (126,)."""
    import numpy as np

    f32 = np.float32

    def at(x: int) -> int:
        noise = f32(x) / f32(1 << (SMOOTHING_BITS - CORRECTION_BITS))
        value = f32(1 << GAIN_BITS) * np.power(f32(noise + f32(OFFSET)), f32(-STRENGTH))
        return 0x7FFF if value > 0x7FFF else int(f32(value + f32(0.5)))

    found = [at(0), at(1)]
    for octave in range(2, 33):
        x0 = 1 << (octave - 1)
        y0, y1, y2 = at(x0), at(x0 + (x0 >> 1)), at(2 * x0 - (octave == 32))
        slope = 4 * (y1 - y0) - (y2 - y0)
        found += [y0, slope, y2 - y0 - slope, 0]
    return np.array(found, np.int16)


def tables() -> dict[str, tuple[str, NDArray[Any]]]:
    import numpy as np

    f32 = np.float32
    step = f32(np.pi) * f32(2.0) / f32(WINDOW)
    hann = f32(0.5) - f32(0.5) * np.cos(step * (np.arange(WINDOW, dtype=np.float32) + f32(0.5)))
    weight, complement, starts = mel_weights()
    i = np.arange(POINTS)
    return {
        "hann": ("int16_t", np.floor(hann * f32(1 << 12) + f32(0.5)).astype(np.int16)),
        "turn": ("int16_t", _q15(-2 * np.pi * i[: 3 * POINTS // 4] / POINTS).reshape(-1)),
        "half_turn": ("int16_t", _q15(-np.pi * ((i[: POINTS // 2] + 1) / POINTS + 0.5)).reshape(-1)),
        "order": ("uint8_t", order()),
        "mel_weight": ("int16_t", weight),
        "mel_complement": ("int16_t", complement),
        "mel_start": ("int16_t", starts),
        "gain": ("int16_t", gain()),
        "log_deviation": ("uint16_t", log_deviation()),
    }


def scaling(scale: float, zero_point: int) -> dict[str, int]:
    """Steps of the model's input per unit of the front end, in 2^-20, checked against rounding in floating point."""
    import numpy as np

    steps = round(FEATURE_STEP / scale * (1 << FEATURE_SHIFT))
    raw = np.arange(2048)
    wanted = np.round(raw * FEATURE_STEP / np.float64(np.float32(scale)))
    if not np.array_equal(raw * steps + (1 << (FEATURE_SHIFT - 1)) >> FEATURE_SHIFT, wanted) or 2048 * steps >= 1 << 32:
        raise InputError(
            f"front end micro: the input scale {scale:.4g} of the model does not suit its features, 0 to 26; "
            "was the model trained behind another front end?"
        )
    return {"STEPS": steps, "ZERO_POINT": zero_point}


MICRO = FrontEnd("micro", WINDOW, HOP, "micro.c", tables, scaling, delay=WINDOW // HOP - 1)
