/* SPDX-License-Identifier: MIT-0
 * Log-mel filter-bank energies in fixed point: pre-emphasis, Hamming window, FFT of 1024 real points as 512 complex
 * ones, power, 40 triangles, logarithm. What each number stands for: emulab/firmware/audio/lfbe.py. */
#include <string.h>

#include "emulab_frontend.h"
#include "frontend.h"

#define WINDOW 1024
#define POINTS 512
#define CHANNELS EMULAB_FRONTEND_CHANNELS
#define HOP EMULAB_FRONTEND_HOP

typedef struct {
    int32_t re, im;
} complex32;

static int16_t frame[1 + WINDOW]; /* the sample before the window, and the window */
static union {
    complex32 spectrum[POINTS];
    uint64_t power[POINTS];
} work;

void emulab_frontend_reset(void)
{
    memset(frame, 0, sizeof frame);
}

/* The upper half of a product: one instruction on most cores. */
static inline int32_t upper(int32_t a, int32_t b)
{
    return (int32_t)((int64_t)a * b >> 32);
}

/* Half of a times the table's turn (cos, sin), clockwise. */
static inline complex32 turn(complex32 a, const int32_t *by)
{
    int32_t c = by[0], s = by[1];
    return (complex32){upper(a.re, c) + upper(a.im, s), upper(a.im, c) - upper(a.re, s)};
}

/* One point of the window, pre-emphasised: 32 x[n] - 31 x[n-1], then 2^3 of it weighted: 2^8 per sample step. */
static inline int32_t windowed(int n)
{
    int32_t emphasised = 32 * frame[n + 1] - 31 * frame[n];
    return upper(emphasised * 16, emulab_frontend_hamming[n]);
}

/* The first pass, radix 2 without turns, while loading. Tables are read in their order, as flash likes it. */
static void load(void)
{
    for (int n = 0; n < WINDOW / 2; n += 2) {
        complex32 *to = work.spectrum + 2 * emulab_frontend_place[n / 2];
        complex32 p = {windowed(n), windowed(n + 1)}, q = {windowed(n + WINDOW / 2), windowed(n + WINDOW / 2 + 1)};
        to[0].re = p.re + q.re;
        to[0].im = p.im + q.im;
        to[1].re = p.re - q.re;
        to[1].im = p.im - q.im;
    }
}

/* Four passes of radix 4, each of which halves. The table has the three turns of every point in the order of use. */
static void transform(void)
{
    const int32_t *pass = emulab_frontend_turn;
    for (int m = 2; m < POINTS; m *= 4) {
        for (complex32 *group = work.spectrum; group < work.spectrum + POINTS; group += 4 * m) {
            const int32_t *by = pass;
            for (complex32 *p = group; p < group + m; p++, by += 6) {
                complex32 b = turn(p[m], by), d = turn(p[3 * m], by + 4);
                complex32 bd = {b.re + d.re, b.im + d.im}, b_d = {b.re - d.re, b.im - d.im};
                complex32 c = turn(p[2 * m], by + 2), a = {p[0].re >> 1, p[0].im >> 1};
                complex32 ac = {a.re + c.re, a.im + c.im}, a_c = {a.re - c.re, a.im - c.im};
                p[0] = (complex32){ac.re + bd.re, ac.im + bd.im};
                p[2 * m] = (complex32){ac.re - bd.re, ac.im - bd.im};
                p[m] = (complex32){a_c.re + b_d.im, a_c.im - b_d.re};
                p[3 * m] = (complex32){a_c.re - b_d.im, a_c.im + b_d.re};
            }
        }
        pass += 6 * m;
    }
}

static inline uint64_t squared(int32_t re, int32_t im)
{
    return ((uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im)) >> 16;
}

/* From the transform of even and odd samples to the power of bins 1 to 511, in place: bins k and 512 - k at a time. */
static void powers(void)
{
    const int32_t *by = emulab_frontend_half_turn;
    for (int k = 1; k <= POINTS / 2; k++, by += 2) {
        complex32 p = work.spectrum[k], q = work.spectrum[POINTS - k];
        int32_t even_re = (p.re + q.re) >> 1, even_im = (p.im - q.im) >> 1;
        complex32 odd = turn((complex32){p.re - q.re, p.im + q.im}, by);
        work.power[k] = squared(even_re + odd.im, even_im - odd.re);
        work.power[POINTS - k] = squared(even_re - odd.im, even_im + odd.re);
    }
}

/* log2 in 2^-16; x > 0 */
static inline int32_t log2_of(uint64_t x)
{
    int whole = 63 - __builtin_clzll(x);
    uint32_t fraction = (uint32_t)(whole >= 16 ? x >> (whole - 16) : x << (16 - whole)) & 0xFFFF;
    uint32_t segment = fraction >> 9;
    int32_t from = emulab_frontend_log_deviation[segment], to = emulab_frontend_log_deviation[segment + 1];
    int32_t within = (to - from) * (int32_t)(fraction & 511) >> 9;
    return (whole << 16) + (int32_t)fraction + from + within;
}

static int8_t quantised(uint64_t energy)
{
    int32_t steps = 0;
    if (energy) {
        int64_t found = ((int64_t)log2_of(energy) * EMULAB_FRONTEND_STEPS_PER_OCTAVE >> 16) + EMULAB_FRONTEND_STEPS_AT_ONE;
        steps = found < 0 ? 0 : found > EMULAB_FRONTEND_STEPS_MOST ? EMULAB_FRONTEND_STEPS_MOST : (int32_t)found;
    }
    steps += EMULAB_FRONTEND_ZERO_POINT * 65536;
    steps = steps < 0 ? -(-steps >> 16) : steps >> 16; /* cut off, as the reference does */
    return (int8_t)(steps < -128 ? -128 : steps > 127 ? 127 : steps);
}

/* A bin between two centres belongs to the filter above with its weight and to the one below with the rest. */
static void filter(int8_t *features)
{
    uint64_t from_below = 0;
    for (int channel = 0; channel <= CHANNELS; channel++) {
        uint64_t rising = 0, all = 0;
        for (int k = emulab_frontend_mel_start[channel]; k < emulab_frontend_mel_start[channel + 1]; k++) {
            rising += work.power[k] * emulab_frontend_mel_weight[k];
            all += work.power[k];
        }
        if (channel)
            features[channel - 1] = quantised(from_below + (all << 15) - rising);
        from_below = rising;
    }
}

int emulab_frontend_hop(const int16_t *samples, int8_t *features)
{
    memmove(frame, frame + HOP, (1 + WINDOW - HOP) * sizeof *frame);
    memcpy(frame + 1 + WINDOW - HOP, samples, HOP * sizeof *frame);
    load();
    transform();
    powers();
    filter(features);
    return 1;
}
