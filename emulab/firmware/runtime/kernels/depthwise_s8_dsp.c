/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D on int8, 3 x 3, stride 1 or 2, for the Arm DSP extension.
 *
 * Four channels at a time are turned into planes (a row of a plane is a row of the image, with its padding), a strip of
 * rows each; in a plane two neighbouring taps are one SMLAD away, and a channel's parameters stay in registers. */
#include <string.h>

#include "emulab_dsp.h"
#include "emulab_requant.h"

/* Four words of four channels each become one word per channel. */
static inline void transpose(const int8_t *from, int32_t channels, int8_t *to, int32_t plane)
{
    const uint32_t a = emulab_load_word(from), b = emulab_load_word(from + channels);
    const uint32_t c = emulab_load_word(from + 2 * channels), d = emulab_load_word(from + 3 * channels);
    const uint32_t even = 0x00ff00ffu;
    const uint32_t ab02 = (a & even) | (b & even) << 8, ab13 = (a >> 8 & even) | (b & ~even);
    const uint32_t cd02 = (c & even) | (d & even) << 8, cd13 = (c >> 8 & even) | (d & ~even);
    const uint32_t p0 = (ab02 & 0xffffu) | cd02 << 16, p1 = (ab13 & 0xffffu) | cd13 << 16;
    const uint32_t p2 = ab02 >> 16 | (cd02 & 0xffff0000u), p3 = ab13 >> 16 | (cd13 & 0xffff0000u);
    __builtin_memcpy(to, &p0, 4);
    __builtin_memcpy(to + plane, &p1, 4);
    __builtin_memcpy(to + 2 * plane, &p2, 4);
    __builtin_memcpy(to + 3 * plane, &p3, 4);
}

/* Rows y..y+rows-1 of the image (outside: zero points) into four planes. */
static void fill(const emulab_conv_s8_params *p, const int8_t *in, int32_t y, int32_t rows, int8_t *planes)
{
    const int32_t plane = rows * p->pitch, channels = p->in_c;
    for (int32_t row = 0; row < rows; row++, y++, planes += p->pitch) {
        if (y < 0 || y >= p->in_h) {
            for (int32_t c = 0; c < 4; c++) {
                memset(planes + c * plane, p->in_zero, (size_t)p->pitch);
            }
            continue;
        }
        const int8_t *from = in + y * p->in_w * channels;
        int8_t *to = planes + p->pad_w;
        int32_t x = 0;
        for (; x + 4 <= p->in_w; x += 4, from += 4 * channels, to += 4) {
            transpose(from, channels, to, plane);
        }
        for (; x < p->in_w; x++, from += channels, to++) {
            for (int32_t c = 0; c < 4; c++) {
                to[c * plane] = from[c];
            }
        }
        for (int32_t c = 0; c < 4; c++) {
            int8_t *edge = planes + c * plane;
            for (int32_t i = 0; i < p->pad_w; i++) {
                edge[i] = (int8_t)p->in_zero;
            }
            for (int32_t i = p->pad_w + p->in_w; i < p->pitch; i++) {
                edge[i] = (int8_t)p->in_zero;
            }
        }
    }
}

/* Taps of one channel: outer pair of each row, and the middle ones. */
typedef struct {
    uint32_t outer0, outer1, outer2, middle01, middle2;
} taps;

static inline int8_t finish(int32_t acc, const emulab_channel *c, int32_t relu)
{
    const int32_t x = relu ? emulab_requant_fast_relu(acc, c) : emulab_requant_fast(acc, c);
    return (int8_t)emulab_saturate_s8(x);
}

