/* SPDX-License-Identifier: MIT-0
 * Signal processing without floating point: sine, logarithm and the spectrum of a real signal. */
#ifndef EMULAB_SIGNAL_H
#define EMULAB_SIGNAL_H

#include <stdint.h>

/* The longest FFT. A longer one than this, a power of two, needs a table of its own: compile rfft.c with the macro and with a
 * header emulab_sine_table.h on its path, that defines emulab_sine_table, a quarter of a sine in steps of that length. */
#ifndef EMULAB_RFFT_MAX
#define EMULAB_RFFT_MAX 1024u
#endif

/* sin(2 pi turns / 2^32) as Q31, within 5e-6: table and straight line */
int32_t emulab_sin(uint32_t turns);
static inline int32_t emulab_cos(uint32_t turns) { return emulab_sin(turns + (1u << 30)); }

/* log2 of a value above 0 as Q16, rounded down; 0 for 0 */
int32_t emulab_log2(uint64_t value);

/* Spectrum of n real values in place, n a power of two from 8 to EMULAB_RFFT_MAX, nothing scaled: bin k is the sum over
 * x[i] exp(-2 pi i k / n), so that n * max |x| has to stay below 2^30. Result: x[2k], x[2k + 1] are real and imaginary part
 * of bin k; the two real bins share the first place, x[0] bin 0 and x[1] bin n/2. Returns 0, or -1 for an n it cannot do. */
int emulab_rfft(int32_t *x, uint32_t n);

/* Spectrum of n complex values in place (real and imaginary part in turn), n a power of two from 4 to EMULAB_RFFT_MAX, nothing
 * scaled: the sum over all |z[i]| has to stay below 2^31. Returns 0, or -1 for an n it cannot do. */
int emulab_cfft(int32_t *z, uint32_t n);

/* |bin k|^2 of a spectrum that emulab_rfft left, k = 0 ... n/2 */
uint64_t emulab_rfft_power(const int32_t *x, uint32_t n, uint32_t k);

#endif
