/* SPDX-License-Identifier: MIT-0 */
/* Plain loops of CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED, for any element type.
 *
 * Included once per type, by a file that defines WINDOW_NAME(layer), the types WINDOW_PARAMS (with a `window`, `weights`
 * and `weight_zero`), WINDOW_VALUE, WINDOW_WEIGHT and WINDOW_SUM, and before it
 *   static WINDOW_SUM window_start(p, channel)            what a sum begins with
 *   static WINDOW_SUM window_dot(p, x, w, n, weight_zero) the sum of n products
 *   static WINDOW_VALUE window_finish(p, sum, channel)    the output */

static inline int32_t window_inside(int32_t at, int32_t size)
{
    return at >= 0 && at < size;
}

void WINDOW_NAME(conv)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                const WINDOW_WEIGHT *w = p->weights;
                for (int32_t oc = 0; oc < g->out_c; oc++) {
                    const WINDOW_VALUE *from = in + oc / g->group_out_c * g->group_in_c;
                    WINDOW_SUM sum = window_start(p, oc);
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++, w += g->group_in_c) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (window_inside(iy, g->in_h) && window_inside(ix, g->in_w)) {
                                sum += window_dot(p, from + (iy * g->in_w + ix) * g->in_c, w, g->group_in_c, 0);
                            }
                        }
                    }
                    *out++ = window_finish(p, sum, oc);
                }
            }
        }
    }
}

void WINDOW_NAME(depthwise)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                for (int32_t c = 0; c < g->out_c; c++) {
                    const int32_t ic = g->group_out_c == 1 ? c : c / g->group_out_c;
                    WINDOW_SUM sum = window_start(p, c);
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (window_inside(iy, g->in_h) && window_inside(ix, g->in_w)) {
                                sum += in[(iy * g->in_w + ix) * g->in_c + ic] *
                                       p->weights[(ky * g->kernel_w + kx) * g->out_c + c];
                            }
                        }
                    }
                    *out++ = window_finish(p, sum, c);
                }
            }
        }
    }
}

/* Each output gathers the inputs whose windows reach it: every stride-th row and column of the kernel. */
void WINDOW_NAME(transpose_conv)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = g->pad_h; y < g->pad_h + g->out_h; y++) {
            for (int32_t x = g->pad_w; x < g->pad_w + g->out_w; x++) {
                const WINDOW_WEIGHT *w = p->weights;
                for (int32_t oc = 0; oc < g->out_c; oc++, w += g->kernel_h * g->kernel_w * g->in_c) {
                    WINDOW_SUM sum = window_start(p, oc);
                    for (int32_t ky = y % g->stride_h; ky < g->kernel_h; ky += g->stride_h) {
                        const int32_t iy = (y - ky) / g->stride_h;
                        for (int32_t kx = x % g->stride_w; kx < g->kernel_w; kx += g->stride_w) {
                            const int32_t ix = (x - kx) / g->stride_w;
                            if (window_inside(iy, g->in_h) && window_inside(ix, g->in_w)) {
                                const WINDOW_WEIGHT *tap = w + (ky * g->kernel_w + kx) * g->in_c;
                                sum += window_dot(p, in + (iy * g->in_w + ix) * g->in_c, tap, g->in_c, 0);
                            }
                        }
                    }
                    *out++ = window_finish(p, sum, oc);
                }
            }
        }
    }
}

void WINDOW_NAME(fully_connected)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_c) {
        const WINDOW_WEIGHT *w = p->weights;
        for (int32_t o = 0; o < g->out_c; o++, w += g->in_c) {
            const WINDOW_SUM sum = window_start(p, o) + window_dot(p, in, w, g->in_c, p->weight_zero);
            *out++ = window_finish(p, sum, o);
        }
    }
}
