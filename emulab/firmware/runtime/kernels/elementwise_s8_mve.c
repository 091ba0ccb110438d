/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB, MUL and table look-up on int8 for Helium: four or sixteen elements at a time. */
#include "emulab_elementwise.h"
#include "emulab_mve.h"

typedef struct {
    int32x4_t left, right, multiplier;
} scaling;

static inline scaling scaling_of(int32_t multiplier, int32_t shift)
{
    const scaling s = {vdupq_n_s32(shift > 0 ? shift : 0), vdupq_n_s32(shift > 0 ? 0 : shift), vdupq_n_s32(multiplier)};
    return s;
}

static inline int32x4_t scale(int32x4_t x, const scaling *s)
{
    return emulab_mve_round_shift(vqrdmulhq_s32(vshlq_s32(x, s->left), s->multiplier), s->right);
}

/* Four elements minus the zero point, or one element four times. */
static inline int32x4_t operand(const int8_t *x, int32_t step, int32_t zero, mve_pred16_t q)
{
    return step ? vaddq_n_s32(vldrbq_z_s32(x, q), -zero) : vdupq_n_s32(*x - zero);
}

static inline void store(int8_t *out, int32x4_t x, int32_t zero, int32x4_t low, int32x4_t high, mve_pred16_t q)
{
    vstrbq_p_s32(out, vminq_s32(vmaxq_s32(vaddq_n_s32(x, zero), low), high), q);
}

void emulab_add_s8_mve(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                       int32_t step_b, int8_t *out)
{
    const scaling sa = scaling_of(p->multiplier_a, p->shift_a), sb = scaling_of(p->multiplier_b, p->shift_b);
    const scaling so = scaling_of(p->multiplier_out, p->shift_out);
    const int32x4_t low = vdupq_n_s32(p->act_min), high = vdupq_n_s32(p->act_max), up = vdupq_n_s32(p->left_shift);
    for (; n > 0; n -= 4, a += 4 * step_a, b += 4 * step_b, out += 4) {
        const mve_pred16_t q = vctp32q((uint32_t)n);
        const int32x4_t va = scale(vshlq_s32(operand(a, step_a, p->zero_a, q), up), &sa);
        const int32x4_t vb = scale(vshlq_s32(operand(b, step_b, p->zero_b, q), up), &sb);
        store(out, scale(p->subtract ? vsubq_s32(va, vb) : vaddq_s32(va, vb), &so), p->out_zero, low, high, q);
    }
}

void emulab_mul_s8_mve(const emulab_mul_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                       int32_t step_b, int8_t *out)
{
    const scaling s = scaling_of(p->multiplier, p->shift);
    const int32x4_t low = vdupq_n_s32(p->act_min), high = vdupq_n_s32(p->act_max);
    for (; n > 0; n -= 4, a += 4 * step_a, b += 4 * step_b, out += 4) {
        const mve_pred16_t q = vctp32q((uint32_t)n);
        const int32x4_t product = vmulq_s32(operand(a, step_a, p->zero_a, q), operand(b, step_b, p->zero_b, q));
        store(out, scale(product, &s), p->out_zero, low, high, q);
    }
}

void emulab_lookup_8_mve(const int8_t *table, int32_t n, const int8_t *in, int8_t *out)
{
    for (; n > 0; n -= 16, in += 16, out += 16) {
        const mve_pred16_t q = vctp8q((uint32_t)n);
        const uint8x16_t index = vldrbq_z_u8((const uint8_t *)in, q);
        vstrbq_p_s8(out, vldrbq_gather_offset_z_s8(table, index, q), q);
    }
}
