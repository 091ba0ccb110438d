/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D on int8 for Helium: two pixels by two output channels, 16 inputs at a time.
 *
 * For every 16 inputs, four loads and four VMLADAVA (16 products summed into a core register) alternate between the
 * load and the multiply pipe. Weights are packed by the generator: groups of 4 output channels, pairs of them
 * interleaved by 16 bytes, each kernel row (or the whole window, if it is gathered) filled up to 16 with zeros; what the
 * loads of inputs reach beyond their end is multiplied by those. */
#include "emulab_mve.h"

/* The inputs of one output pixel: kernel_h rows of row_words vectors, from one row to the next `pitch` bytes. */
typedef struct {
    const int8_t *data;
    int32_t pitch;
} window;

typedef struct {
    int32_t rows, steps; /* vectors per row */
    const int8_t *weights;
    const int32_t *channels;
    int32_t valid; /* output channels to write */
    int32_t zero, low, high;
} block;

/* Adds the products of two channels and two pixels, 16 inputs at a time; weights and inputs move on. n is at least 1. */
#define EMULAB_DOT_2X2(n)                                                                                              \
    {                                                                                                                  \
        int32_t i = (n);                                                                                               \
        do {                                                                                                           \
            const int8x16_t w0 = vldrbq_s8(w), va = vldrbq_s8(xa);                                                     \
            a0 = vmladavaq_s8(a0, w0, va);                                                                             \
            const int8x16_t vb = vldrbq_s8(xb);                                                                        \
            b0 = vmladavaq_s8(b0, w0, vb);                                                                             \
            const int8x16_t w1 = vldrbq_s8(w + 16);                                                                    \
            a1 = vmladavaq_s8(a1, w1, va);                                                                             \
            b1 = vmladavaq_s8(b1, w1, vb);                                                                             \
            w += 32;                                                                                                   \
            xa += 16;                                                                                                  \
            xb += 16;                                                                                                  \
        } while (--i);                                                                                                 \
    }

