/* SPDX-License-Identifier: MIT-0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM on int8 with a 16-bit cell. */
#include "emulab_dot.h"
#include "emulab_int16.h"
#include "emulab_recurrent.h"

static inline int32_t clamp_16(int32_t x)
{
    return emulab_clamp(x, -32768, 32767);
}

/* The argument of one gate, of each unit. */
static void argument(const emulab_lstm_s8_params *p, int32_t gate, const int8_t *in, const int8_t *hidden, int16_t *out)
{
    const int32_t inputs = p->shape.inputs, units = p->shape.units;
    const int8_t *w = p->weights + gate * units * inputs, *r = p->recurrent + gate * units * units;
    for (int32_t u = 0; u < units; u++, w += inputs, r += units) {
        const int32_t at = gate * units + u;
        const int32_t x = emulab_scale(p->bias[at] + emulab_dot_s8(in, w, inputs, 0), p->multiplier[gate], p->shift[gate]);
        const int32_t h =
            emulab_scale(p->recurrent_bias[at] + emulab_dot_s8(hidden, r, units, 0), p->multiplier[gate + 4], p->shift[gate + 4]);
        out[u] = (int16_t)clamp_16(clamp_16(x) + clamp_16(h));
    }
}

static void step(const emulab_lstm_s8_params *p, const int8_t *in, int8_t *hidden, int16_t *cell, int16_t *scratch,
                 int8_t *out)
{
    const int32_t units = p->shape.units;
    int16_t *gates[4];
    for (int32_t gate = 0; gate < 4; gate++) {
        gates[gate] = scratch + gate * units;
        argument(p, gate, in, hidden, gates[gate]);
        if (gate == 2) {
            emulab_tanh_s16(p->logistic, 3, 0, units, gates[gate], gates[gate]);
        } else {
            emulab_logistic_s16(p->logistic, 3, 0, units, gates[gate], gates[gate]);
        }
    }
    for (int32_t u = 0; u < units; u++) {
        const int32_t kept = clamp_16(emulab_scale(gates[1][u] * cell[u], p->forget_multiplier, p->forget_shift));
        const int32_t added = clamp_16(emulab_scale(gates[0][u] * gates[2][u], p->input_multiplier, p->input_shift));
        const int32_t value = clamp_16(kept + added);
        cell[u] = (int16_t)(p->clip > 0 ? emulab_clamp(value, -p->clip, p->clip) : value);
    }
    emulab_tanh_s16(p->logistic, p->tanh_multiplier, p->tanh_shift, units, cell, gates[0]);
    for (int32_t u = 0; u < units; u++) {
        const int32_t x = emulab_scale(gates[0][u] * gates[3][u], p->hidden_multiplier, p->hidden_shift);
        out[u] = hidden[u] = (int8_t)emulab_clamp(x + p->hidden_zero, -128, 127);
    }
}

void emulab_lstm_s8(const emulab_lstm_s8_params *p, const int8_t *in, int8_t *hidden, int16_t *cell, int16_t *scratch,
                    int8_t *out)
{
    const emulab_lstm_shape *g = &p->shape;
    for (int32_t batch = 0; batch < g->batches; batch++, hidden += g->units, cell += g->units) {
        for (int32_t t = 0; t < g->steps; t++) {
            const int32_t at = g->time_major ? t * g->batches + batch : batch * g->steps + t;
            step(p, in + at * g->inputs, hidden, cell, scratch, out + at * g->units);
        }
    }
}
