/* SPDX-License-Identifier: MIT-0
 * The front end of microWakeWord: Hann window, 16-bit FFT, mel amplitudes, noise reduction, PCAN, logarithm.
 * The same integers as TensorFlow Lite Micro's microfrontend; parameters: emulab/firmware/audio/micro.py. */
#include <string.h>

#include "emulab_frontend.h"
#include "frontend.h"

#if defined(__clang__)
#define EMULAB_NO_UNROLL _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define EMULAB_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define EMULAB_NO_UNROLL
#endif

#define WINDOW 480
#define POINTS 256 /* complex, of 512 real ones */
#define CHANNELS EMULAB_FRONTEND_CHANNELS
#define HOP EMULAB_FRONTEND_HOP

typedef uint32_t complex16; /* real part in the lower half, imaginary part in the upper one */

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

#if defined(EMULAB_KERNELS_ARM_DSP) && defined(__ARM_FEATURE_DSP) /* instructions for pairs of halves */
#include <arm_acle.h>

/* Bits 15 to 30 of both, as a pair. */
static inline complex16 high_parts(int32_t low, int32_t high)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #15" : "=r"(pair) : "r"((uint32_t)high << 1), "r"(low));
    return pair;
}

static inline complex16 scaled(complex16 a, int32_t by)
{
    return high_parts(__smlabb((int32_t)a, by, 1 << 14), __smlatb((int32_t)a, by, 1 << 14));
}

static inline complex16 turn(complex16 a, complex16 by)
{
    return high_parts(__smlsd((int16x2_t)a, (int16x2_t)by, 1 << 14), __smladx((int16x2_t)a, (int16x2_t)by, 1 << 14));
}

static inline complex16 add(complex16 a, complex16 b)
{
    return (complex16)__sadd16((int16x2_t)a, (int16x2_t)b);
}

static inline complex16 subtract(complex16 a, complex16 b)
{
    return (complex16)__ssub16((int16x2_t)a, (int16x2_t)b);
}

/* a - ib and a + ib */
static inline complex16 add_clockwise(complex16 a, complex16 b)
{
    return (complex16)__ssax((int16x2_t)a, (int16x2_t)b);
}

static inline complex16 subtract_clockwise(complex16 a, complex16 b)
{
    return (complex16)__sasx((int16x2_t)a, (int16x2_t)b);
}

#else

static inline complex16 pair(int32_t re, int32_t im)
{
    return ((uint32_t)re & 0xFFFF) | (uint32_t)im << 16;
}

static inline int32_t re(complex16 a)
{
    return (int16_t)a;
}

static inline int32_t im(complex16 a)
{
    return (int16_t)(a >> 16);
}

static inline int32_t rounded(int32_t product)
{
    return (product + (1 << 14)) >> 15;
}

static inline complex16 scaled(complex16 a, int32_t by)
{
    return pair(rounded(re(a) * by), rounded(im(a) * by));
}

static inline complex16 turn(complex16 a, complex16 by)
{
    return pair(rounded(re(a) * re(by) - im(a) * im(by)), rounded(re(a) * im(by) + im(a) * re(by)));
}

static inline complex16 add(complex16 a, complex16 b)
{
    return pair(re(a) + re(b), im(a) + im(b));
}

static inline complex16 subtract(complex16 a, complex16 b)
{
    return pair(re(a) - re(b), im(a) - im(b));
}

static inline complex16 add_clockwise(complex16 a, complex16 b)
{
    return pair(re(a) + im(b), im(a) - re(b));
}

static inline complex16 subtract_clockwise(complex16 a, complex16 b)
{
    return pair(re(a) - im(b), im(a) + re(b));
}

#endif

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
        const int16_t *from = windowed + 2 * i;
        work.spectrum[emulab_frontend_order[i]] =
            ((uint32_t)from[0] << shift & 0xFFFF) | (uint32_t)from[1] << shift << 16;
    }
    return shift;
}

/* Four points whose turns have been made. */
static inline void combine(complex16 *p, int m, complex16 a, complex16 b, complex16 c, complex16 d)
{
    complex16 ac = add(a, c), bd = add(b, d), a_c = subtract(a, c), b_d = subtract(b, d);
    p[0] = add(ac, bd);
    p[2 * m] = subtract(ac, bd);
    p[m] = add_clockwise(a_c, b_d);
    p[3 * m] = subtract_clockwise(a_c, b_d);
}

