/* SPDX-License-Identifier: MIT-0 */
/* Kernels that work element by element, move elements, reduce dimensions or multiply matrices that are no weights. */
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

void emulab_add_s8_mve(const emulab_add_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                       int32_t step_b, int8_t *out);
void emulab_mul_s8_mve(const emulab_mul_s8_params *p, int32_t n, const int8_t *a, int32_t step_a, const int8_t *b,
                       int32_t step_b, int8_t *out);

/* real / scale rounded half away from zero, plus the zero point, clamped. */
void emulab_quantize_s8(float scale, int32_t zero, int32_t n, const float *in, int8_t *out);
void emulab_quantize_u8(float scale, int32_t zero, int32_t n, const float *in, uint8_t *out);
void emulab_quantize_s16(float scale, int32_t zero, int32_t n, const float *in, int16_t *out);
void emulab_dequantize_s8(float scale, int32_t zero, int32_t n, const int8_t *in, float *out);
void emulab_dequantize_u8(float scale, int32_t zero, int32_t n, const uint8_t *in, float *out);
void emulab_dequantize_s16(float scale, int32_t zero, int32_t n, const int16_t *in, float *out);

typedef struct {
    float act_min, act_max;
} emulab_binary_f32_params;

void emulab_add_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out);
void emulab_sub_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out);
void emulab_mul_f32(const emulab_binary_f32_params *p, int32_t n, const float *a, int32_t step_a, const float *b,
                    int32_t step_b, float *out);
void emulab_abs_f32(int32_t n, const float *in, float *out);
void emulab_neg_f32(int32_t n, const float *in, float *out);
void emulab_square_f32(int32_t n, const float *in, float *out);
void emulab_sqrt_f32(int32_t n, const float *in, float *out);
void emulab_rsqrt_f32(int32_t n, const float *in, float *out);
void emulab_exp_f32(int32_t n, const float *in, float *out);
void emulab_log_f32(int32_t n, const float *in, float *out);
void emulab_floor_f32(int32_t n, const float *in, float *out);
void emulab_ceil_f32(int32_t n, const float *in, float *out);
void emulab_round_f32(int32_t n, const float *in, float *out);
void emulab_elu_f32(int32_t n, const float *in, float *out);
void emulab_gelu_f32(int32_t n, const float *in, float *out);
void emulab_gelu_exact_f32(int32_t n, const float *in, float *out);
void emulab_clamp_f32(float low, float high, int32_t n, const float *in, float *out);
void emulab_leaky_relu_f32(float alpha, int32_t n, const float *in, float *out);
void emulab_logistic_f32(int32_t n, const float *in, float *out);
void emulab_tanh_f32(int32_t n, const float *in, float *out);
void emulab_hard_swish_f32(int32_t n, const float *in, float *out);
void emulab_softmax_f32(float beta, int32_t rows, int32_t n, const float *in, float *out);

#define EMULAB_MAX_RANK 8

/* Strides in bytes; those of `in` may be negative. */
typedef struct {
    int32_t element, rank;
    int32_t shape[EMULAB_MAX_RANK], in_stride[EMULAB_MAX_RANK], out_stride[EMULAB_MAX_RANK];
} emulab_copy_params;

void emulab_copy_nd(const emulab_copy_params *p, const void *in, void *out);
void emulab_fill(const void *value, int32_t element, int32_t n, void *out);

/* Along the middle one of [batch, outer, size, `bytes`], the elements at `indices` [batch, count]; indices are brought
 * into range. */
void emulab_gather(int32_t batches, int32_t outer, int32_t count, int32_t size, int32_t bytes, const int32_t *indices,
                   const void *in, void *out);

/* `row` and `column` say which input row and column each output one repeats; `pixel` is in bytes. */
typedef struct {
    int32_t batches, in_h, in_w, out_h, out_w, pixel;
    const int16_t *row, *column;
} emulab_resize_params;

void emulab_resize_nearest(const emulab_resize_params *p, const void *in, void *out);

/* `row` and `column` hold for each output row or column the two input ones it lies between, `..._part` how far it is from
 * the first, in 1/1024 or as float. */
#define EMULAB_BILINEAR(value, part)                                                                                   \
    typedef struct {                                                                                                   \
        int32_t batches, in_h, in_w, out_h, out_w, channels;                                                           \
        const int16_t *row, *column;                                                                                   \
        const part *row_part, *column_part;                                                                            \
    } emulab_bilinear_##value##_params
EMULAB_BILINEAR(s8, int32_t);
EMULAB_BILINEAR(f32, float);

void emulab_resize_bilinear_s8(const emulab_bilinear_s8_params *p, const int8_t *in, int8_t *out);
void emulab_resize_bilinear_f32(const emulab_bilinear_f32_params *p, const float *in, float *out);

/* Products of matrices; steps in elements between rows and columns of either. Zero points and the scale: int8. */
typedef struct {
    int32_t rows, columns, depth;
    int32_t left_row, left_step, right_step, right_column;
    int32_t left_zero, right_zero, out_zero, multiplier, shift;
} emulab_matmul_params;

void emulab_matmul_s8(const emulab_matmul_params *p, const int8_t *left, const int8_t *right, int8_t *out);
void emulab_matmul_f32(const emulab_matmul_params *p, const float *left, const float *right, float *out);

/* The multiplier holds input over output scale divided by n. */
typedef struct {
    int32_t outer, n, inner;
    int32_t in_zero, out_zero, multiplier, shift;
} emulab_mean_s8_params;

void emulab_mean_s8(const emulab_mean_s8_params *p, const int8_t *in, int8_t *out);
void emulab_mean_s16(const emulab_mean_s8_params *p, const int16_t *in, int16_t *out);
void emulab_sum_f32(int32_t outer, int32_t n, int32_t inner, const float *in, float *out);
void emulab_reduce_max_s8(int32_t outer, int32_t n, int32_t inner, const int8_t *in, int8_t *out);
void emulab_reduce_min_s8(int32_t outer, int32_t n, int32_t inner, const int8_t *in, int8_t *out);
void emulab_reduce_max_f32(int32_t outer, int32_t n, int32_t inner, const float *in, float *out);
void emulab_reduce_min_f32(int32_t outer, int32_t n, int32_t inner, const float *in, float *out);
void emulab_cumsum_f32(int32_t outer, int32_t n, int32_t inner, int32_t exclusive, int32_t reverse, const float *in,
                       float *out);
/* Rows of n values divided by their Euclidean norm; int8 to units of 1/128. */
void emulab_l2_normalization_s8(int32_t rows, int32_t n, int32_t zero, const int8_t *in, int8_t *out);
void emulab_l2_normalization_f32(int32_t rows, int32_t n, const float *in, float *out);
void emulab_log_softmax_f32(int32_t rows, int32_t n, const float *in, float *out);
void emulab_mean_f32(int32_t outer, int32_t n, int32_t inner, const float *in, float *out);
void emulab_arg_max_s8(int32_t outer, int32_t n, int32_t inner, const int8_t *in, int32_t *out);
void emulab_arg_max_f32(int32_t outer, int32_t n, int32_t inner, const float *in, int32_t *out);
void emulab_arg_min_s8(int32_t outer, int32_t n, int32_t inner, const int8_t *in, int32_t *out);
void emulab_arg_min_f32(int32_t outer, int32_t n, int32_t inner, const float *in, int32_t *out);

#endif
