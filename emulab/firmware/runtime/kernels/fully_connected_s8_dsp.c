/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8 for the Arm DSP extension: four outputs at a time.
 *
 * The input is widened to halfwords once; every weight is used once, so it is widened on its way from flash, which is
 * read strictly in order: for every 4 inputs one word of each of 4 outputs. */
#include "emulab_dsp.h"
#include "emulab_requant.h"

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

/* Scratch: 2 * ceil(in_n / 4) words. The last word of the input may reach past its end: the weights there are 0. */
void emulab_fully_connected_s8_dsp(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                   void *scratch)
{
    const int32_t steps = (p->in_n + 3) / 4;
    const int32_t mode = p->requant, zero = p->out_zero, low = p->act_min, high = p->act_max;
    uint32_t *const wide = scratch;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_n) {
        const emulab_channel *c = p->channels;
        const uint32_t *w = (const uint32_t *)(const void *)p->weights;
        int32_t correction = 0; /* of weights whose zero point is not 0 */
        if (p->weight_zero != 0) {
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
        for (int32_t left = p->out_n; left > 0; left -= 4, c += 4) {
            int32_t s[4] = {c[0].bias + correction, c[1].bias + correction, c[2].bias + correction,
                            c[3].bias + correction};
            w = emulab_dsp_dense(wide, w, steps, s);
            const int32_t count = left < 4 ? left : 4;
            for (int32_t i = 0; i < count; i++) {
                *out++ = emulab_requant_s8(s[i], &c[i], mode, zero, low, high);
            }
        }
    }
}
