/* SPDX-License-Identifier: MIT-0
 * A vibration node: every ten seconds 512 samples, their spectrum, one inference; a message where something is wrong, and
 * every twelfth time to say that it is alive. In between the core is in its deepest sleep that keeps RAM. */
#include <string.h>

#include "emulab.h"
#include "emulab_drivers.h"
#include "features.h"
#include "lis2dh12.h"
#include "model.h"
#include "port.h"
#include "radio.h"

#define PERIOD_MS 10000
#define ALIVE_EVERY 12
#define EVENTS 3 /* advertising events per message: a listener that misses one has two more */

/* for a debugger, and for tests */
volatile uint32_t wakes, alarms, messages;
volatile int8_t scores[EMULAB_MODEL_OUTPUT_ELEMENTS];

static int16_t counts[SAMPLES];
static int8_t levels[LEVELS];
static volatile uint32_t due;

static uint32_t classify(void)
{
    memcpy(emulab_model_input(), levels, LEVELS);
    emulab_model_run();
    const int8_t *output = emulab_model_output();
    uint32_t best = 0;
    for (uint32_t i = 0; i < EMULAB_MODEL_OUTPUT_ELEMENTS; i++) {
        scores[i] = output[i];
        if (output[i] > output[best])
            best = i;
    }
    return best;
}

static void send(uint32_t class)
{
    uint8_t message[2 + EMULAB_MODEL_OUTPUT_ELEMENTS] = {(uint8_t)wakes, (uint8_t)class};
    for (uint32_t i = 0; i < EMULAB_MODEL_OUTPUT_ELEMENTS; i++)
        message[2 + i] = (uint8_t)scores[i];
    if (radio_send(message, sizeof message, EVENTS) == 0)
        messages++;
}

_Noreturn void emulab_main(void)
{
    emulab_clock_slow();
    accelerometer_init();
    if (radio_init())
        emulab_fault(1, 0);
    emulab_wake_every(PERIOD_MS, &due);
    for (;;) {
        emulab_wait(&due, 1);
        EMULAB_WINDOW_BEGIN(capture);
        accelerometer_capture(counts, SAMPLES);
        EMULAB_WINDOW_END(capture);
        emulab_clock_full();
        EMULAB_WINDOW_BEGIN(features);
        features(counts, levels);
        EMULAB_WINDOW_END(features);
        EMULAB_WINDOW_BEGIN(inference);
        uint32_t class = classify();
        EMULAB_WINDOW_END(inference);
        emulab_clock_slow();
        if (class)
            alarms++;
        if (class || wakes % ALIVE_EVERY == 0) {
            EMULAB_WINDOW_BEGIN(radio);
            send(class);
            EMULAB_WINDOW_END(radio);
        }
        wakes++;
    }
}
