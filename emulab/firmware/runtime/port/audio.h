/* SPDX-License-Identifier: MIT-0
 * What streaming needs of a board: samples, EMULAB_AUDIO_STEP at a time, while the core sleeps. */
#ifndef EMULAB_AUDIO_H
#define EMULAB_AUDIO_H

#include <stdint.h>

void emulab_audio_start(void);
void emulab_audio_stop(void);
int emulab_audio_due(void);              /* whether a step waits */
const int16_t *emulab_audio_take(void);  /* the next step, good until the one after it is full; 0 when none waits */
uint32_t emulab_audio_steps(void);       /* steps that have come since the start, taken or not */
void emulab_audio_interrupt(void);

#endif
