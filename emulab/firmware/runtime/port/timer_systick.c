/* SPDX-License-Identifier: MIT-0
 * Time from SysTick, for cores without a cycle counter (Cortex-M0+, and boards whose emulators have no DWT).
 * 24 bits with an interrupt per wrap. Source: Arm DDI 0419, B3.3. */
#include "port.h"

#define SYST_CSR 0xE000E010
#define SYST_RVR 0xE000E014
#define SYST_CVR 0xE000E018
#define PERIOD 0x1000000u

static volatile uint32_t wraps;

void emulab_timer_interrupt(void)
{
    wraps++;
}

void emulab_timer_init(void)
{
    EMULAB_REGISTER(SYST_RVR) = PERIOD - 1;
    EMULAB_REGISTER(SYST_CVR) = 0;
    EMULAB_REGISTER(SYST_CSR) = 7; /* processor clock, interrupt, on */
}

uint64_t emulab_timer_ticks(void)
{
    uint32_t before, now;
    do {
        before = wraps;
        now = EMULAB_REGISTER(SYST_CVR);
    } while (before != wraps);
    return (uint64_t)before * PERIOD + (PERIOD - 1 - now);
}
