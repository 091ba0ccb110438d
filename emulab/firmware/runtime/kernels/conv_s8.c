/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D on int8, portable: two output channels by two pixels at a time, so that each byte loaded is used twice. */
#include <string.h>

#include "emulab_requant.h"

/* Where the inputs of one output pixel are: kernel_h rows of `row` bytes, `pitch` bytes apart. */
typedef struct {
    const int8_t *data;
    int32_t pitch;
} patch;

static void block(const emulab_conv_s8_params *p, int32_t oc, int32_t row, const patch *a, const patch *b, int8_t *out_a,
                  int8_t *out_b)
{
    const int32_t k = p->kernel_h * row;
    const int32_t second = oc + 1 < p->out_c && (oc + 1) % p->group_out_c != 0 ? 1 : 0;
    const emulab_channel *c0 = (const emulab_channel *)p->channels + oc, *c1 = c0 + second;
    const int8_t *w0 = p->weights + oc * k, *w1 = w0 + second * k;
    int32_t a0 = c0->bias, a1 = c1->bias, b0 = c0->bias, b1 = c1->bias;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int8_t *xa = a->data + ky * a->pitch, *xb = b->data + ky * b->pitch;
        for (int32_t i = 0; i < row; i++) {
            const int32_t va = xa[i], vb = xb[i], wa = w0[i], wb = w1[i];
            a0 += va * wa;
            a1 += va * wb;
            b0 += vb * wa;
            b1 += vb * wb;
        }
        w0 += row;
        w1 += row;
    }
    const int32_t mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
    out_a[oc] = emulab_requant_s8(a0, c0, mode, zero, low, high);
    out_b[oc] = emulab_requant_s8(b0, c0, mode, zero, low, high);
    if (second) {
        out_a[oc + 1] = emulab_requant_s8(a1, c1, mode, zero, low, high);
        out_b[oc + 1] = emulab_requant_s8(b1, c1, mode, zero, low, high);
    }
}

/* Copy the inputs of output pixel (y, x), zero points outside the image, into `to`. */
static void gather(const emulab_conv_s8_params *p, const int8_t *in, int32_t y, int32_t x, int8_t *to)
{
    const int32_t c = p->group_in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t iy = y * p->stride_h - p->pad_h + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; kx++, to += c) {
            const int32_t ix = x * p->stride_w - p->pad_w + kx * p->dilation_w;
            if (iy < 0 || iy >= p->in_h || ix < 0 || ix >= p->in_w) {
                memset(to, p->in_zero, (size_t)c);
            } else {
                memcpy(to, in + (iy * p->in_w + ix) * p->in_c, (size_t)c);
            }
        }
    }
}

/* Scratch: two patches of kernel_h * kernel_w * group_in_c bytes. */
void emulab_conv_s8(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t row = p->kernel_w * p->group_in_c;
    const int32_t dense = p->dilation_h == 1 && p->dilation_w == 1 && p->group_in_c == p->in_c;
    int8_t *buffers[2] = {(int8_t *)scratch, (int8_t *)scratch + p->kernel_h * row};
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t group = 0; group < p->out_c; group += p->group_out_c) {
            const int8_t *from = in + group / p->group_out_c * p->group_in_c;
            const int32_t end = group + p->group_out_c;
            patch patches[2];
            int8_t *to[2];
            int32_t n = 0;
            for (int32_t y = 0; y < p->out_h; y++) {
                const int32_t iy = y * p->stride_h - p->pad_h;
                const int32_t inside = dense && iy >= 0 && iy + p->kernel_h <= p->in_h;
                for (int32_t x = 0; x < p->out_w; x++) {
                    const int32_t ix = x * p->stride_w - p->pad_w;
                    if (inside && ix >= 0 && ix + p->kernel_w <= p->in_w) {
                        patches[n].data = from + (iy * p->in_w + ix) * p->in_c;
                        patches[n].pitch = p->in_w * p->in_c;
                    } else {
                        gather(p, from, y, x, buffers[n]);
                        patches[n].data = buffers[n];
                        patches[n].pitch = row;
                    }
                    to[n++] = out + (y * p->out_w + x) * p->out_c;
                    if (n == 2 || (y == p->out_h - 1 && x == p->out_w - 1)) {
                        for (int32_t oc = group; oc < end; oc += 2) {
                            block(p, oc, row, &patches[0], &patches[n - 1], to[0], to[n - 1]);
                        }
                        n = 0;
                    }
                }
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += p->out_h * p->out_w * p->out_c;
    }
}
