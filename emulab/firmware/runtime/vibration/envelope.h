/* SPDX-License-Identifier: MIT-0
 * The front end of bearing models: one window of vibration in, one feature per tenth of a shaft order out. */
#ifndef EMULAB_ENVELOPE_H
#define EMULAB_ENVELOPE_H

#include <stdint.h>

/* sent: shaft speed in 0.1 rpm, 32 bits, then EMULAB_ENVELOPE_WINDOW samples of 16 bits, in any unit.
 * steps: EMULAB_ENVELOPE_BINS features of -128 to 127, 0.4 dB each. Returns 0, or -1 and zeros for a speed it cannot do. */
int emulab_envelope(const uint8_t *sent, int32_t *steps);

#endif
