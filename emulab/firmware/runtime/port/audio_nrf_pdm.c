/* SPDX-License-Identifier: MIT-0
 * Samples of a PDM microphone on a Nordic nRF52: 16 bits, left channel, 16 kHz, by EasyDMA into two halves.
 * Registers: nRF52840 PS v1.7, 6.15. */
#include "audio.h"
#include "port.h"

#define REGISTER(offset) EMULAB_REGISTER(EMULAB_AUDIO_BASE + (offset))
#define TASKS_START REGISTER(0x000)
#define TASKS_STOP REGISTER(0x004)
#define EVENTS_STARTED REGISTER(0x100)
#define EVENTS_END REGISTER(0x108)
#define INTENSET REGISTER(0x304)
#define ENABLE REGISTER(0x500)
#define PDMCLKCTRL REGISTER(0x504)
#define MODE REGISTER(0x508)
#define RATIO REGISTER(0x520)
#define PSEL_CLK REGISTER(0x540)
#define PSEL_DIN REGISTER(0x544)
#define SAMPLE_PTR REGISTER(0x560)
#define SAMPLE_MAXCNT REGISTER(0x564)

#define STARTED_INTERRUPT 1u
#define END_INTERRUPT 4u

static int16_t samples[2][EMULAB_AUDIO_STEP];
static volatile uint32_t filled, taken, named; /* halves so far */

static void name_next(void)
{
    SAMPLE_PTR = (uint32_t)(uintptr_t)samples[named++ & 1];
}

void emulab_audio_start(void)
{
    filled = taken = named = 0;
    PSEL_CLK = EMULAB_AUDIO_CLOCK_PIN;
    PSEL_DIN = EMULAB_AUDIO_DATA_PIN;
    PDMCLKCTRL = 0x0A000000; /* 1.28 MHz */
    RATIO = 1;               /* by 80 */
    MODE = 1;                /* mono */
    SAMPLE_MAXCNT = EMULAB_AUDIO_STEP;
    name_next();
    EVENTS_STARTED = EVENTS_END = 0;
    INTENSET = STARTED_INTERRUPT | END_INTERRUPT;
    ENABLE = 1;
    TASKS_START = 1;
}

void emulab_audio_stop(void)
{
    TASKS_STOP = 1;
    ENABLE = 0;
}

/* END of a buffer comes with STARTED of the next one: its address is in use then, and the one after it is named. */
void emulab_audio_interrupt(void)
{
    if (EVENTS_END) {
        EVENTS_END = 0;
        filled++;
    }
    if (EVENTS_STARTED) {
        EVENTS_STARTED = 0;
        name_next();
    }
    (void)EVENTS_STARTED; /* the write has reached the peripheral before the return (PS 6.1.8) */
}

int emulab_audio_due(void)
{
    return filled != taken;
}

const int16_t *emulab_audio_take(void)
{
    uint32_t behind = filled - taken;
    if (!behind)
        return 0;
    if (behind > 1)
        taken = filled - 1; /* older ones are being overwritten */
    return samples[taken++ & 1];
}

uint32_t emulab_audio_steps(void)
{
    return filled;
}
