/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8, portable: four outputs share each input byte. */
#include "emulab_requant.h"

void emulab_fully_connected_s8(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                               void *scratch)
{
    const int32_t n = p->in_n, mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
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
        int32_t o = 0;
        for (; o + 4 <= p->out_n; o += 4, w += 4 * n) {
            const emulab_channel *c = &p->channels[o];
            int32_t s0 = c[0].bias, s1 = c[1].bias, s2 = c[2].bias, s3 = c[3].bias;
            for (int32_t i = 0; i < n; i++) {
                const int32_t x = in[i];
                s0 += x * w[i];
                s1 += x * w[n + i];
                s2 += x * w[2 * n + i];
                s3 += x * w[3 * n + i];
            }
            *out++ = emulab_requant_s8(s0 + correction, c, mode, zero, low, high);
            *out++ = emulab_requant_s8(s1 + correction, c + 1, mode, zero, low, high);
            *out++ = emulab_requant_s8(s2 + correction, c + 2, mode, zero, low, high);
            *out++ = emulab_requant_s8(s3 + correction, c + 3, mode, zero, low, high);
        }
        for (; o < p->out_n; o++, w += n) {
            int32_t sum = p->channels[o].bias + correction;
            for (int32_t i = 0; i < n; i++) {
                sum += in[i] * w[i];
            }
            *out++ = emulab_requant_s8(sum, &p->channels[o], mode, zero, low, high);
        }
    }
}
