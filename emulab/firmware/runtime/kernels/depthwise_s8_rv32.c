/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D, 3x3, stride 1 or 2, depth multiplier 1, on int8 for RV32IM: one channel's plane at a time.
 *
 * The channel is copied into a plane with its padding around it; then its nine weights and its requantisation stay in
 * registers while pairs of outputs pass, sharing the columns their windows have in common. Weights: [channel][9]. */
#include <string.h>

#include "emulab_requant.h"

static inline __attribute__((always_inline)) void plane(const emulab_conv_s8_params *p, const int8_t *x, const int8_t *w,
                                                        const emulab_channel *c, int8_t *out, int32_t stride, int32_t mode)
{
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
    const int32_t zero = p->out_zero, low = p->act_min, high = p->act_max;
    const int32_t pitch = p->pitch, step = p->out_c;
    const emulab_channel channel = *c;
    for (int32_t y = 0; y < p->out_h; y++, x += stride * pitch) {
        const int8_t *r0 = x, *r1 = x + pitch, *r2 = r1 + pitch;
        EMULAB_NO_UNROLL
        for (int32_t left = p->out_w; left > 0; left -= 2, r0 += 2 * stride, r1 += 2 * stride, r2 += 2 * stride) {
            int32_t a = channel.bias, b = channel.bias;
#define EMULAB_ROW(r, k0, k1, k2)                                                                                      \
    a += r[0] * k0 + r[1] * k1 + r[2] * k2;                                                                            \
    b += r[stride] * k0 + r[stride + 1] * k1 + r[stride + 2] * k2;
            EMULAB_ROW(r0, w0, w1, w2)
            EMULAB_ROW(r1, w3, w4, w5)
            EMULAB_ROW(r2, w6, w7, w8)
#undef EMULAB_ROW
            *out = emulab_requant_s8(a, &channel, mode, zero, low, high);
            out += step;
            if (left > 1) {
                *out = emulab_requant_s8(b, &channel, mode, zero, low, high);
                out += step;
            }
        }
    }
}

/* Scratch: a plane of `strip_rows` rows of `pitch` bytes, and 4 more that are read. */
void emulab_depthwise_3x3_s8_rv32(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    int8_t *const whole = scratch;
    const emulab_channel *const rows = p->channels;
    const int32_t channels = p->in_c, pitch = p->pitch;
    memset(whole, p->in_zero, (size_t)(p->strip_rows * pitch + 4));
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t c = 0; c < channels; c++) {
            const int8_t *from = in + c;
            for (int32_t y = 0; y < p->in_h; y++) {
                int8_t *to = whole + (y + p->pad_h) * pitch + p->pad_w, *const end = to + p->in_w;
                if (y + p->pad_h >= p->strip_rows) {
                    break; /* rows no window reaches */
                }
                for (; to != end; to++, from += channels) {
                    *to = *from;
                }
            }
            const int8_t *w = p->weights + 9 * c;
            const int32_t relu = p->requant == EMULAB_REQUANT_FAST_RELU;
            if (p->stride_w == 1 && relu) {
                plane(p, whole, w, &rows[c], out + c, 1, EMULAB_REQUANT_FAST_RELU);
            } else if (p->stride_w == 1) {
                plane(p, whole, w, &rows[c], out + c, 1, p->requant);
            } else if (relu) {
                plane(p, whole, w, &rows[c], out + c, 2, EMULAB_REQUANT_FAST_RELU);
            } else {
                plane(p, whole, w, &rows[c], out + c, 2, p->requant);
            }
        }
        in += p->in_h * p->in_w * channels;
        out += p->out_h * p->out_w * channels;
    }
}
