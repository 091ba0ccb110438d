/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB and MUL on int8 tensors of equal shape or with one scalar operand. */
#include "emulab_fixed.h"
#include "emulab_elementwise.h"

/* A step of 0 holds a scalar operand still. SUB comes as an addition whose second multiplier is negated. */
void emulab_add_s8(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out)
{
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