/* `count` outputs of one row, stride 1, two at a time. */
static inline void row_stride_1(const int8_t *x, int32_t pitch, taps w, const emulab_channel *channel, int32_t relu,
                                int8_t *out, int32_t step, int32_t count)
{
    const emulab_channel c = *channel;
    const int8_t *x1 = x + pitch, *x2 = x1 + pitch;
    for (; count > 0; count -= 2, x += 2, x1 += 2, x2 += 2) {
        const uint32_t r0 = emulab_load_word(x), r1 = emulab_load_word(x1), r2 = emulab_load_word(x2);
        const uint32_t e0 = emulab_bytes_even(r0), o0 = emulab_bytes_odd(r0);
        int32_t a = emulab_mac_low_low(o0, w.middle01, emulab_dual_mac(e0, w.outer0, c.bias));
        int32_t b = emulab_mac_high_low(e0, w.middle01, emulab_dual_mac(o0, w.outer0, c.bias));
        const uint32_t e1 = emulab_bytes_even(r1), o1 = emulab_bytes_odd(r1);
        a = emulab_mac_low_high(o1, w.middle01, emulab_dual_mac(e1, w.outer1, a));
        b = emulab_mac_high_high(e1, w.middle01, emulab_dual_mac(o1, w.outer1, b));
        const uint32_t e2 = emulab_bytes_even(r2), o2 = emulab_bytes_odd(r2);
        a = emulab_mac_low_low(o2, w.middle2, emulab_dual_mac(e2, w.outer2, a));
        b = emulab_mac_high_low(e2, w.middle2, emulab_dual_mac(o2, w.outer2, b));
        *out = finish(a, &c, relu);
        out += step;
        if (count > 1) {
            *out = finish(b, &c, relu);
            out += step;
        }
    }
}

static inline void row_stride_2(const int8_t *x, int32_t pitch, taps w, const emulab_channel *channel, int32_t relu,
                                int8_t *out, int32_t step, int32_t count)
{
    const emulab_channel c = *channel;
    const int8_t *x1 = x + pitch, *x2 = x1 + pitch;
    for (; count > 0; count--, x += 2, x1 += 2, x2 += 2, out += step) {
        const uint32_t r0 = emulab_load_word(x), r1 = emulab_load_word(x1), r2 = emulab_load_word(x2);
        int32_t a = emulab_dual_mac(emulab_bytes_even(r0), w.outer0, c.bias);
        a = emulab_dual_mac(emulab_bytes_even(r1), w.outer1, a);
        a = emulab_dual_mac(emulab_bytes_even(r2), w.outer2, a);
        a = emulab_mac_low_low(emulab_bytes_odd(r0), w.middle01, a);
        a = emulab_mac_low_high(emulab_bytes_odd(r1), w.middle01, a);
        a = emulab_mac_low_low(emulab_bytes_odd(r2), w.middle2, a);
        *out = finish(a, &c, relu);
    }
}

static void plane_pass(const emulab_conv_s8_params *p, const int8_t *plane, int32_t rows, taps w,
                       const emulab_channel *channel, int8_t *out)
{
    const int32_t relu = p->requant == EMULAB_REQUANT_FAST_RELU;
    for (int32_t y = 0; y < rows; y++, plane += p->stride_h * p->pitch, out += p->out_w * p->out_c) {
        if (p->stride_w == 1) {
            if (relu) {
                row_stride_1(plane, p->pitch, w, channel, 1, out, p->out_c, p->out_w);
            } else {
                row_stride_1(plane, p->pitch, w, channel, 0, out, p->out_c, p->out_w);
            }
        } else {
            if (relu) {
                row_stride_2(plane, p->pitch, w, channel, 1, out, p->out_c, p->out_w);
            } else {
                row_stride_2(plane, p->pitch, w, channel, 0, out, p->out_c, p->out_w);
            }
        }
    }
}

/* Weights per channel: the words {w00 w02} {w10 w12} {w20 w22} {w01 w11} {w21 0}. Channels are a multiple of 4, the
 * requantisation is a fast one and saturates at int8 alone. Scratch: four planes of
 * ((strip_rows - 1) * stride_h + 3) rows of `pitch` bytes, and 4 bytes. */
void emulab_depthwise_3x3_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    int8_t *const planes = scratch;
    for (int32_t batch = 0; batch < p->batches; batch++) {
        const uint32_t *flash = (const uint32_t *)(const void *)p->weights;
        for (int32_t c = 0; c < p->in_c; c += 4, flash += 20) {
            for (int32_t y = 0; y < p->out_h; y += p->strip_rows) {
                const int32_t rows = p->out_h - y < p->strip_rows ? p->out_h - y : p->strip_rows;
                const int32_t in_rows = (rows - 1) * p->stride_h + 3;
                fill(p, in + c, y * p->stride_h - p->pad_h, in_rows, planes);
                for (int32_t i = 0; i < 4; i++) {
                    const uint32_t *w = flash + 5 * i;
                    const taps t = {w[0], w[1], w[2], w[3], w[4]};
                    plane_pass(p, planes + i * in_rows * p->pitch, rows, t, &p->channels[c + i],
                               out + y * p->out_w * p->out_c + c + i);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += p->out_h * p->out_w * p->out_c;
    }
}
