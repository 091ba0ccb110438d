/* SPDX-License-Identifier: MIT-0 */
/* Fixed-point arithmetic shared by the int8 kernels: rounding high multiply and requantisation.
 *
 * The model's arithmetic (TensorFlow Lite quantisation specification) scales an accumulator by
 * multiplier * 2^(shift - 31) with two roundings: first half up at bit 31, then half away from zero at the
 * right shift. Both roundings are kept here exactly; the fast path merely evaluates them in fewer steps. */
#ifndef EMULAB_FIXED_H
#define EMULAB_FIXED_H

#include <stdint.h>

#if defined(EMULAB_KERNELS_ARM_DSP) && defined(__ARM_FEATURE_DSP)
#define EMULAB_DSP_NATIVE 1
#endif

/* Before a loop that is short as a rule: unrolling costs more in set-up than it saves. */
#if defined(__clang__)
#define EMULAB_NO_UNROLL _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define EMULAB_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define EMULAB_NO_UNROLL
#endif

/* Of functions that run rarely or wait for another that does the work: small before fast. */
#if defined(__clang__)
#define EMULAB_SMALL __attribute__((minsize, noinline))
#elif defined(__GNUC__)
#define EMULAB_SMALL __attribute__((optimize("Os"), noinline))
#else
#define EMULAB_SMALL
#endif

/* (2 * a * b + 2^31) >> 32, that is a * b / 2^31 rounded half up. Saturates only for a = b = INT32_MIN, where b is
 * a multiplier and never negative. */
static inline int32_t emulab_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* x / 2^shift rounded half away from zero, shift in 0..31. */
static inline int32_t emulab_round_shift(int32_t x, int32_t shift)
{
    if (shift == 0) {
        return x;
    }
    const int64_t half = INT64_C(1) << (shift - 1);
    return (int32_t)(((int64_t)x + half + (x >> 31)) >> shift);
}

/* x * multiplier * 2^(shift - 31): left shift first when shift > 0, rounding right shift otherwise. */
static inline int32_t emulab_scale(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return emulab_round_shift(emulab_high_mul((int32_t)((uint32_t)x << left), multiplier), right);
}

static inline int32_t emulab_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

/* addend + (2 * a * b + 2^31 >> 32); the caller knows that |a| < 2^30. */
static inline int32_t emulab_high_mul_add_doubled(int32_t a, int32_t b, int32_t addend)
{
#ifdef EMULAB_DSP_NATIVE
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"((int32_t)((uint32_t)a << 1)), "r"(b), "r"(addend));
    return result;
#elif defined(__riscv_mul)
    /* the upper word of the doubled product, and its rounding from the top bit of the lower: MULH, MUL, SRLI, ADD */
    const int64_t product = (int64_t)(int32_t)((uint32_t)a << 1) * b;
    return (int32_t)((uint32_t)addend + (uint32_t)(product >> 32) + ((uint32_t)product >> 31));
#else
    return (int32_t)((uint32_t)addend + (uint32_t)emulab_high_mul(a, b));
#endif
}

/* Clamp to int8. */
static inline int32_t emulab_saturate_s8(int32_t x)
{
#ifdef EMULAB_DSP_NATIVE
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return emulab_clamp(x, -128, 127);
#endif
}

#endif
