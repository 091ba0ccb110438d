/* SPDX-License-Identifier: MIT-0
 * The front end of microWakeWord: Hann window, 16-bit FFT, mel amplitudes, noise reduction, PCAN, logarithm.
 * The same integers as TensorFlow Lite Micro's microfrontend; parameters: emulab/firmware/audio/micro.py. */
#include <string.h>

#include "emulab_frontend.h"
#include "frontend.h"

#define WINDOW 480
#define POINTS 256 /* complex, of 512 real ones */
#define CHANNELS EMULAB_FRONTEND_CHANNELS
#define HOP EMULAB_FRONTEND_HOP

typedef struct {
    int16_t re, im;
} complex16;

static int16_t frame[WINDOW];
static uint32_t filled;
static union {
    complex16 spectrum[POINTS + 1];
    uint32_t energy[POINTS + 1];
} work;
static uint32_t noise[CHANNELS];

void emulab_frontend_reset(void)
{
    memset(noise, 0, sizeof noise);
    filled = 0;
}

static inline int16_t rounded(int32_t product)
{
    return (int16_t)((product + (1 << 14)) >> 15);
}

static inline complex16 scaled(complex16 a, int32_t by)
{
    return (complex16){rounded(a.re * by), rounded(a.im * by)};
}

static inline complex16 turn(complex16 a, const int16_t *by)
{
    return (complex16){rounded(a.re * by[0] - a.im * by[1]), rounded(a.re * by[1] + a.im * by[0])};
}

static inline complex16 add(complex16 a, complex16 b)
{
    return (complex16){(int16_t)(a.re + b.re), (int16_t)(a.im + b.im)};
}

static inline complex16 subtract(complex16 a, complex16 b)
{
    return (complex16){(int16_t)(a.re - b.re), (int16_t)(a.im - b.im)};
}

static inline uint32_t bits_of(uint32_t x)
{
    return x ? 32 - (uint32_t)__builtin_clz(x) : 0;
}

/* Windows the frame into the order the passes want, as large as 16 bits allow; returns by how many bits. */
static uint32_t load(void)
{
    static int16_t windowed[2 * POINTS];
    int32_t most = 0;
    for (int i = 0; i < WINDOW; i++) {
        int16_t value = (int16_t)(frame[i] * emulab_frontend_hann[i] >> 12);
        int16_t size = (int16_t)(value < 0 ? -value : value);
        windowed[i] = value;
        most = size > most ? size : most;
    }
    uint32_t shift = 15 - bits_of((uint32_t)most);
    for (int i = 0; i < POINTS; i++) {
        int from = 2 * emulab_frontend_order[i];
        work.spectrum[i].re = (int16_t)((uint32_t)windowed[from] << shift);
        work.spectrum[i].im = (int16_t)((uint32_t)windowed[from + 1] << shift);
    }
    return shift;
}

static void transform(void)
{
    for (int m = 1; m < POINTS; m *= 4) {
        int stride = POINTS / (4 * m) * 2; /* two halfwords per turn */
        for (complex16 *group = work.spectrum; group < work.spectrum + POINTS; group += 4 * m) {
            const int16_t *t1 = emulab_frontend_turn, *t2 = t1, *t3 = t1;
            for (complex16 *p = group; p < group + m; p++) {
                complex16 a = scaled(p[0], 8191), b = turn(scaled(p[m], 8191), t1);
                complex16 c = turn(scaled(p[2 * m], 8191), t2), d = turn(scaled(p[3 * m], 8191), t3);
                complex16 ac = add(a, c), bd = add(b, d), a_c = subtract(a, c), b_d = subtract(b, d);
                p[0] = add(ac, bd);
                p[2 * m] = subtract(ac, bd);
                p[m] = (complex16){(int16_t)(a_c.re + b_d.im), (int16_t)(a_c.im - b_d.re)};
                p[3 * m] = (complex16){(int16_t)(a_c.re - b_d.im), (int16_t)(a_c.im + b_d.re)};
                t1 += stride;
                t2 += 2 * stride;
                t3 += 3 * stride;
            }
        }
    }
}

static inline uint32_t squared(int32_t re, int32_t im)
{
    int16_t r = (int16_t)re, i = (int16_t)im;
    return (uint32_t)(r * r) + (uint32_t)(i * i);
}

/* Energies of bins 1 to 255, in place: bins k and 256 - k at a time. */
static void energies(void)
{
    const int16_t *by = emulab_frontend_half_turn;
    for (int k = 1; k <= POINTS / 2; k++, by += 2) {
        complex16 p = work.spectrum[k], q = work.spectrum[POINTS - k];
        q.im = (int16_t)-q.im;
        p = scaled(p, 16383);
        q = scaled(q, 16383);
        complex16 even = add(p, q), odd = turn(subtract(p, q), by);
        work.energy[k] = squared((even.re + odd.re) >> 1, (even.im + odd.im) >> 1);
        work.energy[POINTS - k] = squared((even.re - odd.re) >> 1, (odd.im - even.im) >> 1);
    }
}

