"""Weights and requantisation parameters in the order the kernels of each target read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MVE_LANES = 16
"""Bytes of a Helium register."""

DEPTHWISE_LANES = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)
"""Channels in the lanes of the four sums that widening 16 products twice leaves: even and odd, low and high."""


def pad_last(values: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """Zeros appended along the last dimension."""
    import numpy as np

    widths = [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])]
    return np.pad(values, widths)


def interleave(
    weights: NDArray[np.generic], groups: int, steps: int, *, lanes: int = 4, together: int = 4
) -> NDArray[np.generic]:
    """[out_c, taps] to [out_c / together, steps, `together` channels, `lanes` taps].

    Zeros where a group is no multiple of 4 channels or the taps no multiple of `lanes`.
    """
    import numpy as np

    out_c, taps = weights.shape
    per_group = out_c // groups
    padded = np.zeros((groups, -(-per_group // 4) * 4, steps * lanes), np.int8)
    padded[:, :per_group, :taps] = weights.reshape(groups, per_group, taps)
    return np.ascontiguousarray(padded.reshape(-1, together, steps, lanes).transpose(0, 2, 1, 3))


def pad_groups(table: NDArray[np.int32], groups: int, unit: int = 4) -> NDArray[np.int32]:
    """The channel table with every group filled up to a multiple of `unit` channels."""
    import numpy as np

    per_group = len(table) // groups
    padded = np.zeros((groups, -(-per_group // unit) * unit, 4), np.int32)
    padded[:, :per_group] = table.reshape(groups, per_group, 4)
    return padded.reshape(-1, 4)


def packed_channels(table: NDArray[np.int32], *, shared: bool = False) -> NDArray[np.int32]:
    """Rows of a channel table as `emulab_unpack_channels` reads them: all biases, all multipliers, all shifts as bytes.

    Nine bytes a channel instead of sixteen, since `round` follows from the shift. `shared`: one multiplier and one shift
    stand for all channels, which leaves the four of the bias.
    """
    import numpy as np

    scales = table[:1] if shared else table
    shifts = pad_last(scales[:, 3].astype(np.int8), -(-len(scales) // 4) * 4).view(np.int32)
    return np.concatenate([table[:, 0], scales[:, 1], shifts])


def mve_channels(table: NDArray[np.int32], exact: bool, act_max: int) -> NDArray[np.int32]:
    """Rows of four channels, filled up, to [n / 4, 4 fields, 4 channels], as `emulab_mve.h` reads them.

    Shifts become those of VSHL, right is negative; the kernels clamp from above themselves.
    """
    import numpy as np

    fields = table.astype(np.int64)
    bias, multiplier, rounding, shift = fields.T
    if exact:
        rounding, shift = np.maximum(shift, 0), np.minimum(shift, 0)
    else:
        rounding, shift = rounding - ((127 - act_max) << shift), -shift
    packed = np.stack([bias, multiplier, rounding, shift], axis=1).astype(np.int32)
    return np.ascontiguousarray(packed.reshape(-1, 4, 4).transpose(0, 2, 1))


def planar(weights: NDArray[np.generic]) -> NDArray[np.generic]:
    """[3, 3, channels] to int16 [channels, 10]: the outer pairs of the three rows, then the middle column and a 0."""
    import numpy as np

    w = weights.astype(np.int16)
    zero = np.zeros_like(w[0, 0])
    order = [w[0, 0], w[0, 2], w[1, 0], w[1, 2], w[2, 0], w[2, 2], w[0, 1], w[1, 1], w[2, 1], zero]
    return np.ascontiguousarray(np.stack(order, axis=1)).view(np.int8)
