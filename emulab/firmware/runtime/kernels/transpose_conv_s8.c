/* SPDX-License-Identifier: MIT-0 */
/* TRANSPOSE_CONV on int8: each output gathers the inputs whose windows reach it. */
#include "emulab_dot.h"
#include "emulab_kernels.h"

/* The channels of one output pixel, at (y, x) of the padded output. */
static void pixel(const emulab_transpose_conv_s8_params *p, int32_t y, int32_t x, const int8_t *in, int8_t *out)
{
    const emulab_window *g = &p->window;
    const int8_t *w = p->weights;
    const int32_t *channel = p->channels;
    for (int32_t oc = 0; oc < g->out_c; oc++, w += g->kernel_h * g->kernel_w * g->in_c, channel += 3) {
        int32_t sum = channel[0];
        for (int32_t ky = y % g->stride_h; ky < g->kernel_h; ky += g->stride_h) {
            const int32_t iy = (y - ky) / g->stride_h;
            for (int32_t kx = x % g->stride_w; kx < g->kernel_w; kx += g->stride_w) {
                const int32_t ix = (x - kx) / g->stride_w;
                if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w) {
                    const int8_t *tap = w + (ky * g->kernel_w + kx) * g->in_c;
                    sum += emulab_dot_s8(in + (iy * g->in_w + ix) * g->in_c, tap, g->in_c, p->in_zero);
                }
            }
        }
        const int32_t scaled = emulab_scale(sum, channel[1], channel[2]) + p->out_zero;
        *out++ = (int8_t)emulab_clamp(scaled, p->act_min, p->act_max);
    }
}

void emulab_transpose_conv_s8(const emulab_transpose_conv_s8_params *p, const int8_t *in, int8_t *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++, out += g->out_c) {
                pixel(p, y + g->pad_h, x + g->pad_w, in, out);
            }
        }
    }
}
