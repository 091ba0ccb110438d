/* SPDX-License-Identifier: MIT-0
 * A Bluetooth LE controller behind the second UART: HCI commands over H4. Source: Bluetooth Core Specification 5.4, volume 4,
 * part A 2 (H4) and part E 7.3.2, 7.8.53, 7.8.54, 7.8.56 (reset; extended advertising: parameters, data, enable). */
#include "emulab_drivers.h"

#define RESET 0x0C03
#define PARAMETERS 0x2036
#define DATA 0x2037
#define ENABLE 0x2039

/* One command; its Command Complete event: 04 0E length packets opcode(2) status [one more byte after PARAMETERS]. */
static int command(uint16_t opcode, const uint8_t *parameters, uint32_t n)
{
    uint8_t out[48] = {1, (uint8_t)opcode, (uint8_t)(opcode >> 8), (uint8_t)n}, in[8] = {0};
    for (uint32_t i = 0; i < n; i++)
        out[4 + i] = parameters[i];
    uint32_t expected = opcode == PARAMETERS ? 8 : 7;
    if (emulab_modem_exchange(out, 4 + n, in, expected) < expected)
        return -1;
    return in[0] == 4 && in[1] == 0x0E && (in[4] | in[5] << 8) == opcode && in[6] == 0 ? 0 : -1;
}

static uint32_t interval_ms;

int emulab_radio_init(void)
{
    emulab_modem_init();
    interval_ms = 0;
    return command(RESET, 0, 0);
}

int emulab_radio_advertise(const uint8_t *data, uint32_t n, uint32_t every_ms, uint8_t events)
{
    /* set, complete, do not fragment, length */
    uint8_t advertising[4 + 31] = {0, 3, 1, (uint8_t)n};
    const uint8_t stop[2] = {0, 0}, enable[6] = {1, 1, 0, 0, 0, events}; /* one set, no time limit, so many events */
    if (n > 31)
        return -1;
    if (every_ms != interval_ms) {
        if (interval_ms && command(ENABLE, stop, sizeof stop)) /* parameters do not change while it advertises */
            return -1;
        uint32_t slots = every_ms * 8 / 5; /* of 0.625 ms */
        uint8_t low = (uint8_t)slots, high = (uint8_t)(slots >> 8);
        /* set 0, legacy ADV_NONCONN_IND, the interval twice, three channels, public addresses, no filter, 0 dBm, LE 1M */
        const uint8_t parameters[25] = {0, 0x10, 0, low, high, 0, low, high, 0, 7, [20] = 1, [22] = 1};
        if (command(PARAMETERS, parameters, sizeof parameters))
            return -1;
        interval_ms = every_ms;
    }
    for (uint32_t i = 0; i < n; i++)
        advertising[4 + i] = data[i];
    if (command(DATA, advertising, 4 + n))
        return -1;
    return command(ENABLE, enable, sizeof enable);
}
