/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of 16-bit activations and 8-bit weights. */
#include "emulab_dsp.h"
#include "emulab_fixed.h"
#include "emulab_int16.h"

static int16_t window_finish(const emulab_conv_s16_params *p, int64_t sum, int32_t channel)
{
    const int32_t at = p->per_channel ? channel : 0;
    const int32_t multiplier = p->multiplier[at], shift = p->shift[at];
    int32_t x;
    sum += p->bias ? p->bias[channel] : p->short_bias[channel];
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

#ifdef EMULAB_DSP_NATIVE
/* Four products at a time: weights widened to halfwords in the order of the inputs, two products an instruction. */
static inline int64_t dot_pairs(const int16_t *x, const int8_t *w, int32_t n, int32_t wide)
{
    int32_t low = 0, high = 0;
    for (; n >= 4; n -= 4, x += 4, w += 4) {
        const uint32_t x01 = emulab_load_word(x), x23 = emulab_load_word(x + 2), bytes = emulab_load_word(w);
        const uint32_t even = emulab_bytes_even(bytes), odd = emulab_bytes_odd(bytes);
        uint32_t w01, w23;
        __asm__("pkhbt %0, %2, %3, lsl #16\n\tpkhtb %1, %3, %2, asr #16"
                : "=&r"(w01), "=r"(w23)
                : "r"(even), "r"(odd));
        if (wide) {
            __asm__("smlald %0, %1, %2, %3\n\tsmlald %0, %1, %4, %5"
                    : "+r"(low), "+r"(high)
                    : "r"(x01), "r"(w01), "r"(x23), "r"(w23));
        } else {
            __asm__("smlad %0, %1, %2, %0\n\tsmlad %0, %3, %4, %0" : "+r"(low) : "r"(x01), "r"(w01), "r"(x23), "r"(w23));
        }
    }
    int64_t sum = wide ? (int64_t)((uint64_t)(uint32_t)high << 32 | (uint32_t)low) : low;
    for (; n > 0; n--) {
        sum += *x++ * *w++;
    }
    return sum;
}
#endif

static inline int64_t window_dot(const emulab_conv_s16_params *p, const int16_t *x, const int8_t *w, int32_t n,
                                 int32_t weight_zero)
{
#ifdef EMULAB_DSP_NATIVE
    if (weight_zero == 0) {
        return p->wide ? dot_pairs(x, w, n, 1) : dot_pairs(x, w, n, 0);
    }
#endif
    return p->wide ? dot_wide(x, w, n, weight_zero) : dot(x, w, n, weight_zero);
}

#define WINDOW_NAME(layer) emulab_##layer##_s16
#define WINDOW_PARAMS emulab_conv_s16_params
#define WINDOW_VALUE int16_t
#define WINDOW_WEIGHT int8_t
#define WINDOW_SUM int64_t
#include "emulab_windows.h"
