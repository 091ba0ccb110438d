/* SPDX-License-Identifier: MIT-0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D on int8: four channels at a time through the part of the window inside the image. */
#include "emulab_pool.h"

void emulab_average_pool_s8(const emulab_pool_params *p, const int8_t *in, int8_t *out)
{
    const int32_t n = p->channels;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, out += n) {
                const emulab_pool_window w = emulab_pool_clip(p, y, x);
                const int32_t count = (w.y1 - w.y0) * (w.x1 - w.x0);
                int32_t c = 0;
                for (; c + 4 <= n; c += 4) {
                    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        const int8_t *v = in + (iy * p->in_w + w.x0) * n + c;
                        for (int32_t i = w.x0; i < w.x1; i++, v += n) {
                            s0 += v[0];
                            s1 += v[1];
                            s2 += v[2];
                            s3 += v[3];
                        }
                    }
                    out[c] = emulab_pool_mean(p, s0, count);
                    out[c + 1] = emulab_pool_mean(p, s1, count);
                    out[c + 2] = emulab_pool_mean(p, s2, count);
                    out[c + 3] = emulab_pool_mean(p, s3, count);
                }
                for (; c < n; c++) {
                    int32_t sum = 0;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        for (int32_t ix = w.x0; ix < w.x1; ix++) {
                            sum += in[(iy * p->in_w + ix) * n + c];
                        }
                    }
                    out[c] = emulab_pool_mean(p, sum, count);
                }
            }
        }
    }
}

void emulab_max_pool_s8(const emulab_pool_params *p, const int8_t *in, int8_t *out)
{
    const int32_t n = p->channels;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, out += n) {
                const emulab_pool_window w = emulab_pool_clip(p, y, x);
                for (int32_t c = 0; c < n; c++) {
                    int32_t max = -128;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        const int8_t *v = in + (iy * p->in_w + w.x0) * n + c;
                        for (int32_t i = w.x0; i < w.x1; i++, v += n) {
                            max = *v > max ? *v : max;
                        }
                    }
                    out[c] = (int8_t)emulab_clamp(max, p->act_min, p->act_max);
                }
            }
        }
    }
}
