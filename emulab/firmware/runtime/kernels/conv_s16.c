/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of 16-bit activations and 8-bit weights. */
#include "emulab_fixed.h"
#include "emulab_int16.h"

static int16_t requant(const emulab_conv_s16_params *p, int64_t sum, int32_t channel)
{
    const int32_t multiplier = p->multiplier[channel], shift = p->shift[channel];
    int32_t x;
    sum += p->bias[channel];
    if (p->full) {
        x = emulab_scale((int32_t)sum, multiplier, shift);
    } else {
        const int32_t right = 15 - shift;
        x = (int32_t)((sum * multiplier + (INT64_C(1) << (right - 1))) >> right);
    }
    return (int16_t)emulab_clamp(x, p->act_min, p->act_max);
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

void emulab_conv_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                const int8_t *w = p->weights;
                for (int32_t oc = 0; oc < g->out_c; oc++) {
                    const int16_t *from = in + oc / g->group_out_c * g->group_in_c;
                    int64_t sum = 0;
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++, w += g->group_in_c) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w) {
                                const int16_t *v = from + (iy * g->in_w + ix) * g->in_c;
                                sum += p->wide ? dot_wide(v, w, g->group_in_c, 0) : dot(v, w, g->group_in_c, 0);
                            }
                        }
                    }
                    *out++ = requant(p, sum, oc);
                }
            }
        }
    }
}

void emulab_depthwise_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                for (int32_t c = 0; c < g->out_c; c++) {
                    const int32_t ic = g->group_out_c == 1 ? c : c / g->group_out_c;
                    int64_t sum = 0;
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w) {
                                sum += in[(iy * g->in_w + ix) * g->in_c + ic] *
                                       p->weights[(ky * g->kernel_w + kx) * g->out_c + c];
                            }
                        }
                    }
                    *out++ = requant(p, sum, c);
                }
            }
        }
    }
}

void emulab_fully_connected_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_c) {
        const int8_t *w = p->weights;
        for (int32_t o = 0; o < g->out_c; o++, w += g->in_c) {
            const int64_t sum =
                p->wide ? dot_wide(in, w, g->in_c, p->weight_zero) : dot(in, w, g->in_c, p->weight_zero);
            *out++ = requant(p, sum, o);
        }
    }
}
