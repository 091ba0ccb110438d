/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D on int8 for the Arm DSP extension.
 *
 * A chunk of output channels has its weights widened to halfwords in RAM once; then all pixels pass by in pairs, each
 * pair widened once per chunk (this is the whole of im2col: two pixels). So flash is read once, in order, and the
 * widening is shared by all that use it. Channels of a group of 4 are packed together: for every 4 inputs, 4 words. */
#include <string.h>

#include "emulab_dsp_block.h"

static void widen_weights(const uint32_t *from, int32_t words, uint32_t *to)
{
    EMULAB_NO_UNROLL
    for (int32_t i = 0; i < words; i += 4, from += 4, to += 8) {
        const uint32_t w0 = from[0], w1 = from[1], w2 = from[2], w3 = from[3];
        to[0] = emulab_bytes_even(w0);
        to[1] = emulab_bytes_even(w1);
        to[2] = emulab_bytes_even(w2);
        to[3] = emulab_bytes_even(w3);
        to[4] = emulab_bytes_odd(w0);
        to[5] = emulab_bytes_odd(w1);
        to[6] = emulab_bytes_odd(w2);
        to[7] = emulab_bytes_odd(w3);
    }
}

/* `words` words of either pixel; returns where the next go. */
static uint32_t *widen_pixels(const int8_t *a, const int8_t *b, int32_t words, uint32_t *to)
{
    EMULAB_NO_UNROLL
    for (; words > 0; words--, a += 4, b += 4, to += 4) {
        const uint32_t va = emulab_load_word(a), vb = emulab_load_word(b);
        to[0] = emulab_bytes_even(va);
        to[1] = emulab_bytes_even(vb);
        to[2] = emulab_bytes_odd(va);
        to[3] = emulab_bytes_odd(vb);
    }
    return to;
}

typedef struct {
    int32_t y, x; /* of the input, at the first tap */
} corner;

/* Bytes in whole words, so up to 3 more than `size` are read and written. */
static inline void copy_over(int8_t *to, const int8_t *from, int32_t size)
{
    EMULAB_NO_UNROLL
    for (; size > 0; size -= 4, to += 4, from += 4) {
        __builtin_memcpy(to, from, 4);
    }
}

/* All taps of a pixel one after the other, zero points outside the image. */
static __attribute__((noinline)) void gather(const emulab_conv_s8_params *p, const int8_t *in, corner at, int8_t *to)
{
    const int32_t c = p->group_in_c, row = p->kernel_w * c, pitch = p->in_w * p->in_c;
    const int32_t dense = p->dilation_w == 1 && c == p->in_c;
    const int32_t step = p->row_words ? 4 * p->row_words : row;
    /* Taps kx of the first row of which the pixel exists, if they are neighbours. */
    int32_t first = at.x < 0 ? -at.x : 0, end = p->in_w - at.x;
    end = end < p->kernel_w ? end : p->kernel_w;
    first *= c;
    end *= c;
    const int8_t *from = in + at.y * pitch + at.x * p->in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, to += step, from += pitch * p->dilation_h) {
        const int32_t y = at.y + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h || (dense && first >= end)) {
            memset(to, p->in_zero, (size_t)row);
        } else if (dense) {
            EMULAB_NO_UNROLL
            for (int32_t i = 0; i < first; i++) {
                to[i] = (int8_t)p->in_zero;
            }
            copy_over(to + first, from + first, end - first);
            EMULAB_NO_UNROLL
            for (int32_t i = end; i < row; i++) {
                to[i] = (int8_t)p->in_zero;
            }
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t x = at.x + kx * p->dilation_w;
                if (x >= 0 && x < p->in_w) {
                    copy_over(to + kx * c, from + kx * p->dilation_w * p->in_c, c);
                } else {
                    memset(to + kx * c, p->in_zero, (size_t)c);
                }
            }
        }
    }
}

/* The window of a pixel: in place if it can be read in words from there, else gathered into `buffer`. */
static inline const int8_t *window(const emulab_conv_s8_params *p, const int8_t *in, corner at,
                                   int8_t *buffer, int32_t *pitch)
{
    if (p->row_words && at.y >= 0 && at.y + p->kernel_h <= p->in_h && at.x >= 0 && at.x + p->kernel_w <= p->in_w) {
        *pitch = p->in_w * p->in_c;
        return in + (at.y * p->in_w + at.x) * p->in_c;
    }
    gather(p, in, at, buffer);
    *pitch = 4 * p->row_words;
    return buffer;
}

/* Scratch, in words: widened weights of a chunk (chunk * 2 * steps), widened pixel pair (4 * steps), two buffers of
 * `steps` + 1 words for windows at the border. */
