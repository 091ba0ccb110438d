/* SPDX-License-Identifier: MIT-0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D on int8: four channels at a time through the part of the window inside the image. */
#include "emulab_fixed.h"
#include "emulab_kernels.h"

typedef struct {
    int32_t y0, y1, x0, x1;
} window;

static window clip(const emulab_pool_params *p, int32_t y, int32_t x)
{
    window w = {y * p->stride_h - p->pad_h, 0, x * p->stride_w - p->pad_w, 0};
    w.y1 = w.y0 + p->kernel_h < p->in_h ? w.y0 + p->kernel_h : p->in_h;
    w.x1 = w.x0 + p->kernel_w < p->in_w ? w.x0 + p->kernel_w : p->in_w;
    w.y0 = w.y0 > 0 ? w.y0 : 0;
    w.x0 = w.x0 > 0 ? w.x0 : 0;
    return w;
}

/* Mean rounded half away from zero. */
static int8_t mean(const emulab_pool_params *p, int32_t sum, int32_t count)
{
    const int32_t m = sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
    return (int8_t)emulab_clamp(m, p->act_min, p->act_max);
}

void emulab_average_pool_s8(const emulab_pool_params *p, const int8_t *in, int8_t *out)
{
    const int32_t n = p->channels;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * n) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, out += n) {
                const window w = clip(p, y, x);
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
                    out[c] = mean(p, s0, count);
                    out[c + 1] = mean(p, s1, count);
                    out[c + 2] = mean(p, s2, count);
                    out[c + 3] = mean(p, s3, count);
                }
                for (; c < n; c++) {
                    int32_t sum = 0;
                    for (int32_t iy = w.y0; iy < w.y1; iy++) {
                        for (int32_t ix = w.x0; ix < w.x1; ix++) {
                            sum += in[(iy * p->in_w + ix) * n + c];
                        }
                    }
                    out[c] = mean(p, sum, count);
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
                const window w = clip(p, y, x);
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
