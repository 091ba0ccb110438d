/* SPDX-License-Identifier: MIT-0 */
/* Layers whose state lives from one step, and one inference, to the next. */
#ifndef EMULAB_RECURRENT_H
#define EMULAB_RECURRENT_H

#include <stdint.h>

/* Four gates, in the order input, forget, cell, output. Weights are [4][units][inputs] and [4][units][units].
 * Sequences are [batch][time], or [time][batch]. */
typedef struct {
    int32_t batches, steps, inputs, units, time_major;
} emulab_lstm_shape;

/* A gate's argument is in units of 2^-12, its value of 2^-15. The biases hold the zero points of input and hidden state;
 * multipliers and shifts: four of the inputs, then four of the hidden state. */
typedef struct {
    emulab_lstm_shape shape;
    const int8_t *weights, *recurrent;
    const int32_t *bias, *recurrent_bias;
    const int32_t *multiplier, *shift;
    const uint16_t *logistic; /* table of `emulab_logistic_s16` */
    int32_t forget_multiplier, forget_shift, input_multiplier, input_shift, hidden_multiplier, hidden_shift;
    int32_t tanh_multiplier, tanh_shift; /* of the cell's scale, a power of two */
    int32_t hidden_zero;
    int32_t clip; /* of the cell, 0 for none */
} emulab_lstm_s8_params;

typedef struct {
    emulab_lstm_shape shape;
    const float *weights, *recurrent, *bias;
    float clip;
} emulab_lstm_f32_params;

/* `scratch`: four rows of units. */
void emulab_lstm_s8(const emulab_lstm_s8_params *p, const int8_t *in, int8_t *hidden, int16_t *cell, int16_t *scratch,
                    int8_t *out);
void emulab_lstm_f32(const emulab_lstm_f32_params *p, const float *in, float *hidden, float *cell, float *scratch,
                     float *out);

/* A rank of filters per unit: features of this input are filtered over the last `memory` inputs, and summed up. */
typedef struct {
    int32_t batches, inputs, units, rank, memory;
    const int8_t *feature_weights;
    const void *time_weights;
    const int32_t *bias;
    int32_t in_zero, state_zero, out_zero;
    int32_t feature_multiplier, feature_shift, out_multiplier, out_shift;
} emulab_svdf_s8_params;

typedef struct {
    int32_t batches, inputs, units, rank, memory;
    const float *feature_weights, *time_weights, *bias;
    float act_min, act_max;
} emulab_svdf_f32_params;

/* By the type of the state and of the weights over time. */
void emulab_svdf_s8_state8(const emulab_svdf_s8_params *p, const int8_t *in, int8_t *state, int8_t *out);
void emulab_svdf_s8_state16(const emulab_svdf_s8_params *p, const int8_t *in, int16_t *state, int8_t *out);
void emulab_svdf_f32(const emulab_svdf_f32_params *p, const float *in, float *state, float *out);

#endif
