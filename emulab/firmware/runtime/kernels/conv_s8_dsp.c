/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D on int8 for the Arm DSP extension.
 *
 * A chunk of output channels has its weights widened to halfwords in RAM once; then all pixels pass by in pairs, each
 * pair widened once per chunk (this is the whole of im2col: two pixels). So flash is read once, in order, and the
 * widening is shared by all that use it. Channels of a group of 4 are packed together: for every 4 inputs, 4 words. */
#include <string.h>

#include "emulab_dsp_block.h"
#include "emulab_requant.h"

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

/* `rows` rows of `words` words of either pixel, interleaved; from one row to the next skip some bytes. */
typedef struct {
    const int8_t *a, *b;
    int32_t words, rows;
    int32_t skip_a, skip_b;
} pixel_pair;

#ifdef EMULAB_DSP_NATIVE
void emulab_dsp_widen(const pixel_pair *pair, uint32_t *to);

/* Registers: r0 a, r1 b, r2 bytes of a row, r3 to, r4-r9 data, r10 end of the row, r11 skip_a, r12 skip_b, lr rows. */
__asm__(".syntax unified\n.text\n.thumb\n.balign 32\n.global emulab_dsp_widen\n.type emulab_dsp_widen, %function\n"
        ".thumb_func\nemulab_dsp_widen:\n push {r4-r11, lr}\n mov r3, r1\n mov r10, r0\n"
        "ldr r0, [r10]\n ldr r1, [r10, #4]\n ldr r2, [r10, #8]\n ldr lr, [r10, #12]\n ldr r11, [r10, #16]\n"
        "ldr r12, [r10, #20]\n lsl r2, r2, #2\n"
        ".align 2\n1:\n add r10, r0, r2\n tst r2, #4\n bne 3f\n"
        "2:\n ldr r4, [r0], #4\n ldr r5, [r1], #4\n sxtb16 r6, r4\n sxtb16 r7, r5\n sxtb16 r8, r4, ror #8\n"
        "sxtb16 r9, r5, ror #8\n stm r3!, {r6-r9}\n"
        "3:\n ldr r4, [r0], #4\n ldr r5, [r1], #4\n sxtb16 r6, r4\n sxtb16 r7, r5\n sxtb16 r8, r4, ror #8\n"
        "sxtb16 r9, r5, ror #8\n cmp r0, r10\n stm r3!, {r6-r9}\n bne 2b\n"
        "add r0, r0, r11\n add r1, r1, r12\n subs lr, lr, #1\n bne 1b\n pop {r4-r11, pc}\n"
        ".size emulab_dsp_widen, .-emulab_dsp_widen\n");
#else
static void emulab_dsp_widen(const pixel_pair *pair, uint32_t *to)
{
    const int8_t *a = pair->a, *b = pair->b;
    for (int32_t row = 0; row < pair->rows; row++, a += pair->skip_a, b += pair->skip_b) {
        for (int32_t i = 0; i < pair->words; i++, a += 4, b += 4, to += 4) {
            const uint32_t va = emulab_load_word(a), vb = emulab_load_word(b);
            to[0] = emulab_bytes_even(va);
            to[1] = emulab_bytes_even(vb);
            to[2] = emulab_bytes_odd(va);
            to[3] = emulab_bytes_odd(vb);
        }
    }
}
#endif

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
                                   int8_t *buffer, int32_t *skip)
{
    if (p->row_words && at.y >= 0 && at.y + p->kernel_h <= p->in_h && at.x >= 0 && at.x + p->kernel_w <= p->in_w) {
        *skip = p->in_w * p->in_c - 4 * p->row_words;
        return in + (at.y * p->in_w + at.x) * p->in_c;
    }
    gather(p, in, at, buffer);
    *skip = 0;
    return buffer;
}

