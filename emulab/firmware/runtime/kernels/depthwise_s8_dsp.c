/* SPDX-License-Identifier: MIT-0 */
/* DEPTHWISE_CONV_2D on int8, 3 x 3, stride 1 or 2, for the Arm DSP extension.
 *
 * Four channels at a time are turned into planes (a row of a plane is a row of the image, with its padding), a strip of
 * rows each; in a plane two neighbouring taps are one SMLAD away, and a channel's parameters stay in registers. */
#include <string.h>

#include "emulab_dsp.h"
#include "emulab_requant.h"

/* Four words of four channels each become one word per channel. */
static inline void transpose(const int8_t *from, int32_t channels, int8_t *to, int32_t plane)
{
    const uint32_t a = emulab_load_word(from), b = emulab_load_word(from + channels);
    const uint32_t c = emulab_load_word(from + 2 * channels), d = emulab_load_word(from + 3 * channels);
    const uint32_t even = 0x00ff00ffu;
    const uint32_t ab02 = (a & even) | (b & even) << 8, ab13 = (a >> 8 & even) | (b & ~even);
    const uint32_t cd02 = (c & even) | (d & even) << 8, cd13 = (c >> 8 & even) | (d & ~even);
    const uint32_t p0 = (ab02 & 0xffffu) | cd02 << 16, p1 = (ab13 & 0xffffu) | cd13 << 16;
    const uint32_t p2 = ab02 >> 16 | (cd02 & 0xffff0000u), p3 = ab13 >> 16 | (cd13 & 0xffff0000u);
    __builtin_memcpy(to, &p0, 4);
    __builtin_memcpy(to + plane, &p1, 4);
    __builtin_memcpy(to + 2 * plane, &p2, 4);
    __builtin_memcpy(to + 3 * plane, &p3, 4);
}

/* Rows y..y+rows-1 of the image (outside: zero points) into four planes. */
static void fill(const emulab_conv_s8_params *p, const int8_t *in, int32_t y, int32_t rows, int8_t *planes)
{
    const int32_t plane = rows * p->pitch, channels = p->in_c;
    for (int32_t row = 0; row < rows; row++, y++, planes += p->pitch) {
        if (y < 0 || y >= p->in_h) {
            for (int32_t c = 0; c < 4; c++) {
                memset(planes + c * plane, p->in_zero, (size_t)p->pitch);
            }
            continue;
        }
        const int8_t *from = in + y * p->in_w * channels;
        int8_t *to = planes + p->pad_w;
        int32_t x = 0;
        for (; x + 4 <= p->in_w; x += 4, from += 4 * channels, to += 4) {
            transpose(from, channels, to, plane);
        }
        for (; x < p->in_w; x++, from += channels, to++) {
            for (int32_t c = 0; c < 4; c++) {
                to[c * plane] = from[c];
            }
        }
        for (int32_t c = 0; c < 4; c++) {
            int8_t *edge = planes + c * plane;
            for (int32_t i = 0; i < p->pad_w; i++) {
                edge[i] = (int8_t)p->in_zero;
            }
            for (int32_t i = p->pad_w + p->in_w; i < p->pitch; i++) {
                edge[i] = (int8_t)p->in_zero;
            }
        }
    }
}

/* Taps of one channel: outer pair of each row, and the middle ones. */
typedef struct {
    uint32_t outer0, outer1, outer2, middle01, middle2;
} taps;

/* `count` outputs of one row, stride 1, two at a time. */
static inline void row_stride_1(const int8_t *x, int32_t pitch, taps w, const emulab_channel *channel, int32_t relu,
                                int8_t *out, int32_t step, int32_t count)
{
    const emulab_channel c = *channel;
    const int8_t *x1 = x + pitch, *x2 = x1 + pitch;
    for (; count > 0; count -= 2, x += 2, x1 += 2, x2 += 2) {
        const uint32_t r0 = emulab_load_word(x), r1 = emulab_load_word(x1), r2 = emulab_load_word(x2);
        const uint32_t e0 = emulab_bytes_even(r0), o0 = emulab_bytes_odd(r0);
        int32_t a = emulab_mac_low_low(o0, w.middle01, emulab_dual_mac(e0, w.outer0, c.bias));
        int32_t b = emulab_mac_high_low(e0, w.middle01, emulab_dual_mac(o0, w.outer0, c.bias));
        const uint32_t e1 = emulab_bytes_even(r1), o1 = emulab_bytes_odd(r1);
        a = emulab_mac_low_high(o1, w.middle01, emulab_dual_mac(e1, w.outer1, a));
        b = emulab_mac_high_high(e1, w.middle01, emulab_dual_mac(o1, w.outer1, b));
        const uint32_t e2 = emulab_bytes_even(r2), o2 = emulab_bytes_odd(r2);
        a = emulab_mac_low_low(o2, w.middle2, emulab_dual_mac(e2, w.outer2, a));
        b = emulab_mac_high_low(e2, w.middle2, emulab_dual_mac(o2, w.outer2, b));
        *out = emulab_requant_usual_s8(a, &c, relu);
        out += step;
        if (count > 1) {
            *out = emulab_requant_usual_s8(b, &c, relu);
            out += step;
        }
    }
}

