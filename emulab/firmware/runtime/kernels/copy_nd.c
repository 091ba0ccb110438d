/* SPDX-License-Identifier: MIT-0 */
/* Moving elements: PAD, CONCATENATION, SPLIT, SLICE, TILE, TRANSPOSE and their kin are copies with strides; GATHER, RESIZE. */
#include <string.h>

#include "emulab_elementwise.h"

static void level(const emulab_copy_params *p, int32_t d, const uint8_t *in, uint8_t *out)
{
    const int32_t n = p->shape[d], step_in = p->in_stride[d], step_out = p->out_stride[d];
    if (d + 1 < p->rank) {
        for (int32_t i = 0; i < n; i++, in += step_in, out += step_out) {
            level(p, d + 1, in, out);
        }
    } else if (step_in == p->element && step_out == p->element) {
        memcpy(out, in, (size_t)(n * p->element));
    } else {
        for (int32_t i = 0; i < n; i++, in += step_in, out += step_out) {
            for (int32_t b = 0; b < p->element; b++) {
                out[b] = in[b];
            }
        }
    }
}

void emulab_copy_nd(const emulab_copy_params *p, const void *in, void *out)
{
    level(p, 0, in, out);
}

void emulab_fill(const void *value, int32_t element, int32_t n, void *out)
{
    uint8_t *to = out;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t b = 0; b < element; b++) {
            *to++ = ((const uint8_t *)value)[b];
        }
    }
}

void emulab_gather(int32_t batches, int32_t outer, int32_t count, int32_t size, int32_t bytes, const int32_t *indices,
                   const void *in, void *out)
{
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t batch = 0; batch < batches; batch++, indices += count) {
        for (int32_t o = 0; o < outer; o++, from += size * bytes) {
            for (int32_t i = 0; i < count; i++, to += bytes) {
                const int32_t k = indices[i] < 0 ? 0 : (indices[i] < size ? indices[i] : size - 1);
                memcpy(to, from + k * bytes, (size_t)bytes);
            }
        }
    }
}

void emulab_resize_nearest(const emulab_resize_params *p, const void *in, void *out)
{
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t batch = 0; batch < p->batches; batch++, from += p->in_h * p->in_w * p->pixel) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++, to += p->pixel) {
                memcpy(to, from + (p->row[y] * p->in_w + p->column[x]) * p->pixel, (size_t)p->pixel);
            }
        }
    }
}
