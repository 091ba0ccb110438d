/* SPDX-License-Identifier: MIT-0 */
/* The few Arm DSP instructions the kernels use, and the same in C for hosts without them. */
#ifndef EMULAB_DSP_H
#define EMULAB_DSP_H

#include <stdint.h>

#include "emulab_fixed.h"

/* Four bytes at any address, as one little-endian word. */
static inline uint32_t emulab_load_word(const void *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

#ifdef EMULAB_DSP_NATIVE
#include <arm_acle.h>

/* Bytes 0 and 2, sign-extended to the two halves. */
static inline uint32_t emulab_bytes_even(uint32_t x)
{
    return (uint32_t)__sxtb16((int8x4_t)x);
}

/* Bytes 1 and 3. */
static inline uint32_t emulab_bytes_odd(uint32_t x)
{
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
}

/* sum + a.low * b.low + a.high * b.high. */
static inline int32_t emulab_dual_mac(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlad((int16x2_t)a, (int16x2_t)b, sum);
}

/* sum + a.low * b.low. */
static inline int32_t emulab_mac_low_low(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlabb((int32_t)a, (int32_t)b, sum);
}

/* sum + a.high * b.low. */
static inline int32_t emulab_mac_high_low(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlatb((int32_t)a, (int32_t)b, sum);
}

/* sum + a.low * b.high. */
static inline int32_t emulab_mac_low_high(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlabt((int32_t)a, (int32_t)b, sum);
}

/* sum + a.high * b.high. */
static inline int32_t emulab_mac_high_high(uint32_t a, uint32_t b, int32_t sum)
{
    return __smlatt((int32_t)a, (int32_t)b, sum);
}

/* Halves of `sum` plus bytes 0 and 2 of x. */
static inline uint32_t emulab_add_bytes_even(uint32_t sum, uint32_t x)
{
    return (uint32_t)__sxtab16((int16x2_t)sum, (int8x4_t)x);
}

static inline uint32_t emulab_add_bytes_odd(uint32_t sum, uint32_t x)
{
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(x));
    return result;
}

#else

static inline uint32_t emulab_halves(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

static inline uint32_t emulab_bytes_even(uint32_t x)
{
    return emulab_halves((int8_t)x, (int8_t)(x >> 16));
}

static inline uint32_t emulab_bytes_odd(uint32_t x)
{
    return emulab_halves((int8_t)(x >> 8), (int8_t)(x >> 24));
}

static inline int32_t emulab_mac_low_low(uint32_t a, uint32_t b, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)((int16_t)a * (int16_t)b));
}

static inline int32_t emulab_mac_high_low(uint32_t a, uint32_t b, int32_t sum)
{
    return emulab_mac_low_low(a >> 16, b, sum);
}

static inline int32_t emulab_mac_low_high(uint32_t a, uint32_t b, int32_t sum)
{
    return emulab_mac_low_low(a, b >> 16, sum);
}

static inline int32_t emulab_mac_high_high(uint32_t a, uint32_t b, int32_t sum)
{
    return emulab_mac_low_low(a >> 16, b >> 16, sum);
}

static inline int32_t emulab_dual_mac(uint32_t a, uint32_t b, int32_t sum)
{
    return emulab_mac_low_low(a >> 16, b >> 16, emulab_mac_low_low(a, b, sum));
}

static inline uint32_t emulab_add_bytes_even(uint32_t sum, uint32_t x)
{
    return emulab_halves((int16_t)sum + (int8_t)x, (int16_t)(sum >> 16) + (int8_t)(x >> 16));
}

static inline uint32_t emulab_add_bytes_odd(uint32_t sum, uint32_t x)
{
    return emulab_add_bytes_even(sum, x >> 8);
}

#endif
#endif
