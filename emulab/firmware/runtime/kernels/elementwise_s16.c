/* SPDX-License-Identifier: MIT-0 */
/* ADD, SUB, MUL, pooling, LOGISTIC, TANH, SOFTMAX and requantisation of 16-bit tensors. */
#include "emulab_fixed.h"
#include "emulab_int16.h"
#include "emulab_pool.h"

void emulab_add_s16(const emulab_add_s8_params *p, int32_t n, const int16_t *a, int32_t step_a, const int16_t *b,
                    int32_t step_b, int16_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t va = emulab_scale((*a - p->zero_a) * (1 << p->left_shift), p->multiplier_a, p->shift_a);
        const int32_t vb = emulab_scale((*b - p->zero_b) * (1 << p->left_shift), p->multiplier_b, p->shift_b);
        const int32_t x = emulab_scale(p->subtract ? va - vb : va + vb, p->multiplier_out, p->shift_out);
        out[i] = (int16_t)emulab_clamp(x + p->out_zero, p->act_min, p->act_max);
    }
}

void emulab_mul_s16(const emulab_mul_s8_params *p, int32_t n, const int16_t *a, int32_t step_a, const int16_t *b,
                    int32_t step_b, int16_t *out)
{
    for (int32_t i = 0; i < n; i++, a += step_a, b += step_b) {
        const int32_t x = emulab_scale((*a - p->zero_a) * (*b - p->zero_b), p->multiplier, p->shift);
        out[i] = (int16_t)emulab_clamp(x + p->out_zero, p->act_min, p->act_max);
    }
}

static void pool(const emulab_pool_params *p, int32_t average, const int16_t *in, int16_t *out)
{
    const int32_t n = p->channels;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                const emulab_pool_window w = emulab_pool_clip(p, y, x);
                for (int32_t c = 0; c < n; c++) {
                    int32_t sum = 0, max = -32768;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        for (int32_t ix = w.x0; ix < w.x1; ix++) {
                            const int32_t v = in[(iy * p->in_w + ix) * n + c];
                            sum += v;
                            max = v > max ? v : max;
                        }
                    }
                    const int32_t count = (w.y1 - w.y0) * (w.x1 - w.x0);
                    const int32_t result = average ? emulab_pool_round(sum, count) : max;
                    *out++ = (int16_t)emulab_clamp(result, p->act_min, p->act_max);
                }
            }
        }
    }
}

void emulab_average_pool_s16(const emulab_pool_params *p, const int16_t *in, int16_t *out)
{
    pool(p, 1, in, out);
}

void emulab_max_pool_s16(const emulab_pool_params *p, const int16_t *in, int16_t *out)
{
    pool(p, 0, in, out);
}

static int32_t argument(int32_t x, int32_t multiplier, int32_t shift)
{
    return (x * multiplier + (shift > 0 ? 1 << (shift - 1) : 0)) >> shift;
}

/* The table at `x`, with `bits` bits between entries; beyond the last, `most`. */
static int32_t interpolate(const uint16_t *table, int32_t x, int32_t bits, int32_t most)
{
    const int32_t index = x >> bits;
    if (index >= 255) {
        return most;
    }
    const int32_t low = table[index], high = table[index + 1];
    return (low << bits) + (x & ((1 << bits) - 1)) * (high - low);
}

void emulab_logistic_s16(const uint16_t *table, int32_t multiplier, int32_t shift, int32_t n, const int16_t *in,
                         int16_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const int32_t x = argument(in[i], multiplier, shift);
        const int32_t y = interpolate(table, x < 0 ? -x : x, 9, 0x7FFF << 10);
        out[i] = (int16_t)((x >= 0 ? y + (1 << 9) : (1 << 25) - y + (1 << 9) - 1) >> 10);
    }
}

/* tanh(x) = 2 logistic(2 x) - 1 */
void emulab_tanh_s16(const uint16_t *table, int32_t multiplier, int32_t shift, int32_t n, const int16_t *in,
                     int16_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const int32_t x = argument(in[i], multiplier, shift);
        const int32_t y = interpolate(table, x < 0 ? -x : x, 8, 0xFFFF << 8);
        out[i] = (int16_t)((x >= 0 ? y - (1 << 23) + (1 << 7) : -y + (1 << 23) + (1 << 7) - 1) >> 8);
    }
}

/* The table at `x`, saturated to 16 bits. */
static int32_t look_up(const int16_t *table, int32_t x)
{
    x = emulab_clamp(x, -32768, 32767);
    const int16_t *at = table + 256 + (x >> 7);
    return at[0] + (((at[1] - at[0]) * (x & 127) + 64) >> 7);
}

void emulab_softmax_s16(const emulab_softmax_s16_params *p, int32_t rows, const int16_t *in, int16_t *out)
{
    for (int32_t row = 0; row < rows; row++, in += p->n, out += p->n) {
        int32_t max = -32768, sum = 0;
        for (int32_t i = 0; i < p->n; i++) {
            max = in[i] > max ? in[i] : max;
        }
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t e = look_up(p->exponential, emulab_scale(in[i] - max, p->multiplier, p->shift) + 32767);
            out[i] = (int16_t)e;
            sum += e;
        }
        const int32_t headroom = __builtin_clz((uint32_t)sum);
        const int32_t normal = (int32_t)((((int64_t)sum << (headroom - 1)) + (1 << 13)) >> 14);
        const int32_t reciprocal = look_up(p->reciprocal, normal - 32768 - 65536), shift = 31 - headroom;
        for (int32_t i = 0; i < p->n; i++) {
            const int64_t x = ((int64_t)out[i] * reciprocal + (INT64_C(1) << (shift - 1))) >> shift;
            out[i] = (int16_t)(x < 0 ? 0 : (x > 32767 ? 32767 : x));
        }
    }
}

void emulab_leaky_relu_s16(int32_t multiplier, int32_t shift, int32_t below_multiplier, int32_t below_shift, int32_t n,
                           const int16_t *in, int16_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const int32_t x = in[i] >= 0 ? emulab_scale(in[i], multiplier, shift)
                                     : emulab_scale(in[i], below_multiplier, below_shift);
        out[i] = (int16_t)emulab_clamp(x, -32768, 32767);
    }
}

#define EMULAB_REQUANTIZE(name, from, to)                                                                              \
    void name(const emulab_mul_s8_params *p, int32_t n, const from *in, to *out)                                       \
    {                                                                                                                  \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            const int32_t x = emulab_scale(in[i] - p->zero_a, p->multiplier, p->shift) + p->out_zero;                  \
            out[i] = (to)emulab_clamp(x, p->act_min, p->act_max);                                                      \
        }                                                                                                              \
    }
EMULAB_REQUANTIZE(emulab_requantize_s16_s16, int16_t, int16_t)
EMULAB_REQUANTIZE(emulab_requantize_s16_s8, int16_t, int8_t)
EMULAB_REQUANTIZE(emulab_requantize_s8_s16, int8_t, int16_t)
EMULAB_REQUANTIZE(emulab_requantize_s8_s32, int8_t, int32_t)
EMULAB_REQUANTIZE(emulab_requantize_s16_s32, int16_t, int32_t)
EMULAB_REQUANTIZE(emulab_requantize_s32_s8, int32_t, int8_t)
EMULAB_REQUANTIZE(emulab_requantize_s32_s16, int32_t, int16_t)
