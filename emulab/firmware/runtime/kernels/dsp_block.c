/* SPDX-License-Identifier: MIT-0 */
/* Two pixels by four channels: in C for every case, in assembly for the usual one. */
#include "emulab_dsp_block.h"

#include "emulab_requant.h"

EMULAB_SMALL void emulab_dsp_block_c(const emulab_dsp_block *b, int32_t mode, int32_t zero, int32_t low, int32_t high)
{
    const uint32_t *w = b->w;
    const emulab_channel *c = b->channel;
    int8_t *out_a = b->out_a, *out_b = b->out_b;
    for (int32_t group = 0; group < b->groups; group++, c += 4, out_a += 4, out_b += 4) {
        int32_t a0 = c[0].bias, a1 = c[1].bias, a2 = c[2].bias, a3 = c[3].bias;
        int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
        const uint32_t *x = b->x;
        for (int32_t i = 0; i < 2 * b->steps; i++, x += 2, w += 4) {
            a0 = emulab_dual_mac(x[0], w[0], a0);
            b0 = emulab_dual_mac(x[1], w[0], b0);
            a1 = emulab_dual_mac(x[0], w[1], a1);
            b1 = emulab_dual_mac(x[1], w[1], b1);
            a2 = emulab_dual_mac(x[0], w[2], a2);
            b2 = emulab_dual_mac(x[1], w[2], b2);
            a3 = emulab_dual_mac(x[0], w[3], a3);
            b3 = emulab_dual_mac(x[1], w[3], b3);
        }
        const int32_t sums_a[4] = {a0, a1, a2, a3}, sums_b[4] = {b0, b1, b2, b3};
        /* a loop: of more calls in a row compilers make calls through a register, which hide how deep the stack gets */
        for (int32_t k = 0; k < 4; k++) {
            out_a[k] = emulab_requant_s8(sums_a[k], &c[k], mode, zero, low, high);
            out_b[k] = emulab_requant_s8(sums_b[k], &c[k], mode, zero, low, high);
        }
    }
}

#ifdef EMULAB_DSP_NATIVE
/* Registers: r0 x, r1 w, r2 r3 weights, r12 lr pixels, r4-r7 pixel a, r8-r11 pixel b.
 * Stack: 0 x at the entry of a group, 4 channel, 8 out_a, 12 out_b, 16 groups left, 20 end of x, 24 entry point into
 * the unrolled loop, 28 bytes by which w starts early there, 32 w of the next group, 36 `above`.
 *
 * The loop does 3 steps (12 inputs) a turn; a count that is no multiple of 3 enters it in the middle, with both pointers
 * set back by the steps left out. Three, and weights in low registers, so that this function and the widening of the
 * pixels stay together in an instruction cache of 1 KB; they begin where a line of it does. */
#define QUAD(n, x, w)                                                                                                  \
    "ldr r12, [r0, #" #n "*16+" #x "]\n ldr lr, [r0, #" #n "*16+" #x "+4]\n"                                           \
    "ldr r2, [r1, #" #n "*32+" #w "]\n ldr r3, [r1, #" #n "*32+" #w "+4]\n"                                            \
    "smlad r4, r12, r2, r4\n smlad r8, lr, r2, r8\n smlad r5, r12, r3, r5\n smlad r9, lr, r3, r9\n"                    \
    "ldr r2, [r1, #" #n "*32+" #w "+8]\n ldr r3, [r1, #" #n "*32+" #w "+12]\n"                                         \
    "smlad r6, r12, r2, r6\n smlad r10, lr, r2, r10\n smlad r7, r12, r3, r7\n smlad r11, lr, r3, r11\n"
#define STEP(n) QUAD(n, 0, 0) QUAD(n, 8, 16)

/* Requantise channel n to a byte: r12 points at its parameters, a and b are the accumulators. */
#define RELU(n, a, b)                                                                                                  \
    "ldr r0, [r12, #" #n "*16+4]\n ldr r1, [r12, #" #n "*16+8]\n ldr lr, [r12, #" #n "*16+12]\n"                       \
    "lsl " a ", " a ", #1\n lsl " b ", " b ", #1\n"                                                                    \
    "smmlar " a ", " a ", r0, r1\n smmlar " b ", " b ", r0, r1\n"                                                      \
    "asr " a ", " a ", lr\n asr " b ", " b ", lr\n"                                                                    \
    "ssat " a ", #8, " a "\n ssat " b ", #8, " b "\n"

