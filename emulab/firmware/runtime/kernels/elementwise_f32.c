/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB, MUL, activations and SOFTMAX on float. */
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
