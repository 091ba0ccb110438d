/* SPDX-License-Identifier: MIT-0 */
/* MEAN, SUM, extremes and where they are, CUMSUM: over the middle one of three dimensions, [outer, n, inner]. */
#include "emulab_elementwise.h"
#include "emulab_fixed.h"

#define EMULAB_SCALED_SUM(name, type, low, high)                                                                       \
    void name(const emulab_mean_s8_params *p, const type *in, type *out)                                               \
    {                                                                                                                  \
        for (int32_t o = 0; o < p->outer; o++, in += p->n * p->inner) {                                                \
            for (int32_t i = 0; i < p->inner; i++) {                                                                   \
                int32_t sum = 0;                                                                                       \
                for (int32_t k = 0; k < p->n; k++) {                                                                   \
                    sum += in[k * p->inner + i];                                                                       \
                }                                                                                                      \
                const int32_t x = emulab_scale(sum - p->n * p->in_zero, p->multiplier, p->shift) + p->out_zero;        \
                *out++ = (type)emulab_clamp(x, low, high);                                                             \
            }                                                                                                          \
        }                                                                                                              \
    }
EMULAB_SCALED_SUM(emulab_mean_s8, int8_t, -128, 127)
EMULAB_SCALED_SUM(emulab_mean_s16, int16_t, -32768, 32767)

/* `result` begins as the first element, or `first`, and takes up each `x` by `expression`. */
#define EMULAB_REDUCE(name, type, first, from, expression, last)                                                       \
    void name(int32_t outer, int32_t n, int32_t inner, const type *in, type *out)                                      \
    {                                                                                                                  \
        for (int32_t o = 0; o < outer; o++, in += n * inner) {                                                         \
            for (int32_t i = 0; i < inner; i++) {                                                                      \
                type result = first;                                                                                   \
                for (int32_t k = from; k < n; k++) {                                                                   \
                    const type x = in[k * inner + i];                                                                  \
                    result = expression;                                                                               \
                }                                                                                                      \
                *out++ = last;                                                                                         \
            }                                                                                                          \
        }                                                                                                              \
    }
EMULAB_REDUCE(emulab_mean_f32, float, 0.0f, 0, result + x, result / (float)n)
EMULAB_REDUCE(emulab_sum_f32, float, 0.0f, 0, result + x, result)
EMULAB_REDUCE(emulab_reduce_max_f32, float, in[i], 1, x > result ? x : result, result)
EMULAB_REDUCE(emulab_reduce_min_f32, float, in[i], 1, x < result ? x : result, result)
EMULAB_REDUCE(emulab_reduce_max_s8, int8_t, in[i], 1, x > result ? x : result, result)
EMULAB_REDUCE(emulab_reduce_min_s8, int8_t, in[i], 1, x < result ? x : result, result)

#define EMULAB_ARG(name, type, operator)                                                                               \
    void name(int32_t outer, int32_t n, int32_t inner, const type *in, int32_t *out)                                   \
    {                                                                                                                  \
        for (int32_t o = 0; o < outer; o++, in += n * inner) {                                                         \
            for (int32_t i = 0; i < inner; i++) {                                                                      \
                int32_t best = 0;                                                                                      \
                for (int32_t k = 1; k < n; k++) {                                                                      \
                    best = in[k * inner + i] operator in[best * inner + i] ? k : best;                                 \
                }                                                                                                      \
                *out++ = best;                                                                                         \
            }                                                                                                          \
        }                                                                                                              \
    }
EMULAB_ARG(emulab_arg_max_s8, int8_t, >)
EMULAB_ARG(emulab_arg_max_f32, float, >)
EMULAB_ARG(emulab_arg_min_s8, int8_t, <)
EMULAB_ARG(emulab_arg_min_f32, float, <)

void emulab_cumsum_f32(int32_t outer, int32_t n, int32_t inner, int32_t exclusive, int32_t reverse, const float *in,
                       float *out)
{
    for (int32_t o = 0; o < outer; o++, in += n * inner, out += n * inner) {
        for (int32_t i = 0; i < inner; i++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < n; k++) {
                const int32_t at = (reverse ? n - 1 - k : k) * inner + i;
                const float before = sum;
                sum += in[at];
                out[at] = exclusive ? before : sum;
            }
        }
    }
}
