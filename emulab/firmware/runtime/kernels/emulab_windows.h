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

/* Taps `first` up to `end` of a kernel that lie inside the input, the kernel beginning at `at`. */
typedef struct {
    int32_t first, end;
} window_span;

static inline window_span window_taps(int32_t at, int32_t kernel, int32_t dilation, int32_t size)
{
    if (dilation == 1) {
        const window_span near = {at < 0 ? -at : 0, size - at < kernel ? size - at : kernel};
        return near;
    }
    window_span taps = {at < 0 ? (dilation - 1 - at) / dilation : 0, kernel};
    if (at + (kernel - 1) * dilation >= size) {
        taps.end = size > at ? (size - at + dilation - 1) / dilation : 0;
    }
    return taps;
}

/* The channels of one output: `rows` rows of n products each, of which the first is at `line` and `tap`. */
static __attribute__((noinline)) void window_pixel(const WINDOW_PARAMS *p, const WINDOW_VALUE *line,
                                                   const WINDOW_WEIGHT *tap, int32_t rows, int32_t n, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    const int32_t line_step = g->dilation_h * g->in_w * g->in_c, tap_step = g->kernel_w * g->group_in_c;
    const int32_t channel_step = g->kernel_h * tap_step;
    for (int32_t oc = 0; oc < g->out_c; oc++, tap += channel_step) {
        WINDOW_SUM sum = window_start(p, oc);
        const WINDOW_VALUE *x = line;
        const WINDOW_WEIGHT *w = tap;
        for (int32_t k = rows; k > 0; k--, x += line_step, w += tap_step) {
            sum += window_dot(p, x, w, n, 0);
        }
        out[oc] = window_finish(p, sum, oc);
    }
}

/* The same where the taps of a row do not lie side by side: channels in groups, columns apart. */
static __attribute__((noinline)) void window_scattered(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, int32_t top,
                                                       int32_t left, window_span down, window_span along,
                                                       WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    const int32_t taps_c = g->group_in_c;
    const WINDOW_WEIGHT *w = p->weights;
    for (int32_t oc = 0; oc < g->out_c; oc++, w += g->kernel_h * g->kernel_w * taps_c) {
        const WINDOW_VALUE *from = in + oc / g->group_out_c * taps_c;
        WINDOW_SUM sum = window_start(p, oc);
        for (int32_t ky = down.first; ky < down.end; ky++) {
            for (int32_t kx = along.first; kx < along.end; kx++) {
                const int32_t at = (top + ky * g->dilation_h) * g->in_w + left + kx * g->dilation_w;
                sum += window_dot(p, from + at * g->in_c, w + (ky * g->kernel_w + kx) * taps_c, taps_c, 0);
            }
        }
        out[oc] = window_finish(p, sum, oc);
    }
}

void WINDOW_NAME(conv)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    const int32_t taps_c = g->group_in_c, row = g->in_w * g->in_c;
    /* The taps of one kernel row lie side by side in the input as they do in the weights. */
    const int32_t dense = g->dilation_w == 1 && taps_c == g->in_c;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * row) {
        for (int32_t y = 0; y < g->out_h; y++) {
            const int32_t top = y * g->stride_h - g->pad_h;
            const window_span down = window_taps(top, g->kernel_h, g->dilation_h, g->in_h);
            for (int32_t x = 0; x < g->out_w; x++, out += g->out_c) {
                const int32_t left = x * g->stride_w - g->pad_w;
                const window_span along = window_taps(left, g->kernel_w, g->dilation_w, g->in_w);
                if (dense) {
                    const WINDOW_VALUE *line = in + (top + down.first * g->dilation_h) * row;
                    const WINDOW_WEIGHT *tap = p->weights + (down.first * g->kernel_w + along.first) * taps_c;
                    const int32_t n = (along.end - along.first) * taps_c;
                    window_pixel(p, line + (left + along.first) * taps_c, tap, down.end - down.first, n, out);
                } else {
                    window_scattered(p, in, top, left, down, along, out);
                }
            }
        }
    }
}

void WINDOW_NAME(depthwise)(const WINDOW_PARAMS *p, const WINDOW_VALUE *in, WINDOW_VALUE *out)
{
    const emulab_window *g = &p->window;
    const int32_t row = g->in_w * g->in_c, step = g->dilation_w * g->in_c;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * row) {
        for (int32_t y = 0; y < g->out_h; y++) {
            const int32_t top = y * g->stride_h - g->pad_h;
            const window_span down = window_taps(top, g->kernel_h, g->dilation_h, g->in_h);
            for (int32_t x = 0; x < g->out_w; x++) {
                const int32_t left = x * g->stride_w - g->pad_w;
                const window_span along = window_taps(left, g->kernel_w, g->dilation_w, g->in_w);
                for (int32_t c = 0; c < g->out_c; c++) {
                    const int32_t ic = g->group_out_c == 1 ? c : c / g->group_out_c;
                    WINDOW_SUM sum = window_start(p, c);
                    for (int32_t ky = down.first; ky < down.end; ky++) {
                        const WINDOW_VALUE *v = in + (top + ky * g->dilation_h) * row + left * g->in_c + ic;
                        const WINDOW_WEIGHT *w = p->weights + ky * g->kernel_w * g->out_c + c;
                        for (int32_t kx = along.first; kx < along.end; kx++) {
                            sum += v[kx * step] * w[kx * g->out_c];
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
