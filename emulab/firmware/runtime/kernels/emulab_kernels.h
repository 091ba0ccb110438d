/* SPDX-License-Identifier: MIT-0 */
/* The kernels that generated models call. Layout is NHWC; parameters are constants in flash.
 *
 * Scratch is working memory in the model's arena, sized by the generator. Kernels of a target that works in words
 * may read up to 3 bytes (Helium: 15) past an input tensor, never write, for which the arena is padded. */
#ifndef EMULAB_KERNELS_H
#define EMULAB_KERNELS_H

#include <stdint.h>

/* Per output channel; some kernels read it packed (`emulab_unpack_channels`). In the fast modes `shift` is a right shift, and `round` is half a unit plus the output zero point
 * plus 127 - act_max, all shifted left by it; otherwise `shift` is the signed shift of the specification. */
typedef struct {
    int32_t bias; /* minus input zero point times the sum of the channel's weights */
    int32_t multiplier;
    int32_t round;
    int32_t shift;
} emulab_channel;

enum {
    EMULAB_REQUANT_EXACT = 0,    /* general */
    EMULAB_REQUANT_FAST = 1,     /* |accumulator| < 2^30, right shift at least 1: proved by the generator */
    EMULAB_REQUANT_FAST_RELU = 2 /* and nothing below the zero point leaves the layer */
};

typedef struct {
    const int8_t *weights;
    const void *channels; /* rows of emulab_channel, or packed, or as `emulab_mve.h` reads them */
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t batches, group_in_c, group_out_c; /* channels per group; of a depthwise layer: depth multiplier last */
    int32_t in_zero, out_zero, act_min, act_max;
    int32_t requant;
    int32_t steps;      /* DSP, Helium: words or vectors of inputs per pixel, of each channel's weights; line: of taps */
    int32_t row_words;  /* DSP, Helium: the same per kernel row read in place, 0 if windows are gathered */
    int32_t chunk;      /* DSP: output channels whose weights are in RAM at once, a multiple of 4 */
    int32_t strip_rows; /* depthwise: output rows per pass over four channel planes (DSP), rows of a plane (RV32) */
    int32_t pitch;      /* DSP, RV32, depthwise: bytes per row of a plane; line: words per row */
} emulab_conv_s8_params;

void emulab_conv_s8(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_conv_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_conv_s8_rv32(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_depthwise_3x3_s8_rv32(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_conv_s8_mve(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_depthwise_s8_mve(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_depthwise_s8(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_depthwise_line_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);
void emulab_depthwise_3x3_s8_dsp(const emulab_conv_s8_params *p, const int8_t *in, int8_t *out, void *scratch);

typedef struct {
    const int8_t *weights;
    const int32_t *channels; /* packed, filled up to a multiple of 4 */
    int32_t batches, in_n, out_n;
    int32_t weight_zero; /* minus zero point of the weights, 0 as a rule */
    int32_t out_zero, act_min, act_max;
    int32_t requant;
    int32_t shared; /* one multiplier and shift for all channels */
} emulab_fully_connected_s8_params;

void emulab_fully_connected_s8(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                               void *scratch);

void emulab_fully_connected_s8_rv32(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                    void *scratch);

void emulab_fully_connected_s8_mve(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                   void *scratch);

void emulab_fully_connected_s8_dsp(const emulab_fully_connected_s8_params *p, const int8_t *in, int8_t *out,
                                   void *scratch);

typedef struct {
    int32_t batches, in_h, in_w, channels, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t act_min, act_max;
} emulab_pool_params;

void emulab_average_pool_s8(const emulab_pool_params *p, const int8_t *in, int8_t *out);
void emulab_max_pool_s8(const emulab_pool_params *p, const int8_t *in, int8_t *out);
void emulab_average_pool_s8_mve(const emulab_pool_params *p, const int8_t *in, int8_t *out);
void emulab_max_pool_s8_mve(const emulab_pool_params *p, const int8_t *in, int8_t *out);

/* Float kernels; `bias` may be 0. A dense layer is a window of 1 x 1. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t batches, group_in_c, group_out_c;
} emulab_window;

typedef struct {
    const float *weights, *bias;
    emulab_window window;
    int32_t weight_zero; /* not used */
    float act_min, act_max;
} emulab_conv_f32_params;

void emulab_conv_f32(const emulab_conv_f32_params *p, const float *in, float *out);
void emulab_depthwise_f32(const emulab_conv_f32_params *p, const float *in, float *out);
void emulab_transpose_conv_f32(const emulab_conv_f32_params *p, const float *in, float *out);
void emulab_fully_connected_f32(const emulab_conv_f32_params *p, const float *in, float *out);
void emulab_average_pool_f32(const emulab_pool_params *p, float low, float high, const float *in, float *out);
void emulab_max_pool_f32(const emulab_pool_params *p, float low, float high, const float *in, float *out);

/* TRANSPOSE_CONV; per output channel a bias, a multiplier and a shift. */
typedef struct {
    const int8_t *weights;
    const int32_t *channels;
    emulab_window window;
    int32_t in_zero, out_zero, act_min, act_max;
} emulab_transpose_conv_s8_params;

void emulab_transpose_conv_s8(const emulab_transpose_conv_s8_params *p, const int8_t *in, int8_t *out);

typedef struct {
    int32_t n;
    int32_t multiplier, left_shift; /* input scale times beta, in the exponent's fixed point */
    int32_t diff_min;               /* below this difference the exponential is 0 */
} emulab_softmax_s8_params;

void emulab_softmax_s8(const emulab_softmax_s8_params *p, int32_t rows, const int8_t *in, int8_t *out);
void emulab_softmax_s8_s16(const emulab_softmax_s8_params *p, int32_t rows, const int8_t *in, int16_t *out);

/* Bytes through a 256-entry table indexed by the byte as unsigned. */
void emulab_lookup_8(const int8_t *table, int32_t n, const int8_t *in, int8_t *out);
void emulab_lookup_8_mve(const int8_t *table, int32_t n, const int8_t *in, int8_t *out);

#endif
