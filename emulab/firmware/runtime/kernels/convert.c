/* SPDX-License-Identifier: MIT-0 */
/* Between float and quantised tensors. */
#include "emulab_elementwise.h"

/* Half away from zero; out-of-range values are clamped by the caller's limits before they could overflow. */
static int32_t round_clamped(float x, int32_t zero, int32_t low, int32_t high)
{
    const float limit = 100000.0f;
    if (!(x > -limit)) {
        return x != x ? zero : low;
    }
    if (x > limit) {
        return high;
    }
    int32_t i = (int32_t)x;
    const float rest = x - (float)i;
    i += rest >= 0.5f ? 1 : (rest <= -0.5f ? -1 : 0);
    i += zero;
    return i < low ? low : (i > high ? high : i);
}

void emulab_quantize_s8(float scale, int32_t zero, int32_t n, const float *in, int8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = (int8_t)round_clamped(in[i] / scale, zero, -128, 127);
    }
}

void emulab_quantize_u8(float scale, int32_t zero, int32_t n, const float *in, uint8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = (uint8_t)round_clamped(in[i] / scale, zero, 0, 255);
    }
}

void emulab_quantize_s16(float scale, int32_t zero, int32_t n, const float *in, int16_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = (int16_t)round_clamped(in[i] / scale, zero, -32768, 32767);
    }
}

void emulab_dequantize_s8(float scale, int32_t zero, int32_t n, const int8_t *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = scale * (float)(in[i] - zero);
    }
}

void emulab_dequantize_u8(float scale, int32_t zero, int32_t n, const uint8_t *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = scale * (float)(in[i] - zero);
    }
}

void emulab_dequantize_s16(float scale, int32_t zero, int32_t n, const int16_t *in, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = scale * (float)(in[i] - zero);
    }
}
