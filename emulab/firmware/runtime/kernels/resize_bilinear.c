/* SPDX-License-Identifier: MIT-0 */
/* RESIZE_BILINEAR: four neighbours, weighted by how near they are. */
#include "emulab_elementwise.h"

/* `p`, `in` and `out` of the function around it; `one` is a whole step, `expression` the output of a weighted sum. */
#define EMULAB_BILINEAR_LOOPS(value, part, one, expression)                                                            \
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * p->channels) {                      \
        for (int32_t y = 0; y < p->out_h; y++) {                                                                       \
            const value *above = in + p->row[2 * y] * p->in_w * p->channels;                                           \
            const value *below = in + p->row[2 * y + 1] * p->in_w * p->channels;                                       \
            const part down = p->row_part[y];                                                                          \
            for (int32_t x = 0; x < p->out_w; x++) {                                                                   \
                const int32_t left = p->column[2 * x] * p->channels, right = p->column[2 * x + 1] * p->channels;       \
                const part along = p->column_part[x];                                                                  \
                for (int32_t c = 0; c < p->channels; c++) {                                                            \
                    const part sum = above[left + c] * ((one) - down) * ((one) - along) +                              \
                                     below[left + c] * down * ((one) - along) +                                        \
                                     above[right + c] * ((one) - down) * along + below[right + c] * down * along;      \
                    *out++ = (value)(expression);                                                                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

void emulab_resize_bilinear_s8(const emulab_bilinear_s8_params *p, const int8_t *in, int8_t *out)
{
    EMULAB_BILINEAR_LOOPS(int8_t, int32_t, 1 << 10, (sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20))
}

void emulab_resize_bilinear_f32(const emulab_bilinear_f32_params *p, const float *in, float *out)
{
    EMULAB_BILINEAR_LOOPS(float, float, 1.0f, sum)
}
