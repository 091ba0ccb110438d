"""A user's own recording (WAV of any rate) as background noise of unit power at a sensor's rate."""

from __future__ import annotations

import struct
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_SAMPLES = 1 << 26


def read_background(path: Path, sample_hz: float) -> NDArray[Any]:
    """The first channel of *path* at *sample_hz*, without its mean, of unit mean power: (time,) float64.

    A higher rate is brought down through an ideal low-pass, as a sensor's anti-aliasing filter would. InputError for a
    file that is no PCM WAV of 8 to 32 bits, or is silent.
    """
    import numpy as np

    samples, rate = _read(path)
    count = max(2, round(len(samples) * sample_hz / rate))
    if count > MOST_SAMPLES:
        raise InputError.at(path, "", f"is longer than {MOST_SAMPLES} samples at {sample_hz:g} Hz")
    if count != len(samples):
        spectrum = np.fft.rfft(samples)[: count // 2 + 1]
        samples = np.fft.irfft(spectrum, count) * count / len(samples)
    samples = samples - samples.mean()
    power = float((samples**2).mean())
    if not power > 1e-12:
        raise InputError.at(path, "", "is silent: a background needs sound")
    result: NDArray[Any] = samples / np.sqrt(power)
    return result


def _read(path: Path) -> tuple[NDArray[Any], int]:
    """Samples of the first channel, full scale 1, and their rate."""
    import numpy as np

    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = (
                file.getnchannels(),
                file.getsampwidth(),
                file.getframerate(),
                file.getnframes(),
            )
            if not 1 <= width <= 4 or not channels or not rate or frames * channels > MOST_SAMPLES:
                raise InputError.at(
                    path, "", f"expected PCM of 8 to 32 bits, of at most {MOST_SAMPLES} samples in all channels"
                )
            data = file.readframes(frames)
    except (OSError, EOFError, RuntimeError, struct.error, wave.Error) as error:  # what `wave` says of damage
        raise InputError.at(path, "", f"not a WAV file: {error or 'it ends too early'}") from None
    raw = np.frombuffer(data[: len(data) // (width * channels) * width * channels], np.uint8).reshape(-1, width)
    raw = raw[::channels]
    if len(raw) < 16:
        raise InputError.at(path, "", f"holds {len(raw)} samples; a background needs at least 16")
    if width == 1:
        return (raw[:, 0].astype(np.float64) - 128) / 128, rate
    words = np.zeros((len(raw), 4), np.uint8)
    words[:, 4 - width :] = raw
    return words.reshape(-1).view("<i4").astype(np.float64) / 2**31, rate
