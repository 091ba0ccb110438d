"""Tables of ``lfbe``: log-mel filter-bank energies as the MLPerf Tiny streaming wake word reference computes them.

Parameters from mlcommons/tiny, benchmark/training/streaming_wakeword (get_dataset.py, str_ww_util.py): 64 ms window,
32 ms hop, pre-emphasis 1 - 2^-5, symmetric Hamming window, power spectrum over 1024 points divided by 1024, 40 triangles
on the HTK mel scale from 0 to 8 kHz without the DC bin, 10 log10, plus 52 dB, over 64 dB, clipped to 0..1, cut off to int8.

Fixed point, with full-scale 2^15: the windowed frame in 2^-8 of a sample step, a complex FFT of 512 points that halves
in each of its four radix-4 passes, power in 64 bits less 16, weights in Q15. A mel energy M is 2^47 M.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulab.firmware.audio import CHANNELS, SAMPLE_HZ, FrontEnd

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW, HOP, POINTS = 1024, 512, 512
ENERGY_BITS = 47
OFFSET_DB, RANGE_DB = 52.0, 64.0
DB_PER_OCTAVE = 3.010299956639812  # 10 log10(2)


def order() -> NDArray[Any]:
    """Which input goes where before the passes of radix 2, 4, 4, 4, 4: shape (512,)."""
    import numpy as np

    def split(indices: NDArray[Any], radices: tuple[int, ...]) -> NDArray[Any]:
        if not radices:
            return indices
        first, rest = radices[0], radices[1:]
        return np.concatenate([split(indices[i::first], rest) for i in range(first)])

    return split(np.arange(POINTS, dtype=np.uint16), (4, 4, 4, 4, 2))


def log_deviation() -> NDArray[Any]:
    """65536 (log2(1 + x) - x) at x = 0, 1/128, ..., 1, and one more zero: shape (130,)."""
    import numpy as np

    x = np.arange(129) / 128
    return np.append(np.floor(65536 * (np.log2(1 + x) - x) + 0.5), 0).astype(np.uint16)


def mel_weights() -> tuple[NDArray[Any], NDArray[Any]]:
    """(weight of each bin in the filter above it, Q15; first bin of each of the 41 spans between filter centres)."""
    import numpy as np

    def mel(hz: Any) -> Any:
        return 1127.0 * np.log1p(hz / 700.0)

    edges = np.linspace(0.0, mel(SAMPLE_HZ / 2), CHANNELS + 2)
    bins = mel(np.arange(POINTS) * (SAMPLE_HZ / WINDOW))
    span = np.clip(np.searchsorted(edges, bins, side="right") - 1, 0, CHANNELS)
    weight = (bins - edges[span]) / (edges[span + 1] - edges[span])
    starts = np.searchsorted(span, np.arange(CHANNELS + 2))
    starts[0] = 1  # not DC
    return np.round(weight * 32768).astype(np.uint16), starts.astype(np.uint16)


def turns() -> NDArray[Any]:
    """cos and sin of three quarters of a turn in steps of 1/1024, Q31: shape (768, 2)."""
    import numpy as np

    angle = 2 * np.pi * np.arange(3 * WINDOW // 4) / WINDOW
    parts = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2**31
    return np.clip(np.round(parts), -(2**31) + 1, 2**31 - 1).astype(np.int32)


def tables() -> dict[str, tuple[str, NDArray[Any]]]:
    import numpy as np

    n = np.arange(WINDOW)
    hamming = np.round((0.54 - 0.46 * np.cos(2 * np.pi * n / (WINDOW - 1))) * 2**31)
    turn = turns()
    passes = [turn[j * k * (WINDOW // (4 * m))] for m in (2, 8, 32, 128) for k in range(m) for j in (1, 2, 3)]
    weight, starts = mel_weights()
    return {
        "hamming": ("int32_t", np.minimum(hamming, 2**31 - 1).astype(np.int32)),
        "turn": ("int32_t", np.array(passes).reshape(-1)),
        "half_turn": ("int32_t", turn[1 : POINTS // 2 + 1].reshape(-1)),
        "place": ("uint8_t", (np.argsort(order())[: POINTS // 2] // 2).astype(np.uint8)),
        "mel_weight": ("uint16_t", weight),
        "mel_start": ("uint16_t", starts),
        "log_deviation": ("uint16_t", log_deviation()),
    }


def scaling(scale: float, zero_point: int) -> dict[str, int]:
    """Steps of the model's input per octave and at 2^0 of the fixed-point energy, in 2^-16; the largest value."""
    steps_per_db = 1 / (RANGE_DB * scale)
    return {
        "STEPS_PER_OCTAVE": round(DB_PER_OCTAVE * steps_per_db * 65536),
        "STEPS_AT_ONE": round((OFFSET_DB - ENERGY_BITS * DB_PER_OCTAVE) * steps_per_db * 65536),
        "STEPS_MOST": round(65536 / scale),
        "ZERO_POINT": zero_point,
    }


LFBE = FrontEnd("lfbe", WINDOW, HOP, "lfbe.c", tables, scaling)
