/* SPDX-License-Identifier: MIT-0 */
/* Sums of products of bytes side by side in memory; on Arm DSP four at a time. */
#ifndef EMULAB_DOT_H
#define EMULAB_DOT_H

#include "emulab_dsp.h"
#include "emulab_fixed.h"

/* The sum of (x - zero) * w. */
static inline int32_t emulab_dot_s8(const int8_t *x, const int8_t *w, int32_t n, int32_t zero)
{
    int32_t sum = 0;
#ifdef EMULAB_DSP_NATIVE
    const uint32_t minus = (uint32_t)-zero & 0xFFFFu, both = minus | minus << 16;
    for (; n >= 4; n -= 4, x += 4, w += 4) {
        const uint32_t values = emulab_load_word(x), weights = emulab_load_word(w);
        sum = emulab_dual_mac(emulab_add_bytes_even(both, values), emulab_bytes_even(weights), sum);
        sum = emulab_dual_mac(emulab_add_bytes_odd(both, values), emulab_bytes_odd(weights), sum);
    }
#endif
    for (int32_t i = 0; i < n; i++) {
        sum += (x[i] - zero) * w[i];
    }
    return sum;
}

#endif
