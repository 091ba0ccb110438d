/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED on float. */
#include "emulab_kernels.h"

static inline float window_start(const emulab_conv_f32_params *p, int32_t channel)
{
    return p->bias ? p->bias[channel] : 0.0f;
}

static inline float window_dot(const emulab_conv_f32_params *p, const float *x, const float *w, int32_t n,
                               int32_t weight_zero)
{
    (void)p;
    (void)weight_zero;
    /* Four sums: less rounding error than one, and no chain of dependent additions. */
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += x[i] * w[i];
        s1 += x[i + 1] * w[i + 1];
        s2 += x[i + 2] * w[i + 2];
        s3 += x[i + 3] * w[i + 3];
    }
    for (; i < n; i++) {
        s0 += x[i] * w[i];
    }
    return (s0 + s1) + (s2 + s3);
}

static inline float window_finish(const emulab_conv_f32_params *p, float sum, int32_t channel)
{
    (void)channel;
    return sum < p->act_min ? p->act_min : (sum > p->act_max ? p->act_max : sum);
}

#define WINDOW_NAME(layer) emulab_##layer##_f32
#define WINDOW_PARAMS emulab_conv_f32_params
#define WINDOW_VALUE float
#define WINDOW_WEIGHT float
#define WINDOW_SUM float
#include "emulab_windows.h"