#define EMULAB_TWO_CHANNELS(first, second)                                                                             \
    {                                                                                                                  \
        const int8_t *xa = a.data, *xb = b.data;                                                                       \
        int32_t a0 = 0, a1 = 0, b0 = 0, b1 = 0;                                                                        \
        if (flat) {                                                                                                    \
            EMULAB_DOT_2X2(steps)                                                                                      \
        } else {                                                                                                       \
            for (int32_t row = rows; row > 0; row--, xa += skip_a, xb += skip_b) {                                     \
                EMULAB_DOT_2X2(steps)                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
        sum_a = vsetq_lane_s32(a1, vsetq_lane_s32(a0, sum_a, first), second);                                          \
        sum_b = vsetq_lane_s32(b1, vsetq_lane_s32(b0, sum_b, first), second);                                          \
    }

/* All channels of two pixels. `flat`: a window is one row. */
static inline __attribute__((always_inline)) void run(const block *k, window a, window b, int8_t *out_a, int8_t *out_b,
                                                      int32_t mode, int32_t flat)
{
    const int8_t *w = k->weights;
    const int32_t *channel = k->channels;
    const int32_t rows = k->rows, steps = k->steps, zero = k->zero;
    const int32_t skip_a = a.pitch - 16 * steps, skip_b = b.pitch - 16 * steps;
    const int32x4_t low = vdupq_n_s32(k->low), high = vdupq_n_s32(k->high);
    for (int32_t left = k->valid; left > 0; left -= 4, channel += 16) {
        int32x4_t sum_a = low, sum_b = low; /* all lanes are set */
        EMULAB_TWO_CHANNELS(0, 1)
        EMULAB_TWO_CHANNELS(2, 3)
        const emulab_mve_channels q = emulab_mve_load_channels(channel);
        const mve_pred16_t valid = vctp32q((uint32_t)left);
        sum_a = emulab_mve_requant(sum_a, &q, mode, zero);
        sum_b = emulab_mve_requant(sum_b, &q, mode, zero);
        vstrbq_p_s32(out_a, vminq_s32(vmaxq_s32(sum_a, low), high), valid);
        vstrbq_p_s32(out_b, vminq_s32(vmaxq_s32(sum_b, low), high), valid);
        out_a += 4;
        out_b += 4;
    }
}

#define EMULAB_RUN(name, mode, flat)                                                                                   \
    static __attribute__((noinline)) void name(const block *k, window a, window b, int8_t *out_a, int8_t *out_b)       \
    {                                                                                                                  \
        run(k, a, b, out_a, out_b, mode, flat);                                                                        \
    }
EMULAB_RUN(run_exact, EMULAB_REQUANT_EXACT, 0)
EMULAB_RUN(run_fast, EMULAB_REQUANT_FAST, 0)
EMULAB_RUN(run_fast_flat, EMULAB_REQUANT_FAST, 1)
EMULAB_RUN(run_relu, EMULAB_REQUANT_FAST_RELU, 0)
EMULAB_RUN(run_relu_flat, EMULAB_REQUANT_FAST_RELU, 1)

static inline void fill(int8_t *to, int32_t n, int8_t value)
{
    const int8x16_t v = vdupq_n_s8(value);
    for (; n > 0; n -= 16, to += 16) {
        vstrbq_p_s8(to, v, vctp8q((uint32_t)n));
    }
}

static inline void copy(int8_t *to, const int8_t *from, int32_t n)
{
    for (; n > 0; n -= 16, to += 16, from += 16) {
        const mve_pred16_t q = vctp8q((uint32_t)n);
        vstrbq_p_s8(to, vldrbq_z_s8(from, q), q);
    }
}

/* All taps of the pixel whose first tap is at (y, x), zero points outside the image, into `to`. */
static __attribute__((noinline)) void gather(const emulab_conv_s8_params *p, const int8_t *in, int32_t y, int32_t x,
                                             int8_t *to)
{
    const int32_t c = p->group_in_c, row = p->kernel_w * c, pitch = p->in_w * p->in_c;
    const int32_t dense = p->dilation_w == 1 && c == p->in_c;
    const int32_t step = p->row_words ? 16 * p->row_words : row;
    /* The taps of a row that lie inside the image, if they are neighbours there. */
    const int32_t first = x < 0 ? -x : 0;
    const int32_t end = p->in_w - x < p->kernel_w ? p->in_w - x : p->kernel_w;
    const int8_t *from = in + y * pitch + x * p->in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h, to += step, from += pitch * p->dilation_h) {
        if (y < 0 || y >= p->in_h) {
            fill(to, row, (int8_t)p->in_zero);
            continue;
        }
        if (dense) {
            if (end - first < p->kernel_w) {
                fill(to, row, (int8_t)p->in_zero);
            }
            if (end > first) {
                copy(to + first * c, from + first * c, (end - first) * c);
            }
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t ix = x + kx * p->dilation_w;
            if (ix >= 0 && ix < p->in_w) {
                copy(to + kx * c, from + kx * p->dilation_w * p->in_c, c);
            } else {
                fill(to + kx * c, c, (int8_t)p->in_zero);
            }
        }
    }
}

/* Scratch: two windows of 16 * steps bytes. */
void emulab_conv_s8_mve(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    int8_t *const buffers[2] = {scratch, (int8_t *)scratch + 16 * p->steps};
    const int32_t flat = p->row_words == 0 || p->kernel_h == 1;
    void (*const pair)(const block *, window, window, int8_t *, int8_t *) =
        p->requant == EMULAB_REQUANT_EXACT  ? run_exact
        : p->requant == EMULAB_REQUANT_FAST ? (flat ? run_fast_flat : run_fast)
                                            : (flat ? run_relu_flat : run_relu);
    const int32_t group_channels = (p->group_out_c + 3) & ~3, pitch = p->in_w * p->in_c;
    block k = {p->row_words ? p->kernel_h : 1, p->row_words ? p->row_words : p->steps, p->weights,
               p->channels, p->group_out_c, p->out_zero, p->act_min, p->act_max};
    for (int32_t group = 0; group < p->out_c; group += p->group_out_c) {
        const int8_t *image = in + group / p->group_out_c * p->group_in_c;
        int8_t *to = out + group, *first = to;
        window windows[2];
        int32_t n = 0;
        for (int32_t batch = 0; batch < p->batches; batch++, image += p->in_h * pitch) {
            for (int32_t oy = 0, y = -p->pad_h; oy < p->out_h; oy++, y += p->stride_h) {
                const int32_t inside = p->row_words && y >= 0 && y + p->kernel_h <= p->in_h;
                for (int32_t ox = 0, x = -p->pad_w; ox < p->out_w; ox++, x += p->stride_w, to += p->out_c) {
                    if (inside && x >= 0 && x + p->kernel_w <= p->in_w) {
                        windows[n].data = image + y * pitch + x * p->in_c;
                        windows[n].pitch = pitch;
                    } else {
                        gather(p, image, y, x, buffers[n]);
                        windows[n].data = buffers[n];
                        windows[n].pitch = 16 * k.steps;
                    }
                    if (n == 0 && !(batch == p->batches - 1 && oy == p->out_h - 1 && ox == p->out_w - 1)) {
                        first = to;
                        n = 1;
                        continue;
                    }
                    if (n == 0) { /* the last of an odd number: twice, to the same place */
                        first = to;
                    }
                    pair(&k, windows[0], windows[n], first, to);
                    n = 0;
                }
            }
        }
        k.weights += group_channels * 16 * p->steps;
        k.channels += group_channels * 4;
    }
}