/* All that is the same for the pixels of a chunk. */
typedef struct {
    const emulab_conv_s8_params *p;
    pixel_pair pair;
    emulab_dsp_block block;
    uint32_t *pixels;
    int8_t *buffer_a, *buffer_b;
    int32_t rest; /* channels beyond a multiple of 4 */
} chunk;

/* Pairs of windows that are read in place, from one window to the next `step` bytes. Small, so that it, the widening and
 * the block stay together in an instruction cache of 1 KB. */
static EMULAB_SMALL void run_in_place(chunk *k, const int8_t *x, int32_t step, int32_t pairs, int8_t *to)
{
    const emulab_conv_s8_params *const p = k->p;
    const int32_t out_c = p->out_c, mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
    k->pair.skip_a = k->pair.skip_b = p->in_w * p->in_c - 4 * k->pair.words;
    for (; pairs > 0; pairs--, x += step) {
        k->pair.a = x;
        x += step;
        k->pair.b = x;
        emulab_dsp_widen(&k->pair, k->pixels);
        k->block.out_a = to;
        to += out_c;
        k->block.out_b = to;
        to += out_c;
        emulab_dsp_block_run(&k->block, mode, zero, low, high);
    }
}

/* The last channels, into a buffer wide enough for 4. */
static EMULAB_SMALL void run_rest(chunk *k, int8_t *to_a, int8_t *to_b)
{
    const emulab_conv_s8_params *const p = k->p;
    const int32_t groups = k->block.groups, channels = 4 * groups, words = 2 * channels * k->block.steps;
    int8_t last[8];
    k->block.channel += channels;
    k->block.w += words;
    k->block.groups = 1;
    k->block.out_a = last;
    k->block.out_b = last + 4;
    emulab_dsp_block_run(&k->block, p->requant, p->out_zero, p->act_min, p->act_max);
    k->block.channel -= channels;
    k->block.w -= words;
    k->block.groups = groups;
    for (int32_t j = 0; j < k->rest; j++) {
        to_a[j] = last[j];
        to_b[j] = last[4 + j];
    }
}

/* Two pixels wherever they are. */
static inline __attribute__((always_inline)) void run_pair(chunk *k, const int8_t *image, corner a, corner b, int8_t *to_a,
                                                           int8_t *to_b)
{
    const emulab_conv_s8_params *const p = k->p;
    k->pair.a = window(p, image, a, k->buffer_a, &k->pair.skip_a);
    k->pair.b = window(p, image, b, k->buffer_b, &k->pair.skip_b);
    emulab_dsp_widen(&k->pair, k->pixels);
    k->block.out_a = to_a;
    k->block.out_b = to_b;
    if (k->block.groups) {
        emulab_dsp_block_run(&k->block, p->requant, p->out_zero, p->act_min, p->act_max);
    }
    if (k->rest) {
        run_rest(k, to_a + 4 * k->block.groups, to_b + 4 * k->block.groups);
    }
}

/* The last of an odd number: twice, to the same place. */
static EMULAB_SMALL void run_last(chunk *k, const int8_t *image, corner at, int8_t *to)
{
    run_pair(k, image, at, at, to, to);
}

/* All pixels of an image for the channels of a chunk. */
static __attribute__((noinline)) void run_image(chunk *k, const int8_t *image, int8_t *to)
{
    const emulab_conv_s8_params *const p = k->p;
    const int32_t step = p->stride_w * p->in_c;
    /* Output columns from `first` to `end` have windows that lie inside the image, if their row does. */
    const int32_t first = (p->pad_w + p->stride_w - 1) / p->stride_w;
    const int32_t end = (p->in_w + p->pad_w - p->kernel_w) / p->stride_w + 1;
    const int32_t usable = p->row_words && !k->rest && p->in_w + p->pad_w >= p->kernel_w;
    corner at = {-p->pad_h, 0}, waiting = at;
    int8_t *to_waiting = 0;
    for (int32_t oy = 0; oy < p->out_h; oy++, at.y += p->stride_h) {
        const int32_t inside = usable && at.y >= 0 && at.y + p->kernel_h <= p->in_h;
        at.x = -p->pad_w;
        for (int32_t ox = 0; ox < p->out_w;) {
            if (inside && !to_waiting && ox >= first && ox + 4 <= end) {
                const int32_t pairs = ((end < p->out_w ? end : p->out_w) - ox) / 2;
                run_in_place(k, image + (at.y * p->in_w + at.x) * p->in_c, step, pairs, to);
                ox += 2 * pairs;
                to += 2 * pairs * p->out_c;
                at.x += 2 * pairs * p->stride_w;
                continue;
            }
            if (to_waiting) {
                run_pair(k, image, waiting, at, to_waiting, to);
                to_waiting = 0;
            } else {
                waiting = at;
                to_waiting = to;
            }
            ox++;
            to += p->out_c;
            at.x += p->stride_w;
        }
    }
    if (to_waiting) {
        run_last(k, image, waiting, to_waiting);
    }
}

