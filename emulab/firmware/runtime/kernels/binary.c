/* SPDX-License-Identifier: MIT-0 */
/* Two tensors, element by element: extremes, quotients, comparisons, logic, PRELU; a step of 0 holds an operand still. */
#include <math.h>

#include "emulab_elementwise.h"
#include "emulab_exponential.h"

#define EMULAB_BINARY(name, from, to, expression)                                                                      \
    void name(const void *p, int32_t n, const from *a, int32_t step_a, const from *b, int32_t step_b, to *out)         \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {                                                    \
            const from x = *a, y = *b;                                                                                 \
            out[i] = (to)(expression);                                                                                 \
        }                                                                                                              \
    }

#define EMULAB_EXTREMES(suffix, type)                                                                                  \
    EMULAB_BINARY(emulab_maximum_##suffix, type, type, x > y ? x : y)                                                  \
    EMULAB_BINARY(emulab_minimum_##suffix, type, type, x < y ? x : y)
EMULAB_EXTREMES(s8, int8_t)
EMULAB_EXTREMES(s16, int16_t)
EMULAB_EXTREMES(s32, int32_t)
EMULAB_EXTREMES(f32, float)

#define EMULAB_COMPARISONS(suffix, type)                                                                               \
    EMULAB_BINARY(emulab_equal_##suffix, type, uint8_t, x == y)                                                        \
    EMULAB_BINARY(emulab_not_equal_##suffix, type, uint8_t, x != y)                                                    \
    EMULAB_BINARY(emulab_greater_##suffix, type, uint8_t, x > y)                                                       \
    EMULAB_BINARY(emulab_greater_equal_##suffix, type, uint8_t, x >= y)                                                \
    EMULAB_BINARY(emulab_less_##suffix, type, uint8_t, x < y)                                                          \
    EMULAB_BINARY(emulab_less_equal_##suffix, type, uint8_t, x <= y)
EMULAB_COMPARISONS(s32, int32_t)
EMULAB_COMPARISONS(f32, float)
EMULAB_BINARY(emulab_equal_u8, uint8_t, uint8_t, x == y)
EMULAB_BINARY(emulab_not_equal_u8, uint8_t, uint8_t, x != y)

EMULAB_BINARY(emulab_logical_and_u8, uint8_t, uint8_t, x && y)
EMULAB_BINARY(emulab_logical_or_u8, uint8_t, uint8_t, x || y)

EMULAB_BINARY(emulab_add_s32, int32_t, int32_t, (uint32_t)x + (uint32_t)y)
EMULAB_BINARY(emulab_sub_s32, int32_t, int32_t, (uint32_t)x - (uint32_t)y)
EMULAB_BINARY(emulab_mul_s32, int32_t, int32_t, (uint32_t)x *(uint32_t)y)

EMULAB_BINARY(emulab_squared_difference_f32, float, float, (x - y) * (x - y))
EMULAB_BINARY(emulab_floor_div_f32, float, float, floorf(x / y))
EMULAB_BINARY(emulab_prelu_f32, float, float, x >= 0.0f ? x : x * y)

/* The remainder has the sign of the divisor. */
static float floor_mod(float x, float y)
{
    const float rest = fmodf(x, y);
    return rest != 0.0f && (y < 0.0f) != (rest < 0.0f) ? rest + y : rest;
}
EMULAB_BINARY(emulab_floor_mod_f32, float, float, floor_mod(x, y))

void emulab_div_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const float x = *a / *b;
        out[i] = x < p->act_min ? p->act_min : (x > p->act_max ? p->act_max : x);
    }
}

/* The quotient by the reciprocal of the divisor; of a division by zero the limit of the output's range. */
void emulab_div_s8(const emulab_mul_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        int32_t x = *a - p->zero_a, y = *b - p->zero_b;
        if (y == 0) {
            out[i] = (int8_t)(x < 0 ? p->act_min : p->act_max);
            continue;
        }
        if (y < 0) {
            x = -x;
            y = -y;
        }
        const int32_t leading = __builtin_clz((uint32_t)y);
        const int32_t reciprocal = emulab_one_over_one_plus((int32_t)(((uint32_t)y << leading) - (UINT32_C(1) << 31)));
        const int32_t headroom = __builtin_clrsb(x);
        const int32_t quotient = emulab_high_mul((int32_t)((uint32_t)x << headroom), reciprocal);
        const int32_t right = -p->shift + (31 - leading) + headroom;
        const int32_t scaled = emulab_high_mul(quotient, p->multiplier);
        const int32_t result = right > 31 ? 0 : emulab_round_shift(scaled, right);
        out[i] = (int8_t)emulab_clamp(result + p->out_zero, p->act_min, p->act_max);
    }
}

static int32_t common(int32_t x, int32_t zero, int32_t left_shift, int32_t multiplier, int32_t shift)
{
    return emulab_scale((x - zero) * (1 << left_shift), multiplier, shift);
}

void emulab_squared_difference_s8(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a,
                                  const int8_t *b, int32_t step_b, int8_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t difference = common(*a, p->zero_a, p->left_shift, p->multiplier_a, p->shift_a) -
                                   common(*b, p->zero_b, p->left_shift, p->multiplier_b, p->shift_b);
        const int32_t x = emulab_scale(difference * difference, p->multiplier_out, p->shift_out) + p->out_zero;
        out[i] = (int8_t)emulab_clamp(x, p->act_min, p->act_max);
    }
}

/* Both operands as real values, in units of 2^-8. */
#define EMULAB_SCALED_COMPARISON(name, operator)                                                                       \
    void name(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,              \
              int32_t step_b, uint8_t *out)                                                                            \
    {                                                                                                                  \
        for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {                                                    \
            out[i] = common(*a, p->zero_a, p->left_shift, p->multiplier_a, p->shift_a) operator                        \
                     common(*b, p->zero_b, p->left_shift, p->multiplier_b, p->shift_b);                                \
        }                                                                                                              \
    }
EMULAB_SCALED_COMPARISON(emulab_equal_s8, ==)
EMULAB_SCALED_COMPARISON(emulab_not_equal_s8, !=)
EMULAB_SCALED_COMPARISON(emulab_greater_s8, >)
EMULAB_SCALED_COMPARISON(emulab_greater_equal_s8, >=)
EMULAB_SCALED_COMPARISON(emulab_less_s8, <)
EMULAB_SCALED_COMPARISON(emulab_less_equal_s8, <=)

/* `multiplier_a` of what is not negative, `multiplier_b` of the product with the slope. */
void emulab_prelu_s8(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                     int32_t step_b, int8_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t x = *a - p->zero_a;
        const int32_t y = x >= 0 ? emulab_scale(x, p->multiplier_a, p->shift_a)
                                 : emulab_scale(x * (*b - p->zero_b), p->multiplier_b, p->shift_b);
        out[i] = (int8_t)emulab_clamp(y + p->out_zero, -128, 127);
    }
}
