/* SPDX-License-Identifier: MIT-0 */
/* Exponential and reciprocal in fixed point.
 *
 * The exponential of x <= 0 in Q5.26 is taken as exp(r) with r in (-1/4, 0] by a polynomial around -1/8, times
 * exp(-2^k) for every bit k of the rest; the reciprocal is Newton-Raphson on 1/(1 + x). These are the algorithms of
 * the gemmlowp fixed-point library that defines the reference arithmetic, in their published order of rounding. */
#ifndef EMULAB_EXPONENTIAL_H
#define EMULAB_EXPONENTIAL_H

#include "emulab_fixed.h"

/* exp(x) in Q0.31 of x in Q0.31, -1/4 <= x < 0: fourth-order Taylor series at -1/8. */
static inline int32_t emulab_exp_small(int32_t x)
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
static inline int32_t emulab_exp_negative(int32_t x)
{
    static const int32_t factor[] = {/* exp(-2^k), k = -2..4, in Q0.31 */
                                     1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    const int32_t r = (x & (quarter - 1)) - quarter;
    const int32_t rest = r - x;
    int32_t result = emulab_exp_small((int32_t)((uint32_t)r << 5));
    for (int32_t k = 0; k < 7; k++) {
        if (rest & (1 << (24 + k))) {
            result = emulab_high_mul(result, factor[k]);
        }
    }
    return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x) in Q0.31 of x in Q0.31, 0 <= x < 1. */
static inline int32_t emulab_one_over_one_plus(int32_t x)
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

#endif
