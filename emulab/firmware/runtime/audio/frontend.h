/* SPDX-License-Identifier: MIT-0
 * An audio front end: samples in, features of the model out. One file of this folder implements it; its tables and
 * EMULAB_FRONTEND_* (HOP in samples, CHANNELS, scaling to the model's input) are in the generated emulab_frontend.h. */
#ifndef EMULAB_FRONTEND_API_H
#define EMULAB_FRONTEND_API_H

#include <stdint.h>

/* Back to silence. */
void emulab_frontend_reset(void);
/* Take HOP samples; write CHANNELS features and return 1, or return 0 while the first window is not yet full. */
int emulab_frontend_hop(const int16_t *samples, int8_t *features);

#endif
