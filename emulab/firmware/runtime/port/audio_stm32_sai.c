/* SPDX-License-Identifier: MIT-0
 * Samples of a digital microphone: an STM32 SAI block as I2S slave receiver, 16 bits, left slot, by DMA into two halves.
 * Registers: RM0432 11.6 (DMA), 12.6 (DMAMUX), 51.5 (SAI). DMA channel 1. */
#include "audio.h"
#include "port.h"

#define SAI EMULAB_AUDIO_BASE
#define DMA EMULAB_AUDIO_DMA

static int16_t samples[2][EMULAB_AUDIO_STEP];
static volatile uint32_t filled, taken; /* halves so far */

void emulab_audio_start(void)
{
    filled = taken = 0;
    EMULAB_REGISTER(DMA + 0x08) = 0;
    EMULAB_REGISTER(DMA + 0x04) = 0xF;
    EMULAB_REGISTER(DMA + 0x0C) = 2 * EMULAB_AUDIO_STEP;
    EMULAB_REGISTER(DMA + 0x10) = SAI + 0x1C;
    EMULAB_REGISTER(DMA + 0x14) = (uint32_t)(uintptr_t)samples;
    EMULAB_REGISTER(EMULAB_AUDIO_MUX) = EMULAB_AUDIO_REQUEST;
    EMULAB_REGISTER(DMA + 0x08) = 0x5A7;      /* halfwords, circular, interrupts at half and end */
    EMULAB_REGISTER(SAI + 0x04) = 0x8;        /* empty the FIFO, threshold: one sample */
    EMULAB_REGISTER(SAI + 0x08) = 0x00050F1F; /* I2S: 32-bit frame, 16 of it low, one bit ahead */
    EMULAB_REGISTER(SAI + 0x0C) = 0x00010100; /* two slots, the first one taken */
    EMULAB_REGISTER(SAI) = 0x00020283;        /* slave receiver, 16 bits, rising edge, DMA */
    EMULAB_REGISTER(SAI) = 0x00030283;
}

void emulab_audio_stop(void)
{
    EMULAB_REGISTER(SAI) = 0x00020283;
    EMULAB_REGISTER(DMA + 0x08) = 0;
}

void emulab_audio_interrupt(void)
{
    uint32_t flags = EMULAB_REGISTER(DMA) & 6;
    EMULAB_REGISTER(DMA + 0x04) = flags;
    filled += (flags >> 1 & 1) + (flags >> 2 & 1);
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
