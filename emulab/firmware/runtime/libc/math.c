/* SPDX-License-Identifier: MIT-0
 * Rounding, square root and other exact single-precision functions, on the bits of the number. */
#include <math.h>
#include <stdint.h>

union bits {
    float f;
    uint32_t u;
};

static uint32_t bits_of(float x) { return ((union bits){.f = x}).u; }
static float float_of(uint32_t u) { return ((union bits){.u = u}).f; }

float fabsf(float x) { return float_of(bits_of(x) & 0x7fffffffu); }
float copysignf(float x, float sign) { return float_of((bits_of(x) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u)); }

/* Mask of the bits behind the binary point; 0 when there is none, all below the sign when |x| < 1. */
static uint32_t fraction_mask(uint32_t u)
{
    int exponent = (int)(u >> 23 & 0xff) - 127;
    if (exponent < 0)
        return 0x7fffffffu;
    return exponent < 23 ? 0x007fffffu >> exponent : 0;
}

float truncf(float x) { return float_of(bits_of(x) & ~fraction_mask(bits_of(x))); }

/* x with a fraction: towards infinity of its own sign. */
static float away(uint32_t u, uint32_t mask)
{
    if (mask == 0x7fffffffu)
        return float_of((u & 0x80000000u) | 0x3f800000u);
    return float_of((u | mask) + 1);
}

float floorf(float x)
{
    uint32_t u = bits_of(x), mask = fraction_mask(u);
    if ((u & mask) && (u >> 31))
        return away(u, mask);
    return truncf(x);
}

float ceilf(float x)
{
    uint32_t u = bits_of(x), mask = fraction_mask(u);
    if ((u & mask) && !(u >> 31))
        return away(u, mask);
    return truncf(x);
}

float roundf(float x)
{
    float whole = truncf(x);
    if (fabsf(x - whole) >= 0.5f)
        return away(bits_of(x), fraction_mask(bits_of(x)));
    return whole;
}

/* half to even, the mode the processor starts in */
float rintf(float x)
{
    if (fabsf(x) >= 8388608.0f || x != x)
        return x;
    volatile float big = copysignf(8388608.0f, x);
    float sum = x + big;
    return copysignf(sum - big, x);
}

float nearbyintf(float x) { return rintf(x); }
long lroundf(float x) { return (long)roundf(x); }
long lrintf(float x) { return (long)rintf(x); }
float fminf(float x, float y) { return x != x ? y : y != y ? x : x < y || (x == y && bits_of(x) >> 31) ? x : y; }
float fmaxf(float x, float y) { return x != x ? y : y != y ? x : x > y || (x == y && bits_of(y) >> 31) ? x : y; }

float sqrtf(float x)
{
#if defined(__ARM_FP) && (__ARM_FP & 4)
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
#elif defined(__riscv_flen)
    float root;
    __asm__("fsqrt.s %0, %1" : "=f"(root) : "f"(x));
    return root;
#else
    uint32_t u = bits_of(x);
    if (u == 0x80000000u || u == 0 || u == 0x7f800000u || x != x)
        return x + x;
    if (u >> 31)
        return NAN;
    int exponent = (int)(u >> 23) - 127;
    uint32_t mantissa = u & 0x7fffff;
    if (exponent == -127) {
        int shift = __builtin_clz(mantissa) - 8;
        mantissa <<= shift;
        exponent = -126 - shift;
    }
    mantissa |= 0x800000;
    /* digit by digit on mantissa * 2^26 (or 2^27): 25 bits of root, the last one to round by */
    uint64_t rest = (uint64_t)mantissa << (exponent & 1 ? 26 : 25);
    uint32_t root = 0;
    for (uint32_t bit = 1u << 24; bit; bit >>= 1) {
        uint64_t tried = (uint64_t)(2 * root + bit) * bit;
        if (tried <= rest) {
            rest -= tried;
            root += bit;
        }
    }
    exponent = (exponent - (exponent & 1)) / 2;
    root = (root + (root & 1)) >> 1; /* a tie cannot happen: a root with 25 bits is never exact */
    return float_of(((uint32_t)(exponent + 126) << 23) + root);
#endif
}

float frexpf(float x, int *exponent)
{
    uint32_t u = bits_of(x);
    *exponent = 0;
    if (x == 0 || (u >> 23 & 0xff) == 0xff)
        return x;
    if (!(u >> 23 & 0xff)) {
        u = bits_of(x * 16777216.0f);
        *exponent = -24;
    }
    *exponent += (int)(u >> 23 & 0xff) - 126;
    return float_of((u & 0x807fffffu) | 0x3f000000u);
}

static float power_of_two(int exponent) { return float_of((uint32_t)(exponent + 127) << 23); }

float ldexpf(float x, int exponent)
{
    while (exponent > 127) {
        x *= power_of_two(127);
        exponent -= 127;
        if (exponent > 400)
            exponent = 400;
    }
    if (exponent < -126) {
        /* one rounding only: reach the subnormal range in a single last step */
        if (exponent < -400)
            exponent = -400;
        while (exponent < -126 - 24) {
            x *= power_of_two(-102);
            exponent += 102;
        }
        if (exponent < -126) {
            x *= power_of_two(-102);
            exponent += 102;
        }
    }
    return x * power_of_two(exponent);
}

/* Exact: subtract shifted multiples of y. */
float fmodf(float x, float y)
{
    uint32_t sign = bits_of(x) & 0x80000000u;
    float rest = fabsf(x), divisor = fabsf(y);
    if (!(divisor > 0) || !(rest < INFINITY))
        return NAN;
    if (divisor == INFINITY)
        return x;
    while (rest >= divisor) {
        int a, b;
        frexpf(rest, &a);
        frexpf(divisor, &b);
        float multiple = ldexpf(divisor, a - b);
        if (multiple > rest)
            multiple = ldexpf(divisor, a - b - 1);
        rest -= multiple;
    }
    return float_of(bits_of(rest) | sign);
}

double fabs(double x) { return x < 0 ? -x : x == 0 ? 0.0 : x; }

double floor(double x)
{
    if (!(fabs(x) < 4503599627370496.0))
        return x;
    double whole = (double)(int64_t)x;
    return whole > x ? whole - 1 : whole;
}

double round(double x)
{
    if (!(fabs(x) < 4503599627370496.0))
        return x;
    double whole = (double)(int64_t)x;
    if (fabs(x - whole) >= 0.5)
        whole += x < 0 ? -1 : 1;
    return whole;
}