#define SIGNED(n, a, b)                                                                                                \
    "ldr r0, [r12, #" #n "*16+4]\n ldr r1, [r12, #" #n "*16+8]\n ldr lr, [r12, #" #n "*16+12]\n"                       \
    "lsl " a ", " a ", #1\n lsl " b ", " b ", #1\n"                                                                    \
    "smmulr " a ", " a ", r0\n smmulr " b ", " b ", r0\n"                                                              \
    "add " a ", " a ", " a ", asr #31\n add " b ", " b ", " b ", asr #31\n"                                            \
    "add " a ", " a ", r1\n add " b ", " b ", r1\n"                                                                    \
    "asr " a ", " a ", lr\n asr " b ", " b ", lr\n"                                                                    \
    "ssat " a ", #8, " a "\n ssat " b ", #8, " b "\n"

#define BLOCK(name, REQUANT)                                                                                           \
    __asm__(".syntax unified\n.text\n.thumb\n.balign 32\n.global " name "\n.type " name ", %function\n.thumb_func\n" name  \
            ":\n"                                                                                                      \
            "push {r4-r11, lr}\n sub sp, sp, #44\n"                                                                    \
            "ldm r0, {r1-r8}\n str r8, [sp, #36]\n" /* x w channel out_a out_b groups steps above */                   \
            "add r8, r7, #2\n mov r9, #3\n udiv r8, r8, r9\n mul r8, r8, r9\n sub r8, r8, r7\n" /* steps left out */     \
            "add r9, r1, r7, lsl #4\n str r9, [sp, #20]\n" /* end of x */                                              \
            "sub r1, r1, r8, lsl #4\n str r1, [sp, #0]\n"                                                              \
            "lsl r10, r8, #5\n str r10, [sp, #28]\n"                                                                   \
            "adr r9, 4f\n mov r11, #96\n mla r9, r8, r11, r9\n orr r9, r9, #1\n" /* a step is 96 bytes of code */       \
            "str r9, [sp, #24]\n"                                                                                      \
            "str r3, [sp, #4]\n str r4, [sp, #8]\n str r5, [sp, #12]\n str r6, [sp, #16]\n"                            \
            "mov r0, r1\n mov r1, r2\n mov r12, r3\n b 1f\n"                                                           \
            "1:\n" /* next group: r12 channel, r1 w */                                                                 \
            "ldr r0, [sp, #0]\n ldr r2, [sp, #28]\n"                                                                   \
            "ldr r4, [r12]\n ldr r5, [r12, #16]\n ldr r6, [r12, #32]\n ldr r7, [r12, #48]\n ldr r3, [sp, #24]\n"       \
            "sub r1, r1, r2\n"                                                                                         \
            "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n bx r3\n"                                            \
            ".align 2\n4:\n" STEP(0) STEP(1) STEP(2)                                                     \
            "ldr r2, [sp, #20]\n"                                                                                      \
            "add r0, r0, #48\n add r1, r1, #96\n cmp r0, r2\n bne 4b\n"                                              \
            "str r1, [sp, #32]\n"                                                                                      \
            "ldr r12, [sp, #4]\n" REQUANT(0, "r4", "r8") REQUANT(1, "r5", "r9")                                        \
            "bfi r4, r5, #8, #8\n bfi r8, r9, #8, #8\n" REQUANT(2, "r6", "r10")                                       \
            "bfi r4, r6, #16, #8\n bfi r8, r10, #16, #8\n" REQUANT(3, "r7", "r11")                                    \
            "bfi r4, r7, #24, #8\n bfi r8, r11, #24, #8\n"                                                            \
            "ldr r5, [sp, #36]\n ldr r2, [sp, #8]\n ldr r3, [sp, #12]\n ldr r0, [sp, #16]\n ldr r1, [sp, #32]\n"      \
            "qsub8 r4, r4, r5\n qsub8 r8, r8, r5\n"                                                                   \
            "str r4, [r2], #4\n str r8, [r3], #4\n"                                                                   \
            "add r12, r12, #64\n subs r0, r0, #1\n"                                                                   \
            "str r2, [sp, #8]\n str r3, [sp, #12]\n str r12, [sp, #4]\n str r0, [sp, #16]\n"                           \
            "bne 1b\n"                                                                                                 \
            "add sp, sp, #44\n pop {r4-r11, pc}\n"                                                                     \
            ".size " name ", .-" name "\n")

BLOCK("emulab_dsp_block_fast", SIGNED);
BLOCK("emulab_dsp_block_fast_relu", RELU);
#endif
