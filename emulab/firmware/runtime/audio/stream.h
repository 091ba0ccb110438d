/* SPDX-License-Identifier: MIT-0
 * A stream of samples through front end and model: scores and detections. Sizes and limits (EMULAB_STREAM_*) are in the
 * generated emulab_frontend.h. */
#ifndef EMULAB_STREAM_H
#define EMULAB_STREAM_H

#include <stdint.h>

void stream_reset(void);
/* One step of EMULAB_AUDIO_STEP samples: features, inference, detection. */
void stream_step(const int16_t *samples);
/* start and stop: answer the commands of that name, samples come from the microphone in between. */
void stream_start(void);
void stream_stop(void);
/* Called where the console waits: 1 after a step was processed, 0 where none is due. */
int stream_service(void);
int stream_due(void);

#endif
