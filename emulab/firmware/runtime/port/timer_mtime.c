/* SPDX-License-Identifier: MIT-0
 * Time from the memory-mapped mtime of a CLINT. Source: FE310-G002 Manual v1p5, 9.2; privileged specification 3.2.1. */
#include "port.h"

#define MTIME_LOW (EMULAB_MTIME_BASE + 0xBFF8)
#define MTIME_HIGH (EMULAB_MTIME_BASE + 0xBFFC)

static uint64_t start;

static uint64_t ticks(void)
{
    uint32_t high, low;
    do {
        high = EMULAB_REGISTER(MTIME_HIGH);
        low = EMULAB_REGISTER(MTIME_LOW);
    } while (high != EMULAB_REGISTER(MTIME_HIGH));
    return (uint64_t)high << 32 | low;
}

void emulab_timer_init(void)
{
    start = ticks();
}

uint64_t emulab_timer_ticks(void)
{
    return ticks() - start;
}
