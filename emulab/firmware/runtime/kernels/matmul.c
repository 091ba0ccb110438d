/* SPDX-License-Identifier: MIT-0 */
/* BATCH_MATMUL: the product of two matrices, neither of which need be a constant. */
#include "emulab_elementwise.h"
#include "emulab_fixed.h"

void emulab_matmul_s8(const emulab_matmul_params *p, const int8_t *left, const int8_t *right, int8_t *out)
{
    for (int32_t i = 0; i < p->rows; i++, left += p->left_row) {
        for (int32_t j = 0; j < p->columns; j++) {
            const int8_t *a = left, *b = right + j * p->right_column;
            int32_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++, a += p->left_step, b += p->right_step) {
                sum += (*a - p->left_zero) * (*b - p->right_zero);
            }
            *out++ = (int8_t)emulab_clamp(emulab_scale(sum, p->multiplier, p->shift) + p->out_zero, -128, 127);
        }
    }
}

void emulab_matmul_f32(const emulab_matmul_params *p, const float *left, const float *right, float *out)
{
    for (int32_t i = 0; i < p->rows; i++, left += p->left_row) {
        for (int32_t j = 0; j < p->columns; j++) {
            const float *a = left, *b = right + j * p->right_column;
            float sum = 0.0f;
            for (int32_t k = 0; k < p->depth; k++, a += p->left_step, b += p->right_step) {
                sum += *a * *b;
            }
            *out++ = sum;
        }
    }
}