/* The nearest whole root, one bit at a time. */
static uint32_t root32(uint32_t x)
{
    if (!x)
        return 0;
    uint32_t root = 0, bit = 1u << ((31 - __builtin_clz(x)) & ~1);
    for (; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root + (x > root && root != 0xFFFF);
}

static uint32_t root64(uint64_t x)
{
    if (!(x >> 32))
        return root32((uint32_t)x);
    uint64_t root = 0, bit = 1ull << ((63 - __builtin_clzll(x)) & ~1);
    for (; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root + (x > root && root != 0xFFFFFFFFu);
}

/* What is left of channel *c* when its slowly moving part is taken off. */
static uint32_t denoised(int c, uint32_t signal)
{
    uint32_t smoothing = c & 1 ? EMULAB_FRONTEND_ODD_SMOOTHING : EMULAB_FRONTEND_EVEN_SMOOTHING;
    uint32_t fine = signal << EMULAB_FRONTEND_SMOOTHING_BITS;
    uint32_t estimate = (uint32_t)(((uint64_t)fine * smoothing + (uint64_t)noise[c] * ((1u << 14) - smoothing)) >> 14);
    noise[c] = estimate;
    if (estimate > fine)
        estimate = fine;
    uint32_t floor = (uint32_t)((uint64_t)signal * EMULAB_FRONTEND_SIGNAL_LEFT >> 14);
    uint32_t rest = (fine - estimate) >> EMULAB_FRONTEND_SMOOTHING_BITS;
    return rest > floor ? rest : floor;
}

/* The gain at a noise level: a parabola per octave. */
static uint32_t gain_at(uint32_t x)
{
    if (x < 2)
        return (uint32_t)(int32_t)emulab_frontend_gain[x];
    uint32_t octave = bits_of(x);
    const int16_t *y = emulab_frontend_gain + 4 * octave - 6;
    int32_t fraction = (int32_t)((octave < 11 ? x << (11 - octave) : x >> (octave - 11)) & 0x3FF);
    int32_t value = (y[2] * fraction >> 5) + y[1] * 32;
    value = (value * fraction + (1 << 14)) >> 15;
    return (uint32_t)(int32_t)(int16_t)(value + y[0]);
}

static uint32_t shrunk(uint32_t ratio)
{
    return ratio < 2u << 12 ? ratio * ratio >> 20 : (ratio >> 6) - (1u << 6);
}

/* 64 times the natural logarithm, rounded */
static uint32_t log_of(uint32_t x)
{
    if (x < 2)
        return 0;
    uint32_t whole = bits_of(x) - 1;
    uint32_t fraction = (whole < 16 ? x << (16 - whole) : x >> (whole - 16)) & 0xFFFF;
    uint32_t segment = fraction >> 9;
    int32_t from = emulab_frontend_log_deviation[segment], to = emulab_frontend_log_deviation[segment + 1];
    int32_t within = (to - from) * (int32_t)(fraction & 511) >> 16;
    uint32_t log2 = (whole << 16) + fraction + (uint32_t)(from + within);
    uint32_t natural = (uint32_t)(((uint64_t)45426 * log2 + 32768) >> 16);
    return ((natural << 6) + 32768) >> 16;
}

static int8_t quantised(uint32_t value)
{
    if (value > 2047)
        value = 2047;
    int32_t steps = (int32_t)((value * EMULAB_FRONTEND_STEPS + (1u << 19)) >> 20) + EMULAB_FRONTEND_ZERO_POINT;
    return (int8_t)(steps < -128 ? -128 : steps > 127 ? 127 : steps);
}

static void filter(uint32_t shift, int8_t *features)
{
    uint64_t from_below = 0;
    const int16_t *weight = emulab_frontend_mel_weight, *complement = emulab_frontend_mel_complement;
    for (int channel = 0; channel <= CHANNELS; channel++) {
        uint64_t falling = from_below, rising = 0;
        for (int k = emulab_frontend_mel_start[channel]; k < emulab_frontend_mel_start[channel + 1]; k++) {
            falling += (uint64_t)work.energy[k] * (uint32_t)*weight++;
            rising += (uint64_t)work.energy[k] * (uint32_t)*complement++;
        }
        from_below = rising;
        if (!channel)
            continue;
        uint32_t signal = denoised(channel - 1, root64(falling) >> shift);
        uint32_t ratio = (uint32_t)((uint64_t)signal * gain_at(noise[channel - 1]) >> EMULAB_FRONTEND_SNR_SHIFT);
        features[channel - 1] = quantised(log_of(shrunk(ratio) << EMULAB_FRONTEND_CORRECTION_BITS));
    }
}

int emulab_frontend_hop(const int16_t *samples, int8_t *features)
{
    memcpy(frame + filled, samples, HOP * sizeof *frame);
    filled += HOP;
    if (filled < WINDOW)
        return 0;
    uint32_t shift = load();
    memmove(frame, frame + HOP, (WINDOW - HOP) * sizeof *frame);
    filled -= HOP;
    transform();
    energies();
    filter(shift, features);
    return 1;
}
