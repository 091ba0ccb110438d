/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D of depth multiplier 1 on int8 for Helium: 16 channels at a time, any kernel, stride and dilation.
 *
 * Each output pixel lists where its taps are (outside the image: a row of zero points). Two taps are multiplied and
 * added in halfwords, which hold the sum of two products since no weight is -128, and then widened. Weights are
 * [tap][channel], channels filled up to 16; requantisation parameters are in the order the widening leaves lanes in:
 * channels 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15. */
#include "emulab_mve.h"

typedef struct {
    int32x4_t even_low, even_high, odd_low, odd_high;
} sums;

static inline void add(sums *s, int16x8_t even, int16x8_t odd)
{
    s->even_low = vaddq_s32(s->even_low, vmovlbq_s16(even));
    s->even_high = vaddq_s32(s->even_high, vmovltq_s16(even));
    s->odd_low = vaddq_s32(s->odd_low, vmovlbq_s16(odd));
    s->odd_high = vaddq_s32(s->odd_high, vmovltq_s16(odd));
}

static inline int32x4_t requant(int32x4_t x, const int32_t *channels, int32_t mode, int32_t zero)
{
    const emulab_mve_channels q = emulab_mve_load_channels(channels);
    return emulab_mve_requant(x, &q, mode, zero);
}

static inline __attribute__((always_inline)) void pixel(const emulab_conv_s8_params *p, const int8_t *const *taps, int32_t count, int8_t *out, int32_t mode)
{
    const int32_t pitch = (p->out_c + 15) & ~15, zero = p->out_zero;
    const int32_t *channels = p->channels;
    const int8x16_t low = vdupq_n_s8((int8_t)p->act_min), high = vdupq_n_s8((int8_t)p->act_max);
    for (int32_t c = 0; c < p->out_c; c += 16, channels += 64) {
        const int8_t *w = p->weights + c;
        const int32x4_t none = vdupq_n_s32(0);
        sums s = {none, none, none, none};
        int32_t t = 0;
        for (; t + 2 <= count; t += 2, w += 2 * pitch) {
            const int8x16_t x0 = vldrbq_s8(taps[t] + c), w0 = vldrbq_s8(w);
            const int8x16_t x1 = vldrbq_s8(taps[t + 1] + c), w1 = vldrbq_s8(w + pitch);
            add(&s, vaddq_s16(vmullbq_int_s8(x0, w0), vmullbq_int_s8(x1, w1)),
                vaddq_s16(vmulltq_int_s8(x0, w0), vmulltq_int_s8(x1, w1)));
        }
        if (t < count) {
            const int8x16_t x0 = vldrbq_s8(taps[t] + c), w0 = vldrbq_s8(w);
            add(&s, vmullbq_int_s8(x0, w0), vmulltq_int_s8(x0, w0));
        }
        int16x8_t even = vdupq_n_s16(0), odd = even;
        even = vqmovnbq_s32(even, requant(s.even_low, channels, mode, zero));
        even = vqmovntq_s32(even, requant(s.even_high, channels + 16, mode, zero));
        odd = vqmovnbq_s32(odd, requant(s.odd_low, channels + 32, mode, zero));
        odd = vqmovntq_s32(odd, requant(s.odd_high, channels + 48, mode, zero));
        int8x16_t y = vqmovntq_s16(vqmovnbq_s16(vdupq_n_s8(0), even), odd);
        y = vminq_s8(vmaxq_s8(y, low), high);
        vstrbq_p_s8(out + c, y, vctp8q((uint32_t)(p->out_c - c)));
    }
}

static __attribute__((noinline)) void pixel_fast(const emulab_conv_s8_params *p, const int8_t *const *taps, int32_t count, int8_t *out)
{
    pixel(p, taps, count, out, EMULAB_REQUANT_FAST);
}

static __attribute__((noinline)) void pixel_fast_relu(const emulab_conv_s8_params *p, const int8_t *const *taps, int32_t count, int8_t *out)
{
    pixel(p, taps, count, out, EMULAB_REQUANT_FAST_RELU);
}

static __attribute__((noinline)) void pixel_exact(const emulab_conv_s8_params *p, const int8_t *const *taps, int32_t count, int8_t *out)
{
    pixel(p, taps, count, out, EMULAB_REQUANT_EXACT);
}

/* Scratch: kernel_h * kernel_w pointers, then in_c bytes and 15 more that may be read. */
void emulab_depthwise_s8_mve(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t count = p->kernel_h * p->kernel_w, pitch = p->in_w * p->in_c, step = p->stride_w * p->in_c;
    const int8_t **taps = (const int8_t **)scratch;
    int8_t *outside = (int8_t *)(taps + count);
    for (int32_t i = 0; i < p->in_c; i++) {
        outside[i] = (int8_t)p->in_zero;
    }
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * pitch) {
        for (int32_t oy = 0, y = -p->pad_h; oy < p->out_h; oy++, y += p->stride_h) {
            const int32_t rows_inside = y >= 0 && y + (p->kernel_h - 1) * p->dilation_h < p->in_h;
            int32_t moved = 0; /* the pixel before was all inside, so all taps only move on */
            for (int32_t ox = 0, x = -p->pad_w; ox < p->out_w; ox++, x += p->stride_w, out += p->out_c) {
                const int32_t inside = rows_inside && x >= 0 && x + (p->kernel_w - 1) * p->dilation_w < p->in_w;
                if (inside && moved) {
                    for (int32_t t = 0; t < count; t++) {
                        taps[t] += step;
                    }
                } else {
                    const int8_t **tap = taps;
                    for (int32_t ky = 0, iy = y; ky < p->kernel_h; ky++, iy += p->dilation_h) {
                        const int32_t row = iy >= 0 && iy < p->in_h;
                        for (int32_t kx = 0, ix = x; kx < p->kernel_w; kx++, ix += p->dilation_w) {
                            *tap++ = row && ix >= 0 && ix < p->in_w ? in + iy * pitch + ix * p->in_c : outside;
                        }
                    }
                }
                moved = inside;
                if (p->requant == EMULAB_REQUANT_FAST_RELU) {
                    pixel_fast_relu(p, taps, count, out);
                } else if (p->requant == EMULAB_REQUANT_FAST) {
                    pixel_fast(p, taps, count, out);
                } else {
                    pixel_exact(p, taps, count, out);
                }
            }
        }
    }
}
