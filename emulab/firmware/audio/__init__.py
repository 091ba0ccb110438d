"""Audio front ends: from 16 kHz samples to the int8 features a model takes, in fixed point, the same on every core.

``lfbe`` is the front end of the MLPerf Tiny streaming wake word (log-mel energies); ``micro`` the one of microWakeWord and
of TensorFlow Lite Micro's speech examples (noise reduction, PCAN, log). Tables are computed here, C from
``runtime/audio`` uses them on the device, and :mod:`emulab.quality.audio` does the same arithmetic in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_HZ = 16_000
CHANNELS = 40


@dataclass(frozen=True)
class FrontEnd:
    """One front end. ``hop`` samples go in, ``channels`` features come out, of a window of ``window`` samples."""

    name: str
    window: int
    hop: int
    source: str
    """C file of ``runtime/audio``."""
    tables: Callable[[], dict[str, tuple[str, NDArray[Any]]]]
    """Table name -> (C type, values)."""
    scaling: Callable[[float, int], dict[str, int]]
    """Input scale and zero point of the model -> constants that turn a feature into its int8 value."""
    delay: int = 0
    """Hops before the first features, while the window fills; 0 where it starts with silence."""
    sample_hz: int = SAMPLE_HZ
    channels: int = CHANNELS

    @property
    def hop_s(self) -> float:
        return self.hop / self.sample_hz


def front_end(name: str) -> FrontEnd:
    """The front end called *name*; InputError for a name that is none."""
    from emulab.firmware.audio import lfbe, micro

    known = {"lfbe": lfbe.LFBE, "micro": micro.MICRO}
    if name not in known:
        raise InputError(f"front end {name!r} is unknown; known: {', '.join(known)}")
    return known[name]
