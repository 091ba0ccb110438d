/* SPDX-License-Identifier: MIT-0
 * The model's front end in integers; train.py computes the same with NumPy. */
#include "features.h"

#include "emulab_signal.h"

#define FRACTION 10 /* bits below one count that the FFT keeps: 12 + 10 bits and 256, the sum of the window, fill 30 */

static int32_t spectrum[SAMPLES];

void features(const int16_t *counts, int8_t *levels)
{
    int32_t sum = 0;
    for (int i = 0; i < SAMPLES; i++)
        sum += counts[i];
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint32_t turns = (uint32_t)(((uint64_t)i << 32) / (SAMPLES - 1));
        int32_t hann = (int32_t)((1u << 30) - (uint32_t)(emulab_cos(turns) / 2)); /* Q31, up to 1 */
        int64_t x = (int64_t)counts[i] * SAMPLES - sum;                            /* less the mean, 9 bits below one */
        if (hann < 0)
            hann = 0x7FFFFFFF;
        spectrum[i] = (int32_t)((x * hann + (1 << 29)) >> (31 + 9 - FRACTION));
    }
    emulab_rfft(spectrum, SAMPLES);
    int32_t level[LEVELS], sorted[LEVELS];
    for (uint32_t b = 0; b < LEVELS; b++) {
        uint64_t strongest = 1ull << 2 * FRACTION; /* a line of one count at least */
        for (uint32_t k = 4 * b + 1; k <= 4 * b + 4; k++) {
            uint64_t power = emulab_rfft_power(spectrum, SAMPLES, k);
            if (power > strongest)
                strongest = power;
        }
        level[b] = emulab_log2(strongest);
        uint32_t at = b;
        for (; at && sorted[at - 1] > level[b]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = level[b];
    }
    int32_t median = (sorted[LEVELS / 2 - 1] + sorted[LEVELS / 2]) / 2;
    for (int b = 0; b < LEVELS; b++) {
        /* 10 log10(2) dB per octave of power, two steps each: 6.0206, as Q16; the difference is Q16 too */
        int64_t steps = ((int64_t)(level[b] - median) * 394566 + (1ll << 31)) >> 32;
        levels[b] = (int8_t)(steps < -128 ? -128 : steps > 127 ? 127 : steps);
    }
}
