/* SPDX-License-Identifier: MIT-0 */
/* The inner loop of int8 convolutions for the Arm DSP extension: two pixels by four output channels.
 *
 * Pixels come as halfwords, interleaved: for every 4 inputs the words {a0 a2} {b0 b2} {a1 a3} {b1 b3} of pixels a, b.
 * Weights likewise, four channels: {w0 even} {w1 even} {w2 even} {w3 even} {w0 odd} ... {w3 odd}. Eight accumulators,
 * two pointers and four temporaries fill the register file, so that 32 MACs cost 12 loads and 16 SMLAD. */
#ifndef EMULAB_DSP_BLOCK_H
#define EMULAB_DSP_BLOCK_H

#include "emulab_dsp.h"
#include "emulab_kernels.h"

typedef struct {
    const uint32_t *x;             /* pixel pair, 4 * steps words */
    const uint32_t *w;             /* groups of 4 channels, 8 * steps words each */
    const emulab_channel *channel; /* of the first channel */
    int8_t *out_a, *out_b;         /* output of the first channel for either pixel */
    int32_t groups;                /* of 4 channels, at least 1 */
    int32_t steps;                 /* of 4 inputs, at least 1 */
    uint32_t above;                /* 127 - act_max in all four bytes */
} emulab_dsp_block;

/* Any requantisation, in C. */
void emulab_dsp_block_c(const emulab_dsp_block *b, int32_t mode, int32_t zero, int32_t low, int32_t high);

#ifdef EMULAB_DSP_NATIVE
/* For the two fast requantisation modes, act_min = -128 and act_max >= 0: `above` must fit a signed byte. */
void emulab_dsp_block_fast(const emulab_dsp_block *b);
void emulab_dsp_block_fast_relu(const emulab_dsp_block *b);
#endif

static inline __attribute__((always_inline)) void emulab_dsp_block_run(const emulab_dsp_block *b, int32_t mode,
                                                                       int32_t zero, int32_t low, int32_t high)
{
#ifdef EMULAB_DSP_NATIVE
    if (low == -128 && high >= 0 && mode != EMULAB_REQUANT_EXACT) {
        if (mode == EMULAB_REQUANT_FAST_RELU) {
            emulab_dsp_block_fast_relu(b);
        } else {
            emulab_dsp_block_fast(b);
        }
        return;
    }
#endif
    emulab_dsp_block_c(b, mode, zero, low, high);
}

#endif
