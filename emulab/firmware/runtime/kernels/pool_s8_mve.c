/* SPDX-License-Identifier: MIT-0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D on int8 for Helium: 16 channels at a time, four in the sums of an average. */
#include "emulab_mve.h"
#include "emulab_pool.h"

void emulab_average_pool_s8_mve(const emulab_pool_params *p, const int8_t *in, int8_t *out)
{
    const int32_t n = p->channels;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, out += n) {
                const emulab_pool_window w = emulab_pool_clip(p, y, x);
                const int32_t count = (w.y1 - w.y0) * (w.x1 - w.x0);
                for (int32_t c = 0; c < n; c += 4) {
                    const mve_pred16_t q = vctp32q((uint32_t)(n - c));
                    int32x4_t sum = vdupq_n_s32(0);
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        const int8_t *v = in + (iy * p->in_w + w.x0) * n + c;
                        for (int32_t i = w.x1 - w.x0; i > 0; i--, v += n) {
                            sum = vaddq_s32(sum, vldrbq_z_s32(v, q));
                        }
                    }
                    int32_t s[4];
                    vst1q_s32(s, sum);
                    for (int32_t i = 0; i < 4 && c + i < n; i++) {
                        out[c + i] = emulab_pool_mean(p, s[i], count);
                    }
                }
            }
        }
    }
}

void emulab_max_pool_s8_mve(const emulab_pool_params *p, const int8_t *in, int8_t *out)
{
    const int32_t n = p->channels;
    const int8x16_t low = vdupq_n_s8((int8_t)p->act_min), high = vdupq_n_s8((int8_t)p->act_max);
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, out += n) {
                const emulab_pool_window w = emulab_pool_clip(p, y, x);
                for (int32_t c = 0; c < n; c += 16) {
                    const mve_pred16_t q = vctp8q((uint32_t)(n - c));
                    int8x16_t max = low;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        const int8_t *v = in + (iy * p->in_w + w.x0) * n + c;
                        for (int32_t i = w.x1 - w.x0; i > 0; i--, v += n) {
                            max = vmaxq_s8(max, vldrbq_z_s8(v, q));
                        }
                    }
                    vstrbq_p_s8(out + c, vminq_s8(max, high), q);
                }
            }
        }
    }
}
