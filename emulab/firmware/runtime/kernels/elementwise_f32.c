/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB, MUL, functions of one value and SOFTMAX on float. */
#include <math.h>

#include "emulab_elementwise.h"

static float clamp(float x, float low, float high)
{
    return x < low ? low : (x > high ? high : x);
}

void emulab_add_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        out[i] = clamp(*a + *b, p->act_min, p->act_max);
    }
}

void emulab_sub_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        out[i] = clamp(*a - *b, p->act_min, p->act_max);
    }
}

void emulab_mul_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        out[i] = clamp(*a * *b, p->act_min, p->act_max);
    }
}

#define EMULAB_UNARY(name, expression)                                                                                 \
    void name(int32_t n, const float *in, float *out)                                                                  \
    {                                                                                                                  \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            const float x = in[i];                                                                                     \
            out[i] = expression;                                                                                       \
        }                                                                                                              \
    }
EMULAB_UNARY(emulab_abs_f32, fabsf(x))
EMULAB_UNARY(emulab_neg_f32, -x)
EMULAB_UNARY(emulab_square_f32, x *x)
EMULAB_UNARY(emulab_sqrt_f32, sqrtf(x))
EMULAB_UNARY(emulab_rsqrt_f32, 1.0f / sqrtf(x))
EMULAB_UNARY(emulab_exp_f32, expf(x))
EMULAB_UNARY(emulab_log_f32, logf(x))
EMULAB_UNARY(emulab_floor_f32, floorf(x))
EMULAB_UNARY(emulab_ceil_f32, ceilf(x))
EMULAB_UNARY(emulab_round_f32, rintf(x))
EMULAB_UNARY(emulab_elu_f32, x < 0.0f ? expm1f(x) : x)
/* sqrt(2 / pi) (x + 0.044715 x^3) */
EMULAB_UNARY(emulab_gelu_f32, 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))))

/* The error function within 1.5e-7: Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26. */
static float error_function(float x)
{
    const float t = 1.0f / (1.0f + 0.3275911f * fabsf(x));
    const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    return copysignf(1.0f - p * expf(-x * x), x);
}
EMULAB_UNARY(emulab_gelu_exact_f32, 0.5f * x * (1.0f + error_function(0.70710678f * x)))

void emulab_clamp_f32(float low, float high, int32_t n, const float *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = clamp(in[i], low, high);
    }
}

void emulab_leaky_relu_f32(float alpha, int32_t n, const float *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = in[i] > 0.0f ? in[i] : alpha * in[i];
    }
}

void emulab_logistic_f32(int32_t n, const float *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        /* By the sign of x, so that the exponential never overflows. */
        const float e = expf(in[i] < 0.0f ? in[i] : -in[i]);
        out[i] = in[i] < 0.0f ? e / (1.0f + e) : 1.0f / (1.0f + e);
    }
}

void emulab_tanh_f32(int32_t n, const float *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = tanhf(in[i]);
    }
}

void emulab_hard_swish_f32(int32_t n, const float *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = in[i] * clamp(in[i] + 3.0f, 0.0f, 6.0f) / 6.0f;
    }
}

void emulab_softmax_f32(float beta, int32_t rows, int32_t n, const float *in, float *out)
{
    for (int32_t row = 0; row < rows; row++, in += n, out += n) {
        float max = in[0], sum = 0.0f;
        for (int32_t i = 1; i < n; i++) {
            max = in[i] > max ? in[i] : max;
        }
        for (int32_t i = 0; i < n; i++) {
            out[i] = expf((in[i] - max) * beta);
            sum += out[i];
        }
        for (int32_t i = 0; i < n; i++) {
            out[i] /= sum;
        }
    }
}
