/* SPDX-License-Identifier: MIT-0 */
/* SOFTMAX on int8 in integer arithmetic. */
#include "emulab_exponential.h"
#include "emulab_kernels.h"

static int32_t exponential(const emulab_softmax_s8_params *p, int32_t diff)
{
    return emulab_exp_negative(emulab_high_mul((int32_t)((uint32_t)diff << p->left_shift), p->multiplier));
}

/* A row's maximum, and the reciprocal of the sum of its exponentials, of `*bits` bits over one. */
static int32_t reciprocal_sum(const emulab_softmax_s8_params *p, const int8_t *in, int32_t *max, int32_t *bits)
{
    int32_t sum = 0;
    *max = -128;
    for (int32_t i = 0; i < p->n; i++) {
        *max = in[i] > *max ? in[i] : *max;
    }
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t diff = in[i] - *max;
        if (diff >= p->diff_min) {
            sum += emulab_round_shift(exponential(p, diff), 12);
        }
    }
    /* sum is in Q12.19, at least 1: normalise it to [1, 2) and invert. */
    const int32_t headroom = __builtin_clz((uint32_t)sum);
    *bits = 12 - headroom;
    return emulab_one_over_one_plus((int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31)));
}

#define EMULAB_SOFTMAX(name, type, width, low, high)                                                                   \
    void name(const emulab_softmax_s8_params *p, int32_t rows, const int8_t *in, type *out)                            \
    {                                                                                                                  \
        for (int32_t row = 0; row < rows; row++, in += p->n, out += p->n) {                                            \
            int32_t max, bits;                                                                                         \
            const int32_t reciprocal = reciprocal_sum(p, in, &max, &bits);                                             \
            for (int32_t i = 0; i < p->n; i++) {                                                                       \
                const int32_t diff = in[i] - max;                                                                      \
                int32_t x = low;                                                                                       \
                if (diff >= p->diff_min) {                                                                             \
                    const int32_t e = emulab_high_mul(reciprocal, exponential(p, diff));                               \
                    x = emulab_clamp(emulab_round_shift(e, bits + 31 - (width)) + (low), low, high);                   \
                }                                                                                                      \
                out[i] = (type)x;                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
EMULAB_SOFTMAX(emulab_softmax_s8, int8_t, 8, -128, 127)
EMULAB_SOFTMAX(emulab_softmax_s8_s16, int16_t, 16, -32768, 32767)
