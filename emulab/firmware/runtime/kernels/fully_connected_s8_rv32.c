/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8 for RV32IM: four outputs share each input; weights are packed, 4 bytes for every input. */
#include "emulab_requant.h"

#define EMULAB_TAP(i)                                                                                                  \
    {                                                                                                                  \
        const int32_t v = x[i];                                                                                        \
        s0 += v * w[4 * (i)];                                                                                          \
        s1 += v * w[4 * (i) + 1];                                                                                      \
        s2 += v * w[4 * (i) + 2];                                                                                      \
        s3 += v * w[4 * (i) + 3];                                                                                      \
    }

void emulab_fully_connected_s8_rv32(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                    void *scratch)
{
    const int32_t n = p->in_n, mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
    const emulab_packed_channels packed =
        emulab_packed(p->channels, (p->out_n + 3) & ~3, p->shared, mode, zero + 127 - high);
    emulab_channel c[4];
    emulab_unpack_channels(&packed, 0, 4, c); /* where they share one scale, it stays */
    (void)scratch;
    for (int32_t batch = 0; batch < p->batches; batch++, in += n) {
        const int8_t *w = p->weights;
        int32_t correction = 0; /* of weights whose zero point is not 0 */
        if (p->weight_zero != 0) {
            for (int32_t i = 0; i < n; i++) {
                correction += in[i];
            }
            correction *= p->weight_zero;
        }
        for (int32_t o = 0; o < p->out_n; o += 4) {
            const int32_t *bias = p->channels + o;
            int32_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
            if (!p->shared) {
                emulab_unpack_channels(&packed, o, 4, c);
            }
            const int8_t *x = in, *end = in + (n & ~3);
            EMULAB_NO_UNROLL
            while (x != end) {
                EMULAB_TAP(0)
                EMULAB_TAP(1)
                EMULAB_TAP(2)
                EMULAB_TAP(3)
                x += 4;
                w += 16;
            }
            end += n & 3;
            EMULAB_NO_UNROLL
            while (x != end) {
                EMULAB_TAP(0)
                x++;
                w += 4;
            }
            const int32_t s[4] = {s0, s1, s2, s3};
            const int32_t count = p->out_n - o < 4 ? p->out_n - o : 4;
            EMULAB_NO_UNROLL
            for (int32_t i = 0; i < count; i++) {
                *out++ = emulab_requant_s8(s[i] + correction, &c[i], mode, zero, low, high);
            }
        }
    }
}
