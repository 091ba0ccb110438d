/* SPDX-License-Identifier: MIT-0
 * Envelope spectrum of a bearing over shaft orders, in integers: band of the resonance, analytic signal, its magnitude,
 * spectrum of that, decibels above the median. emulab.quality.envelope does the same arithmetic in NumPy; the definition in
 * floating point is emulab.quality.bearing.envelope_orders. Sizes and tables are in the generated emulab_frontend.h. */
#include "envelope.h"

#include <string.h>

#include "emulab_frontend.h"
#include "emulab_signal.h"

#define N EMULAB_ENVELOPE_WINDOW    /* samples */
#define BINS EMULAB_ENVELOPE_BINS
#define TAPS EMULAB_ENVELOPE_TAPS   /* of the low-pass before the envelope's rate is divided by DOWN */
#define DOWN EMULAB_ENVELOPE_DOWN
#define SLOW ((N + TAPS) / DOWN)    /* samples of the envelope at the lower rate */
#define HEADROOM 30                 /* bits that the sum of what goes into an FFT may take */

static int32_t work[2 * N];

static uint32_t bits(uint64_t value)
{
    return value ? 64u - (uint32_t)__builtin_clzll(value) : 0;
}

static uint32_t size(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

/* value * 2^-shift, rounded down */
static inline int32_t scaled(int32_t value, int32_t shift)
{
    return shift >= 0 ? value >> shift : (int32_t)((uint32_t)value << -shift);
}

/* The root of a 64-bit number to 16 significant bits: a straight line, and Newton twice. */
static uint32_t root(uint64_t value)
{
    uint32_t n = bits(value);
    if (n == 0)
        return 0;
    int32_t shift = ((int32_t)n - 31) & ~1; /* even; leaves 31 or 32 bits */
    uint32_t x = shift >= 0 ? (uint32_t)(value >> shift) : (uint32_t)value << -shift;
    uint32_t r = 23211u + ((x >> 15) * 21845u >> 16); /* 2^15 (17/24 + m/3) of x = 2^30 m: 4 % at most */
    r = (r + x / r) >> 1;
    r = (r + x / r) >> 1;
    return shift >= 0 ? r << (shift / 2) : r >> (-shift / 2);
}

/* Samples without their mean, as large as the FFT takes them. */
static void centre(const int16_t *counts)
{
    int32_t sum = 0;
    uint32_t peak = 0;
    for (uint32_t i = 0; i < N; i++)
        sum += counts[i];
    for (uint32_t i = 0; i < N; i++) {
        work[i] = counts[i] * (int32_t)N - sum;
        uint32_t s = size(work[i]);
        peak = s > peak ? s : peak;
    }
    int32_t shift = (int32_t)bits(peak) + (int32_t)bits(N) - 1 - HEADROOM;
    for (uint32_t i = 0; i < N; i++)
        work[i] = scaled(work[i], shift);
}

/* From the spectrum of the samples to the conjugate of the analytic signal of the band, N complex values. */
static void analytic(void)
{
    uint64_t sum = 0;
    for (uint32_t k = 2 * EMULAB_ENVELOPE_FIRST; k < 2 * EMULAB_ENVELOPE_LAST + 2; k++)
        sum += size(work[k]);
    int32_t shift = (int32_t)bits(sum) - HEADROOM;
    memset(work, 0, 2 * EMULAB_ENVELOPE_FIRST * sizeof *work);
    for (uint32_t k = EMULAB_ENVELOPE_FIRST; k <= EMULAB_ENVELOPE_LAST; k++) {
        work[2 * k] = scaled(work[2 * k], shift);
        work[2 * k + 1] = -scaled(work[2 * k + 1], shift);
    }
    memset(work + 2 * EMULAB_ENVELOPE_LAST + 2, 0, (2 * N - 2 * EMULAB_ENVELOPE_LAST - 2) * sizeof *work);
    emulab_cfft(work, N);
}

/* Magnitude of the analytic signal, less its mean, under a Hann window: N values in the lower half of work. */
static void magnitude(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < N; i++) {
        int64_t re = work[2 * i], im = work[2 * i + 1];
        uint32_t r = root((uint64_t)(re * re) + (uint64_t)(im * im));
        work[i] = (int32_t)r;
        sum += r;
    }
    int32_t mean = (int32_t)(sum / N);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t hann = (1u << 30) - (uint32_t)(emulab_cos(i * EMULAB_ENVELOPE_TURN) / 2); /* Q31, up to 1 */
        int32_t window = hann > 0x7FFFFFFFu ? 0x7FFFFFFF : (int32_t)hann;
        work[i] = (int32_t)(((int64_t)(work[i] - mean) * window) >> 31);
    }
}

