/* SPDX-License-Identifier: MIT-0
 * Time from the RISC-V cycle counter. Source: RISC-V privileged specification 1.12, 3.1.10. */
#include "port.h"

static uint64_t start;

static uint64_t cycles(void)
{
    uint32_t high, low, again;
    do {
        __asm__ volatile("csrr %0, mcycleh" : "=r"(high));
        __asm__ volatile("csrr %0, mcycle" : "=r"(low));
        __asm__ volatile("csrr %0, mcycleh" : "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

void emulab_timer_init(void)
{
    start = cycles();
}

uint64_t emulab_timer_ticks(void)
{
    return cycles() - start;
}
