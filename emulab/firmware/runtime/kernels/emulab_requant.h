/* SPDX-License-Identifier: MIT-0 */
/* From an int32 accumulator to an int8 output, per channel. */
#ifndef EMULAB_REQUANT_H
#define EMULAB_REQUANT_H

#include "emulab_fixed.h"
#include "emulab_kernels.h"

/* For a value that cannot be negative unless the clamp removes it, the rounding half away from zero is half up, and
 * both roundings become one add: floor((floor(a / b) + c) / d) = floor((a + b c) / (b d)). */
static inline int32_t emulab_requant_fast_relu(int32_t acc, const emulab_channel *c)
{
    return emulab_high_mul_add_doubled(acc, c->multiplier, c->round) >> c->shift;
}

static inline int32_t emulab_requant_fast(int32_t acc, const emulab_channel *c)
{
    const int32_t x = emulab_high_mul_add_doubled(acc, c->multiplier, 0);
    return (x + (x >> 31) + c->round) >> c->shift;
}

/* The fast modes leave the result high by 127 - act_max, so that saturation to int8 clamps it from above. */
static inline int8_t emulab_requant_s8(int32_t acc, const emulab_channel *c, int32_t mode, int32_t zero, int32_t low,
                                       int32_t high)
{
    int32_t x;
    if (mode == EMULAB_REQUANT_FAST_RELU) {
        x = emulab_requant_fast_relu(acc, c) - 127 + high;
    } else if (mode == EMULAB_REQUANT_FAST) {
        x = emulab_requant_fast(acc, c) - 127 + high;
    } else {
        x = emulab_scale(acc, c->multiplier, c->shift) + zero;
    }
    return (int8_t)emulab_clamp(x, low, high);
}

#endif