/* Scratch, in words: widened weights of a chunk (chunk * 2 * steps), its channels (chunk * 4), widened pixel pair
 * (4 * steps), two buffers of `steps` + 1 words for windows at the border. */
void emulab_conv_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    uint32_t *const weights = scratch;
    emulab_channel *const channels_in_ram = (emulab_channel *)(void *)(weights + 2 * p->chunk * p->steps);
    const int32_t group_channels = (p->group_out_c + 3) & ~3, row_words = p->row_words;
    const int32_t pointwise = p->kernel_h * p->kernel_w == 1 && p->stride_h == 1 && p->stride_w == 1 && row_words;
    const int32_t pixel_count = p->out_h * p->out_w;
    const uint32_t *flash = (const uint32_t *)(const void *)p->weights;
    const emulab_packed_channels packed =
        emulab_packed(p->channels, p->out_c / p->group_out_c * group_channels, 0, p->requant,
                      p->out_zero + 127 - p->act_max);
    int32_t channel = 0;
    chunk k;
    k.p = p;
    k.pixels = weights + (2 * p->steps + 4) * p->chunk;
    k.buffer_a = (int8_t *)(k.pixels + 4 * p->steps);
    k.buffer_b = k.buffer_a + 4 * p->steps + 4;
    k.pair.words = row_words ? row_words : p->steps;
    k.pair.rows = row_words ? p->kernel_h : 1;
    k.block.steps = p->steps;
    k.block.x = k.pixels;
    k.block.w = weights;
    k.block.channel = channels_in_ram;
    k.block.above = (uint32_t)(127 - p->act_max) * 0x01010101u;
    for (int32_t first = 0; first < p->out_c; first += p->group_out_c) {
        const int8_t *from = in + first / p->group_out_c * p->group_in_c;
        for (int32_t done = 0; done < group_channels; done += p->chunk) {
            const int32_t channels = group_channels - done < p->chunk ? group_channels - done : p->chunk;
            const int32_t valid = p->group_out_c - done < channels ? p->group_out_c - done : channels;
            widen_weights(flash, channels * p->steps, weights);
            flash += channels * p->steps;
            /* Every pair of pixels needs them: a small cache of flash data would lose them each time. */
            emulab_unpack_channels(&packed, channel, channels, channels_in_ram);
            channel += channels;
            k.block.groups = valid / 4;
            k.rest = valid % 4;
            for (int32_t batch = 0; batch < p->batches; batch++) {
                const int8_t *image = from + batch * p->in_h * p->in_w * p->in_c;
                int8_t *to = out + batch * pixel_count * p->out_c + first + done;
                if (pointwise && !k.rest) {
                    const int32_t even = pixel_count & ~1;
                    run_in_place(&k, image, p->in_c, pixel_count / 2, to);
                    if (even != pixel_count) {
                        const corner last = {p->in_h - 1, p->in_w - 1};
                        run_last(&k, image, last, to + even * p->out_c);
                    }
                } else {
                    run_image(&k, image, to);
                }
            }
        }
    }
}
