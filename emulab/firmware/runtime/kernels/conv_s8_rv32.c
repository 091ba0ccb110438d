/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D on int8 for RV32IM: four output channels by two pixels, so that six loads serve eight products.
 *
 * The 31 registers hold eight sums, a tap's four weights and two inputs, and the pointers. Weights are packed by the
 * generator: for every group of 4 channels and every tap, 4 bytes. Loading bytes one by one beats loading words: taking
 * a word apart costs seven shifts for four bytes, and sign extension is part of the load. */
#include <string.h>

#include "emulab_requant.h"

/* Where the inputs of one output pixel are: kernel_h rows of `row` bytes, `pitch` bytes apart. */
typedef struct {
    const int8_t *data;
    int32_t pitch;
} patch;

#define EMULAB_TAP(i)                                                                                                  \
    {                                                                                                                  \
        const int32_t va = xa[i], vb = xb[i];                                                                          \
        const int32_t w0 = w[4 * (i)], w1 = w[4 * (i) + 1], w2 = w[4 * (i) + 2], w3 = w[4 * (i) + 3];                  \
        a0 += va * w0;                                                                                                 \
        b0 += vb * w0;                                                                                                 \
        a1 += va * w1;                                                                                                 \
        b1 += vb * w1;                                                                                                 \
        a2 += va * w2;                                                                                                 \
        b2 += vb * w2;                                                                                                 \
        a3 += va * w3;                                                                                                 \
        b3 += vb * w3;                                                                                                 \
    }

#define EMULAB_OUTPUT(i, mode)                                                                                         \
    {                                                                                                                  \
        const emulab_channel q = c[i];                                                                                 \
        out_a[i] = emulab_requant_s8(a##i, &q, mode, zero, low, high);                                                 \
        out_b[i] = emulab_requant_s8(b##i, &q, mode, zero, low, high);                                                 \
    }

#define EMULAB_OUTPUTS(mode)                                                                                           \
    EMULAB_OUTPUT(0, mode) EMULAB_OUTPUT(1, mode) EMULAB_OUTPUT(2, mode) EMULAB_OUTPUT(3, mode)

typedef struct {
    const int8_t *weights;
    const emulab_channel *channels;
    int32_t rows, row, valid; /* output channels to write */
    int32_t mode, zero, low, high;
} block;

static __attribute__((noinline)) void run(const block *k, patch a, patch b, int8_t *out_a, int8_t *out_b)
{
    const int8_t *w = k->weights;
    const emulab_channel *c = k->channels;
    const int32_t row = k->row, mode = k->mode, zero = k->zero, low = k->low, high = k->high;
    const int32_t skip_a = a.pitch - row, skip_b = b.pitch - row;
    for (int32_t left = k->valid; left > 0; left -= 4, c += 4) {
        const int8_t *xa = a.data, *xb = b.data;
        int32_t a0 = c[0].bias, a1 = c[1].bias, a2 = c[2].bias, a3 = c[3].bias;
        int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
        for (int32_t y = k->rows; y > 0; y--, xa += skip_a, xb += skip_b) {
            const int8_t *end = xa + (row & ~3);
            EMULAB_NO_UNROLL
            while (xa != end) {
                EMULAB_TAP(0)
                EMULAB_TAP(1)
                EMULAB_TAP(2)
                EMULAB_TAP(3)
                xa += 4;
                xb += 4;
                w += 16;
            }
            end += row & 3;
            EMULAB_NO_UNROLL
            while (xa != end) {
                EMULAB_TAP(0)
                xa++;
                xb++;
                w += 4;
            }
        }
        if (left >= 4 && mode != EMULAB_REQUANT_EXACT) {
            if (mode == EMULAB_REQUANT_FAST_RELU) {
                EMULAB_OUTPUTS(EMULAB_REQUANT_FAST_RELU)
            } else {
                EMULAB_OUTPUTS(EMULAB_REQUANT_FAST)
            }
            out_a += 4;
            out_b += 4;
            continue;
        }
        const int32_t s[8] = {a0, a1, a2, a3, b0, b1, b2, b3};
        const int32_t count = left < 4 ? left : 4;
        EMULAB_NO_UNROLL
        for (int32_t i = 0; i < count; i++) {
            *out_a++ = emulab_requant_s8(s[i], &c[i], mode, zero, low, high);
            *out_b++ = emulab_requant_s8(s[4 + i], &c[i], mode, zero, low, high);
        }
    }
}

/* Copy the inputs of output pixel (y, x), zero points outside the image, into `to`. */
static void gather(const emulab_conv_s8_params *p, const int8_t *in, int32_t y, int32_t x, int8_t *to)
{
    const int32_t c = p->group_in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
        int32_t ix = x;
        for (int32_t kx = 0; kx < p->kernel_w; kx++, ix += p->dilation_w) {
            const int8_t *from = in + (y * p->in_w + ix) * p->in_c;
            const int32_t inside = y >= 0 && y < p->in_h && ix >= 0 && ix < p->in_w;
            EMULAB_NO_UNROLL
            for (int32_t i = 0; i < c; i++) {
                *to++ = inside ? from[i] : (int8_t)p->in_zero;
            }
        }
    }
}

/* Scratch: two patches of kernel_h * kernel_w * group_in_c bytes. */
void emulab_conv_s8_rv32(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t row = p->kernel_w * p->group_in_c, window = p->kernel_h * row, pitch = p->in_w * p->in_c;
    const int32_t dense = p->dilation_h == 1 && p->dilation_w == 1 && p->group_in_c == p->in_c;
    int8_t *const buffers[2] = {scratch, (int8_t *)scratch + window};
    block k = {p->weights, p->channels, p->kernel_h, row, p->group_out_c, p->requant, p->out_zero, p->act_min, p->act_max};
    for (int32_t group = 0; group < p->out_c; group += p->group_out_c) {
        const int8_t *image = in + group / p->group_out_c * p->group_in_c;
        int8_t *to = out + group, *first = to;
        patch patches[2];
        int32_t n = 0;
        for (int32_t batch = 0; batch < p->batches; batch++, image += p->in_h * pitch) {
            for (int32_t oy = 0, y = -p->pad_h; oy < p->out_h; oy++, y += p->stride_h) {
                const int32_t inside = dense && y >= 0 && y + p->kernel_h <= p->in_h;
                for (int32_t ox = 0, x = -p->pad_w; ox < p->out_w; ox++, x += p->stride_w, to += p->out_c) {
                    if (inside && x >= 0 && x + p->kernel_w <= p->in_w) {
                        patches[n].data = image + y * pitch + x * p->in_c;
                        patches[n].pitch = pitch;
                    } else {
                        gather(p, image, y, x, buffers[n]);
                        patches[n].data = buffers[n];
                        patches[n].pitch = row;
                    }
                    const int32_t last = batch == p->batches - 1 && oy == p->out_h - 1 && ox == p->out_w - 1;
                    if (n == 0) {
                        first = to;
                        if (!last) {
                            n = 1;
                            continue;
                        }
                    }
                    run(&k, patches[0], patches[n], first, to); /* the last of an odd number twice, to the same place */
                    n = 0;
                }
            }
        }
        k.weights += ((p->group_out_c + 3) & ~3) * window;
        k.channels += (p->group_out_c + 3) & ~3;
    }
}
