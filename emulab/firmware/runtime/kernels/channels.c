/* SPDX-License-Identifier: MIT-0 */
/* Packed requantisation parameters to rows, for all kernels that keep rows for a while. */
#include "emulab_requant.h"

void emulab_unpack_channels(const emulab_packed_channels *p, int32_t first, int32_t count, emulab_channel *to)
{
    const int32_t exact = p->mode == EMULAB_REQUANT_EXACT, step = p->shared ? 0 : 1;
    const int32_t *bias = p->bias + first, *multiplier = p->multiplier + step * first;
    const int8_t *from = p->shift + step * first;
    const uint32_t above = (uint32_t)p->above;
    EMULAB_NO_UNROLL
    for (; count > 0; count--, multiplier += step, from += step, to++) {
        const int32_t shift = *from;
        to->bias = *bias++;
        to->multiplier = *multiplier;
        to->round = exact ? 0 : (int32_t)((1u << shift >> 1) + (above << shift));
        to->shift = shift;
    }
}
