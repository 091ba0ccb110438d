/* SPDX-License-Identifier: MIT-0 */
/* From an int32 accumulator to an int8 output, per channel. */
#ifndef EMULAB_REQUANT_H
#define EMULAB_REQUANT_H

#include "emulab_fixed.h"
#include "emulab_kernels.h"

/* Channels as they are kept where a kernel needs each only once a layer: `n` biases, `n` multipliers, `n` shifts of a
 * byte; where one multiplier and shift serve all, a single one of each. */
typedef struct {
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int32_t shared, mode;
    int32_t above; /* output zero point plus 127 - act_max */
} emulab_packed_channels;

static inline emulab_packed_channels emulab_packed(const int32_t *table, int32_t n, int32_t shared, int32_t mode,
                                                   int32_t above)
{
    const int32_t *const multiplier = table + n;
    const emulab_packed_channels packed = {
        table, multiplier, (const int8_t *)(const void *)(multiplier + (shared ? 1 : n)), shared, mode, above};
    return packed;
}

/* `count` channels from the `first` on, as rows. */
void emulab_unpack_channels(const emulab_packed_channels *p, int32_t first, int32_t count, emulab_channel *to);

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

/* A fast mode where nothing but int8 bounds the output. */
static inline int8_t emulab_requant_usual_s8(int32_t acc, const emulab_channel *c, int32_t relu)
{
    return (int8_t)emulab_saturate_s8(relu ? emulab_requant_fast_relu(acc, c) : emulab_requant_fast(acc, c));
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
