/* SPDX-License-Identifier: MIT-0 */
/* SVDF: a dense layer, each output of which is filtered over time. */
#include "emulab_dot.h"
#include "emulab_recurrent.h"

/* State is [batch][filter][memory], oldest first: it moves by one, and the newest is computed. */
#define EMULAB_SVDF(name, type, low, high)                                                                             \
    void name(const emulab_svdf_s8_params *p, const int8_t *in, type *state, int8_t *out)                              \
    {                                                                                                                  \
        for (int32_t batch = 0; batch < p->batches; batch++, in += p->inputs) {                                        \
            const int8_t *w = p->feature_weights;                                                                      \
            const type *over_time = p->time_weights;                                                                   \
            for (int32_t u = 0; u < p->units; u++) {                                                                   \
                int32_t sum = p->bias ? p->bias[u] : 0;                                                                \
                for (int32_t r = 0; r < p->rank; r++, over_time += p->memory, state += p->memory) {                    \
                    int32_t feature = emulab_dot_s8(in, w, p->inputs, p->in_zero);                                     \
                    w += p->inputs;                                                                                    \
                    feature = emulab_clamp(emulab_scale(feature, p->feature_multiplier, p->feature_shift), low, high); \
                    for (int32_t k = 0; k + 1 < p->memory; k++) {                                                      \
                        state[k] = state[k + 1];                                                                       \
                        sum += over_time[k] * (state[k] - p->state_zero);                                              \
                    }                                                                                                  \
                    state[p->memory - 1] = (type)(feature + p->state_zero);                                            \
                    sum += over_time[p->memory - 1] * (state[p->memory - 1] - p->state_zero);                          \
                }                                                                                                      \
                const int32_t x = emulab_scale(sum, p->out_multiplier, p->out_shift) + p->out_zero;                    \
                *out++ = (int8_t)emulab_clamp(x, -128, 127);                                                           \
            }                                                                                                          \
        }                                                                                                              \
    }
EMULAB_SVDF(emulab_svdf_s8_state8, int8_t, -128, 127)
EMULAB_SVDF(emulab_svdf_s8_state16, int16_t, -32768, 32767)

void emulab_svdf_f32(const emulab_svdf_f32_params *p, const float *in, float *state, float *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->inputs) {
        const float *w = p->feature_weights, *over_time = p->time_weights;
        for (int32_t u = 0; u < p->units; u++) {
            float sum = p->bias ? p->bias[u] : 0.0f;
            for (int32_t r = 0; r < p->rank; r++, over_time += p->memory, state += p->memory) {
                float feature = 0.0f;
                for (int32_t i = 0; i < p->inputs; i++) {
                    feature += *w++ * in[i];
                }
                for (int32_t k = 0; k + 1 < p->memory; k++) {
                    state[k] = state[k + 1];
                    sum += over_time[k] * state[k];
                }
                state[p->memory - 1] = feature;
                sum += over_time[p->memory - 1] * feature;
            }
            *out++ = sum < p->act_min ? p->act_min : (sum > p->act_max ? p->act_max : sum);
        }
    }
}