void emulab_conv_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    uint32_t *const weights = scratch;
    uint32_t *const pixels = weights + 2 * p->chunk * p->steps;
    int8_t *const buffer_a = (int8_t *)(pixels + 4 * p->steps), *const buffer_b = buffer_a + 4 * p->steps + 4;
    const int32_t pixel_count = p->out_h * p->out_w, row_words = p->row_words;
    const int32_t group_channels = (p->group_out_c + 3) & ~3;
    const uint32_t *flash = (const uint32_t *)(const void *)p->weights;
    const emulab_channel *channel = p->channels;
    emulab_dsp_block block;
    block.steps = p->steps;
    block.x = pixels;
    block.w = weights;
    block.above = (uint32_t)(127 - p->act_max) * 0x01010101u;
    for (int32_t first = 0; first < p->out_c; first += p->group_out_c) {
        const int8_t *from = in + first / p->group_out_c * p->group_in_c;
        for (int32_t done = 0; done < group_channels; done += p->chunk) {
            const int32_t channels = group_channels - done < p->chunk ? group_channels - done : p->chunk;
            const int32_t valid = p->group_out_c - done < channels ? p->group_out_c - done : channels;
            widen_weights(flash, channels * p->steps, weights);
            flash += channels * p->steps;
            block.channel = channel;
            block.groups = valid / 4;
            const int32_t pointwise = p->kernel_h * p->kernel_w == 1 && p->stride_h == 1 && p->stride_w == 1 && row_words &&
                                      valid % 4 == 0;
            for (int32_t batch = 0; batch < p->batches; batch++) {
                const int8_t *image = from + batch * p->in_h * p->in_w * p->in_c;
                int8_t *to = out + batch * pixel_count * p->out_c + first + done;
                if (pointwise) {
                    const int8_t *x = image;
                    for (int32_t i = 0; i < pixel_count; i += 2, x += 2 * p->in_c, to += 2 * p->out_c) {
                        const int32_t last = i + 1 == pixel_count;
                        widen_pixels(x, last ? x : x + p->in_c, p->steps, pixels);
                        block.out_a = to;
                        block.out_b = last ? to : to + p->out_c;
                        emulab_dsp_block_run(&block, p->requant, p->out_zero, p->act_min, p->act_max);
                    }
                    continue;
                }
                corner a = {-p->pad_h, -p->pad_w};
                int32_t ox = 0;
                for (int32_t i = 0; i < pixel_count; i += 2) {
                    corner b = a;
                    if (i + 1 < pixel_count) {
                        b.x += p->stride_w;
                        if (++ox == p->out_w) {
                            ox = 0;
                            b.x = -p->pad_w;
                            b.y += p->stride_h;
                        }
                    }
                    int32_t pitch_a, pitch_b;
                    const int8_t *from_a = window(p, image, a, buffer_a, &pitch_a);
                    const int8_t *from_b = window(p, image, b, buffer_b, &pitch_b);
                    if (row_words) {
                        uint32_t *x = pixels;
                        for (int32_t ky = 0; ky < p->kernel_h; ky++, from_a += pitch_a, from_b += pitch_b) {
                            x = widen_pixels(from_a, from_b, row_words, x);
                        }
                    } else {
                        widen_pixels(from_a, from_b, p->steps, pixels);
                    }
                    block.out_a = to;
                    block.out_b = i + 1 < pixel_count ? to + p->out_c : to;
                    if (block.groups) {
                        emulab_dsp_block_run(&block, p->requant, p->out_zero, p->act_min, p->act_max);
                    }
                    if (valid % 4) { /* the last channels, into a buffer wide enough for 4 */
                        int8_t last[8];
                        block.channel = channel + valid / 4 * 4;
                        block.w = weights + valid / 4 * 8 * p->steps;
                        block.groups = 1;
                        int8_t *end_a = block.out_a + valid / 4 * 4, *end_b = block.out_b + valid / 4 * 4;
                        block.out_a = last;
                        block.out_b = last + 4;
                        emulab_dsp_block_run(&block, p->requant, p->out_zero, p->act_min, p->act_max);
                        block.w = weights;
                        block.channel = channel;
                        block.groups = valid / 4;
                        for (int32_t j = 0; j < valid % 4; j++) {
                            end_a[j] = last[j];
                            end_b[j] = last[4 + j];
                        }
                    }
                    to += 2 * p->out_c;
                    a.x = b.x + p->stride_w;
                    a.y = b.y;
                    if (++ox == p->out_w) {
                        ox = 0;
                        a.x = -p->pad_w;
                        a.y += p->stride_h;
                    }
                }
            }
            channel += channels;
        }
    }
}
