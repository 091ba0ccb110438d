/* SPDX-License-Identifier: MIT-0
 * Streaming: every step of samples becomes rows of features, the model sees the last rows, its score is averaged and held
 * against a threshold; after a detection none counts for a while. Scores are kept and told at the end, not on the way. */
#include "stream.h"

#include <string.h>

#include "dut.h"
#include "emulab.h"
#include "emulab_frontend.h"
#include "frontend.h"
#include "model.h"
#include "port.h"

#define CHANNELS EMULAB_FRONTEND_CHANNELS
#define ROWS (EMULAB_MODEL_INPUT_ELEMENTS / CHANNELS)
#define FRESH EMULAB_STREAM_ROWS /* rows between two inferences */
#define SCORES 4096u
#define DETECTIONS 64u

static int8_t rows[ROWS][CHANNELS];
static uint32_t fresh, inferences, averaged, silent, found;
static uint8_t scores[SCORES]; /* the last ones */
static uint32_t detections[DETECTIONS];
static int32_t recent[EMULAB_STREAM_AVERAGE], sum;

void stream_reset(void)
{
    emulab_frontend_reset();
    emulab_model_reset();
    memset(rows, 0, sizeof rows);
    memset(recent, 0, sizeof recent);
    fresh = inferences = averaged = silent = found = 0;
    sum = 0;
}

static void judge(int32_t score)
{
    uint32_t place = inferences % EMULAB_STREAM_AVERAGE;
    sum += score - recent[place];
    recent[place] = score;
    averaged += averaged < EMULAB_STREAM_AVERAGE;
    if (silent)
        silent--;
    else if (averaged == EMULAB_STREAM_AVERAGE && sum > EMULAB_STREAM_THRESHOLD) {
        if (found < DETECTIONS)
            detections[found] = inferences;
        found++;
        silent = EMULAB_STREAM_REFRACTORY;
    }
    scores[inferences % SCORES] = (uint8_t)score;
    inferences++;
}

/* A function of its own, so that the markers stay in line with what they mark. */
__attribute__((noinline)) static int features_of(const int16_t *samples, int8_t *features)
{
    EMULAB_WINDOW_BEGIN(front_end);
    int complete = emulab_frontend_hop(samples, features);
    EMULAB_WINDOW_END(front_end);
    return complete;
}

void stream_step(const int16_t *samples)
{
    for (uint32_t hop = 0; hop < FRESH; hop++) {
        int8_t features[CHANNELS];
        if (!features_of(samples + hop * EMULAB_FRONTEND_HOP, features))
            continue;
        memmove(rows, rows + 1, sizeof rows - sizeof rows[0]);
        memcpy(rows[ROWS - 1], features, sizeof features);
        if (++fresh < FRESH)
            continue;
        fresh = 0;
        memcpy(emulab_model_input(), rows, sizeof rows);
        emulab_model_run();
        judge(emulab_model_output()[EMULAB_STREAM_OUTPUT]);
    }
}

#ifdef EMULAB_STREAM_AUDIO
#include "audio.h"

static uint32_t steps;

void stream_start(void)
{
    stream_reset();
    steps = 0;
    dut_print("m-stream-start\r\n");
    dut_timestamp();
    emulab_audio_start();
}

int stream_due(void)
{
    return emulab_audio_due();
}

int stream_service(void)
{
    const int16_t *samples = emulab_audio_take();
    if (!samples)
        return 0;
    EMULAB_WINDOW_BEGIN(step);
    stream_step(samples);
    EMULAB_WINDOW_END(step);
    steps++;
    return 1;
}

void stream_stop(void)
{
    emulab_audio_stop();
    dut_timestamp();
    dut_print("m-stream-steps-%lu\r\n", (unsigned long)steps);
    dut_print("m-stream-missed-%lu\r\n", (unsigned long)(emulab_audio_steps() - steps));
    dut_print("m-stream-inferences-%lu\r\n", (unsigned long)inferences);
    dut_print("m-stream-detected-%lu\r\n", (unsigned long)found);
    for (uint32_t i = 0; i < found && i < DETECTIONS; i++)
        dut_print("m-detection-%lu\r\n", (unsigned long)detections[i]);
    uint32_t held = inferences < SCORES ? inferences : SCORES, at = inferences - held;
    while (at < inferences) { /* a ring: up to its end, and from its beginning */
        uint32_t run = SCORES - at % SCORES;
        run = run < inferences - at ? run : inferences - at;
        dut_print_bytes("m-scores-", scores + at % SCORES, run);
        at += run;
    }
}

#else

void stream_start(void)
{
    dut_print("e-[This board has no microphone]\r\n");
}

void stream_stop(void)
{
    stream_start();
}

#endif