static void transform(void)
{
    complex16 *const end = work.spectrum + POINTS;
    /* A turn by nothing, 32767/32768, changes no quarter of 16 bits: the first pass has no other. */
    for (complex16 *p = work.spectrum; p < end; p += 4)
        combine(p, 1, scaled(p[0], 8191), scaled(p[1], 8191), scaled(p[2], 8191), scaled(p[3], 8191));
    for (int m = 4; m < POINTS; m *= 4) {
        int stride = POINTS / (4 * m);
        for (complex16 *group = work.spectrum; group < end; group += 4 * m) {
            const complex16 *t1 = (const complex16 *)(const void *)emulab_frontend_turn, *t2 = t1, *t3 = t1;
            for (complex16 *p = group; p < group + m; p++) {
                complex16 b = turn(scaled(p[m], 8191), *t1), c = turn(scaled(p[2 * m], 8191), *t2);
                combine(p, m, scaled(p[0], 8191), b, c, turn(scaled(p[3 * m], 8191), *t3));
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
    const complex16 *by = (const complex16 *)(const void *)emulab_frontend_half_turn;
    for (int k = 1; k <= POINTS / 2; k++, by++) {
        complex16 p = scaled(work.spectrum[k], 16383), q = work.spectrum[POINTS - k];
        q = scaled((q & 0xFFFF) | (0u - (q >> 16)) << 16, 16383);
        complex16 even = add(p, q), odd = turn(subtract(p, q), *by);
        int32_t er = (int16_t)even, ei = (int16_t)(even >> 16), odr = (int16_t)odd, oi = (int16_t)(odd >> 16);
        work.energy[k] = squared((er + odr) >> 1, (ei + oi) >> 1);
        work.energy[POINTS - k] = squared((er - odr) >> 1, (oi - ei) >> 1);
    }
}

/* The nearest whole root, two bits at a time; x < 2^60, so that every remainder fits in 32 bits. */
static uint32_t root_of(uint64_t x)
{
    uint32_t high = (uint32_t)(x >> 32), low = (uint32_t)x, root = 0, rest = 0;
    int pairs = 16;
    if (high) {
        int skipped = __builtin_clz(high) / 2;
        high <<= 2 * skipped;
        EMULAB_NO_UNROLL
        for (int i = 16 - skipped; i; i--, high <<= 2) {
            rest = rest << 2 | high >> 30;
            uint32_t trial = root << 2 | 1;
            root <<= 1;
            if (rest >= trial) {
                rest -= trial;
                root |= 1;
            }
        }
    } else if (low) {
        pairs -= __builtin_clz(low) / 2;
        low <<= 32 - 2 * pairs;
    } else {
        return 0;
    }
    EMULAB_NO_UNROLL
    for (; pairs; pairs--, low <<= 2) {
        rest = rest << 2 | low >> 30;
        uint32_t trial = root << 2 | 1;
        root <<= 1;
        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    return root + (rest > root && (x >> 32 || root != 0xFFFF));
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

/* One short loop after the other: together they would not fit the instruction cache of a small core. */
static void filter(uint32_t shift, int8_t *features)
{
    static uint64_t amplitude[CHANNELS + 1];
    static uint32_t signal[CHANNELS + 1];
    uint64_t from_below = 0;
    const int16_t *weight = emulab_frontend_mel_weight, *complement = emulab_frontend_mel_complement;
    for (int channel = 0; channel <= CHANNELS; channel++) {
        uint64_t falling = from_below, rising = 0;
        const uint32_t *energy = work.energy + emulab_frontend_mel_start[channel];
        const uint32_t *end = work.energy + emulab_frontend_mel_start[channel + 1];
        EMULAB_NO_UNROLL
        for (; energy < end; energy++) {
            falling += (uint64_t)*energy * (uint32_t)*weight++;
            rising += (uint64_t)*energy * (uint32_t)*complement++;
        }
        from_below = rising;
        amplitude[channel] = falling; /* the first one belongs to no channel */
    }
    EMULAB_NO_UNROLL
    for (int c = 0; c < CHANNELS; c++)
        signal[c] = root_of(amplitude[c + 1]) >> shift;
    EMULAB_NO_UNROLL
    for (int c = 0; c < CHANNELS; c++)
        signal[c] = denoised(c, signal[c]);
    EMULAB_NO_UNROLL
    for (int c = 0; c < CHANNELS; c++)
        signal[c] = shrunk((uint32_t)((uint64_t)signal[c] * gain_at(noise[c]) >> EMULAB_FRONTEND_SNR_SHIFT));
    EMULAB_NO_UNROLL
    for (int c = 0; c < CHANNELS; c++)
        features[c] = quantised(log_of(signal[c] << EMULAB_FRONTEND_CORRECTION_BITS));
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
