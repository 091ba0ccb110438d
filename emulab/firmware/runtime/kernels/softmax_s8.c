/* SPDX-License-Identifier: MIT-0 */
/* SOFTMAX on int8 in integer arithmetic. */
#include "emulab_exponential.h"
#include "emulab_kernels.h"

static int32_t exponential(const emulab_softmax_s8_params *p, int32_t diff)
{
    return emulab_exp_negative(emulab_high_mul((int32_t)((uint32_t)diff << p->left_shift), p->multiplier));
}

void emulab_softmax_s8(const emulab_softmax_s8_params *p, int32_t rows, const int8_t *in, int8_t *out)
{
    for (int32_t row = 0; row < rows; row++, in += p->n, out += p->n) {
        int32_t max = -128, sum = 0;
        for (int32_t i = 0; i < p->n; i++) {
            max = in[i] > max ? in[i] : max;
        }
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t diff = in[i] - max;
            if (diff >= p->diff_min) {
                sum += emulab_round_shift(exponential(p, diff), 12);
            }
        }
        /* sum is in Q12.19, at least 1: normalise it to [1, 2) and invert. */
        int32_t headroom = 0;
        while (((uint32_t)sum << headroom) < (UINT32_C(1) << 31)) {
            headroom++;
        }
        const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31));
        const int32_t reciprocal = emulab_one_over_one_plus(fraction);
        const int32_t shift = 12 - headroom + 31 - 8;
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t diff = in[i] - max;
            int32_t x = -128;
            if (diff >= p->diff_min) {
                const int32_t e = exponential(p, diff);
                x = emulab_clamp(emulab_round_shift(emulab_high_mul(reciprocal, e), shift) - 128, -128, 127);
            }
            out[i] = (int8_t)x;
        }
    }
}
