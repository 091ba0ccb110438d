/* SPDX-License-Identifier: MIT-0
 * Arm CMSDK APB UART (MPS2, MPS3). Source: Arm DDI 0479, chapter 4.3. */
#include "port.h"

#define DATA (EMULAB_UART_BASE + 0x00)
#define STATE (EMULAB_UART_BASE + 0x04)
#define CTRL (EMULAB_UART_BASE + 0x08)
#define INTCLEAR (EMULAB_UART_BASE + 0x0C)
#define BAUDDIV (EMULAB_UART_BASE + 0x10)

void emulab_uart_init(void)
{
    EMULAB_REGISTER(BAUDDIV) = (EMULAB_UART_CLOCK_HZ + EMULAB_UART_BAUD / 2) / EMULAB_UART_BAUD;
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(CTRL) = 0x0B; /* transmit, receive, receive interrupt */
#else
    EMULAB_REGISTER(CTRL) = 0x03;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (EMULAB_REGISTER(STATE) & 1)
            ;
        EMULAB_REGISTER(DATA) = (uint8_t)*data++;
    }
    while (EMULAB_REGISTER(STATE) & 1)
        ;
}

void emulab_uart_service(void)
{
    EMULAB_REGISTER(INTCLEAR) = 0x0A; /* receive interrupt and receive overrun, before the byte is taken */
    while (EMULAB_REGISTER(STATE) & 2)
        emulab_console_received((uint8_t)EMULAB_REGISTER(DATA));
}
