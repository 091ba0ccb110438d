/* SPDX-License-Identifier: MIT-0 */
/* Kernels that work element by element: arithmetic on two tensors and conversions. */
#ifndef EMULAB_ELEMENTWISE_H
#define EMULAB_ELEMENTWISE_H

#include <stdint.h>

/* Both operands are brought to a common scale with `left_shift` spare bits, added, and scaled to the output. */
typedef struct {
    int32_t zero_a, zero_b, out_zero;
    int32_t left_shift;
    int32_t multiplier_a, shift_a, multiplier_b, shift_b, multiplier_out, shift_out;
    int32_t act_min, act_max;
    int32_t subtract;
} emulab_add_s8_params;

typedef struct {
    int32_t zero_a, zero_b, out_zero;
    int32_t multiplier, shift;
    int32_t act_min, act_max;
} emulab_mul_s8_params;

void emulab_add_s8(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out);
void emulab_mul_s8(const emulab_mul_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                   int32_t step_b, int8_t *out);

/* real / scale rounded half away from zero, plus the zero point, clamped. */
void emulab_quantize_s8(float scale, int32_t zero, int32_t n, const float *in, int8_t *out);
void emulab_dequantize_s8(float scale, int32_t zero, int32_t n, const int8_t *in, float *out);

#endif
