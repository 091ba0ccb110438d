/* SPDX-License-Identifier: MIT-0 */
/* CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and pooling on float. */
#include "emulab_kernels.h"

static float clamp(float x, float low, float high)
{
    return x < low ? low : (x > high ? high : x);
}

static float dot(const float *x, const float *w, int32_t n)
{
    /* Four sums: less rounding error than one, and no chain of dependent additions. */
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += x[i] * w[i];
        s1 += x[i + 1] * w[i + 1];
        s2 += x[i + 2] * w[i + 2];
        s3 += x[i + 3] * w[i + 3];
    }
    for (; i < n; i++) {
        s0 += x[i] * w[i];
    }
    return (s0 + s1) + (s2 + s3);
}

void emulab_conv_f32(const emulab_conv_f32_params *p, const float *in, float *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                const float *w = p->weights;
                for (int32_t oc = 0; oc < g->out_c; oc++) {
                    const float *from = in + oc / g->group_out_c * g->group_in_c;
                    float sum = p->bias ? p->bias[oc] : 0.0f;
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++, w += g->group_in_c) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w) {
                                sum += dot(from + (iy * g->in_w + ix) * g->in_c, w, g->group_in_c);
                            }
                        }
                    }
                    *out++ = clamp(sum, p->act_min, p->act_max);
                }
            }
        }
    }
}

void emulab_depthwise_f32(const emulab_conv_f32_params *p, const float *in, float *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_h * g->in_w * g->in_c) {
        for (int32_t y = 0; y < g->out_h; y++) {
            for (int32_t x = 0; x < g->out_w; x++) {
                for (int32_t c = 0; c < g->out_c; c++) {
                    float sum = p->bias ? p->bias[c] : 0.0f;
                    const int32_t ic = g->group_out_c == 1 ? c : c / g->group_out_c;
                    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
                        const int32_t iy = y * g->stride_h - g->pad_h + ky * g->dilation_h;
                        for (int32_t kx = 0; kx < g->kernel_w; kx++) {
                            const int32_t ix = x * g->stride_w - g->pad_w + kx * g->dilation_w;
                            if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w) {
                                sum += in[(iy * g->in_w + ix) * g->in_c + ic] *
                                       p->weights[(ky * g->kernel_w + kx) * g->out_c + c];
                            }
                        }
                    }
                    *out++ = clamp(sum, p->act_min, p->act_max);
                }
            }
        }
    }
}

void emulab_fully_connected_f32(const emulab_conv_f32_params *p, const float *in, float *out)
{
    const emulab_window *g = &p->window;
    for (int32_t batch = 0; batch < g->batches; batch++, in += g->in_c) {
        for (int32_t o = 0; o < g->out_c; o++) {
            const float sum = dot(in, p->weights + o * g->in_c, g->in_c) + (p->bias ? p->bias[o] : 0.0f);
            *out++ = clamp(sum, p->act_min, p->act_max);
        }
    }
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