static inline void row_stride_2(const int8_t *x, int32_t pitch, taps w, const emulab_channel *channel, int32_t relu,
                                int8_t *out, int32_t step, int32_t count)
{
    const emulab_channel c = *channel;
    const int8_t *x1 = x + pitch, *x2 = x1 + pitch;
    for (; count > 0; count--, x += 2, x1 += 2, x2 += 2, out += step) {
        const uint32_t r0 = emulab_load_word(x), r1 = emulab_load_word(x1), r2 = emulab_load_word(x2);
        int32_t a = emulab_dual_mac(emulab_bytes_even(r0), w.outer0, c.bias);
        a = emulab_dual_mac(emulab_bytes_even(r1), w.outer1, a);
        a = emulab_dual_mac(emulab_bytes_even(r2), w.outer2, a);
        a = emulab_mac_low_low(emulab_bytes_odd(r0), w.middle01, a);
        a = emulab_mac_low_high(emulab_bytes_odd(r1), w.middle01, a);
        a = emulab_mac_low_low(emulab_bytes_odd(r2), w.middle2, a);
        *out = emulab_requant_usual_s8(a, &c, relu);
    }
}

/* One channel of a strip: all its output rows. */
typedef struct {
    const int8_t *x;
    int32_t pitch;
    const uint32_t *taps;
    const emulab_channel *channel;
    int8_t *out;
    int32_t out_step;    /* bytes from one pixel to the next */
    int32_t count;       /* pixels per row */
    int32_t rows;        /* at least 1 */
    int32_t row_advance; /* of x, bytes per output row */
    int32_t out_advance; /* of out, bytes per output row */
} plane;

#ifdef EMULAB_DSP_NATIVE
/* RELU requantisation only. Registers: r0 x, r1 pitch, r2-r6 taps, r7 r8 accumulators, r9 r10 lr temporaries, r11 out,
 * r12 out_step. Stack: 0 bias, 4 multiplier, 8 round, 12 shift, 16 rows left, 20 row_advance, 24 out_advance, 28 x and
 * 32 out at the start of the row, 36 bytes of x done in the loop, 40 whether one more pixel follows it, 44 end of x. */
#define PROLOGUE(name, PAIR)                                                                                           \
    ".syntax unified\n.text\n.thumb\n.align 2\n.type " name ", %function\n.thumb_func\n" name ":\n"                   \
    "push {r4-r11, lr}\n sub sp, sp, #52\n"                                                                           \
    "mov lr, r0\n ldm lr!, {r0-r3, r11, r12}\n"                                                                       \
    "ldm r3, {r4-r7}\n stm sp, {r4-r7}\n" /* bias multiplier round shift */                                           \
    "ldm lr, {r3-r6}\n"                   /* count rows row_advance out_advance */                                    \
    "str r4, [sp, #16]\n str r5, [sp, #20]\n str r6, [sp, #24]\n" PAIR                                                \
    "ldm r2, {r2-r6}\n"                                                                                                \
    "1:\n str r0, [sp, #28]\n str r11, [sp, #32]\n ldr r7, [sp, #36]\n add r7, r7, r0\n str r7, [sp, #44]\n"          \
    "cmp r7, r0\n beq 3f\n"

#define EPILOGUE(name)                                                                                                 \
    "4:\n ldr r0, [sp, #28]\n ldr r7, [sp, #20]\n ldr r11, [sp, #32]\n ldr r8, [sp, #24]\n ldr r9, [sp, #16]\n"       \
    "add r0, r0, r7\n add r11, r11, r8\n subs r9, r9, #1\n str r9, [sp, #16]\n bne 1b\n"                              \
    "add sp, sp, #52\n pop {r4-r11, pc}\n.size " name ", .-" name "\n"

/* One kernel row for two neighbouring outputs: outer pair w, middle tap in half m of register k. */
#define TWO(w, k, m, from_a, from_b)                                                                                   \
    "sxtb16 r9, r10\n sxtb16 r10, r10, ror #8\n"                                                                      \
    "smlad r7, r9, " w ", " from_a "\n smlad r8, r10, " w ", " from_b "\n"                                            \
    "smlab" m " r7, r10, " k ", r7\n smlat" m " r8, r9, " k ", r8\n"

/* One kernel row for one output; the row is in register x, r8 is free. */
#define ONE(x, w, k, m)                                                                                                \
    "sxtb16 r8, " x "\n sxtb16 " x ", " x ", ror #8\n"                                                                \
    "smlad r7, r8, " w ", r7\n smlab" m " r7, " x ", " k ", r7\n"

