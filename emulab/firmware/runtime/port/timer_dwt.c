/* SPDX-License-Identifier: MIT-0
 * Time from the cycle counter of the Armv7-M and Armv8-M data watchpoint unit, which counts while the core is awake.
 * Source: Arm DDI 0403, C1.8. It wraps after 2^32 cycles: read it more often than that. */
#include "port.h"

#define DEMCR 0xE000EDFC
#define DWT_CTRL 0xE0001000
#define DWT_CYCCNT 0xE0001004
#define DWT_LAR 0xE0001FB0 /* lock of Cortex-M7; elsewhere the write has no effect */

static uint64_t total;
static uint32_t last;

void emulab_timer_init(void)
{
    EMULAB_REGISTER(DEMCR) |= 1u << 24;
#if defined(EMULAB_TIMER_UNLOCK)
    EMULAB_REGISTER(DWT_LAR) = 0xC5ACCE55;
#endif
    EMULAB_REGISTER(DWT_CYCCNT) = 0;
    EMULAB_REGISTER(DWT_CTRL) |= 1;
}

uint64_t emulab_timer_ticks(void)
{
    uint32_t now = EMULAB_REGISTER(DWT_CYCCNT);
    total += now - last;
    last = now;
    return total;
}
