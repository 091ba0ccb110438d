/* SPDX-License-Identifier: MIT-0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM on float. */
#include "emulab_elementwise.h"
#include "emulab_recurrent.h"

static float dot(const float *x, const float *w, int32_t n)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        sum += x[i] * w[i];
    }
    return sum;
}

static void step(const emulab_lstm_f32_params *p, const float *in, float *hidden, float *cell, float *scratch,
                 float *out)
{
    const int32_t inputs = p->shape.inputs, units = p->shape.units;
    const float *w = p->weights, *r = p->recurrent;
    for (int32_t k = 0; k < 4 * units; k++, w += inputs, r += units) {
        scratch[k] = p->bias[k] + dot(in, w, inputs) + dot(hidden, r, units);
    }
    float *in_gate = scratch, *forget = scratch + units, *given = scratch + 2 * units, *out_gate = scratch + 3 * units;
    emulab_logistic_f32(2 * units, scratch, scratch);
    emulab_tanh_f32(units, given, given);
    emulab_logistic_f32(units, out_gate, out_gate);
    for (int32_t u = 0; u < units; u++) {
        const float value = forget[u] * cell[u] + in_gate[u] * given[u];
        cell[u] = p->clip > 0.0f ? (value < -p->clip ? -p->clip : (value > p->clip ? p->clip : value)) : value;
    }
    emulab_tanh_f32(units, cell, given);
    for (int32_t u = 0; u < units; u++) {
        out[u] = hidden[u] = given[u] * out_gate[u];
    }
}

void emulab_lstm_f32(const emulab_lstm_f32_params *p, const float *in, float *hidden, float *cell, float *scratch,
                     float *out)
{
    const emulab_lstm_shape *g = &p->shape;
    for (int32_t batch = 0; batch < g->batches; batch++, hidden += g->units, cell += g->units) {
        for (int32_t t = 0; t < g->steps; t++) {
            const int32_t at = g->time_major ? t * g->batches + batch : batch * g->steps + t;
            step(p, in + at * g->inputs, hidden, cell, scratch, out + at * g->units);
        }
    }
}
