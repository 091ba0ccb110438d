/* SPDX-License-Identifier: MIT-0
 * HCI commands over H4. Source: Bluetooth Core Specification 5.4, volume 4, part A 2 (H4) and part E 7.3.2, 7.8.53, 7.8.54,
 * 7.8.56 (reset; extended advertising: parameters, data, enable). */
#include "radio.h"

#include "emulab_drivers.h"

#define RESET 0x0C03
#define PARAMETERS 0x2036
#define DATA 0x2037
#define ENABLE 0x2039
#define COMPANY 0xFFFF /* for tests, Bluetooth assigned numbers */

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

int radio_init(void)
{
    /* set 0, legacy ADV_NONCONN_IND, 100 ms (160 x 0.625) twice, channels 37 to 39, public addresses, no filter, 0 dBm, LE 1M */
    static const uint8_t parameters[25] = {
        0, 0x10, 0, 160, 0, 0, 160, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0,
    };
    emulab_modem_init();
    if (command(RESET, 0, 0))
        return -1;
    return command(PARAMETERS, parameters, sizeof parameters);
}

int radio_send(const uint8_t *data, uint32_t n, uint8_t events)
{
    /* set, complete, do not fragment, length; then one structure: length, manufacturer specific, company */
    uint8_t advertising[8 + 24] = {0, 3, 1, (uint8_t)(n + 4), (uint8_t)(n + 3), 0xFF, COMPANY & 0xFF, COMPANY >> 8};
    const uint8_t enable[6] = {1, 1, 0, 0, 0, events}; /* one set, no time limit, so many events */
    if (n > 24)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        advertising[8 + i] = data[i];
    if (command(DATA, advertising, 8 + n))
        return -1;
    return command(ENABLE, enable, sizeof enable);
}