/* Low-pass and every DOWN-th value, as large as the FFT takes them, then zeros up to N: the lines of the spectrum lie as
 * close as those of the whole rate padded DOWN times as long, at a fraction of the work. */
static void decimate(void)
{
    int32_t *slow = work + N;
    uint64_t sum = 0;
    for (uint32_t m = 0; m < SLOW; m++) {
        int64_t value = 0;
        uint32_t end = DOWN * m, last = end < N ? end : N - 1, first = end >= TAPS - 1 ? end - (TAPS - 1) : 0;
        const int16_t *tap = emulab_frontend_taps + (end - last);
        for (const int32_t *x = work + last + 1; x != work + first;)
            value += (int64_t)*--x * *tap++;
        slow[m] = (int32_t)(value >> 15);
        sum += size(slow[m]);
    }
    int32_t shift = (int32_t)bits(sum) - HEADROOM;
    for (uint32_t m = 0; m < SLOW; m++)
        work[m] = scaled(slow[m], shift);
    memset(work + SLOW, 0, (N - SLOW) * sizeof *work);
}

/* The strongest line of each bin of shaft orders, in steps of decibels above the median over the bins. */
static void orders(uint32_t speed, int32_t *steps)
{
    int32_t sorted[BINS];
    for (uint32_t bin = 0; bin < BINS; bin++) {
        /* where order (bin + 1/2) step begins, rounded up to a line */
        uint32_t from = ((2 * bin + 1) * EMULAB_ENVELOPE_LINES * speed + EMULAB_ENVELOPE_PER - 1) / EMULAB_ENVELOPE_PER;
        uint32_t to = ((2 * bin + 3) * EMULAB_ENVELOPE_LINES * speed + EMULAB_ENVELOPE_PER - 1) / EMULAB_ENVELOPE_PER;
        uint64_t strongest = emulab_rfft_power(work, N, from);
        for (uint32_t k = from + 1; k < to; k++) {
            uint64_t power = emulab_rfft_power(work, N, k);
            strongest = power > strongest ? power : strongest;
        }
        steps[bin] = emulab_log2(strongest);
        uint32_t at = bin;
        for (; at && sorted[at - 1] > steps[bin]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = steps[bin];
    }
    int32_t median = (sorted[BINS / 2 - 1] + sorted[BINS / 2]) >> 1;
    for (uint32_t bin = 0; bin < BINS; bin++) {
        int32_t step = (int32_t)(((int64_t)(steps[bin] - median) * EMULAB_ENVELOPE_STEPS + (1ll << 31)) >> 32);
        steps[bin] = step < -128 ? -128 : step > 127 ? 127 : step;
    }
}

int emulab_envelope(const uint8_t *sent, int32_t *steps)
{
    uint32_t speed;
    memcpy(&speed, sent, sizeof speed);
    if (speed < EMULAB_ENVELOPE_SLOWEST || speed > EMULAB_ENVELOPE_FASTEST) {
        memset(steps, 0, BINS * sizeof *steps);
        return -1;
    }
    centre((const int16_t *)(const void *)(sent + sizeof speed));
    emulab_rfft(work, N);
    analytic();
    magnitude();
    decimate();
    emulab_rfft(work, N);
    orders(speed, steps);
    return 0;
}
