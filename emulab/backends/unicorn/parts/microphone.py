"""A digital microphone, or a player in its place: samples at its own rate, from the moment somebody listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Microphone:
    """Plays *samples* (1-D int16, *sample_hz* a second), then silence. ``start_s`` is when the first frame begins."""

    def __init__(self, samples: NDArray[Any], sample_hz: float) -> None:
        self.samples, self.sample_hz = samples, sample_hz
        self.start_s: float | None = None

    def due_s(self, count: int) -> float:
        """When the first *count* samples have all come."""
        return (self.start_s or 0.0) + count / self.sample_hz

    def take(self, first: int, count: int, slots: int = 1) -> bytes:
        """Samples *first* to *first* + *count* as little-endian int16, each *slots* times."""
        import numpy as np

        held = self.samples[first : first + count]
        return np.repeat(np.pad(held, (0, count - len(held))), slots).astype("<i2").tobytes()
