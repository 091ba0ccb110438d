/* SPDX-License-Identifier: MIT-0
 * Single-precision mathematics of the bare-metal C library; errors in ulp are stated and tested per function. */
#ifndef EMULAB_LIBC_MATH_H
#define EMULAB_LIBC_MATH_H

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
#define HUGE_VALF __builtin_inff()
#define M_PI 3.14159265358979323846
#define M_E 2.7182818284590452354
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)

/* exact or correctly rounded */
float fabsf(float x);
float sqrtf(float x);
float floorf(float x);
float ceilf(float x);
float truncf(float x);
float roundf(float x);
float rintf(float x);
float nearbyintf(float x);
long lroundf(float x);
long lrintf(float x);
float fminf(float x, float y);
float fmaxf(float x, float y);
float fmodf(float x, float y);
float copysignf(float x, float sign);
float ldexpf(float x, int exponent);
float frexpf(float x, int *exponent);
double fabs(double x);
double floor(double x);
double round(double x);

/* within 1 ulp */
float expf(float x);
float exp2f(float x);
float logf(float x);
float log2f(float x);
float log10f(float x);
float powf(float x, float y);

/* within 2 ulp */
float tanhf(float x);
float expm1f(float x);

#endif
