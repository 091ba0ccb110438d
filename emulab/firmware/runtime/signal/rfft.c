/* SPDX-License-Identifier: MIT-0
 * Fixed-point FFT of a real signal: a complex FFT of half the length, decimation in time, then split. Values are 32 bits,
 * products 64 (one SMULL or SMLAL on a Cortex-M4); every product is rounded once. */
#include "emulab_signal.h"
#if EMULAB_RFFT_MAX == 1024u
#include "sine_table.h"
#else
#include "emulab_sine_table.h"
#endif

#define QUARTER (EMULAB_RFFT_MAX / 4)
#define REST ((uint32_t)__builtin_clz(EMULAB_RFFT_MAX) + 1) /* bits of an angle below a step of the table */

/* sin(2 pi j / EMULAB_RFFT_MAX), Q31 */
static int32_t grid_sine(uint32_t j)
{
    uint32_t at = j & (QUARTER - 1);
    int32_t value = j & QUARTER ? emulab_sine_table[QUARTER - at] : emulab_sine_table[at];
    return j & 2 * QUARTER ? -value : value;
}

int32_t emulab_sin(uint32_t turns)
{
    uint32_t j = turns >> REST, rest = turns & ((1u << REST) - 1);
    int32_t from = grid_sine(j), to = grid_sine(j + 1);
    return from + (int32_t)(((int64_t)(to - from) * rest) >> REST);
}

int32_t emulab_log2(uint64_t value)
{
    if (value == 0)
        return 0;
    uint32_t high = 63u - (uint32_t)__builtin_clzll(value);
    uint32_t x = high > 31 ? (uint32_t)(value >> (high - 31)) : (uint32_t)(value << (31 - high)); /* 1.31, in [1, 2) */
    int32_t result = (int32_t)high;
    for (int i = 0; i < 16; i++) {
        uint64_t square = (uint64_t)x * x; /* 2.62 */
        uint32_t two = (uint32_t)(square >> 63);
        x = (uint32_t)(square >> (31 + two));
        result = result << 1 | (int32_t)two;
    }
    return result;
}

#define ROUND (1ll << 30)

/* z[i], m complex values, in the order of reversed bits */
static void reverse(int32_t *z, uint32_t m)
{
    for (uint32_t i = 1, j = 0; i < m; i++) {
        uint32_t bit = m >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j |= bit;
        if (i < j) {
            int32_t re = z[2 * i], im = z[2 * i + 1];
            z[2 * i] = z[2 * j], z[2 * i + 1] = z[2 * j + 1];
            z[2 * j] = re, z[2 * j + 1] = im;
        }
    }
}

typedef struct {
    int32_t re, im;
} value_t;

/* times exp(-i angle), given the angle's cosine and sine */
static inline value_t turned(value_t v, int32_t c, int32_t s)
{
    return (value_t){(int32_t)(((int64_t)v.re * c + (int64_t)v.im * s + ROUND) >> 31),
                     (int32_t)(((int64_t)v.im * c - (int64_t)v.re * s + ROUND) >> 31)};
}

static inline void butterfly(value_t *a, value_t *b)
{
    value_t sum = {a->re + b->re, a->im + b->im};
    *b = (value_t){a->re - b->re, a->im - b->im};
    *a = sum;
}

/* Two stages at once, of distances half and 2 half, so that every value is read and written once for both. The first turns
 * by w1, the second by w2, and by w2 and a quarter: (-s2, c2). */
static inline void two_stages(int32_t *z, uint32_t half, const int32_t *turn)
{
    value_t *at[4], v[4];
    for (uint32_t k = 0; k < 4; k++)
        at[k] = (value_t *)(void *)(z + 2 * k * half), v[k] = *at[k];
    if (turn)
        v[1] = turned(v[1], turn[0], turn[1]), v[3] = turned(v[3], turn[0], turn[1]);
    butterfly(&v[0], &v[1]);
    butterfly(&v[2], &v[3]);
    if (turn)
        v[2] = turned(v[2], turn[2], turn[3]), v[3] = turned(v[3], -turn[3], turn[2]);
    else
        v[3] = (value_t){v[3].im, -v[3].re}; /* what a product would round to */
    butterfly(&v[0], &v[2]);
    butterfly(&v[1], &v[3]);
    for (uint32_t k = 0; k < 4; k++)
        *at[k] = v[k];
}

static void complex_fft(int32_t *z, uint32_t m)
{
    uint32_t half = 1;
    reverse(z, m);
    for (; 4 * half <= m; half *= 4) {
        uint32_t step = EMULAB_RFFT_MAX / (4 * half);
        for (uint32_t i = 0; i < m; i += 4 * half)
            two_stages(z + 2 * i, half, 0);
        for (uint32_t j = 1; j < half; j++) {
            int32_t turn[4] = {grid_sine(2 * j * step + QUARTER), grid_sine(2 * j * step), grid_sine(j * step + QUARTER),
                               grid_sine(j * step)};
            for (uint32_t i = j; i < m; i += 4 * half)
                two_stages(z + 2 * i, half, turn);
        }
    }
    if (half < m) /* a last stage alone */
        for (uint32_t j = 0; j < half; j++) {
            value_t *a = (value_t *)(void *)(z + 2 * j), *b = a + half;
            uint32_t angle = j * (EMULAB_RFFT_MAX / (2 * half));
            if (j)
                *b = turned(*b, grid_sine(angle + QUARTER), grid_sine(angle));
            butterfly(a, b);
        }
}

int emulab_cfft(int32_t *z, uint32_t n)
{
    if (n < 4 || n > EMULAB_RFFT_MAX || n & (n - 1))
        return -1;
    complex_fft(z, n);
    return 0;
}

int emulab_rfft(int32_t *x, uint32_t n)
{
    if (n < 8 || n > EMULAB_RFFT_MAX || n & (n - 1))
        return -1;
    uint32_t m = n / 2, step = EMULAB_RFFT_MAX / n;
    complex_fft(x, m);
    int32_t re0 = x[0], im0 = x[1];
    x[0] = re0 + im0, x[1] = re0 - im0;
    for (uint32_t k = 1; k <= m / 2; k++) {
        int32_t *a = x + 2 * k, *b = x + 2 * (m - k);
        int64_t even_re = (int64_t)a[0] + b[0], even_im = (int64_t)a[1] - b[1]; /* twice the spectrum of even samples */
        int64_t odd_re = (int64_t)a[1] + b[1], odd_im = (int64_t)b[0] - a[0];  /* and of odd ones */
        int64_t c = grid_sine(k * step + QUARTER), s = grid_sine(k * step);
        int64_t re = (odd_re * c + odd_im * s + ROUND) >> 31, im = (odd_im * c - odd_re * s + ROUND) >> 31;
        a[0] = (int32_t)((even_re + re) >> 1), a[1] = (int32_t)((even_im + im) >> 1);
        b[0] = (int32_t)((even_re - re) >> 1), b[1] = (int32_t)((im - even_im) >> 1);
    }
    return 0;
}

uint64_t emulab_rfft_power(const int32_t *x, uint32_t n, uint32_t k)
{
    if (k == 0 || k == n / 2) {
        int64_t real = x[k == 0 ? 0 : 1];
        return (uint64_t)(real * real);
    }
    int64_t re = x[2 * k], im = x[2 * k + 1];
    return (uint64_t)(re * re) + (uint64_t)(im * im);
}
