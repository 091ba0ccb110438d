/* SPDX-License-Identifier: MIT-0 */
/* What the pooling kernels share: the part of a window inside the image, and the rounded mean. */
#ifndef EMULAB_POOL_H
#define EMULAB_POOL_H

#include "emulab_fixed.h"
#include "emulab_kernels.h"

typedef struct {
    int32_t y0, y1, x0, x1;
} emulab_pool_window;

static inline emulab_pool_window emulab_pool_clip(const emulab_pool_params *p, int32_t y, int32_t x)
{
    emulab_pool_window w = {y * p->stride_h - p->pad_h, 0, x * p->stride_w - p->pad_w, 0};
    w.y1 = w.y0 + p->kernel_h < p->in_h ? w.y0 + p->kernel_h : p->in_h;
    w.x1 = w.x0 + p->kernel_w < p->in_w ? w.x0 + p->kernel_w : p->in_w;
    w.y0 = w.y0 > 0 ? w.y0 : 0;
    w.x0 = w.x0 > 0 ? w.x0 : 0;
    return w;
}

/* Mean rounded half away from zero. */
static inline int32_t emulab_pool_round(int32_t sum, int32_t count)
{
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static inline int8_t emulab_pool_mean(const emulab_pool_params *p, int32_t sum, int32_t count)
{
    return (int8_t)emulab_clamp(emulab_pool_round(sum, count), p->act_min, p->act_max);
}

#endif
