/* SPDX-License-Identifier: MIT-0 */
/* SOFTMAX on int8 in integer arithmetic.
 *
 * The exponential of x <= 0 in Q5.26 is taken as exp(r) with r in (-1/4, 0] by a polynomial around -1/8, times
 * exp(-2^k) for every bit k of the rest; the reciprocal is Newton-Raphson on 1/(1 + x). These are the algorithms of
 * the gemmlowp fixed-point library that defines the reference arithmetic, in their published order of rounding. */
#include "emulab_fixed.h"
#include "emulab_kernels.h"

/* exp(x) in Q0.31 of x in Q0.31, -1/4 <= x < 0: fourth-order Taylor series at -1/8. */
static int32_t exp_small(int32_t x)
{
    const int32_t one_eighth_exp = 1895147668; /* exp(-1/8) */
    const int32_t one_third = 715827883;
    const int32_t y = x + (1 << 28);
    const int32_t y2 = emulab_high_mul(y, y);
    const int32_t y3 = emulab_high_mul(y2, y);
    const int32_t y4 = emulab_high_mul(y2, y2);
    const int32_t y4_4 = emulab_round_shift(y4, 2);
    const int32_t tail = emulab_round_shift(emulab_high_mul(y4_4 + y3, one_third) + y2, 1);
    return one_eighth_exp + emulab_high_mul(one_eighth_exp, y + tail);
}

/* exp(x) in Q0.31 of x <= 0 in Q5.26. */
static int32_t exp_negative(int32_t x)
{
    static const int32_t factor[] = {/* exp(-2^k), k = -2..4, in Q0.31 */
                                     1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    const int32_t r = (x & (quarter - 1)) - quarter;
    const int32_t rest = r - x;
    int32_t result = exp_small((int32_t)((uint32_t)r << 5));
    for (int32_t k = 0; k < 7; k++) {
        if (rest & (1 << (24 + k))) {
            result = emulab_high_mul(result, factor[k]);
        }
    }
    return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x) in Q0.31 of x in Q0.31, 0 <= x < 1. */
static int32_t one_over_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1);
    const int32_t c48_17 = 1515870810, c32_17 = -1010580540; /* Q2.29 */
    int32_t v = c48_17 + emulab_high_mul(half, c32_17);
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - emulab_high_mul(half, v);
        const int32_t step = emulab_high_mul(v, error); /* Q4.27 */
        const int64_t scaled = (int64_t)step * 4;
        v += scaled > INT32_MAX ? INT32_MAX : (scaled < INT32_MIN ? INT32_MIN : (int32_t)scaled);
    }
    const int64_t doubled = (int64_t)v * 2;
    return doubled > INT32_MAX ? INT32_MAX : (doubled < INT32_MIN ? INT32_MIN : (int32_t)doubled);
}

static int32_t exponential(const emulab_softmax_s8_params *p, int32_t diff)
{
    return exp_negative(emulab_high_mul((int32_t)((uint32_t)diff << p->left_shift), p->multiplier));
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
        const int32_t reciprocal = one_over_one_plus(fraction);
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
