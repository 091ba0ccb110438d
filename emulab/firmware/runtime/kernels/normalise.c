/* SPDX-License-Identifier: MIT-0 */
/* L2_NORMALIZATION and LOG_SOFTMAX of rows. */
#include <math.h>

#include "emulab_elementwise.h"
#include "emulab_fixed.h"

/* v * 2^bits, saturated. */
static int32_t saturated(int32_t v, int32_t bits)
{
    const int64_t x = (int64_t)v << bits;
    return x > INT32_MAX ? INT32_MAX : (x < INT32_MIN ? INT32_MIN : (int32_t)x);
}

/* 1 / sqrt(x) as a multiplier and a shift, by five Newton-Raphson steps from 1: the reference's order of rounding. */
static int32_t inverse_square_root(int32_t x, int32_t *shift)
{
    if (x <= 1) {
        *shift = 0;
        return INT32_MAX;
    }
    int32_t right = 11;
    for (; x >= 1 << 29; x /= 4) {
        right++;
    }
    const int32_t pairs = (__builtin_clz((uint32_t)x) - 1) / 2 - 1;
    right -= pairs;
    x <<= 2 * pairs;
    const int32_t half = emulab_round_shift(x >> 1, 1), half_three = (1 << 28) + (1 << 27);
    int32_t root = 1 << 28;
    for (int32_t i = 0; i < 5; i++) {
        const int32_t cube = saturated(emulab_high_mul(emulab_high_mul(root, root), root), 6);
        root = saturated(emulab_high_mul(half_three, root) - emulab_high_mul(half, cube), 3);
    }
    root = emulab_high_mul(root, 1518500250); /* sqrt(1/2) */
    *shift = right < 0 ? 0 : -right;
    return right < 0 ? (int32_t)((uint32_t)root << -right) : root;
}

void emulab_l2_normalization_s8(int32_t rows, int32_t n, int32_t zero, const int8_t *in, int8_t *out)
{
    for (int32_t row = 0; row < rows; row++, in += n, out += n) {
        int32_t sum = 0, shift;
        for (int32_t i = 0; i < n; i++) {
            sum += (in[i] - zero) * (in[i] - zero);
        }
        const int32_t multiplier = inverse_square_root(sum, &shift);
        for (int32_t i = 0; i < n; i++) {
            out[i] = (int8_t)emulab_clamp(emulab_scale(in[i] - zero, multiplier, shift + 7), -128, 127);
        }
    }
}

void emulab_l2_normalization_f32(int32_t rows, int32_t n, const float *in, float *out)
{
    for (int32_t row = 0; row < rows; row++, in += n, out += n) {
        float sum = 0.0f;
        for (int32_t i = 0; i < n; i++) {
            sum += in[i] * in[i];
        }
        const float norm = sqrtf(sum);
        for (int32_t i = 0; i < n; i++) {
            out[i] = in[i] / (norm > 1e-6f ? norm : 1e-6f);
        }
    }
}

void emulab_log_softmax_f32(int32_t rows, int32_t n, const float *in, float *out)
{
    for (int32_t row = 0; row < rows; row++, in += n, out += n) {
        float max = in[0], sum = 0.0f;
        for (int32_t i = 1; i < n; i++) {
            max = in[i] > max ? in[i] : max;
        }
        for (int32_t i = 0; i < n; i++) {
            sum += expf(in[i] - max);
        }
        const float log_sum = logf(sum);
        for (int32_t i = 0; i < n; i++) {
            out[i] = in[i] - max - log_sum;
        }
    }
}
