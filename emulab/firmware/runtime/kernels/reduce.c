/* SPDX-License-Identifier: MIT-0 */
/* MEAN and ARG_MAX over the middle one of three dimensions: [outer, n, inner]. */
#include "emulab_elementwise.h"
#include "emulab_fixed.h"

void emulab_mean_s8(const emulab_mean_s8_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t o = 0; o < p->outer; o++, in += p->n * p->inner) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < p->n; k++) {
                sum += in[k * p->inner + i];
            }
            const int32_t x = emulab_scale(sum - p->n * p->in_zero, p->multiplier, p->shift) + p->out_zero;
            *out++ = (int8_t)emulab_clamp(x, -128, 127);
        }
    }
}

void emulab_mean_f32(int32_t outer, int32_t n, int32_t inner, const float *in, float *out)
{
    for (int32_t o = 0; o < outer; o++, in += n * inner) {
        for (int32_t i = 0; i < inner; i++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < n; k++) {
                sum += in[k * inner + i];
            }
            *out++ = sum / (float)n;
        }
    }
}

void emulab_arg_max_s8(int32_t outer, int32_t n, int32_t inner, const int8_t *in, int32_t *out)
{
    for (int32_t o = 0; o < outer; o++, in += n * inner) {
        for (int32_t i = 0; i < inner; i++) {
            int32_t best = 0;
            for (int32_t k = 1; k < n; k++) {
                best = in[k * inner + i] > in[best * inner + i] ? k : best;
            }
            *out++ = best;
        }
    }
}

void emulab_arg_max_f32(int32_t outer, int32_t n, int32_t inner, const float *in, int32_t *out)
{
    for (int32_t o = 0; o < outer; o++, in += n * inner) {
        for (int32_t i = 0; i < inner; i++) {
            int32_t best = 0;
            for (int32_t k = 1; k < n; k++) {
                best = in[k * inner + i] > in[best * inner + i] ? k : best;
            }
            *out++ = best;
        }
    }
}
