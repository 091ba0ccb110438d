/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8 for the Arm DSP extension: four outputs at a time.
 *
 * The input is widened to halfwords once; every weight is used once, so it is widened on its way from flash, which is
 * read strictly in order: for every 4 inputs one word of each of 4 outputs. */
#include "emulab_dsp.h"
#include "emulab_requant.h"

#ifdef EMULAB_DSP_NATIVE
/* `sums` of four outputs plus their products; returns where the next weights are. Registers: r0 x, r1 w, r2 end of x,
 * r3 temporary, r4-r7 sums, r8 r9 x, r10 r11 r12 lr weights. Steps beyond a multiple of four come first. */
const uint32_t *emulab_dsp_dense(const uint32_t *x, const uint32_t *w, int32_t steps, int32_t *sums);

#define MAC4(sum, w)                                                                                                   \
    "sxtb16 r3, " w "\n sxtb16 " w ", " w ", ror #8\n smlad " sum ", r8, r3, " sum "\n smlad " sum ", r9, " w ", " sum "\n"
#define STEP(n)                                                                                                        \
    "ldr r8, [r0, #" #n "*8]\n ldr r9, [r0, #" #n "*8+4]\n ldr r10, [r1, #" #n "*16]\n ldr r11, [r1, #" #n            \
    "*16+4]\n ldr r12, [r1, #" #n "*16+8]\n ldr lr, [r1, #" #n "*16+12]\n" MAC4("r4", "r10") MAC4("r5", "r11")        \
    MAC4("r6", "r12") MAC4("r7", "lr")

__asm__(".syntax unified\n.text\n.thumb\n.align 2\n.global emulab_dsp_dense\n.type emulab_dsp_dense, %function\n"
        ".thumb_func\nemulab_dsp_dense:\n push {r3-r11, lr}\n sub sp, sp, #8\n"
        "add r8, r0, r2, lsl #3\n str r8, [sp]\n and r2, r2, #3\n add r2, r0, r2, lsl #3\n ldm r3, {r4-r7}\n"
        "cmp r0, r2\n beq 2f\n"
        "1:\n" STEP(0) "add r0, r0, #8\n add r1, r1, #16\n cmp r0, r2\n bne 1b\n"
        "2:\n ldr r2, [sp]\n cmp r0, r2\n beq 4f\n"
        ".align 2\n3:\n" STEP(0) STEP(1) STEP(2) STEP(3)
        "add r0, r0, #32\n add r1, r1, #64\n cmp r0, r2\n bne 3b\n"
        "4:\n ldr r3, [sp, #8]\n stm r3, {r4-r7}\n mov r0, r1\n add sp, sp, #8\n pop {r3-r11, pc}\n"
        ".size emulab_dsp_dense, .-emulab_dsp_dense\n");
#else
/* `sums` of four outputs plus their products; returns where the next weights are. */
static inline const uint32_t *emulab_dsp_dense(const uint32_t *x, const uint32_t *w, int32_t steps, int32_t *sums)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const uint32_t *const end = x + 2 * steps;
    do {
        const uint32_t even = x[0], odd = x[1], w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
        x += 2;
        w += 4;
        s0 = emulab_dual_mac(odd, emulab_bytes_odd(w0), emulab_dual_mac(even, emulab_bytes_even(w0), s0));
        s1 = emulab_dual_mac(odd, emulab_bytes_odd(w1), emulab_dual_mac(even, emulab_bytes_even(w1), s1));
        s2 = emulab_dual_mac(odd, emulab_bytes_odd(w2), emulab_dual_mac(even, emulab_bytes_even(w2), s2));
        s3 = emulab_dual_mac(odd, emulab_bytes_odd(w3), emulab_dual_mac(even, emulab_bytes_even(w3), s3));
    } while (x != end);
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    return w;
}
#endif

/* The usual requantisation, without the tests of the general one. */
static inline void four_outputs(const int32_t *sums, const emulab_channel *c, int32_t relu, int8_t *out)
{
    out[0] = emulab_requant_usual_s8(sums[0], &c[0], relu);
    out[1] = emulab_requant_usual_s8(sums[1], &c[1], relu);
    out[2] = emulab_requant_usual_s8(sums[2], &c[2], relu);
    out[3] = emulab_requant_usual_s8(sums[3], &c[3], relu);
}

/* Scratch: 2 * ceil(in_n / 4) words. The last word of the input may reach past its end: the weights there are 0. */
void emulab_fully_connected_s8_dsp(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                   void *scratch)
{
    const int32_t steps = (p->in_n + 3) / 4, shared = p->shared;
    const int32_t usual = p->requant != EMULAB_REQUANT_EXACT && p->act_min == -128 && p->act_max == 127;
    const int32_t relu = p->requant == EMULAB_REQUANT_FAST_RELU;
    const emulab_packed_channels packed =
        emulab_packed(p->channels, (p->out_n + 3) & ~3, shared, p->requant, p->out_zero + 127 - p->act_max);
    uint32_t *const wide = scratch;
    emulab_channel c[4];
    emulab_unpack_channels(&packed, 0, 4, c); /* where they share one scale, it stays */
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_n) {
        const uint32_t *w = (const uint32_t *)(const void *)p->weights;
        const int32_t *bias = p->channels;
        int32_t correction = 0; /* of weights whose zero point is not 0 */
        if (p->weight_zero != 0) {
            EMULAB_NO_UNROLL
            for (int32_t i = 0; i < p->in_n; i++) {
                correction += in[i];
            }
            correction *= p->weight_zero;
        }
        EMULAB_NO_UNROLL
        for (int32_t i = 0; i < steps; i++) {
            const uint32_t x = emulab_load_word(in + 4 * i);
            wide[2 * i] = emulab_bytes_even(x);
            wide[2 * i + 1] = emulab_bytes_odd(x);
        }
        for (int32_t left = p->out_n; left > 0; left -= 4, bias += 4) {
            int32_t s[4] = {bias[0] + correction, bias[1] + correction, bias[2] + correction, bias[3] + correction};
            if (!shared) {
                emulab_unpack_channels(&packed, p->out_n - left, 4, c);
            }
            w = emulab_dsp_dense(wide, w, steps, s);
            if (left >= 4 && usual) {
                if (relu) {
                    four_outputs(s, c, 1, out);
                } else {
                    four_outputs(s, c, 0, out);
                }
                out += 4;
                continue;
            }
            const int32_t count = left < 4 ? left : 4;
            EMULAB_NO_UNROLL
            for (int32_t i = 0; i < count; i++) {
                *out++ = emulab_requant_s8(s[i], &c[i], p->requant, p->out_zero, p->act_min, p->act_max);
            }
        }
    }
}
