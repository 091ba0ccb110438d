/* SPDX-License-Identifier: MIT-0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D on float. */
#include "emulab_kernels.h"

static float clamp(float x, float low, float high)
{
    return x < low ? low : (x > high ? high : x);
}

static void pool(const emulab_pool_params *p, float low, float high, int32_t average, const float *in, float *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * p->channels) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->channels; c++) {
                    float result = 0.0f;
                    int32_t count = 0;
                    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                            const int32_t iy = y * p->stride_h - p->pad_h + ky, ix = x * p->stride_w - p->pad_w + kx;
                            if (iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w) {
                                const float v = in[(iy * p->in_w + ix) * p->channels + c];
                                result = average ? result + v : (count == 0 || v > result ? v : result);
                                count++;
                            }
                        }
                    }
                    *out++ = clamp(average ? result / (float)count : result, low, high);
                }
            }
        }
    }
}

void emulab_average_pool_f32(const emulab_pool_params *p, float low, float high, const float *in, float *out)
{
    pool(p, low, high, 1, in, out);
}

void emulab_max_pool_f32(const emulab_pool_params *p, float low, float high, const float *in, float *out)
{
    pool(p, low, high, 0, in, out);
}
