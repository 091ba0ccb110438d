/* SPDX-License-Identifier: MIT-0 */
/* Kernels of 16-bit activations with 8-bit weights ("16x8"): plain C on every core; all zero points are 0. */
#ifndef EMULAB_INT16_H
#define EMULAB_INT16_H

#include "emulab_elementwise.h"
#include "emulab_kernels.h"

/* Per output channel: `bias`, and the scale from sum to output as `multiplier` (of 16 bits, or of 32 where `full`) and
 * `shift`. A bias of 64 bits asks for the shorter multiplier: that is how the reference arithmetic is defined. */
typedef struct {
    emulab_window window;
    const int8_t *weights;
    const int64_t *bias;       /* or, where 32 bits hold them all, */
    const int32_t *short_bias;
    const int32_t *multiplier, *shift;
    int32_t per_channel; /* 0: one multiplier and shift for all */
    int32_t weight_zero; /* minus zero point of the weights, 0 as a rule */
    int32_t act_min, act_max;
    int32_t full;
    int32_t wide; /* sums of products need more than 32 bits */
} emulab_conv_s16_params;

void emulab_conv_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out);
void emulab_depthwise_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out);
void emulab_transpose_conv_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out);
void emulab_fully_connected_s16(const emulab_conv_s16_params *p, const int16_t *in, int16_t *out);

void emulab_average_pool_s16(const emulab_pool_params *p, const int16_t *in, int16_t *out);
void emulab_max_pool_s16(const emulab_pool_params *p, const int16_t *in, int16_t *out);

void emulab_add_s16(const emulab_add_s8_params *p, int32_t n, const int16_t *a, int32_t step_a, const int16_t *b,
                    int32_t step_b, int16_t *out);
void emulab_mul_s16(const emulab_mul_s8_params *p, int32_t n, const int16_t *a, int32_t step_a, const int16_t *b,
                    int32_t step_b, int16_t *out);

/* The argument in units of 1/12288 is x * multiplier / 2^shift, rounded; `table` is 256 values of the logistic function
 * in units of 2^-16, 24 to one. */
void emulab_logistic_s16(const uint16_t *table, int32_t multiplier, int32_t shift, int32_t n, const int16_t *in,
                         int16_t *out);
void emulab_tanh_s16(const uint16_t *table, int32_t multiplier, int32_t shift, int32_t n, const int16_t *in,
                     int16_t *out);

/* One scale for what is not negative, another below. */
void emulab_leaky_relu_s16(int32_t multiplier, int32_t shift, int32_t below_multiplier, int32_t below_shift, int32_t n,
                           const int16_t *in, int16_t *out);

/* Tables of 513 values over -32768 to 32767, between which is interpolated. */
typedef struct {
    int32_t n;
    int32_t multiplier, shift; /* of the difference from the maximum: 65535 stands for 10 */
    const int16_t *exponential, *reciprocal;
} emulab_softmax_s16_params;

void emulab_softmax_s16(const emulab_softmax_s16_params *p, int32_t rows, const int16_t *in, int16_t *out);

/* From one quantisation to another. */
void emulab_requantize_s16_s16(const emulab_mul_s8_params *p, int32_t n, const int16_t *in, int16_t *out);
void emulab_requantize_s16_s8(const emulab_mul_s8_params *p, int32_t n, const int16_t *in, int8_t *out);
void emulab_requantize_s8_s16(const emulab_mul_s8_params *p, int32_t n, const int8_t *in, int16_t *out);
void emulab_requantize_s8_s32(const emulab_mul_s8_params *p, int32_t n, const int8_t *in, int32_t *out);
void emulab_requantize_s16_s32(const emulab_mul_s8_params *p, int32_t n, const int16_t *in, int32_t *out);
void emulab_requantize_s32_s8(const emulab_mul_s8_params *p, int32_t n, const int32_t *in, int8_t *out);
void emulab_requantize_s32_s16(const emulab_mul_s8_params *p, int32_t n, const int32_t *in, int16_t *out);

#endif
