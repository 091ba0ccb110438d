/* SPDX-License-Identifier: MIT-0 */
/* Any function of one byte (LOGISTIC, TANH, RELU, requantisation, ...) as a table made at build time. */
#include "emulab_kernels.h"

void emulab_lookup_8(const int8_t *table, int32_t n, const int8_t *in, int8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = table[(uint8_t)in[i]];
    }
}
