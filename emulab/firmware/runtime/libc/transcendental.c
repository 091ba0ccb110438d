/* SPDX-License-Identifier: MIT-0
 * expf, logf, tanhf, powf and kin: argument reduction and short series in single precision; powf in double. */
#include <math.h>
#include <stdint.h>

union bits {
    float f;
    uint32_t u;
};

#define LN2_HIGH 0.693359375f /* 9 bits, so that n * LN2_HIGH is exact */
#define LN2_LOW -2.12194440e-4f

/* exp(r) - 1 for |r| <= ln(2)/2: the Taylor series to r^7 is within 2^-27 there. */
static float small_expm1(float r)
{
    float tail = 1.0f / 5040;
    tail = tail * r + 1.0f / 720;
    tail = tail * r + 1.0f / 120;
    tail = tail * r + 1.0f / 24;
    tail = tail * r + 1.0f / 6;
    tail = tail * r + 0.5f;
    return r + r * r * tail;
}

float expf(float x)
{
    if (x != x)
        return x;
    if (x > 88.7228394f)
        return INFINITY;
    if (x < -104.0f)
        return 0;
    float n = rintf(x * 1.44269504f);
    float r = (x - n * LN2_HIGH) - n * LN2_LOW;
    return ldexpf(1.0f + small_expm1(r), (int)n);
}

float exp2f(float x)
{
    if (x != x)
        return x;
    if (x >= 128.0f)
        return INFINITY;
    if (x < -150.0f)
        return 0;
    float n = rintf(x);
    float f = x - n;
    /* f * ln 2 in two parts, the head with 12 bits so that both products are exact or tiny */
    float head = ((union bits){.u = ((union bits){.f = f}).u & 0xfffff000u}).f, tail = f - head;
    float high = head * 0.693115234375f; /* 12 bits of ln 2 */
    float low = head * 3.194618495e-5f + tail * 0.69314718f;
    float r = high + low;
    float lost = (high - r) + low;
    return ldexpf(1.0f + (small_expm1(r) + lost), (int)n);
}

float expm1f(float x)
{
    if (x != x)
        return x;
    if (fabsf(x) < 0.34657359f)
        return x == 0 ? x : small_expm1(x);
    if (x > 88.7228394f)
        return INFINITY;
    if (x < -18.0f)
        return -1.0f;
    float n = rintf(x * 1.44269504f);
    float r = (x - n * LN2_HIGH) - n * LN2_LOW;
    float e = small_expm1(r);
    if (n > 25)
        return ldexpf(1.0f + e, (int)n);
    /* 2^n (1 + e) - 1 = 2^n e + (2^n - 1): the bracket is exact for |n| <= 24 */
    float scale = ldexpf(1.0f, (int)n);
    return scale * e + (scale - 1.0f);
}

/* x = (1 + f) * 2^exponent with 1 + f in [sqrt(1/2), sqrt(2)); x finite and positive. */
static float reduce(float x, int *exponent)
{
    float m = frexpf(x, exponent);
    if (m < 0.70710678f) {
        m *= 2;
        *exponent -= 1;
    }
    return m - 1.0f;
}

/* log(1+f) = f - half + series, with half = f*f/2: log((1+s)/(1-s)) for s = f/(2+f), |s| <= 0.1716. */
static float log_series(float f, float half)
{
    float s = f / (2.0f + f), z = s * s;
    float r = z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7 + z * (2.0f / 9 + z * (2.0f / 11)))));
    return s * (half + r);
}

static float log_special(float x)
{
    if (x != x || x == INFINITY)
        return x;
    return x == 0 ? -INFINITY : NAN;
}

float logf(float x)
{
    if (!(x > 0) || x == INFINITY)
        return log_special(x);
    int exponent;
    float f = reduce(x, &exponent), half = 0.5f * f * f, n = (float)exponent;
    return n * LN2_HIGH - ((half - (log_series(f, half) + n * LN2_LOW)) - f);
}

/* Double precision to about 2^-40: for powf and the other bases, where single precision loses its last bits. */
static double log_wide(float x)
{
    int exponent;
    double f = reduce(x, &exponent), s = f / (2.0 + f), z = s * s, term = 2.0 * s, sum = 0;
    for (int k = 1; k < 22; k += 2) {
        sum += term / k;
        term *= z;
    }
    return sum + exponent * 0.69314718055994530942;
}

static float exp_wide(double x)
{
    if (x > 89.0)
        return INFINITY;
    if (x < -104.5)
        return 0;
    int n = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = x - n * 0.69314718055994530942, sum = 1.0;
    for (int k = 12; k > 0; k--)
        sum = 1.0 + sum * r / k;
    /* scale in double, so that a subnormal result is rounded once */
    union {
        double d;
        uint64_t u;
    } scale = {.u = (uint64_t)(n + 1023) << 52};
    return (float)(sum * scale.d);
}

float log2f(float x)
{
    if (!(x > 0) || x == INFINITY)
        return log_special(x);
    return (float)(log_wide(x) * 1.44269504088896340736);
}

float log10f(float x)
{
    if (!(x > 0) || x == INFINITY)
        return log_special(x);
    return (float)(log_wide(x) * 0.43429448190325182765);
}

float tanhf(float x)
{
    float a = fabsf(x);
    if (x != x)
        return x;
    if (a < 0.625f) {
        /* continued fraction x/(1+z/(3+z/(5+z/(7+z/9)))), written as x minus a small part */
        float z = x * x;
        return x - x * (z * (315.0f + 14.0f * z) / (945.0f + z * (420.0f + 15.0f * z)));
    }
    float y = a > 9.1f ? 1.0f : 1.0f - 2.0f / (expf(2 * a) + 1.0f);
    return copysignf(y, x);
}

/* 0: y is no integer, 1: odd, 2: even */
static int parity(float y)
{
    float a = fabsf(y);
    if (a >= 16777216.0f)
        return 2;
    if (truncf(a) != a)
        return 0;
    return (uint32_t)a & 1 ? 1 : 2;
}

float powf(float x, float y)
{
    if (y == 0 || x == 1.0f)
        return 1.0f;
    if (x != x || y != y)
        return NAN;
    float a = fabsf(x);
    int kind = parity(y);
    int negative = ((union bits){.f = x}).u >> 31 && kind == 1;
    if (fabsf(y) == INFINITY) {
        if (a == 1.0f)
            return 1.0f;
        return (a > 1.0f) == (y > 0) ? INFINITY : 0;
    }
    float result;
    if (a == 0 || a == INFINITY)
        result = (a == 0) == (y > 0) ? 0 : INFINITY;
    else if (x < 0 && !kind)
        return NAN;
    else
        result = exp_wide((double)y * log_wide(a));
    return negative ? -result : result;
}
