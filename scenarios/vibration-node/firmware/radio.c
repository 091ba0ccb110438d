/* SPDX-License-Identifier: MIT-0
 * The message as manufacturer specific data. Source: Supplement to the Bluetooth Core Specification 11, part A 1.4. */
#include "radio.h"

#include "emulab_drivers.h"

#define COMPANY 0xFFFF /* for tests, Bluetooth assigned numbers */
#define INTERVAL_MS 100

int radio_init(void)
{
    return emulab_radio_init();
}

int radio_send(const uint8_t *data, uint32_t n, uint8_t events)
{
    /* one structure: length, manufacturer specific, company */
    uint8_t advertising[4 + 24] = {(uint8_t)(n + 3), 0xFF, COMPANY & 0xFF, COMPANY >> 8};
    if (n > 24)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        advertising[4 + i] = data[i];
    return emulab_radio_advertise(advertising, 4 + n, INTERVAL_MS, events);
}