#define SINGLE                                                                                                         \
    "ldr r7, [sp]\n ldr r9, [r0]\n ldr r10, [r0, r1]\n ldr lr, [r0, r1, lsl #1]\n" ONE("r9", "r2", "r5", "b")          \
    ONE("r10", "r3", "r5", "t") ONE("lr", "r4", "r6", "b")                                                             \
    "ldr r9, [sp, #4]\n ldr r10, [sp, #8]\n ldr lr, [sp, #12]\n"                                                       \
    "lsl r7, r7, #1\n smmlar r7, r7, r9, r10\n asr r7, r7, lr\n ssat r7, #8, r7\n strb r7, [r11]\n"

__asm__(PROLOGUE("emulab_plane_1",
                 "and r4, r3, #1\n str r4, [sp, #40]\n bic r3, r3, #1\n str r3, [sp, #36]\n")
        ".align 2\n2:\n"
        "ldr lr, [sp]\n ldr r10, [r0]\n" TWO("r2", "r5", "b", "lr", "lr")
        "ldr r10, [r0, r1]\n" TWO("r3", "r5", "t", "r7", "r8")
        "ldr r10, [r0, r1, lsl #1]\n" TWO("r4", "r6", "b", "r7", "r8")
        "ldr r9, [sp, #4]\n ldr r10, [sp, #8]\n ldr lr, [sp, #12]\n"
        "lsl r7, r7, #1\n lsl r8, r8, #1\n smmlar r7, r7, r9, r10\n smmlar r8, r8, r9, r10\n ldr r10, [sp, #44]\n"
        "asr r7, r7, lr\n asr r8, r8, lr\n ssat r7, #8, r7\n ssat r8, #8, r8\n add r0, r0, #2\n"
        "strb r7, [r11]\n strb r8, [r11, r12]\n add r11, r11, r12, lsl #1\n cmp r0, r10\n bne 2b\n"
        "3:\n ldr r7, [sp, #40]\n cmp r7, #0\n beq 4f\n" SINGLE EPILOGUE("emulab_plane_1"));

__asm__(PROLOGUE("emulab_plane_2", "lsl r3, r3, #1\n str r3, [sp, #36]\n")
        ".align 2\n2:\n" SINGLE
        "ldr r10, [sp, #44]\n add r0, r0, #2\n add r11, r11, r12\n cmp r0, r10\n bne 2b\n"
        "3:\n" EPILOGUE("emulab_plane_2"));

void emulab_plane_1(const plane *p);
void emulab_plane_2(const plane *p);
#endif

static void plane_pass(const plane *p, int32_t stride, int32_t relu)
{
#ifdef EMULAB_DSP_NATIVE
    if (relu) {
        if (stride == 1) {
            emulab_plane_1(p);
        } else {
            emulab_plane_2(p);
        }
        return;
    }
#endif
    const uint32_t *w = p->taps;
    const taps t = {w[0], w[1], w[2], w[3], w[4]};
    const int8_t *x = p->x;
    int8_t *out = p->out;
    for (int32_t y = 0; y < p->rows; y++, x += p->row_advance, out += p->out_advance) {
        if (stride == 1) {
            row_stride_1(x, p->pitch, t, p->channel, relu, out, p->out_step, p->count);
        } else {
            row_stride_2(x, p->pitch, t, p->channel, relu, out, p->out_step, p->count);
        }
    }
}

/* Weights per channel: the words {w00 w02} {w10 w12} {w20 w22} {w01 w11} {w21 0}. Channels are a multiple of 4, the
 * requantisation is a fast one and saturates at int8 alone. Scratch: four planes of
 * ((strip_rows - 1) * stride_h + 3) rows of `pitch` bytes, and 4 bytes. */
void emulab_depthwise_3x3_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    int8_t *const planes = scratch;
    const int32_t relu = p->requant == EMULAB_REQUANT_FAST_RELU;
    const emulab_packed_channels packed = emulab_packed(p->channels, p->out_c, 0, p->requant, p->out_zero);
    emulab_channel channels[4];
    plane one;
    one.pitch = p->pitch;
    one.out_step = p->out_c;
    one.count = p->out_w;
    one.row_advance = p->stride_h * p->pitch;
    one.out_advance = p->out_w * p->out_c;
    for (int32_t batch = 0; batch < p->batches; batch++) {
        const uint32_t *weights = (const uint32_t *)(const void *)p->weights;
        for (int32_t c = 0; c < p->in_c; c += 4, weights += 20) {
            emulab_unpack_channels(&packed, c, 4, channels);
            for (int32_t y = 0; y < p->out_h; y += p->strip_rows) {
                const int32_t rows = p->out_h - y < p->strip_rows ? p->out_h - y : p->strip_rows;
                const int32_t in_rows = (rows - 1) * p->stride_h + 3;
                fill(p, in + c, y * p->stride_h - p->pad_h, in_rows, planes);
                one.rows = rows;
                for (int32_t i = 0; i < 4; i++) {
                    one.x = planes + i * in_rows * p->pitch;
                    one.taps = weights + 5 * i;
                    one.channel = &channels[i];
                    one.out = out + y * p->out_w * p->out_c + c + i;
                    plane_pass(&one, p->stride_w, relu);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_c;
        out += p->out_h * p->out_w * p->out_c;
    }
}
