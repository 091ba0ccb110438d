/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D on int8 along one dimension, stride 1, for the Arm DSP extension: sound and other series.
 *
 * Four channels of a line at a time become rows of halfwords in RAM, padding included. Two neighbouring inputs are a
 * word, two taps another: even outputs take the words {w0 w1} {w2 w3} ..., odd ones {0 w0} {w1 w2} ... of the same
 * inputs, so four outputs cost three loads for every eight products. */
#include "emulab_dsp.h"
#include "emulab_requant.h"

static inline uint32_t halves(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

/* The taps of a channel as words for even and for odd outputs, in turn: taps / 2 + 1 of each. */
static __attribute__((noinline)) void pair_taps(const int8_t *w, int32_t taps, uint32_t *to)
{
    int32_t before = 0, i = taps;
    EMULAB_NO_UNROLL
    for (; i >= 2; i -= 2, w += 2, to += 2) {
        const int32_t w0 = w[0], w1 = w[1];
        to[0] = halves(w0, w1);
        to[1] = halves(before, w0);
        before = w1;
    }
    const int32_t last = i ? w[0] : 0;
    to[0] = halves(last, 0);
    to[1] = halves(before, last);
}

/* Four channels of `n` inputs, `step` bytes apart, to four rows of `words` words each; zero points before and after. */
static __attribute__((noinline)) void fill(const int8_t *from, int32_t n, int32_t step, int32_t pad, int32_t zero,
                                           int32_t words, uint32_t *rows)
{
    const uint32_t none = ((uint32_t)zero & 0xffu) * 0x01010101u;
    const int8_t *x = from - pad * step;
    EMULAB_NO_UNROLL
    for (int32_t i = -pad; i < 2 * words - pad; i += 2, rows++, x += 2 * step) {
        uint32_t a = none, b = none;
        if (i >= 0 && i + 1 < n) {
            a = emulab_load_word(x);
            b = emulab_load_word(x + step);
        } else if (i >= 0 && i < n) {
            a = emulab_load_word(x);
        } else if (i == -1 && n > 0) {
            b = emulab_load_word(x + step);
        }
        const uint32_t a02 = emulab_bytes_even(a), a13 = emulab_bytes_odd(a);
        const uint32_t b02 = emulab_bytes_even(b), b13 = emulab_bytes_odd(b);
        rows[0] = (a02 & 0xffffu) | b02 << 16;
        rows[words] = (a13 & 0xffffu) | b13 << 16;
        rows[2 * words] = a02 >> 16 | (b02 & 0xffff0000u);
        rows[3 * words] = a13 >> 16 | (b13 & 0xffff0000u);
    }
}

#define STEP(a, b, even, odd)                                                                                          \
    y0 = emulab_dual_mac(a, even, y0);                                                                                 \
    y1 = emulab_dual_mac(a, odd, y1);                                                                                  \
    y2 = emulab_dual_mac(b, even, y2);                                                                                 \
    y3 = emulab_dual_mac(b, odd, y3);

/* One channel of a line: `n` outputs, `step` bytes apart. */
typedef struct {
    const uint32_t *x, *taps;
    const emulab_channel *channel;
    int8_t *out;
    int32_t steps, step, n;
} channel_line;

static inline __attribute__((always_inline)) void run(const channel_line *l, int32_t relu)
{
    const uint32_t *x = l->x;
    int8_t *out = l->out;
    for (int32_t n = l->n; n > 0; n -= 4, x += 2) {
        const uint32_t *v = x + 1, *w = l->taps;
        uint32_t a = x[0];
        int32_t y0 = l->channel->bias, y1 = y0, y2 = y0, y3 = y0, i = l->steps;
        EMULAB_NO_UNROLL
        for (; i >= 2; i -= 2, v += 2, w += 4) {
            const uint32_t b = v[0];
            STEP(a, b, w[0], w[1])
            a = v[1];
            STEP(b, a, w[2], w[3])
        }
        if (i) {
            const uint32_t b = v[0];
            STEP(a, b, w[0], w[1])
        }
        const emulab_channel c = *l->channel;
        const int32_t step = l->step;
        *out = emulab_requant_usual_s8(y0, &c, relu);
        out += step;
        if (n > 1) {
            *out = emulab_requant_usual_s8(y1, &c, relu);
            out += step;
        }
        if (n > 2) {
            *out = emulab_requant_usual_s8(y2, &c, relu);
            out += step;
        }
        if (n > 3) {
            *out = emulab_requant_usual_s8(y3, &c, relu);
            out += step;
        }
    }
}

static __attribute__((noinline)) void run_relu(const channel_line *l)
{
    run(l, 1);
}

static __attribute__((noinline)) void run_signed(const channel_line *l)
{
    run(l, 0);
}

/* Weights are [channel][tap]. One side of the kernel is 1, both strides and the depth multiplier are; channels are a
 * multiple of 4 and the requantisation is a fast one that saturates at int8 alone. Scratch: four rows of `pitch` words,
 * then 2 * `steps` words, where `steps` is half the taps, plus 1. */
void emulab_depthwise_line_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t down = p->kernel_w == 1, taps = down ? p->kernel_h : p->kernel_w;
    const int32_t lines = down ? p->in_w : p->in_h, row = p->in_w * p->in_c, out_row = p->out_w * p->out_c;
    const int32_t in_n = down ? p->in_h : p->in_w, out_n = down ? p->out_h : p->out_w;
    const int32_t step = down ? row : p->in_c, out_step = down ? out_row : p->out_c;
    const int32_t next = down ? p->in_c : row, out_next = down ? p->out_c : out_row;
    const int32_t pad = down ? p->pad_h : p->pad_w, relu = p->requant == EMULAB_REQUANT_FAST_RELU;
    const emulab_packed_channels packed = emulab_packed(p->channels, p->out_c, 0, p->requant, p->out_zero);
    uint32_t *const rows = scratch, *const pairs = rows + 4 * p->pitch;
    channel_line one = {0, pairs, 0, 0, p->steps, out_step, out_n};
    emulab_channel channels[4];
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * row, out += p->out_h * out_row) {
        for (int32_t c = 0; c < p->in_c; c += 4) {
            emulab_unpack_channels(&packed, c, 4, channels);
            for (int32_t l = 0; l < lines; l++) {
                fill(in + l * next + c, in_n, step, pad, p->in_zero, p->pitch, rows);
                for (int32_t i = 0; i < 4; i++) {
                    one.x = rows + i * p->pitch;
                    one.channel = &channels[i];
                    one.out = out + l * out_next + c + i;
                    pair_taps(p->weights + (c + i) * taps, taps, pairs);
                    if (relu) {
                        run_relu(&one);
                    } else {
                        run_signed(&one);
                    }
                }
            }
        }
    }
}
