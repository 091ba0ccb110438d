/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of 16-bit activations and 8-bit weights. */
#include "emulab_fixed.h"
#include "emulab_int16.h"

static int16_t window_finish(const emulab_conv_s16_params *p, int64_t sum, int32_t channel)
{
    const int32_t multiplier = p->multiplier[channel], shift = p->shift[channel];
    int32_t x;
    sum += p->bias[channel];
    if (p->full) {
        x = emulab_scale((int32_t)sum, multiplier, shift);
    } else {
        const int32_t right = 15 - shift;
        x = (int32_t)((sum * multiplier + (INT64_C(1) << (right - 1))) >> right);
    }
    return (int16_t)emulab_clamp(x, p->act_min, p->act_max);
}

static inline int64_t window_start(const emulab_conv_s16_params *p, int32_t channel)
{
    (void)p;
    (void)channel;
    return 0;
}

static inline int32_t dot(const int16_t *x, const int8_t *w, int32_t n, int32_t weight_zero)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += x[i] * (w[i] + weight_zero);
    }
    return sum;
}

/* Sums of up to 256 products fit 32 bits whatever they are. */
static int64_t dot_wide(const int16_t *x, const int8_t *w, int32_t n, int32_t weight_zero)
{
    int64_t sum = 0;
    for (; n > 0; n -= 256, x += 256, w += 256) {
        sum += dot(x, w, n < 256 ? n : 256, weight_zero);
    }
    return sum;
}

static inline int64_t window_dot(const emulab_conv_s16_params *p, const int16_t *x, const int8_t *w, int32_t n,
                                 int32_t weight_zero)
{
    return p->wide ? dot_wide(x, w, n, weight_zero) : dot(x, w, n, weight_zero);
}

#define WINDOW_NAME(layer) emulab_##layer##_s16
#define WINDOW_PARAMS emulab_conv_s16_params
#define WINDOW_VALUE int16_t
#define WINDOW_WEIGHT int8_t
#define WINDOW_SUM int64_t
#include "emulab_windows.h"
