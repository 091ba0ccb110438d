/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D on int8, portable, any kernel, stride, dilation and depth multiplier.
 *
 * Each output pixel first lists where its taps are (outside the image: a row of zero points), then four channels at a
 * time go through that list without any further test. Weights are [tap][channel]. */
#include <string.h>

#include "emulab_requant.h"

static void pixel(const emulab_conv_s8_params *p, const int8_t *const *taps, int32_t count, int8_t *out)
{
    const int32_t mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
    const int32_t channels = p->out_c, multiplier = p->group_out_c;
    const emulab_channel *const all = p->channels;
    int32_t c = 0;
    if (multiplier == 1) {
        for (; c + 4 <= channels; c += 4) {
            const emulab_channel *q = &all[c];
            const int8_t *w = p->weights + c;
            int32_t s0 = q[0].bias, s1 = q[1].bias, s2 = q[2].bias, s3 = q[3].bias;
            for (int32_t t = 0; t < count; t++, w += channels) {
                const int8_t *x = taps[t] + c;
                s0 += x[0] * w[0];
                s1 += x[1] * w[1];
                s2 += x[2] * w[2];
                s3 += x[3] * w[3];
            }
            out[c] = emulab_requant_s8(s0, q, mode, zero, low, high);
            out[c + 1] = emulab_requant_s8(s1, q + 1, mode, zero, low, high);
            out[c + 2] = emulab_requant_s8(s2, q + 2, mode, zero, low, high);
            out[c + 3] = emulab_requant_s8(s3, q + 3, mode, zero, low, high);
        }
    }
    for (; c < channels; c++) {
        const int32_t ic = multiplier == 1 ? c : c / multiplier;
        const int8_t *w = p->weights + c;
        int32_t sum = all[c].bias;
        for (int32_t t = 0; t < count; t++, w += channels) {
            sum += taps[t][ic] * *w;
        }
        out[c] = emulab_requant_s8(sum, &all[c], mode, zero, low, high);
    }
}

/* Scratch: kernel_h * kernel_w pointers, then in_c bytes. */
void emulab_depthwise_s8(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t count = p->kernel_h * p->kernel_w;
    const int8_t **taps = (const int8_t **)scratch;
    int8_t *outside = (int8_t *)(taps + count);
    memset(outside, p->in_zero, (size_t)p->in_c);
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                const int8_t **tap = taps;
                for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                    const int32_t iy = y * p->stride_h - p->pad_h + ky * p->dilation_h;
                    for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                        const int32_t ix = x * p->stride_w - p->pad_w + kx * p->dilation_w;
                        const int32_t inside = iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w;
                        *tap++ = inside ? in + (iy * p->in_w + ix) * p->in_c : outside;
                    }
                }
                pixel(p, taps, count, out);
                out += p->out_c;
            }
        }
        in += p->in_h * p->in_w * p->in_c;
    }
}
