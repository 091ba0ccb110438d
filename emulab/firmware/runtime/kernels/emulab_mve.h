/* SPDX-License-Identifier: MIT-0 */
/* The Helium (MVE) intrinsics the kernels use, and the same in C, by the same names, for hosts without them.
 *
 * Names and meaning are those of the Arm C Language Extensions; vector registers hold 16 bytes. */
#ifndef EMULAB_MVE_H
#define EMULAB_MVE_H

#include <stdint.h>

#include "emulab_kernels.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#else

typedef struct { int8_t v[16]; } int8x16_t;
typedef struct { uint8_t v[16]; } uint8x16_t;
typedef struct { int16_t v[8]; } int16x8_t;
typedef struct { int32_t v[4]; } int32x4_t;
typedef uint16_t mve_pred16_t; /* one bit per byte */

#define EMULAB_EACH(n) for (int32_t i = 0; i < (n); i++)
#define EMULAB_MAP(type, n, expression)                                                                                \
    type r;                                                                                                            \
    EMULAB_EACH(n) r.v[i] = (expression);                                                                              \
    return r

static inline int64_t emulab_narrow(int64_t x, int64_t high)
{
    return x < -high - 1 ? -high - 1 : (x > high ? high : x);
}

static inline mve_pred16_t vctp8q(uint32_t n) { return n >= 16 ? 0xFFFF : (mve_pred16_t)((1u << n) - 1); }
static inline mve_pred16_t vctp32q(uint32_t n) { return n >= 4 ? 0xFFFF : (mve_pred16_t)((1u << 4 * n) - 1); }
static inline int8x16_t vldrbq_s8(const int8_t *p) { EMULAB_MAP(int8x16_t, 16, p[i]); }
static inline int8x16_t vldrbq_z_s8(const int8_t *p, mve_pred16_t q) { EMULAB_MAP(int8x16_t, 16, q >> i & 1 ? p[i] : (int8_t)0); }
static inline uint8x16_t vldrbq_z_u8(const uint8_t *p, mve_pred16_t q) { EMULAB_MAP(uint8x16_t, 16, q >> i & 1 ? p[i] : (uint8_t)0); }
static inline int8x16_t vldrbq_gather_offset_z_s8(const int8_t *p, uint8x16_t o, mve_pred16_t q) { EMULAB_MAP(int8x16_t, 16, q >> i & 1 ? p[o.v[i]] : (int8_t)0); }
static inline int32x4_t vldrbq_z_s32(const int8_t *p, mve_pred16_t q) { EMULAB_MAP(int32x4_t, 4, q >> 4 * i & 1 ? p[i] : 0); }
static inline int32x4_t vldrbq_s32(const int8_t *p) { EMULAB_MAP(int32x4_t, 4, p[i]); }
static inline int32x4_t vldrwq_s32(const int32_t *p) { EMULAB_MAP(int32x4_t, 4, p[i]); }
static inline void vstrbq_s8(int8_t *p, int8x16_t a) { EMULAB_EACH(16) p[i] = a.v[i]; }
static inline void vstrbq_p_s8(int8_t *p, int8x16_t a, mve_pred16_t q) { EMULAB_EACH(16) if (q >> i & 1) p[i] = a.v[i]; }
static inline void vstrbq_s32(int8_t *p, int32x4_t a) { EMULAB_EACH(4) p[i] = (int8_t)a.v[i]; }
static inline void vstrbq_p_s32(int8_t *p, int32x4_t a, mve_pred16_t q) { EMULAB_EACH(4) if (q >> 4 * i & 1) p[i] = (int8_t)a.v[i]; }
static inline void vst1q_s32(int32_t *p, int32x4_t a) { EMULAB_EACH(4) p[i] = a.v[i]; }
static inline int8x16_t vdupq_n_s8(int8_t x) { EMULAB_MAP(int8x16_t, 16, x); }
static inline int32x4_t vdupq_n_s32(int32_t x) { EMULAB_MAP(int32x4_t, 4, x); }
static inline int32x4_t vsetq_lane_s32(int32_t x, int32x4_t a, int32_t lane) { a.v[lane] = x; return a; }
static inline int16x8_t vaddq_s16(int16x8_t a, int16x8_t b) { EMULAB_MAP(int16x8_t, 8, (int16_t)(a.v[i] + b.v[i])); }
static inline int32x4_t vaddq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)((uint32_t)a.v[i] + (uint32_t)b.v[i])); }
static inline int32x4_t vaddq_n_s32(int32x4_t a, int32_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)((uint32_t)a.v[i] + (uint32_t)b)); }
static inline int32x4_t vsubq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)((uint32_t)a.v[i] - (uint32_t)b.v[i])); }
static inline int32x4_t vqaddq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)emulab_narrow((int64_t)a.v[i] + b.v[i], INT32_MAX)); }
static inline int32x4_t vandq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, a.v[i] & b.v[i]); }
static inline int32x4_t vmulq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)((uint32_t)a.v[i] * (uint32_t)b.v[i])); }
static inline int32x4_t vshrq_n_s32(int32x4_t a, int32_t n) { EMULAB_MAP(int32x4_t, 4, a.v[i] >> n); }
static inline int32x4_t vmaxq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
static inline int32x4_t vminq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
static inline int8x16_t vmaxq_s8(int8x16_t a, int8x16_t b) { EMULAB_MAP(int8x16_t, 16, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
static inline int8x16_t vminq_s8(int8x16_t a, int8x16_t b) { EMULAB_MAP(int8x16_t, 16, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
static inline int32x4_t vqrdmulhq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, (int32_t)emulab_narrow(((int64_t)a.v[i] * b.v[i] + (INT64_C(1) << 30)) >> 31, INT32_MAX)); }
/* Shifts by lane: left where positive, right where negative. */
static inline int32x4_t vshlq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, b.v[i] >= 0 ? (int32_t)((uint32_t)a.v[i] << b.v[i]) : a.v[i] >> -b.v[i]); }
static inline int32x4_t vrshlq_s32(int32x4_t a, int32x4_t b) { EMULAB_MAP(int32x4_t, 4, b.v[i] >= 0 ? (int32_t)((uint32_t)a.v[i] << b.v[i]) : (int32_t)(((int64_t)a.v[i] + (INT64_C(1) << (-b.v[i] - 1))) >> -b.v[i])); }
/* Products of the even and of the odd bytes; sign extension of the even and of the odd halfwords. */
static inline int16x8_t vmullbq_int_s8(int8x16_t a, int8x16_t b) { EMULAB_MAP(int16x8_t, 8, (int16_t)(a.v[2 * i] * b.v[2 * i])); }
static inline int16x8_t vmulltq_int_s8(int8x16_t a, int8x16_t b) { EMULAB_MAP(int16x8_t, 8, (int16_t)(a.v[2 * i + 1] * b.v[2 * i + 1])); }
static inline int32x4_t vmovlbq_s16(int16x8_t a) { EMULAB_MAP(int32x4_t, 4, a.v[2 * i]); }
static inline int32x4_t vmovltq_s16(int16x8_t a) { EMULAB_MAP(int32x4_t, 4, a.v[2 * i + 1]); }
/* Narrowed with saturation into the even or the odd lanes, the others kept. */
static inline int16x8_t vqmovnbq_s32(int16x8_t r, int32x4_t a) { EMULAB_EACH(4) r.v[2 * i] = (int16_t)emulab_narrow(a.v[i], INT16_MAX); return r; }
static inline int16x8_t vqmovntq_s32(int16x8_t r, int32x4_t a) { EMULAB_EACH(4) r.v[2 * i + 1] = (int16_t)emulab_narrow(a.v[i], INT16_MAX); return r; }
static inline int8x16_t vqmovnbq_s16(int8x16_t r, int16x8_t a) { EMULAB_EACH(8) r.v[2 * i] = (int8_t)emulab_narrow(a.v[i], INT8_MAX); return r; }
static inline int8x16_t vqmovntq_s16(int8x16_t r, int16x8_t a) { EMULAB_EACH(8) r.v[2 * i + 1] = (int8_t)emulab_narrow(a.v[i], INT8_MAX); return r; }
static inline int16x8_t vdupq_n_s16(int16_t x) { EMULAB_MAP(int16x8_t, 8, x); }
static inline int32_t vmladavaq_s8(int32_t sum, int8x16_t a, int8x16_t b)
{
    EMULAB_EACH(16) sum = (int32_t)((uint32_t)sum + (uint32_t)(a.v[i] * b.v[i]));
    return sum;
}
#endif

