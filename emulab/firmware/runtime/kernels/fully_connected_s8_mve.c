/* SPDX-License-Identifier: MIT-0 */
/* FULLY_CONNECTED on int8 for Helium: four outputs share each 16 inputs.
 *
 * Weights are packed by the generator: for every 4 outputs and 16 inputs, 16 bytes of each output, zeros at the end. */
#include "emulab_mve.h"

static inline __attribute__((always_inline)) void run(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out, int32_t mode, int32_t correction)
{
    const int8_t *w = p->weights;
    const int32_t *bias = p->channels, *multiplier = bias + ((p->out_n + 3) & ~3);
    const int8_t *shift = (const int8_t *)(const void *)(multiplier + (p->shared ? 1 : (p->out_n + 3) & ~3));
    emulab_mve_channels q = emulab_mve_unpack(vdupq_n_s32(*multiplier), vdupq_n_s32(*shift), mode, p->out_zero);
    const int32x4_t low = vdupq_n_s32(p->act_min), high = vdupq_n_s32(p->act_max);
    for (int32_t left = p->out_n; left > 0; left -= 4, bias += 4, out += 4) {
        int32_t s0 = correction, s1 = correction, s2 = correction, s3 = correction;
        const int8_t *x = in;
        for (int32_t i = (p->in_n + 15) / 16; i > 0; i--) {
            const int8x16_t v = vldrbq_s8(x), w0 = vldrbq_s8(w);
            s0 = vmladavaq_s8(s0, w0, v);
            const int8x16_t w1 = vldrbq_s8(w + 16);
            s1 = vmladavaq_s8(s1, w1, v);
            const int8x16_t w2 = vldrbq_s8(w + 32);
            s2 = vmladavaq_s8(s2, w2, v);
            const int8x16_t w3 = vldrbq_s8(w + 48);
            s3 = vmladavaq_s8(s3, w3, v);
            w += 64;
            x += 16;
        }
        if (!p->shared) {
            q = emulab_mve_unpack(vldrwq_s32(multiplier), vldrbq_s32(shift), mode, p->out_zero);
            multiplier += 4;
            shift += 4;
        }
        q.bias = vldrwq_s32(bias);
        const int32_t s[4] = {s0, s1, s2, s3};
        const int32x4_t y = vminq_s32(vmaxq_s32(emulab_mve_requant(vldrwq_s32(s), &q, mode, p->out_zero), low), high);
        vstrbq_p_s32(out, y, vctp32q((uint32_t)left));
    }
}

/* The last vector of the input may reach past its end: the weights there are 0. */
void emulab_fully_connected_s8_mve(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                   void *scratch)
{
    (void)scratch;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_n, out += p->out_n) {
        int32_t correction = 0; /* of weights whose zero point is not 0 */
        if (p->weight_zero != 0) {
            for (int32_t i = 0; i < p->in_n; i++) {
                correction += in[i];
            }
            correction *= p->weight_zero;
        }
        if (p->requant == EMULAB_REQUANT_FAST_RELU) {
            run(p, in, out, EMULAB_REQUANT_FAST_RELU, correction);
        } else if (p->requant == EMULAB_REQUANT_FAST) {
            run(p, in, out, EMULAB_REQUANT_FAST, correction);
        } else {
            run(p, in, out, EMULAB_REQUANT_EXACT, correction);
        }
    }
}
