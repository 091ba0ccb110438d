/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8, portable: four outputs share each input byte. */
#include "emulab_requant.h"

void emulab_fully_connected_s8(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                               void *scratch)
{
    const int32_t padded = (p->out_n + 3) & ~3;
    const emulab_packed_channels packed = emulab_packed(p->channels, padded, p->shared, p->requant, p->out_zero + 127 - p->act_max);
    const int32_t n = p->in_n, mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
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
            int32_t s[4] = {bias[0] + correction, bias[1] + correction, bias[2] + correction, bias[3] + correction};
            if (!p->shared) {
                emulab_unpack_channels(&packed, o, 4, c);
            }
            const int32_t count = p->out_n - o < 4 ? p->out_n - o : 4;
            if (count == 4) {
                int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                for (int32_t i = 0; i < n; i++) {
                    const int32_t x = in[i];
                    s0 += x * w[i];
                    s1 += x * w[n + i];
                    s2 += x * w[2 * n + i];
                    s3 += x * w[3 * n + i];
                }
                s[0] += s0;
                s[1] += s1;
                s[2] += s2;
                s[3] += s3;
                w += 4 * n;
            } else {
                for (int32_t j = 0; j < count; j++, w += n) {
                    for (int32_t i = 0; i < n; i++) {
                        s[j] += in[i] * w[i];
                    }
                }
            }
            EMULAB_NO_UNROLL
            for (int32_t j = 0; j < count; j++) {
                *out++ = emulab_requant_s8(s[j], &c[j], mode, zero, low, high);
            }
        }
    }
}