/* Requantisation of four channels, each 16 words {bias, multiplier, round, shift} of four lanes (`pack_mve_channels`):
 * in the fast modes `round` is half a unit plus the output zero point, shifted left by -shift; otherwise it is the left
 * shift. `shift` is never positive. */
typedef struct {
    int32x4_t bias, multiplier, round, shift;
} emulab_mve_channels;

static inline emulab_mve_channels emulab_mve_load_channels(const int32_t *c)
{
    const emulab_mve_channels q = {vldrwq_s32(c), vldrwq_s32(c + 4), vldrwq_s32(c + 8), vldrwq_s32(c + 12)};
    return q;
}

/* The same from what a packed channel table holds; without a bias. */
static inline emulab_mve_channels emulab_mve_unpack(int32x4_t multiplier, int32x4_t shift, int32_t mode, int32_t zero)
{
    const int32x4_t none = vdupq_n_s32(0);
    emulab_mve_channels q = {none, multiplier, none, none};
    if (mode == EMULAB_REQUANT_EXACT) {
        q.round = vmaxq_s32(shift, none);
        q.shift = vminq_s32(shift, none);
    } else {
        q.round = vaddq_s32(vshrq_n_s32(vshlq_s32(vdupq_n_s32(1), shift), 1), vshlq_s32(vdupq_n_s32(zero), shift));
        q.shift = vsubq_s32(none, shift);
    }
    return q;
}

/* x / 2^-shift, rounded half away from zero; shift <= 0. */
static inline int32x4_t emulab_mve_round_shift(int32x4_t x, int32x4_t shift)
{
    return vrshlq_s32(vqaddq_s32(x, vshrq_n_s32(vandq_s32(x, shift), 31)), shift);
}

static inline int32x4_t emulab_mve_requant(int32x4_t x, const emulab_mve_channels *q, int32_t mode, int32_t zero)
{
    x = vaddq_s32(x, q->bias);
    if (mode == EMULAB_REQUANT_EXACT) {
        x = vqrdmulhq_s32(vshlq_s32(x, q->round), q->multiplier);
        return vaddq_n_s32(emulab_mve_round_shift(x, q->shift), zero);
    }
    x = vqrdmulhq_s32(x, q->multiplier);
    if (mode == EMULAB_REQUANT_FAST) {
        x = vaddq_s32(x, vshrq_n_s32(x, 31));
    }
    return vshlq_s32(vaddq_s32(x, q->round), q->shift);
}

#endif
