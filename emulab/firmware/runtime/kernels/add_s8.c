/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB and MUL on int8 tensors of equal shape or with one scalar operand. */
#include "emulab_fixed.h"
#include "emulab_elementwise.h"

/* x * multiplier / 2^(31 + shift) of |x| < 2^30, plus `round`, which holds half a unit; not rounding for shift 0. */
static inline int32_t scale_fast(int32_t x, int32_t multiplier, int32_t shift, int32_t round, int32_t rounds)
{
    x = emulab_high_mul_add_doubled(x, multiplier, 0);
    return rounds ? (x + (x >> 31) + round) >> shift : x;
}

/* Multipliers of at most one for all three, and below one half for the output: whatever a converter writes. */
static inline __attribute__((always_inline)) void add_fast(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                            int32_t step_b, int8_t *out, int32_t rounds_a, int32_t rounds_b, int32_t subtract)
{
    const int32_t zero_a = p->zero_a, multiplier_a = p->multiplier_a, shift_a = -p->shift_a;
    const int32_t zero_b = p->zero_b, multiplier_b = p->multiplier_b, shift_b = -p->shift_b;
    const int32_t multiplier = p->multiplier_out, shift = -p->shift_out;
    const int32_t half_a = rounds_a ? 1 << (shift_a - 1) : 0, half_b = rounds_b ? 1 << (shift_b - 1) : 0;
    const int32_t round = (1 << (shift - 1)) + p->out_zero * (1 << shift);
    int8_t *const first = out;
    const int32_t count = n;
    EMULAB_NO_UNROLL
    for (; n > 0; n--, a += step_a, b += step_b) {
        const int32_t va = scale_fast((*a - zero_a) * (1 << 20), multiplier_a, shift_a, half_a, rounds_a);
        const int32_t vb = scale_fast((*b - zero_b) * (1 << 20), multiplier_b, shift_b, half_b, rounds_b);
        const int32_t x = scale_fast(subtract ? va - vb : va + vb, multiplier, shift, round, 1);
        *out++ = (int8_t)emulab_saturate_s8(x);
    }
    if (p->act_min > -128 || p->act_max < 127) {
        for (int32_t i = 0; i < count; i++) {
            first[i] = (int8_t)emulab_clamp(first[i], p->act_min, p->act_max);
        }
    }
}

/* A step of 0 holds a scalar operand still. SUB comes as an addition whose second multiplier is negated. */
void emulab_add_s8(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out)
{
    /* The inputs' shifts are 0 for the larger scale, and at least 1 for the other if it is less than half of that. */
    if (p->left_shift == 20 && p->shift_out <= -1 && p->shift_out >= -20 && p->shift_a > -20 && p->shift_b > -20) {
        if (p->subtract) {
            if (p->shift_a == 0 && p->shift_b == 0) {
                add_fast(p, n, a, step_a, b, step_b, out, 0, 0, 1);
                return;
            }
        } else if (p->shift_a == 0) {
            if (p->shift_b == 0) {
                add_fast(p, n, a, step_a, b, step_b, out, 0, 0, 0);
            } else {
                add_fast(p, n, a, step_a, b, step_b, out, 0, 1, 0);
            }
            return;
        } else if (p->shift_b == 0) {
            add_fast(p, n, a, step_a, b, step_b, out, 1, 0, 0);
            return;
        }
    }
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t va = emulab_scale((int32_t)((uint32_t)(*a - p->zero_a) << p->left_shift), p->multiplier_a, p->shift_a);
        const int32_t vb = emulab_scale((int32_t)((uint32_t)(*b - p->zero_b) << p->left_shift), p->multiplier_b, p->shift_b);
        const int32_t sum = p->subtract ? va - vb : va + vb;
        const int32_t x = emulab_scale(sum, p->multiplier_out, p->shift_out) + p->out_zero;
        out[i] = (int8_t)emulab_clamp(x, p->act_min, p->act_max);
    }
}

void emulab_mul_s8(const emulab_mul_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t product = (*a - p->zero_a) * (*b - p->zero_b);
        const int32_t x = emulab_scale(product, p->multiplier, p->shift) + p->out_zero;
        out[i] = (int8_t)emulab_clamp(x, p->act_min, p->act_max);
    }
}
