/* SPDX-License-Identifier: MIT-0
 * FE310-G002: UART1 on pins 18 and 23 at 115200 baud, on only while it is used. Source: SiFive FE310-G002 manual, chapters 17
 * and 18. */
#include "emulab_drivers.h"
#include "port.h"

#define R EMULAB_REGISTER
#define UART1 0x10023000u
#define GPIO_IOF_EN 0x10012038
#define GPIO_IOF_SEL 0x1001203C
#define SILENCE 200000u /* turns of the waiting loop */

void emulab_modem_init(void)
{
    R(GPIO_IOF_SEL) &= ~(1u << 18 | 1u << 23);
    R(GPIO_IOF_EN) |= 1u << 18 | 1u << 23;
    R(UART1 + 0x18) = (EMULAB_CORE_CLOCK_HZ + 57600u) / 115200u - 1u;
}

uint32_t emulab_modem_exchange(const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n)
{
    R(UART1 + 0x08) = 1u | 1u << 16; /* transmit; IP.txwm says when the FIFO is empty */
    R(UART1 + 0x0C) = 1u;            /* receive */
    for (; out_n; out_n--) {
        while (R(UART1) & 0x80000000u)
            ;
        R(UART1) = *out++;
    }
    uint32_t got = 0;
    for (uint32_t turns = SILENCE; got < in_n && turns; turns--) {
        uint32_t data = R(UART1 + 0x04);
        if (!(data & 0x80000000u))
            in[got++] = (uint8_t)data, turns = SILENCE;
    }
    R(UART1 + 0x08) = 0;
    R(UART1 + 0x0C) = 0;
    return got;
}
