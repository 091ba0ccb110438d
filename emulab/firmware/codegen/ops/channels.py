"""Per-channel requantisation parameters and the proof of which requantisation path is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import Multiplier, quantize_multiplier, scale, wrap32
from emulab.firmware.codegen.graph import Tensor
from emulab.firmware.codegen.lowering import quantised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT, FAST, FAST_RELU = "EMULAB_REQUANT_EXACT", "EMULAB_REQUANT_FAST", "EMULAB_REQUANT_FAST_RELU"
MAX_FAST_SHIFT = 20


@dataclass(frozen=True)
class Channels:
    """`table`: int32 [channels, 4] of bias, multiplier, round, shift; `mode`: requantisation path.

    `silent`: channels whose weights must be taken for zeros, because their output is the same for every input and no
    multiplier of the fast paths would do.
    """

    table: NDArray[np.int32]
    mode: str
    silent: tuple[int, ...] = ()

    @property
    def uniform(self) -> bool:
        """Whether all channels have one multiplier and shift."""
        return len(self.table) > 0 and bool((self.table[:, 1:] == self.table[0, 1:]).all())


def convolution_multipliers(x: Tensor, w: Tensor, y: Tensor, channels: int, axis: int) -> list[Multiplier]:
    """One multiplier per output channel, input scale times weight scale over output scale, in double precision."""
    q = quantised(w)
    if len(q.scales) not in (1, channels):
        raise InputError(f"tensor {w.name!r} has {len(q.scales)} scales for {channels} output channels")
    if len(q.scales) > 1 and q.axis != axis:
        raise InputError(f"tensor {w.name!r} is quantised along dimension {q.axis}, expected {axis}")
    scales = q.scales if len(q.scales) == channels else q.scales * channels
    return [quantize_multiplier(x.scale * s / y.scale) for s in scales]


def bias_values(bias: Tensor | None, channels: int) -> list[int]:
    """The bias as Python integers, zeros where there is none."""
    from emulab.firmware.codegen.graph import DType

    if bias is None:
        return [0] * channels
    if bias.dtype is not DType.INT32 or bias.elements != channels:
        raise InputError(f"bias {bias.name!r} is {bias.dtype.name} {list(bias.shape)}, expected INT32 [{channels}]")
    return [int(b) for b in bias.array().reshape(-1)]


def channel_table(
    weights: NDArray[np.generic],
    bias: list[int],
    multipliers: list[Multiplier],
    x_zero: int,
    y_zero: int,
    act: tuple[int, int],
) -> Channels:
    """Fold the input zero point into the bias and choose the requantisation path.

    `weights`: [channels, taps], zero point already removed. The fast paths need every accumulator, for any int8
    input, below 2^30 in magnitude, and multipliers of at most one (half, without RELU).
    """
    import numpy as np

    relu = act[0] >= y_zero
    above = y_zero + 127 - act[1]
    constant = constant_outputs(weights, bias, multipliers, x_zero, y_zero, act)
    fast = np.zeros((len(bias), 4), np.int32)
    exact = np.zeros((len(bias), 4), np.int32)
    silent = []
    all_fast = abs(above) <= 1024  # of a zero point that int8 can hold: 382 at most
    for i, (low, f, high) in enumerate(_accumulators(weights, bias, x_zero)):
        m = multipliers[i]
        exact[i] = (wrap32(f), m.value, 0, m.shift)
        if not all_fast:
            continue
        right = -m.shift
        if low > -(2**30) and high < 2**30 and (0 if relu else 1) <= right <= MAX_FAST_SHIFT:
            fast[i] = (f, m.value, ((1 << right) >> 1) + (above << right), right)
        elif i in constant:  # so an extreme multiplier, common in channels that trained to nothing, does no harm
            silent.append(i)
            fast[i] = (4 * (constant[i] - y_zero), 1 << 30, 1 + (above << 1), 1)  # a quarter of the bias, exactly
        else:
            all_fast = False
    if not all_fast:
        return Channels(exact, EXACT)
    return Channels(fast, FAST_RELU if relu else FAST, tuple(silent))


def constant_outputs(
    weights: NDArray[np.generic],
    bias: list[int],
    multipliers: list[Multiplier],
    x_zero: int,
    y_zero: int,
    act: tuple[int, int],
) -> dict[int, int]:
    """Channels that give one output whatever the int8 input, and that output.

    Outputs rise with the accumulator, so a channel whose two extremes give the same output always gives it.
    """
    result = {}
    for i, (low, _, high) in enumerate(_accumulators(weights, bias, x_zero)):
        m = multipliers[i]
        room = 2**31 >> max(m.shift, 0)
        if -room <= low and high < room:  # nothing wraps around
            ends = [min(max(scale(a, m) + y_zero, act[0]), act[1]) for a in (low, high)]
            if ends[0] == ends[1]:
                result[i] = ends[0]
    return result


def _accumulators(weights: NDArray[np.generic], bias: list[int], x_zero: int) -> list[tuple[int, int, int]]:
    """Per channel the least accumulator, the one of an input of zeros (the folded bias), and the greatest."""
    import numpy as np

    w = weights.astype(np.int64)
    up = (127 * np.maximum(w, 0) - 128 * np.minimum(w, 0)).sum(axis=1)
    down = (127 * np.minimum(w, 0) - 128 * np.maximum(w, 0)).sum(axis=1)
    folded = [b - x_zero * int(s) for b, s in zip(bias, w.sum(axis=1), strict=True)]
    return [(f + int(d), f, f + int(u)) for f, d, u in zip(folded, down, up, strict=True)]
