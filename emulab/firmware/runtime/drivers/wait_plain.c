/* SPDX-License-Identifier: MIT-0
 * Sleep of chips that have one way to wait for an interrupt: how deep it is follows from what firmware left on. */
#include "emulab_drivers.h"
#include "port.h"

void emulab_wait(volatile uint32_t *flag, int deep)
{
    (void)deep;
    for (;;) {
        uint32_t state = emulab_core_lock(); /* so that the interrupt cannot slip in between the look and the sleep */
        if (*flag) {
            emulab_core_unlock(state);
            break;
        }
        emulab_core_sleep();
        emulab_core_unlock(state);
    }
    *flag = 0;
}
